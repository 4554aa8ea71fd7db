"""Drift as numbers: values, steps and spreads set beside a baseline, counted by what they are worth."""
