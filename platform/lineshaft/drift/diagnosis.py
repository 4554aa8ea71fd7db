"""What stands behind a drift: a sensor, wear, a site, what a machine does, machines never seen, or the world itself.

Only where what was predicted is worse than it was does a model have anything to learn: wear is drift by design, and a
model that is retrained on a broken sensor learns the fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from lineshaft.drift.baseline import Baseline
from lineshaft.drift.findings import NEW, PERFORMANCE, Finding
from lineshaft.drift.rows import FLEET

_FAR = 3.0
"""Standard deviations from which on a level that one sensor alone has is no machine's."""


class Cause(StrEnum):
    """What a drift is, and so who has to do something about it."""

    SENSOR = "sensor"  # one sensor of an asset: mend it, and learn nothing from it
    DEGRADATION = "degradation"  # it looks as machines looked before they failed: the model's own business
    SITE = "site"  # all assets of one site, and none of another
    REGIME = "regime"  # the machines do what they did not do in training
    NEW_ASSETS = "new_assets"  # assets that training never saw are unlike those it saw
    ASSET = "asset"  # single assets changed, and nothing says why
    FLEET = "fleet"  # most assets changed, and predictions are no worse, or nobody knows yet
    CONCEPT = "concept"  # predictions are worse than they were


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A cause, of whom, in which columns, and by what it is told."""

    cause: Cause
    assets: tuple[str, ...]
    columns: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How far off predictions are by asset (lower is better), when it was trained and now; `worse` by test and size."""

    before: float
    now: float
    p: float
    assets: int  # with outcomes by now
    worse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known beside the findings: the baseline, who is there, and where columns and assets belong."""

    baseline: Baseline
    assets: Collection[str]  # in the window
    sensor_of: Mapping[str, str] = field(default_factory=dict)
    site_of: Mapping[str, str] = field(default_factory=dict)
    performance: Performance | None = None
    unseen_regimes: float = 0.0  # share of rows in regimes that training never saw
    alike: float = 0.5  # the least cosine with the direction of wear
    most: float = 0.5  # the share of assets from which on it is the fleet


def diagnose(findings: Sequence[Finding], scene: Scene) -> list[Diagnosis]:
    """Return what stands behind these drifts, single sensors and worn machines first."""
    mine: dict[str, list[Finding]] = {}
    for one in findings:
        if one.verdict == "drift" and one.scope != PERFORMANCE:
            mine.setdefault(one.scope, []).append(one)
    fleet, new = mine.pop(FLEET, []), mine.pop(NEW, [])
    found: list[Diagnosis] = []
    by_cause: dict[Cause, list[str]] = {}
    for asset, own in mine.items():
        by_cause.setdefault(_of_asset(own, scene), []).append(asset)
    for cause in (Cause.SENSOR, Cause.DEGRADATION):
        assets = by_cause.get(cause, [])
        if assets:
            found.append(_told(cause, assets, [one for asset in assets for one in mine[asset]]))
    changed = by_cause.get(Cause.ASSET, [])
    rest = [one for asset in changed for one in mine[asset]]
    broken, worse = Cause.SENSOR in by_cause, scene.performance is not None and scene.performance.worse
    if changed or not found or (worse and not broken):
        found += _of_fleet(changed, rest if found else rest + fleet, scene)
    if new:
        what = "assets that training never saw differ from those it saw"
        found.append(Diagnosis(cause=Cause.NEW_ASSETS, assets=(), columns=_columns(new), why=what))
    return found


def _of_asset(findings: Sequence[Finding], scene: Scene) -> Cause:
    """Return what happened to one asset."""
    sensors = {scene.sensor_of.get(one.column, one.column) for one in findings}
    several = len(set(scene.sensor_of.values())) > 1
    dead = any(one.method == "missing" or (one.method == "spread" and one.effect < 0.2) for one in findings)
    sudden = any(one.method == "step" or (one.method == "level" and abs(one.effect) >= _FAR) for one in findings)
    worn = _alike(findings, scene.baseline) >= scene.alike
    if dead or (sudden and len(sensors) == 1 and several and not worn):
        return Cause.SENSOR
    return Cause.DEGRADATION if worn else Cause.ASSET


def _of_fleet(assets: Sequence[str], findings: Sequence[Finding], scene: Scene) -> list[Diagnosis]:
    """Return what happened to several assets, or to the predictions of all."""
    performance = scene.performance
    if performance is not None and performance.worse:  # and no broken sensor says why
        told = f"{performance.now:.3g} against {performance.before:.3g} at training, p {performance.p:.2g}"
        why = f"predictions of {performance.assets} assets are worse: {told}"
        return [Diagnosis(cause=Cause.CONCEPT, assets=tuple(assets), columns=_columns(findings), why=why)]
    if not findings:
        return []
    if scene.unseen_regimes > 0.1:
        why = f"{scene.unseen_regimes:.0%} of rows are of regimes that training never saw"
        return [Diagnosis(cause=Cause.REGIME, assets=tuple(assets), columns=_columns(findings), why=why)]
    sites = {_site(asset, scene) for asset in assets}
    elsewhere = {_site(asset, scene) for asset in scene.assets} - sites
    if len(assets) > 1 and len(sites) == 1 and "" not in sites and elsewhere:
        why = f"all of them are at {min(sites)}, and none elsewhere"
        return [Diagnosis(cause=Cause.SITE, assets=tuple(assets), columns=_columns(findings), why=why)]
    whole = not assets or len(assets) >= scene.most * len(scene.assets)
    if whole and _alike(findings, scene.baseline) >= scene.alike:
        return [_told(Cause.DEGRADATION, assets, findings)]
    return [_told(Cause.FLEET if whole and len(scene.assets) > 1 else Cause.ASSET, assets, findings)]


def _site(series: str, scene: Scene) -> str:
    """Return where the asset of a series stands; "" where nobody says."""
    return scene.site_of.get(series.split("/", maxsplit=1)[0], "")


def _alike(findings: Sequence[Finding], baseline: Baseline) -> float:
    """Return the cosine of what moved with where rows near a failure lie; 0 where training had none."""
    wear = dict(zip(baseline.columns, baseline.wear.tolist(), strict=True))
    moved: dict[str, float] = {}
    for one in findings:
        if one.method == "level" and np.isfinite(wear[one.column]):
            moved[one.column] = moved.get(one.column, 0.0) + one.effect
    names = sorted(moved)
    a, b = np.array([moved[name] for name in names]), np.array([wear[name] for name in names])
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


_WORDS = {
    Cause.SENSOR: "one sensor alone moved, or says nothing any more: learn nothing from it",
    Cause.DEGRADATION: "rows moved to where rows near a failure lay in training: the model knows this",
    Cause.ASSET: "single assets changed; nothing says why",
    Cause.FLEET: "most assets changed; predictions are no worse, or outcomes are not known yet",
}


def _told(cause: Cause, assets: Sequence[str], findings: Sequence[Finding]) -> Diagnosis:
    return Diagnosis(cause=cause, assets=tuple(sorted(assets)), columns=_columns(findings), why=_WORDS[cause])


def _columns(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the columns, the least probable first."""
    ordered = sorted(findings, key=lambda one: one.q)
    return tuple(dict.fromkeys(one.column for one in ordered))
