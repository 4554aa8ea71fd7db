"""Lineshaft: features computed once, by one piece of code, and every model runs off them."""

__version__ = "0.1.0"
