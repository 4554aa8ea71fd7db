"""Commands about models: train, promote, predict, models."""
