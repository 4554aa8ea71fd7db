"""The champion as somebody to be set beside: its judges, made again from what its version pins where it was folded.

A version that learned from every asset can still be asked about them: each by the model of the folds that did not hold
it, which judged it when it was trained. These are not kept, so they are fitted again, from the training set that is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lineshaft.errors import LineshaftError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.beside import Judge, Rival
from lineshaft.models.matrix import Examples, examples
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import judged_together, learned_from
from lineshaft.models.training import fit
from lineshaft.ops.model_file import parse_model
from lineshaft.ops.reproduce import kept_training_set, search_of
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion, Slot
from lineshaft.specs import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Where champions are looked up; `tables` is where training sets are kept, if any are."""

    registry: ModelRegistry
    environment: str
    tables: Path | None = None

    def champion(self, model: str) -> Rival | None:
        """Return who holds the slot; None where nobody does."""
        held = self.registry.held(model, self.environment, Slot.CHAMPION)
        if held is None:
            return None
        version = self.registry.get(model, held.number)
        rival = Rival(
            ref=version.ref,
            features=version.features,
            judges=(),
            rule=AlarmRule.of(version.params, task=version.task),
        )
        try:
            return replace(rival, judges=self._judges(version, self.registry.load(version)))
        except LineshaftError as error:
            return replace(rival, why_not=f"{version.ref} cannot be asked about these rows: {error.what}")

    def _judges(self, version: ModelVersion, artifact: bytes) -> tuple[Judge, ...]:
        """Return the version itself, for what it did not learn from, and the models of its folds."""
        told, kept = version.provenance, None
        if told is not None and self.tables is not None:
            kept = kept_training_set(version, self.tables)
        if told is None or kept is None:
            attested = [one for one in self.registry.evidence(version.model, version.number) if not one.against]
            return (Judge(artifact=artifact, unseen=frozenset(attested[0].unseen if attested else ())),)
        declared = parse_model(version.model, told.model_file, where=version.ref)
        spec = declared.spec(Service.from_json(version.service_json))
        search = search_of(version, self.registry.artifacts)
        spec = spec if search is None else search.applied(spec)
        rows = examples(spec, kept)
        return (_judge(spec, artifact, learned_from(spec, rows)), *_of_folds(spec, rows))


def _of_folds(spec: ModelSpec, rows: Examples) -> list[Judge]:
    """Fit the model of each fold again, the latest first."""
    found = []
    for part in reversed(judged_together(spec, rows)) if spec.folds else ():
        learned = rows.take(part.learned)
        found.append(_judge(spec, fit(spec, learned).artifact, learned))
    return found


def _judge(spec: ModelSpec, artifact: bytes, learned: Examples) -> Judge:
    if spec.split == "time":
        return Judge(artifact=artifact, until_us=int(learned.times.max()) + spec.reach_us + spec.embargo_us)
    return Judge(artifact=artifact, seen=frozenset(np.unique(learned.groups).tolist()))
