"""Who answers for an asset: one decision, for a call, for a whole fleet and for rows that are alerted of.

The site of an asset says whose champion, challenger and shadow it has, its arm of an experiment which of these answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.models.scored import Model
from lineshaft.outcomes.arms import challenged
from lineshaft.registry.records import Experiment, ModelVersion, Slot
from lineshaft.specs import Service
from lineshaft.tiles.keys import Keys, table_of

_NOBODY: Mapping[Slot, Ready] = MappingProxyType({})
_NOWHERE: Mapping[str, Standing] = MappingProxyType({})
_UNPLACED: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """A version in memory, with the service it pins; `columns` are its features' places in that service's answer."""

    version: ModelVersion
    service: Service
    model: Model
    columns: tuple[int, ...]
    required: tuple[int, ...]  # places among the features without which there is no score


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who answers for a model, and `reserve`, who does where that fails: the champion before.

    `passed_over` says which version should answer, and why it does not; `others` are a challenger and a shadow. While
    `trial` runs, the challenger answers for its share of the assets. `sites` are those with slots of their own,
    `placed` says at which of them assets are.
    """

    ready: Ready
    reserve: Ready | None = None
    passed_over: str = ""
    others: Mapping[Slot, Ready] = field(default_factory=lambda: _NOBODY)
    trial: Experiment | None = None
    sites: Mapping[str, Standing] = field(default_factory=lambda: _NOWHERE)
    placed: Mapping[str, str] = field(default_factory=lambda: _UNPLACED)

    def deal(self, entities: pa.Table | Keys) -> list[Share]:
        """Return who answers for which of some entities, each of them once; nobody else decides this."""
        assets = _assets(entities) if self.sites or self.trial is not None else None
        if assets is None:
            return [Share(at=self)]
        sites = np.array([site if (site := self.placed.get(asset)) in self.sites else "" for asset in assets.tolist()])
        found = []
        for site in np.unique(sites).tolist():  # the general one, "", comes first
            rows = sites == site
            at = self.sites.get(site, self)
            found.append(Share(at=at, rows=None if rows.all() else rows, arm=_arm(at, assets[rows])))
        return found

    def all(self) -> Iterator[Ready]:
        """Yield every version that is held for the model; some twice, where sites share them."""
        yield from filter(None, (self.ready, self.reserve, *self.others.values()))
        for site in self.sites.values():
            yield from site.all()

    def answering(self) -> dict[int, Ready]:
        """Return by number the versions that may answer for some asset, the general champion first; no shadow."""
        found = {self.ready.version.number: self.ready}
        challenger = self.others.get(Slot.CHALLENGER) if self.trial is not None else None
        for one in filter(None, (self.reserve, challenger)):
            found.setdefault(one.version.number, one)
        for number, one in (pair for site in self.sites.values() for pair in site.answering().items()):
            found.setdefault(number, one)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Share:
    """Entities of one site, all unless `rows` says which; of these `arm` are the challenger's, none unless given."""

    at: Standing
    rows: NDArray[np.bool_] | None = None
    arm: NDArray[np.bool_] | None = None


def _assets(entities: pa.Table | Keys) -> NDArray[np.str_] | None:
    """Return the name of each entity's asset; None for entities that are keyed otherwise: they have no site, no arm."""
    keys = table_of(entities)
    if "asset_id" not in keys.column_names:
        return None
    return np.array([str(name) for name in keys["asset_id"].to_pylist()])


def _arm(at: Standing, assets: NDArray[np.str_]) -> NDArray[np.bool_] | None:
    """Tell which assets of a place its challenger answers for; None where there is no such."""
    if at.trial is None:
        return None
    theirs = challenged(assets.tolist(), salt=at.trial.salt, weight_bp=at.trial.weight_bp)
    return theirs if theirs.any() else None
