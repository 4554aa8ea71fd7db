"""Version 1 of what of Feast's contract is followed."""
