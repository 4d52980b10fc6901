"""The command ``vramline``."""
