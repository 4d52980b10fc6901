"""The readers: the only place where hardware is read."""
