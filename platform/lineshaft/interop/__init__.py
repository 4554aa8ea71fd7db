"""Contracts of others, translated onto ours: MLflow's registry, OpenLineage's events."""
