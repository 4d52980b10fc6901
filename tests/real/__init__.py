"""What is said of a model against the real llama-cpp-python. ``scripts/real`` runs it."""
