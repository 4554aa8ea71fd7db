"""The gate, with the real Great Expectations in its worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import DefinitionError
from lineshaft.ops.quarantine import REASON
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.checks.gate import ENVIRONMENT, MODULE, Gate
from lineshaft_governance.checks.suites import Suites
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.worker import Worker

VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=name) for name in ("rms_1m", "peak_1m", "coverage_1m")),
)
SUITE = """
view: vibration
checks:
  - {kind: between, column: "rms_*", low: 0, high: 50, unit: g, why: range of the sensor}
  - {kind: pair_ge, column: "peak_*", other: "rms_*", why: the largest of values is at least their rms}
  - {kind: not_null, column: coverage_1m, mostly: 0.9, why: a tenth may be missing}
"""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Start Great Expectations once: its import takes seconds."""
    with Worker(module=MODULE, environment=ENVIRONMENT) as started:
        yield started


def gate(folder: Path, worker: Worker, suite: str = SUITE) -> Gate:
    """Return a gate that keeps its findings in a folder."""
    suites = folder / "suites"
    suites.mkdir()
    (suites / "vibration.yaml").write_text(suite)
    return Gate(
        suites=Suites.load(suites),
        results=ResultFolder(folder / "results"),
        clock=ManualClock(time_us=7),
        worker=worker,
    )


