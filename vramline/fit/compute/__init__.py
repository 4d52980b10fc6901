"""The compute buffer: what a graph of operations takes while it runs."""
