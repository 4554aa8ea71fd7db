"""Bring a database up to date where it is not; where it is, the machinery that would is not loaded."""

from __future__ import annotations

from lineshaft.registry.revisions import standing


def brought_up(database_url: str) -> None:
    """Bring the tables to what this version speaks of, if they are not."""
    at, newest = standing(database_url)
    if at != newest:
        from lineshaft.registry.migrate import upgrade

        upgrade(database_url)
