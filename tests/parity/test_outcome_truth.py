"""Is reported precision what it would have been had nobody acted? Asked of those who know: two worlds without a crew.

`OUTCOME_CREWS=200 pytest -s` lets 200 crews act instead of 2, and prints the figures of docs/measurements.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.models.events import known_events, usual_delay_us
from lineshaft.outcomes.episodes import MOMENT, episodes
from lineshaft.outcomes.figures import RIGHT, Figures, figures
from lineshaft.outcomes.states import Rule, State
from lineshaft.settings import Settings
from lineshaft.sources.azure_pdm import read_azure_pdm
from lineshaft.sources.reading import gather
from lineshaft.sources.simulator.interventions import Crew, Plant, act_on

HOUR_US = 3_600_000_000
CREWS = int(os.environ.get("OUTCOME_CREWS", "2"))  # noqa: TID251  the length of a run is no setting of the product


@dataclass(frozen=True, kw_only=True)
class World:
    """A history in which nobody acted on alerts."""

    predictions: pa.Table
    log: pa.Table
    until_us: int
    horizon_us: int

    @cached_property
    def alerts(self) -> tuple[list[str], np.ndarray]:
        """Return the alerts as told: which asset, when."""
        nothing = known_events(self.log.slice(0, 0), at_us=self.until_us)
        told = episodes(self.predictions, nothing, rule=Rule(horizon_us=self.horizon_us), at_us=self.until_us)
        told = told.filter(pc.equal(told["kind"], "alert"))
        return told["asset_id"].to_pylist(), np.asarray(told["start"].cast(pa.int64()).to_numpy())

    def judged(self, crew: Crew) -> tuple[float, Figures]:
        """Let a crew act; return the true precision, known to the world alone, and what is reported."""
        assets, starts = self.alerts
        left = act_on(assets, starts, self.log, horizon_us=self.horizon_us, crew=crew)
        lag = usual_delay_us(left.maintenance, at_us=self.until_us)
        rule = Rule(horizon_us=self.horizon_us, lag_us=lag)
        events = known_events(left.maintenance, at_us=self.until_us)
        (found,) = figures(episodes(self.predictions, events, rule=rule, at_us=self.until_us))
        return float(left.right[starts + rule.matures_us <= self.until_us].mean()), found


@pytest.fixture(scope="module")
def azure() -> World:
    """Return Azure's failures, and alerts by a rule: two errors or more of a machine within a day.

    Calendar replacements are left out of the log: they are of single components and happen in both worlds.
    """
    events = gather(read_azure_pdm(Settings().data / "azure_pdm")).tables["events"]
    errors = events.filter(pc.equal(events["kind"], "error")).sort_by(
        [("asset_id", "ascending"), ("event_time", "ascending")]
    )
    names = np.array(errors["asset_id"].to_pylist())
    times = np.asarray(errors["event_time"].cast(pa.int64()).to_numpy())
    recent = [
        np.sum((names == name) & (times > at - 24 * HOUR_US) & (times <= at))
        for name, at in zip(names, times, strict=True)
    ]
    predictions = errors.select(["asset_id"]).append_column("asked_at", errors["event_time"])
    predictions = predictions.append_column("version", pa.array(["errors@1"] * len(errors)))
    failures = events.filter(pc.equal(events["kind"], "failure")).select(["asset_id", "event_time", "kind"])
    return World(
        predictions=predictions.append_column("score", pa.array(np.minimum(np.array(recent) / 2, 1.0))),
        log=failures,
        until_us=int(times.max()) + 30 * 24 * HOUR_US,
        horizon_us=48 * HOUR_US,
    )


@pytest.fixture(scope="module")
def plant() -> World:
    """Return a simulated fleet of 400 machines over two years."""
    made = Plant()
    predictions, log = made.run()
    horizon = int(made.horizon * 24 * HOUR_US)
    return World(predictions=predictions, log=log, until_us=made.until_us, horizon_us=horizon)


def dropping(found: Figures) -> float:
    """Return the precision of the alerts that were not acted upon, or of which a finding was told."""
    right = sum(found.counts[state] for state in RIGHT)
    return right / (right + found.counts[State.FALSE_POSITIVE])


def report(name: str, world: World, crew: Crew, count: int = CREWS) -> np.ndarray:
    """Return the errors of reported, naive and dropping precision, and whether the interval held, a row each crew."""
    rows = []
    for seed in range(count):
        truth, found = world.judged(replace(crew, seed=seed))
        held = found.precision.low <= truth <= found.precision.high
        rows.append((found.precision.value - truth, found.naive - truth, dropping(found) - truth, held))
    errors = np.array(rows, dtype=float)
    size = np.abs(errors[:, 0])
    print(  # noqa: T201
        f"\n{name}, {count} crews, truth {truth:.3f}: reported off by {errors[:, 0].mean():+.4f} on average, at most"
        f" {size.max():.3f}, within 0.03 {np.mean(size <= 0.03):.0%}; naive {errors[:, 1].mean():+.3f},"
        f" dropping what was acted upon {errors[:, 2].mean():+.3f}; interval held {errors[:, 3].mean():.0%}"
    )
    return errors


ONTIME = (2 * HOUR_US, 12 * HOUR_US)


def test_reported_precision_is_the_truth_of_a_simulated_plant(plant: World) -> None:
    """60 % acted upon, half the findings written down: within 0.03 whichever crew, where the naive join is 0.3 off."""
    errors = report("plant, half told", plant, Crew())

    assert np.abs(errors[:, 0]).max() <= 0.03
    assert np.all(errors[:, 1] <= -0.3)


def test_reported_precision_is_the_truth_of_azures_records(azure: World) -> None:
    """539 alerts alone: one crew in twenty may be further off than 0.03 by chance; the mean is not."""
    errors = report("azure, half told", azure, Crew(arrives_us=ONTIME))

    assert np.mean(np.abs(errors[:, 0]) <= 0.03) >= 0.9
    assert abs(errors[:, 0].mean()) <= 0.01
    assert np.all(errors[:, 1] <= -0.3)


@pytest.mark.parametrize("told", [0.0, 1.0])
def test_all_or_no_findings_written_down(told: float, plant: World) -> None:
    """Without any the estimate stands on acting by chance alone, and is right on average; dropping is not."""
    errors = report(f"plant, {told:.0%} told", plant, Crew(told=told))

    assert abs(errors[:, 0].mean()) <= 0.02
    assert told == 1.0 or errors[:, 2].mean() >= 0.03


def test_people_who_know_more_than_the_model_are_a_limit(plant: World) -> None:
    """Acting on 80 % of right alerts and 30 % of wrong ones: findings save the figure, else bounds do."""
    knowing = Crew(acted_if_right=0.8, acted_if_wrong=0.3)
    with_findings = report("plant, crew knows, half told", plant, knowing)
    without = report("plant, crew knows, none told", plant, replace(knowing, told=0.0))
    truth, found = plant.judged(replace(knowing, told=0.0))

    assert np.abs(with_findings[:, 0]).max() <= 0.03
    assert without[:, 0].mean() <= -0.15
    assert found.floor <= truth <= found.ceiling


def test_findings_that_are_mistaken_shift_the_figure(plant: World) -> None:
    """One finding in ten the contrary of what was so: both errors nearly cancel here, and need not elsewhere."""
    errors = report("plant, all told, one in ten mistaken", plant, Crew(told=1.0, mistaken=0.1))

    assert np.abs(errors[:, 0]).max() <= 0.05


def test_what_is_left_of_the_history_is_what_a_crew_leaves() -> None:
    """A visit in time takes the failure out of the log and is entered; a late one changes nothing."""
    at = pa.array([100 * HOUR_US]).cast(MOMENT)
    log = pa.table({"asset_id": ["pump"], "event_time": at, "kind": ["failure"]})
    sure = Crew(acted_if_right=1.0, told=1.0, report_us=0)

    timely = act_on(
        ["pump"],
        np.array([90 * HOUR_US]),
        log,
        horizon_us=48 * HOUR_US,
        crew=replace(sure, arrives_us=(HOUR_US, 2 * HOUR_US)),
    )
    late = act_on(
        ["pump"],
        np.array([90 * HOUR_US]),
        log,
        horizon_us=48 * HOUR_US,
        crew=replace(sure, arrives_us=(11 * HOUR_US, 12 * HOUR_US)),
    )

    assert timely.maintenance["kind"].to_pylist() == ["intervention_damage"]
    assert late.maintenance["kind"].to_pylist() == ["failure"]
    assert (timely.right.tolist(), late.right.tolist()) == ([True], [True])
