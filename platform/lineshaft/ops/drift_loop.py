"""From drift to a better model, or to a ticket: each alarm is diagnosed, and what follows leaves a trail.

A trigger of a cause that teaches nothing is a ticket. One that does waits for outcomes, for the end of a cool-down, and
for sensors to be mended; then a version is trained and judged by its gates, answers for a share of the assets, and the
better of the two stays. One at a time for each model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from lineshaft.drift.diagnosis import Cause, Diagnosis
from lineshaft.drift.findings import PERFORMANCE
from lineshaft.drift.policy import RetrainPolicy
from lineshaft.errors import LineshaftError
from lineshaft.ops.drift_check import Checked
from lineshaft.ops.model_release import Release
from lineshaft.ops.trial import Trial
from lineshaft.registry.drifts import DriftBook, Trigger, trigger_id
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Experiment, Slot

TICKET, WAITING, TRAINING, CHALLENGING = "ticket", "waiting", "training", "challenging"
SINGLE = (Cause.SENSOR, Cause.DEGRADATION, Cause.ASSET)
"""Causes of single assets: each asset has a ticket, which is over when nothing is found of it any more."""
TOLD = {
    Cause.SENSOR: "a sensor: nothing is learnt from it until it is mended",
    Cause.DEGRADATION: "wear is drift by design: look at the machines, not at the model",
    Cause.SITE: "one site alone: ask there what changed",
    Cause.REGIME: "machines do what they did not do in training: watch, and let outcomes tell",
    Cause.NEW_ASSETS: "assets that training never saw: label some before trusting what is said of them",
    Cause.ASSET: "single assets: look at them",
    Cause.FLEET: "inputs moved; predictions are no worse, or nobody knows yet: watch",
    Cause.CONCEPT: "predictions are worse than they were",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the loop acts with: how a version is trained without being promoted, how a trial stands, how one wins."""

    train: Callable[[str], Release]
    standing: Callable[[Experiment], Trial]
    promote: Callable[[str, int, str], object]  # model, number, reason
    environment: str
    actor: str
    tell: Callable[[Trigger, str], object] = lambda _one, _detail: None  # of what was opened, and how it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLoop:
    """One step after each check."""

    book: DriftBook
    registry: ModelRegistry
    policy: RetrainPolicy
    hands: Hands

    def step(self, checked: Checked) -> list[Trigger]:
        """Open what is new, close what is over, and take what stands one step on; return what stands."""
        model = checked.window.model
        standing = self.book.triggers(model, standing=True)
        for diagnosis in checked.diagnoses:
            unknown = self._unknown(standing, diagnosis)
            if unknown is not None:
                self._open(checked, unknown)
        for one in self.book.triggers(model, standing=True):
            self._take_on(one, checked)
        return self.book.triggers(model, standing=True)

    def _unknown(self, standing: list[Trigger], diagnosis: Diagnosis) -> Diagnosis | None:
        """Return what of a diagnosis no trigger says yet; while a version is on its way, no other is asked for."""
        same = [one for one in standing if one.cause == diagnosis.cause]
        if str(diagnosis.cause) in self.policy.causes:
            return None if any(one.state != TICKET for one in standing) or same else diagnosis
        if same and diagnosis.cause not in SINGLE:
            return None
        told = {asset for one in same for asset in one.assets}
        fresh = tuple(asset for asset in diagnosis.assets if asset not in told)
        return None if same and not fresh else replace(diagnosis, assets=fresh)

    def _open(self, checked: Checked, diagnosis: Diagnosis) -> None:
        """Write a trigger down: a ticket, or one that waits to be learnt from."""
        window, now, cause = checked.window, self.book.clock.now_us(), str(diagnosis.cause)
        learns = cause in self.policy.causes
        detail = TOLD[diagnosis.cause]
        if learns and not self.policy.auto:
            detail = f"{detail}; the policy asks a person: `lineshaft train {window.model}`"
        wanted = Trigger(
            id=trigger_id(self.book.project, window.model, cause, now),
            model=window.model,
            number=window.number,
            cause=cause,
            assets=diagnosis.assets,
            columns=diagnosis.columns[:20],
            detail=diagnosis.why,
            state=WAITING if learns and self.policy.auto else TICKET,
            raised_us=now,
        )
        self.book.open_trigger(wanted, detail=detail)
        self.hands.tell(wanted, f"{diagnosis.why}: {detail}")

    def _take_on(self, one: Trigger, checked: Checked) -> None:
        """Take a trigger one step on."""
        if one.state == TICKET:
            if not _still(one, checked):
                self.book.move(one.id, "over", "no check finds it any more", closed=True)
        elif one.state == WAITING:
            self._wait(one, checked)
        elif one.state == CHALLENGING:
            self._conclude(one)

    def _wait(self, one: Trigger, checked: Checked) -> None:
        """Train if nothing stands against it; say once what it waits for."""
        if not _still(one, checked):
            self.book.move(one.id, "over", "no check finds it any more: nothing was trained", closed=True)
            return
        why = self._held_back(one, checked)
        if why:
            if self.book.trail(one.id)[-1].detail != why:
                self.book.move(one.id, WAITING, why)
            return
        self._train(one)

    def _held_back(self, one: Trigger, checked: Checked) -> str:
        """Return what a trigger waits for."""
        standing = self.book.triggers(one.model, standing=True)
        if any(other.cause == Cause.SENSOR for other in standing):
            return "it waits until the broken sensor is mended: its rows would be learnt"
        labelled = sum(point.finding.rows for point in checked.points if point.kind == PERFORMANCE)
        if labelled < self.policy.need_labels:
            return f"it waits for outcomes of {self.policy.need_labels} assets"
        now = self.book.clock.now_us()
        trained = [
            act.at_us
            for other in self.book.triggers(one.model)
            for act in self.book.trail(other.id)
            if act.state == TRAINING
        ]
        if trained and now - max(trained) < self.policy.cool_down_us:
            return "it waits until the last training has cooled down"
        if self.registry.experiments.running(one.model, self.hands.environment) is not None:
            return "it waits for the end of an experiment"
        return ""

    def _train(self, one: Trigger) -> None:
        """Train and judge a version; one that passes is the challenger of an experiment."""
        self.book.move(one.id, TRAINING, f"because of {one.cause}: {one.detail}")
        try:
            released = self.hands.train(one.model)
        except LineshaftError as error:
            self._end(one, "failed", f"it could not be trained: {error.what}")
            return
        version = released.version
        if released.judgement.outcome != "pass":
            detail = f"{version.ref} did not pass: {released.judgement.detail}"
            self._end(one, "failed", detail)
            return
        place, champion = self.hands.environment, self.registry.champion(one.model, self.hands.environment)
        self.registry.promote(
            version.model,
            version.number,
            slot=Slot.CHALLENGER,
            environment=place,
            actor=self.hands.actor,
            reason=f"drift: {one.cause}",
        )
        now = self.book.clock.now_us()
        wanted = Experiment(
            model=one.model,
            environment=place,
            champion=champion.number,
            challenger=version.number,
            unit="asset",
            salt=hashlib.sha256(f"{one.id}|{now}".encode()).hexdigest()[:16],
            weight_bp=round(self.policy.share * 10_000),
            metric=self.policy.metric,
            effect=self.policy.effect,
            alpha=self.policy.alpha,
            min_assets=self.policy.min_assets,
            started_us=now,
        )
        self.registry.experiments.start(wanted, actor=self.hands.actor, reason=f"drift: {one.cause}")
        detail = (
            f"{version.ref} passed ({released.judgement.detail}) and answers for {self.policy.share:.0%} of the assets"
        )
        self.book.move(one.id, CHALLENGING, detail)

    def _conclude(self, one: Trigger) -> None:
        """Look at the experiment; what it tells apart is decided, what it cannot for long keeps the champion."""
        running = self.registry.experiments.running(one.model, self.hands.environment)
        if running is None:
            self._end(one, "kept", "somebody else ended the experiment")
            return
        found = self.hands.standing(running).comparison
        late = self.book.clock.now_us() - running.started_us > self.policy.longest_us
        if found.outcome in ("undecided", "too_few_assets") and not late:
            return
        figures = f"{self.policy.metric} {found.difference:+.4g} ({found.low:+.4g} to {found.high:+.4g})"
        detail = f"{figures}, {found.champion_assets} and {found.challenger_assets} assets"
        told = {"actor": self.hands.actor, "reason": f"drift: {one.cause}"}
        self.registry.experiments.end(one.model, self.hands.environment, verdict=found.outcome, detail=detail, **told)
        ref = f"{one.model}@{running.challenger}"
        if found.outcome == "challenger":
            self.hands.promote(one.model, running.challenger, f"it won its experiment: {detail}")
            self._end(one, "promoted", f"{ref} is champion: {detail}")
            return
        self.registry.clear(one.model, environment=self.hands.environment, slot=Slot.CHALLENGER, **told)
        self._end(one, "kept", f"the champion stays, {found.outcome}: {detail}")

    def _end(self, one: Trigger, state: str, detail: str) -> None:
        """Write down how a learning ended, and tell whoever is told."""
        self.book.move(one.id, state, detail, closed=True)
        self.hands.tell(replace(one, state=state), detail)


def _still(one: Trigger, checked: Checked) -> bool:
    """Tell whether a check still finds what a trigger is of, or an alarm of one of its assets stands."""
    found = [diagnosis for diagnosis in checked.diagnoses if str(diagnosis.cause) == one.cause]
    if one.cause not in SINGLE:
        return bool(found)
    now = {asset for diagnosis in found for asset in diagnosis.assets} | {*checked.window.standing}
    return bool({*one.assets} & now)
