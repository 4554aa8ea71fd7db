"""Tell owners, by the routes that alerts take (log, webhook, e-mail, Kafka), of what is held and of what drifts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lineshaft.ops.held_words import machines, sentence
from lineshaft.ops.quarantine import held_batches, held_paths
from lineshaft.registry.alerts import Alert, episode_id
from lineshaft.registry.drifts import Trigger
from lineshaft.serving.alert_routes import deliver, routes_of
from lineshaft.wiring import Parts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerAlert(Alert):
    """Something that an owner is told: `model` is what it is about, `speaker` who says so, and the score how many."""

    speaker: str

    @property
    def version(self) -> str:
        """Return what speaks."""
        return self.speaker

    @property
    def told(self) -> str:
        """Return what, of which machine, why, and what to do."""
        return self.because[0][0] if self.because else ""


@contextmanager
def owners_told(parts: Parts) -> Iterator[None]:
    """Tell owners of each batch that comes to be held meanwhile, once, whatever else happens."""
    before = held_paths(parts.work)
    try:
        yield
    finally:
        for held in held_batches(parts.work, but=before):
            of = machines(held)
            said = sentence(held, assets=of)
            logger.warning("%s", said)
            tell_owners(parts, {held.name: said}, rows={held.name: held.rows}, assets=of)


def tell_owners(
    parts: Parts, held: Mapping[str, str], *, rows: Mapping[str, int] | None = None, assets: Sequence[str] = ()
) -> Mapping[str, str]:
    """Send an alert for each view, source or table with what is wrong with rows of it.

    Where no routes are set nobody is told but the log, by the checkpoint itself. Returns what became of each route.
    """
    if parts.settings.alert_routes is None or not held:
        return {}
    views = parts.catalog.views()
    owners = {view.name: view.owner for view in views} | {view.source.name: view.owner for view in views}
    became = dict[str, str]()
    for name, why in held.items():
        entity = {"of": name, "owner": owners.get(name) or "nobody"} | ({"asset_id": assets[0]} if assets else {})
        count = float((rows or {}).get(name, 1))
        became.update(_send(parts, name, f"the checkpoint of {name}", entity, why=why, count=count))
    return became


def tell_of_drift(parts: Parts, one: Trigger, detail: str) -> Mapping[str, str]:
    """Send an alert to the owner of a model: what stands behind a drift of it, or how a learning ended."""
    owner = next((model.owner for model in parts.registry.models() if model.name == one.model), "")
    entity = {"of": f"{one.model}@{one.number}", "owner": owner or "nobody", "cause": one.cause, "state": one.state}
    speaker, of = f"the drift of {one.model}@{one.number}", ", ".join((*one.assets[:5], *one.columns[:3]))
    why = f"{speaker}, {one.cause}: {detail} ({of})"
    return _send(parts, one.model, speaker, entity, why=why, count=float(max(len(one.assets), 1)))


def _send(
    parts: Parts, name: str, speaker: str, entity: dict[str, str], *, why: str, count: float
) -> Mapping[str, str]:
    """Send one alert by every route that is set; return what became of each."""
    setting, now_us = parts.settings.alert_routes, parts.clock.now_us()
    if setting is None:
        return {}
    alert = OwnerAlert(
        id=episode_id(parts.settings.project, name, entity, now_us),
        project=parts.settings.project,
        model=name,
        number=0,
        asset_id=entity.get("asset_id", name),
        entity=entity,
        at_us=now_us,
        raised_us=now_us,
        score=count,
        threshold=0.0,
        because=((why, count, 0.0),),
        speaker=speaker,
    )
    return deliver(alert, routes_of(setting.get_secret_value()))
