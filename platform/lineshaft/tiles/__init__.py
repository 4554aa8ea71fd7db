"""The one code path: samples to tiles, tiles to windows, windows to feature values. Pure NumPy and Arrow.

A feature is `finish(merge(tiles))`, whoever asks.
"""
