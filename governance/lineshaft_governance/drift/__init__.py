"""Drift as people look at it: the policy they write, and Evidently's report."""
