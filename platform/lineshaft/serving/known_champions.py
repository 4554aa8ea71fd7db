"""The last champions that a server stood by, kept on disk: who answers where it starts while the registry is away."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lineshaft.errors import LineshaftError
from lineshaft.registry.kept import KeptTexts
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion, Provenance, State, ViewPin
from lineshaft.serving.champions import Read, read_version
from lineshaft.serving.standing import Ready, Standing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChampions:
    """Who stood in an environment; their files are read from the artifact store, and checked by their hashes again."""

    registry: ModelRegistry
    environment: str
    kept: KeptTexts
    read: Read = read_version

    def keep(self, standing: Mapping[str, Standing]) -> None:
        """Remember who stands, and who stands behind."""
        told = {
            model: [asdict(ready.version) for ready in (one.ready, one.reserve) if ready is not None]
            for model, one in standing.items()
        }
        self.kept.save(self._name, json.dumps(told, sort_keys=True))

    def recall(self) -> Mapping[str, Standing]:
        """Return who stood; without those whose files are gone or altered."""
        standing: dict[str, Standing] = {}
        for model, versions in json.loads(self.kept.load(self._name) or "{}").items():
            ready = [one for one in map(self._ready, versions) if one is not None]
            if ready:
                why = f"the registry is away; {ready[0].version.ref} was last known to answer"
                _LOG.warning(why)
                reserve = ready[1] if len(ready) > 1 else None
                standing[model] = Standing(ready=ready[0], reserve=reserve)
        return standing

    @property
    def _name(self) -> str:
        return f"champions of {self.environment}"

    def _ready(self, told: dict[str, Any]) -> Ready | None:
        version = _version(told)
        try:
            return self.read(self.registry, version)
        except LineshaftError as error:
            _LOG.error("%s was last known to answer, and cannot be used: %s", version.ref, error.what)
            return None


def _version(told: dict[str, Any]) -> ModelVersion:
    """Return a version from its JSON."""
    provenance = told["provenance"]
    if provenance is not None:
        curve = tuple((x, y) for x, y in provenance["curve"])
        provenance = Provenance(**{**provenance, "curve": curve})
    changed = {
        "state": State(told["state"]),
        "features": tuple(told["features"]),
        "pins": tuple(ViewPin(**pin) for pin in told["pins"]),
        "provenance": provenance,
    }
    return ModelVersion(**{**told, **changed})
