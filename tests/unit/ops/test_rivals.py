"""Beside the champion: both versions on the same rows, each by a model that never learned from them, or no verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.models.gate import Gate, Policy
from lineshaft.ops.model_file import parse_model
from lineshaft.ops.model_release import Origin, Release, release
from lineshaft.ops.training_set import fingerprint
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Provenance
from lineshaft.specs import Evidence, Service, ServiceView
from lineshaft.stores.whole_files import write_whole

SERVICE = Service(name="health", views=(ServiceView(view="heat", version="1" * 12, features=("mean", "rise")),))
BY_FOLDS, BY_TIME = "{by: asset_id, folds: 4}", "{by: time, folds: 3, embargo: 1h}"
LIVES = {"task": "rul", "label": "{ends: truth, cap: 5}", "rounds": "30", "params": "{eta: 0.3}"}
DETECTOR = {"task": "anomaly", "label": "{healthy: 24h}", "detector": "distance"}
NO_WORSE = Gate(name="no_worse", metric="rmse", op="<=", vs="champion", margin=-0.001)
HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A registry, and where training sets are kept."""

    registry: ModelRegistry
    tables: Path

    def release(
        self, table: pa.Table, declared: dict[str, str], gate: Gate = NO_WORSE, *, kept: bool = True
    ) -> Release:
        """Train what is declared on a table, keep the table, and judge the version beside the champion."""
        keys = {"service": "health", "every": "1h", "split": BY_FOLDS, "features": "['heat__*']", **declared}
        text = "\n".join(f"{name}: {value}" for name, value in keys.items())
        spec = parse_model("wear", text, where="here").spec(SERVICE)
        digest = fingerprint(table)
        if kept:
            write_whole(table, self.tables / "trained_on" / f"{digest}.parquet")
        told = Provenance(
            model_file=text,
            catalog_generation=0,
            label_table="truth",
            label_sha256="",
            moments_sha256="",
            features_sha256=digest,
            environment={},
        )
        origin = Origin(service=SERVICE, table_versions={}, actor="ann", provenance=told, tables=self.tables)
        policy = Policy(name="beside", gates=(gate,), auto=True)
        return release(self.registry, spec, table, origin=origin, policy=policy, environment="prod")

    def beside(self, number: int) -> Evidence:
        """Return what was found of a version beside the champion."""
        return next(one for one in self.registry.evidence("wear", number) if one.against)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return an empty bench."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=5))
    (tmp_path / "trained_on").mkdir()
    yield Bench(registry=registry, tables=tmp_path)
    registry.engine.dispose()


def rows(*, assets: int = 12, hours: int = 30) -> pa.Table:
    """Return rows of assets whose label follows two features, of which one says more."""
    dice = np.random.default_rng(3)
    mean, rise = dice.normal(size=(2, assets * hours)).round(3)
    return pa.table(
        {
            "asset_id": np.repeat([f"p{i:02d}" for i in range(assets)], hours),
            "event_time": pa.array(np.tile(np.arange(hours), assets) * HOUR_US).cast(pa.timestamp("us", tz="UTC")),
            "heat__mean": mean,
            "heat__rise": rise,
            "label": 10 * mean + 5 * rise,
        }
    )


@pytest.mark.parametrize("split", [BY_FOLDS, BY_TIME], ids=["assets", "time"])
def test_a_champion_judged_by_folds_is_asked_by_its_own_judges(bench: Bench, split: str) -> None:
    """On its own rows they give its own figure, to the last bit; who knows more passes, who knows the same gains 0."""
    first = bench.release(rows(), {**LIVES, "split": split, "features": "[heat__mean]"})
    better = bench.release(rows(), {**LIVES, "split": split})
    same = bench.release(rows(), {**LIVES, "split": split})
    worse = bench.release(rows(), {**LIVES, "split": split, "features": "[heat__mean]"})

    found = bench.beside(2)
    assert first.assignment is not None
    assert better.judgement.outcome == "pass", better.judgement.detail
    assert (found.against, found.n) == ("wear@1", first.version.metrics["test_rows"])
    assert found.figures["rmse"].baseline == first.version.metrics["rmse"]
    assert bench.beside(3).figures["rmse"].value == 0
    assert same.judgement.outcome == "pass"
    assert worse.judgement.outcome == "fail", worse.judgement.detail


def test_assets_that_came_since_are_asked_of_the_champion_itself(bench: Bench) -> None:
    """It held some out and never met the new ones: both count, those it learned from do not."""
    held_out = "{by: asset_id, held_out: 0.3}"
    bench.release(rows(assets=8), {**LIVES, "split": held_out})
    bench.release(rows(assets=20), LIVES)

    assert bench.beside(2).groups == len(bench.registry.evidence("wear", 1)[0].unseen) + 12


@pytest.mark.parametrize("task", [LIVES, DETECTOR], ids=["lives", "detector"])
def test_where_it_cannot_be_asked_the_verdict_is_unknown(bench: Bench, task: dict[str, str]) -> None:
    """Its training set is gone: its folds cannot be fitted again, and a pass would be a guess."""
    gate = NO_WORSE if task is LIVES else replace(NO_WORSE, metric="false_alarm_share", margin=-0.5)
    alert = {} if task is LIVES else {"alert": "{threshold: 3}"}
    bench.release(rows(), {**task, **alert}, gate, kept=False)

    done = bench.release(rows(assets=13), {**task, **alert}, gate)

    assert done.judgement.outcome == "unknown"
    assert "wear@1 learned from every row that is held out here" in done.judgement.detail
    assert done.assignment is None


def test_a_kept_training_set_that_is_another_by_now_is_no_proof(bench: Bench) -> None:
    """A file that was altered is not believed: unknown, not a comparison with somebody else."""
    bench.release(rows(), LIVES)
    (kept,) = (bench.tables / "trained_on").iterdir()
    write_whole(rows(assets=9), kept)

    done = bench.release(rows(assets=13), LIVES)

    assert done.judgement.outcome == "unknown"


def test_detectors_are_compared_by_where_each_would_alarm(bench: Bench) -> None:
    """A lower threshold alarms more often over the same healthy rows; of two that never do, none is worse."""
    gate = replace(NO_WORSE, metric="false_alarm_share", margin=-0.01)
    alerts = [{"alert": f"{{threshold: {level}}}"} for level in (2, 1, 2.5, 50, 50)]

    done = [bench.release(rows(), {**DETECTOR, **alert}, gate) for alert in alerts]

    assert [one.judgement.outcome for one in done] == ["pass", "fail", "pass", "pass", "pass"]
    lower = bench.beside(2).figures["false_alarm_share"]
    shares = [one.version.metrics["false_alarm_share"] for one in done]
    assert lower.value == pytest.approx(shares[0] - shares[1])
    assert lower.baseline == pytest.approx(shares[0])
    assert bench.beside(5).figures["false_alarm_share"].value == 0
