"""Two engineers and everybody share one database server; each has a database, or a schema, to himself."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from lineshaft.clock import ManualClock
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.registry.records import Candidate
from lineshaft.registry.revisions import standing
from lineshaft.settings import Settings


def test_models_of_one_environment_are_not_in_another(
    database_url: str, tmp_path: Path, clock: ManualClock, candidate: Candidate
) -> None:
    """Numbers, files and tables: what one registers does not show elsewhere, and takes no number there."""
    found = {}
    for project in ("prod", "dev-ana", "dev-ben", "dev-ana"):
        settings = Settings(home=tmp_path, project=project, database_url=SecretStr(database_url))
        upgrade(settings.database())
        at, newest = standing(settings.database())
        assert at == newest
        registry = open_registry(database_url=settings.database(), artifacts=settings.home / "artifacts", clock=clock)
        if project != "dev-ben":
            registry.register(candidate, actor=project)
        found[project] = [version.number for model in registry.models() for version in registry.versions(model.name)]
        registry.engine.dispose()

    assert found == {"prod": [1], "dev-ana": [2, 1], "dev-ben": []}
