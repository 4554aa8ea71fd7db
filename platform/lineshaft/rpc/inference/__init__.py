"""Messages that clients of Feast speak."""
