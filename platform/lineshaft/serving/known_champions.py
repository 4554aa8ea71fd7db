"""The last champions that a server stood by, kept on disk: who answers where it starts while the registry is away."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
        told = {model: _told(one) for model, one in standing.items()}
        sites = {model: {site: _told(at) for site, at in one.sites.items()} for model, one in standing.items()}
        placed = next((dict(one.placed) for one in standing.values() if one.sites), {})
        self.kept.save(self._name, json.dumps(told, sort_keys=True))
        self.kept.save(f"{self._name}, by site", json.dumps({"sites": sites, "placed": placed}, sort_keys=True))

    def recall(self) -> Mapping[str, Standing]:
        """Return who stood; without those whose files are gone or altered."""
        standing: dict[str, Standing] = {}
        by_site = json.loads(self.kept.load(f"{self._name}, by site") or "{}")
        for model, versions in json.loads(self.kept.load(self._name) or "{}").items():
            general = self._standing(versions)
            if general is None:
                continue
            _LOG.warning("the registry is away; %s was last known to answer", general.ready.version.ref)
            known = {site: self._standing(own) for site, own in by_site.get("sites", {}).get(model, {}).items()}
            sites = {site: one for site, one in known.items() if one is not None}
            standing[model] = replace(general, sites=sites, placed=by_site["placed"]) if sites else general
        return standing

    def _standing(self, versions: Sequence[dict[str, Any]]) -> Standing | None:
        """Return who stood at one place; None where no file of theirs can be used."""
        ready = [one for one in map(self._ready, versions) if one is not None]
        return Standing(ready=ready[0], reserve=ready[1] if len(ready) > 1 else None) if ready else None

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


def _told(one: Standing) -> list[dict[str, Any]]:
    """Return who stood at one place, and who behind, as JSON has them."""
    return [asdict(ready.version) for ready in (one.ready, one.reserve) if ready is not None]


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
