"""Catalogue and model registry, in SQL. SQLAlchemy lives here and nowhere else."""
