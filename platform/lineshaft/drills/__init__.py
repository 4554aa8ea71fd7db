"""Faults caused on purpose, on a private instance, to see what clients would see."""
