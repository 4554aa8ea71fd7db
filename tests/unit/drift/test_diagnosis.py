"""What stands behind findings is told by what is known beside them, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lineshaft.drift.baseline import Baseline, baseline_of
from lineshaft.drift.diagnosis import Cause, Diagnosis, Performance, Scene, diagnose
from lineshaft.drift.findings import NEW, PERFORMANCE, Finding
from lineshaft.drift.rows import FLEET, Rows
from lineshaft.testing import small_finding

COLUMNS = ("vibration__rms", "vibration__peak", "heat__mean")
PUMPS = tuple(f"pump-{number}" for number in range(6))


def made(*, wear: tuple[float, ...] = (2.0, 2.0, 0.0)) -> Baseline:
    """Return a baseline of six pumps, in which rows near a failure lie so many deviations off."""
    dice = np.random.default_rng(0)
    rows = Rows(
        columns=COLUMNS,
        values=dice.normal(size=(600, 3)),
        assets=np.repeat(PUMPS, 100),
        cells=np.tile(np.arange(100), 6),
        regimes=np.zeros(600, np.int64),
    )
    return replace(baseline_of(rows, window=10), wear=np.array(wear))


SCENE = Scene(
    baseline=made(),
    assets=PUMPS,
    sensor_of=dict(zip(COLUMNS, ("accelerometer", "accelerometer", "thermometer"), strict=True)),
    site_of={pump: "north" if number < 2 else "south" for number, pump in enumerate(PUMPS)},
)
WORSE = Performance(before=0.04, now=0.1, p=1e-4, assets=30, worse=True)


def drift(scope: str, column: str = COLUMNS[0], *, method: str = "level", effect: float = 1.0) -> Finding:
    """Return a drift."""
    return small_finding(column=column, scope=scope, method=method, effect=effect)


def causes(*findings: Finding, scene: Scene = SCENE) -> list[tuple[Cause, tuple[str, ...]]]:
    """Return what stands behind drifts, and of whom."""
    return [(one.cause, one.assets) for one in diagnose(findings, scene)]


@pytest.mark.parametrize(
    "how",
    [{"method": "step", "effect": 6.0}, {"effect": -4.0}, {"method": "spread", "effect": 0.1}, {"method": "missing"}],
    ids=["it jumped", "far off", "dead", "silent"],
)
def test_one_sensor_that_moves_alone_is_a_broken_sensor(how: dict[str, object]) -> None:
    """A thermometer that jumps, is far off, dead or silent while the accelerometer goes on."""
    assert causes(drift("pump-3", COLUMNS[2], **how)) == [(Cause.SENSOR, ("pump-3",))]  # type: ignore[arg-type]


def test_several_sensors_that_jump_are_no_broken_sensor() -> None:
    """An accelerometer and a thermometer that jump together say something of the machine."""
    far = [drift("pump-3", column, method="step", effect=6.0) for column in (COLUMNS[0], COLUMNS[2])]

    assert causes(*far) == [(Cause.ASSET, ("pump-3",))]


def test_what_moves_as_machines_did_before_they_failed_is_wear() -> None:
    """In the direction of wear; the same length the other way round is not, nor one across it."""
    worn = [drift("pump-1", column, effect=1.5) for column in COLUMNS[:2]]
    mended = [drift("pump-1", column, effect=-1.5) for column in COLUMNS[:2]]

    assert causes(*worn) == [(Cause.DEGRADATION, ("pump-1",))]
    assert causes(*mended) == [(Cause.ASSET, ("pump-1",))]
    assert causes(drift("pump-1", COLUMNS[2], effect=1.5)) == [(Cause.ASSET, ("pump-1",))]
    unlabelled = replace(SCENE, baseline=made(wear=(np.nan,) * 3))
    assert causes(*worn, scene=unlabelled) == [(Cause.ASSET, ("pump-1",))]


def test_all_of_one_site_and_none_elsewhere_is_the_site() -> None:
    """Both pumps of the north; with one of the south it is not, and one pump alone is no site."""
    mine = [drift(name, COLUMNS[2]) for name in ("pump-0", "pump-1")]

    assert causes(*mine) == [(Cause.SITE, ("pump-0", "pump-1"))]
    assert causes(*mine, drift("pump-5", COLUMNS[2]))[0][0] is not Cause.SITE
    assert causes(mine[0]) == [(Cause.ASSET, ("pump-0",))]
    assert causes(*mine, scene=replace(SCENE, site_of={}))[0][0] is Cause.ASSET


def test_rows_of_a_regime_that_training_never_saw_are_the_regime() -> None:
    """A tenth of the rows and more."""
    found = [drift(name, COLUMNS[2]) for name in PUMPS]

    assert causes(*found, scene=replace(SCENE, unseen_regimes=0.3))[0][0] is Cause.REGIME
    assert causes(*found, scene=replace(SCENE, unseen_regimes=0.05))[0][0] is Cause.FLEET


def test_assets_that_training_never_saw_are_told_apart() -> None:
    """Beside whatever else there is; nothing is said of those it saw."""
    assert causes(drift(NEW)) == [(Cause.NEW_ASSETS, ())]
    both = causes(drift(NEW), drift("pump-3", COLUMNS[2], method="step", effect=6.0))
    assert [cause for cause, _ in both] == [Cause.SENSOR, Cause.NEW_ASSETS]


def test_most_assets_are_the_fleet_and_wear_of_all_is_wear() -> None:
    """Of the fleet together, or of half of its assets; where all move as worn ones do it is wear."""
    assert causes(drift(FLEET, COLUMNS[2])) == [(Cause.FLEET, ())]
    assert causes(*[drift(name, COLUMNS[2]) for name in PUMPS[1:5]])[0][0] is Cause.FLEET
    assert causes(drift(FLEET, COLUMNS[0]), drift(FLEET, COLUMNS[1])) == [(Cause.DEGRADATION, ())]


def test_only_worse_predictions_are_a_concept_and_a_broken_sensor_excuses_them() -> None:
    """Outcomes tell a fleet that moved from a world to learn; a dead sensor explains them away."""
    moved = drift(FLEET, COLUMNS[2])
    told = drift(PERFORMANCE, method="level", effect=2.5)
    worse = replace(SCENE, performance=WORSE)

    assert causes(moved, told, scene=worse) == [(Cause.CONCEPT, ())]
    assert causes(told, scene=worse) == [(Cause.CONCEPT, ())]
    assert causes(moved, scene=replace(SCENE, performance=replace(WORSE, worse=False))) == [(Cause.FLEET, ())]
    dead = drift("pump-3", COLUMNS[2], method="missing")
    assert [cause for cause, _ in causes(dead, told, scene=worse)] == [Cause.SENSOR]


def test_a_diagnosis_names_columns_and_says_why() -> None:
    """The least probable column first; what is no drift says nothing."""
    found = [
        replace(drift(FLEET, COLUMNS[2]), q=1e-3),
        replace(drift(FLEET, COLUMNS[1]), q=1e-9),
        replace(drift("pump-2"), verdict="none"),
    ]
    scene = replace(SCENE, baseline=made(wear=(np.nan,) * 3))

    (one,) = diagnose(found, scene)

    assert isinstance(one, Diagnosis)
    assert (one.columns, one.assets) == ((COLUMNS[1], COLUMNS[2]), ())
    assert "most assets changed" in one.why
    assert diagnose(found[2:], scene) == []
