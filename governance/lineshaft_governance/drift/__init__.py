"""Drift as people look at it: the policy they write, checks kept for the page, and Evidently's report."""
