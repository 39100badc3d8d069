"""What is stale, and everything that acts on it."""
