"""Alembic migrations of catalogue and model registry."""
