"""Tell owners of what their checkpoints hold, by the routes that alerts take: log, webhook, e-mail, Kafka."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lineshaft.ops.held_words import machines, sentence
from lineshaft.ops.quarantine import held_batches, held_paths
from lineshaft.registry.alerts import Alert, episode_id
from lineshaft.serving.alert_routes import deliver, routes_of
from lineshaft.wiring import Parts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointAlert(Alert):
    """A checkpoint held rows: `model` is the view, the source or the table, and the score is how many."""

    @property
    def version(self) -> str:
        """Return what speaks."""
        return f"the checkpoint of {self.model}"

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
) -> dict[str, str]:
    """Send an alert for each view, source or table with what is wrong with rows of it.

    Where no routes are set nobody is told but the log, by the checkpoint itself. Returns what became of each route.
    """
    setting = parts.settings.alert_routes
    if setting is None or not held:
        return {}
    owners = {view.name: view.owner for view in parts.catalog.views()}
    owners |= {view.source.name: view.owner for view in parts.catalog.views()}
    routes, became = routes_of(setting.get_secret_value()), dict[str, str]()
    for name, why in held.items():
        entity = {"of": name, "owner": owners.get(name) or "nobody"} | ({"asset_id": assets[0]} if assets else {})
        now_us, count = parts.clock.now_us(), float((rows or {}).get(name, 1))
        alert = CheckpointAlert(
            id=episode_id(parts.settings.project, name, entity, now_us),
            project=parts.settings.project,
            model=name,
            number=0,
            asset_id=assets[0] if assets else name,
            entity=entity,
            at_us=now_us,
            raised_us=now_us,
            score=count,
            threshold=0.0,
            because=((why, count, 0.0),),
        )
        became.update(deliver(alert, routes))
    return became