def batch(count: int = 100) -> pa.Table:
    """Return good rows, a few of their values null."""
    times = pa.array(np.arange(count) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    rms = np.linspace(1, 10, count)
    columns = {"asset_id": ["pump"] * count, "event_time": times, "known_at": times}
    features = {
        "rms_1m": pa.array(rms),
        "peak_1m": pa.array(rms, mask=np.arange(count) == 5),  # a constant signal: peak = rms
        "coverage_1m": pa.array(np.ones(count), mask=np.arange(count) < 3),
    }
    return pa.table({**columns, **features}, schema=row_schema(VIEW))


def planted(column: str, values: dict[int, float]) -> pa.Table:
    """Return a batch with some values of a column replaced."""
    table = batch()
    changed = table[column].to_pylist()
    for row, value in values.items():
        changed[row] = value
    return table.set_column(table.column_names.index(column), column, pa.array(changed, pa.float64()))


def test_a_good_batch_passes_unchanged(tmp_path: Path, worker: Worker) -> None:
    """Nothing is quarantined from good rows; nulls within `mostly` are tolerated."""
    checked = gate(tmp_path, worker).check_batch(VIEW, batch())

    assert checked.verdict.success
    assert checked.good.equals(batch())
    assert (checked.quarantined.num_rows, checked.verdict.expectations) == (0, 5)
    assert checked.verdict.library.startswith("great_expectations 1.")


def test_planted_bad_rows_are_stopped_with_their_reason(tmp_path: Path, worker: Worker) -> None:
    """Values out of range and a peak below its rms are put aside, the rest goes on."""
    table = planted("rms_1m", {10: -1.0, 11: 5000.0})

    checked = gate(tmp_path, worker).check_batch(VIEW, table)

    assert checked.verdict.outcome == "failed"
    assert checked.good.num_rows == 98
    assert checked.quarantined[REASON].to_pylist() == [
        "rms_1m between 0 and 50 g",
        "rms_1m between 0 and 50 g; peak_1m >= rms_1m",
    ]
    assert checked.good.schema.equals(table.schema)


def test_infinities_and_double_rows_are_stopped_in_every_view(tmp_path: Path, worker: Worker) -> None:
    """A view without a suite of its own is still held to the defaults."""
    table = planted("peak_1m", {20: float("inf"), 21: float("nan")})
    table = pa.concat_tables([table, table.slice(0, 1)])

    checked = gate(tmp_path, worker).check_batch(replace(VIEW, name="other"), table)

    reasons = dict(
        zip(
            checked.quarantined["event_time"].cast(pa.int64()).to_pylist(),
            checked.quarantined[REASON].to_pylist(),
            strict=True,
        )
    )
    assert reasons == {
        0: "(asset_id, event_time, known_at) is unique",
        20 * 60_000_000: "every feature is null or finite",
        21 * 60_000_000: "every feature is null or finite",
    }


def test_too_many_nulls_put_the_null_rows_aside(tmp_path: Path, worker: Worker) -> None:
    """When more is missing than `mostly` allows, the rows without a value are quarantined."""
    table = batch().set_column(5, "coverage_1m", pa.array(np.ones(100), mask=np.arange(100) < 20))

    checked = gate(tmp_path, worker).check_batch(VIEW, table)

    assert checked.quarantined.num_rows == 20
    assert checked.verdict.findings[0].expectation == "coverage_1m is not null, in 90% of rows"


def test_a_check_that_cannot_be_run_did_not_fail(tmp_path: Path, worker: Worker) -> None:
    """A suite that names a column the view lacks says so, and holds the batch: unknown is not good."""
    suite = SUITE.replace("coverage_1m", "coverage_9m")

    checked = gate(tmp_path, worker, suite).check_batch(VIEW, batch())

    assert checked.verdict.outcome == "could_not_run"
    assert "coverage_9m" in checked.verdict.findings[0].error
    assert (checked.good.num_rows, checked.quarantined.num_rows) == (0, 100)


def test_a_check_that_raises_did_not_fail(tmp_path: Path, worker: Worker) -> None:
    """Great Expectations raises over text compared with a number: nothing is known of any row."""
    suite = SUITE + "  - {kind: between, column: asset_id, low: 0, high: 1, why: nobody looked at the column}\n"

    checked = gate(tmp_path, worker, suite).check_batch(VIEW, planted("rms_1m", {10: -1.0}))

    outcomes = {finding.expectation: finding.outcome for finding in checked.verdict.findings}
    assert outcomes == {
        "rms_1m between 0 and 50 g": "failed",
        "asset_id between 0 and 1": "could_not_run",
    }
    assert checked.verdict.outcome == "could_not_run"
    assert (checked.good.num_rows, checked.quarantined.num_rows) == (0, 100)
    reasons = checked.quarantined[REASON].to_pylist()
    assert "rms_1m between 0 and 50 g" in reasons[10]
    assert "could not run" in reasons[0]


def test_a_worker_that_is_killed_costs_no_verdict(tmp_path: Path) -> None:
    """Great Expectations killed between two batches: the next is judged by one started anew, and rightly."""
    with Worker(module=MODULE, environment=ENVIRONMENT, alone=True) as own:
        checkpoint = gate(tmp_path, own)
        os.kill(own.pid(), signal.SIGKILL)

        assert checkpoint.check_batch(VIEW, batch()).verdict.success


def test_a_worker_that_cannot_be_had_holds_the_batch_and_blames_no_row(tmp_path: Path) -> None:
    """Where it cannot start, or takes too long, every row is held as not checked."""
    broken = Worker(module="lineshaft_governance.no_such_module", alone=True)
    slow = Worker(module=MODULE, environment=ENVIRONMENT, alone=True, timeout_s=0.01)
    for number, (worker, why) in enumerate([(broken, "No module named"), (slow, "no answer within 0.01 s")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with worker:
            held = gate(folder, worker).check_batch(VIEW, planted("rms_1m", {10: -1.0}))

        assert held.verdict.outcome == "could_not_run"
        assert [finding.outcome for finding in held.verdict.findings] == ["could_not_run"]
        assert why in held.verdict.findings[0].error
        assert (held.good.num_rows, held.quarantined.num_rows) == (0, 100)


def test_a_verdict_is_kept_once(tmp_path: Path, worker: Worker) -> None:
    """It lies on disk with what was found and why; checking the same batch again at the same time makes no second."""
    checkpoint = gate(tmp_path, worker)
    for _ in range(2):
        checkpoint.check_batch(VIEW, planted("rms_1m", {10: -1.0}))

    (stored,) = checkpoint.results.newest("checkpoints", "vibration")
    assert (stored["outcome"], stored["rows"], stored["quarantined"], stored["at_us"]) == ("failed", 100, 1, 7)
    assert stored["findings"][0]["why"] == "range of the sensor"
    assert {path.name for path in tmp_path.iterdir()} == {"results", "suites"}


def test_an_empty_batch_passes(tmp_path: Path, worker: Worker) -> None:
    """No rows, no findings, no work."""
    assert gate(tmp_path, worker).check_batch(VIEW, batch().slice(0, 0)).verdict.success


@pytest.mark.parametrize(
    "line",
    [
        "{kind: median, column: a}",
        "{kind: between, column: a}",
        "{kind: pair_ge, column: a}",
        "{kind: not_null, column: a, mostly: 2}",
        "{kind: not_null, colum: a}",
    ],
)
def test_a_suite_that_cannot_be_used_is_refused_when_read(tmp_path: Path, line: str) -> None:
    """Faults of a suite are found when it is loaded, not when a batch comes."""
    (tmp_path / "s.yaml").write_text(f"view: v\nchecks:\n  - {line}\n")

    with pytest.raises(DefinitionError):
        Suites.load(tmp_path)


def test_the_suites_of_the_repository_can_be_read() -> None:
    """Every suite shipped is well formed, and says why of every check."""
    suites = Suites.load(Path(__file__).parents[3] / "governance" / "suites")

    assert {"vibration_condition", "process_condition", "turbofan_condition"} <= {name for _, name in suites.found}
    assert all(check.why for suite in suites.found.values() for check in suite.checks)


def test_a_star_stands_for_one_word() -> None:
    """`peak_*` is peak_1m but not peak_to_peak_1m, and both columns of a pair get the same window."""
    suite = Suites.load(Path(__file__).parents[3] / "governance" / "suites").found["view", "vibration_condition"]
    columns = [f"acceleration_{name}_{w}" for name in ("peak", "peak_to_peak", "rms") for w in ("1m", "1h")]

    pairs = [
        e.columns for e in suite.expand(columns) if e.columns[0].startswith("acceleration_peak") and e.kind == "pair_ge"
    ]

    assert pairs == [("acceleration_peak_1m", "acceleration_rms_1m"), ("acceleration_peak_1h", "acceleration_rms_1h")]
