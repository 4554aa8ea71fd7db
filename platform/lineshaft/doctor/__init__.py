"""What a new user and whoever is on call ask first: what is there, does it answer, is it as it should be."""
