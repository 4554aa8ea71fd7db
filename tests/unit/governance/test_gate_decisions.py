"""What the gate decides from a checkpoint's answers: which rows go on, which are held, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, UnavailableError
from lineshaft.ops.quarantine import REASON
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.checks.gate import Gate
from lineshaft_governance.checks.suites import NOT_FINITE, Check, Suite, Suites
from lineshaft_governance.results import ResultFolder, json_ready

VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a"), Feature(name="b"), Feature(name="zone", dtype="string")),
)
OWN = (Check(kind="not_null", column="a", why="w"), Check(kind="between", column="b", low=0.0, high=1.0))
HELD: dict[str, Any] = {"success": True, "rows": [], "unexpected": 0, "error": ""}


@dataclass
class Scripted:
    """A worker that answers as told and remembers what it was asked."""

    answers: dict[int, dict[str, Any]] = field(default_factory=dict)  # by place of the expectation
    error: str = ""
    asked: list[tuple[Mapping[str, Any], Mapping[str, pa.Table]]] = field(default_factory=list)
    closed: bool = False

    def ask(self, request: Mapping[str, Any], *, tables: Mapping[str, pa.Table] | None = None) -> dict[str, Any]:
        """Answer that every expectation held but those told otherwise."""
        self.asked.append((request, tables or {}))
        if self.error:
            raise UnavailableError(self.error)
        count = len(request["expectations"])
        return {"results": [{**HELD, **self.answers.get(i, {})} for i in range(count)], "library": "scripted 1"}

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def gate(folder: Path, worker: Scripted, clock: ManualClock | None = None) -> Gate:
    """Return a gate with two checks of the view's own after the two defaults."""
    return Gate(
        suites=Suites(found={("view", "v"): Suite(name="v", checks=OWN, where="v.yaml", sha256="abc")}),
        results=ResultFolder(folder / "results"),
        clock=clock or ManualClock(time_us=9),
        worker=worker,  # type: ignore[arg-type]
    )


def rows(count: int = 4, a: Any = None) -> pa.Table:
    """Return rows of the view."""
    times = pa.array(np.arange(count)).cast(pa.timestamp("us", tz="UTC"))
    values = pa.array(np.arange(count, dtype=float) if a is None else a, pa.float64())
    columns = [pa.array(["p"] * count), times, times, values, pa.array([0.5] * count), pa.array(["A"] * count)]
    return pa.table(columns, schema=row_schema(VIEW))


def failing(*numbers: int, unexpected: int | None = None) -> dict[str, Any]:
    """Return the answer of an expectation that failed on rows."""
    return {"success": False, "rows": list(numbers), "unexpected": len(numbers) if unexpected is None else unexpected}


@pytest.mark.parametrize(
    ("answers", "outcome", "held", "reasons"),
    [
        ({}, "passed", [], []),
        ({2: failing(1)}, "failed", [1], ["a is not null"]),
        (
            {2: failing(1), 3: failing(1, 3)},
            "failed",
            [1, 3],
            ["a is not null; b between 0 and 1", "b between 0 and 1"],
        ),
        ({1: failing(0)}, "failed", [0], ["every feature is null or finite"]),
        ({2: {**HELD, "rows": [0], "unexpected": 1}}, "passed", [], []),
        ({3: failing()}, "failed", [0, 1, 2, 3], ["b between 0 and 1"] * 4),
        (
            {2: {"success": False, "error": "no column"}, 3: failing(2)},
            "could_not_run",
            [0, 1, 2, 3],
            [
                *["a is not null (could not run: no column)"] * 2,
                "a is not null (could not run: no column); b between 0 and 1",
                "a is not null (could not run: no column)",
            ],
        ),
    ],
    ids=["all held", "one row", "two reasons", "a default", "tolerated", "names no row", "could not run"],
)
def test_rows_are_divided_by_what_the_checkpoint_found(
    tmp_path: Path, answers: dict[int, dict[str, Any]], outcome: str, held: list[int], reasons: list[str]
) -> None:
    """Each named row is held with every reason, in order; a finding that names none speaks of all; the rest goes on."""
    table = rows()

    gated = gate(tmp_path, Scripted(answers)).check_batch(VIEW, table)

    assert gated.verdict.outcome == outcome
    assert gated.verdict.success == (outcome == "passed")
    assert gated.quarantined[REASON].to_pylist() == reasons
    assert gated.quarantined.drop_columns([REASON]).equals(table.take(pa.array(held, pa.int64())))
    assert gated.good.equals(table.take(pa.array([i for i in range(4) if i not in held], pa.int64())))
    assert (gated.verdict.rows, gated.verdict.quarantined) == (4, len(held))


def test_a_checkpoint_that_cannot_run_holds_everything(tmp_path: Path) -> None:
    """Unknown is not good: every row is put aside with the error, and the verdict says so."""
    gated = gate(tmp_path, Scripted(error="the worker died")).check_batch(VIEW, rows())

    (finding,) = gated.verdict.findings
    assert (gated.good.num_rows, gated.quarantined.num_rows) == (0, 4)
    assert (gated.verdict.outcome, finding.error, gated.verdict.library) == ("could_not_run", "the worker died", "")
    assert set(gated.quarantined[REASON].to_pylist()) == {"the checkpoint runs (could not run: the worker died)"}


def test_an_empty_batch_asks_nobody(tmp_path: Path) -> None:
    """Nothing to check passes, even where the worker would fail; the verdict is still kept."""
    worker = Scripted(error="must not be asked")
    checks = gate(tmp_path, worker)

    gated = checks.check_batch(VIEW, rows(0))

    assert gated.verdict.success
    assert worker.asked == []
    assert len(checks.results.newest("checkpoints", "v")) == 1


def test_the_worker_is_shown_only_the_columns_it_is_asked_about(tmp_path: Path) -> None:
    """Keys and checked columns, and how many of a row's features are neither null nor finite; text is not counted."""
    worker = Scripted()
    table = rows(4, a=[1.0, np.inf, None, np.nan])

    gate(tmp_path, worker).check_batch(VIEW, table)

    ((request, tables),) = worker.asked
    assert tables["batch"].column_names == ["asset_id", "event_time", "known_at", "a", "b", NOT_FINITE]
    assert tables["batch"][NOT_FINITE].to_pylist() == [0, 1, 0, 1]
    assert [asked["kind"] for asked in request["expectations"]] == ["unique_key", "finite", "not_null", "between"]
    assert request["expectations"][3]["columns"] == ["b"]
    assert request["suite"] == VIEW.ref


def test_a_verdict_tells_by_what_it_was_reached(tmp_path: Path) -> None:
    """Suite, its hash, library, time and counts are kept for the page, with at most a hundred row numbers."""
    checks = gate(tmp_path, Scripted({3: failing(*range(150))}), ManualClock(time_us=77))

    checks.check_batch(VIEW, rows(200))

    (stored,) = checks.results.newest("checkpoints", "v")
    assert (stored["suite"], stored["suite_sha256"], stored["library"]) == ("v.yaml", "abc", "scripted 1")
    assert (stored["at_us"], stored["rows"], stored["quarantined"], stored["expectations"]) == (77, 200, 150, 4)
    (finding,) = stored["findings"]
    assert (finding["unexpected"], len(finding["rows"]), finding["columns"]) == (150, 100, ["b"])


def test_batches_differ_by_view_and_content(tmp_path: Path) -> None:
    """The fingerprint under which rows are quarantined is that of the rows, however they are chunked."""
    checks = gate(tmp_path, Scripted())
    whole = rows()
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])

    first, second, third = (checks.check_batch(VIEW, table).verdict.batch for table in (whole, parts, rows(3)))

    assert first == second != third


def test_closing_the_gate_closes_its_worker(tmp_path: Path) -> None:
    """Used with `with`, no process is left behind."""
    worker = Scripted()

    with gate(tmp_path, worker):
        assert not worker.closed

    assert worker.closed


def test_results_are_read_newest_first_and_no_more_than_asked(tmp_path: Path) -> None:
    """By their time, not by when they were written; one written again is replaced."""
    folder = ResultFolder(tmp_path)
    for at_us, value in ((5, "a"), (1_000_000_000_000_000, "b"), (7, "c"), (7, "d")):
        folder.write("drift", "m", at_us=at_us, ident="x", content={"value": value})

    assert [result["value"] for result in folder.newest("drift", "m")] == ["b", "d", "a"]
    assert [result["value"] for result in folder.newest("drift", "m", count=2)] == ["b", "d"]
    assert folder.newest("drift", "other") == []
    assert (folder.subjects("drift"), folder.subjects("checkpoints")) == (["m"], [])
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("name", ["", ".", "..", "../m", "a/b", ".hidden", "a b", "a\n", "x" * 201, "ä"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Whether reading or writing, whichever part of the path it would be."""
    folder = ResultFolder(tmp_path)

    with pytest.raises(InputError, match="no name of a result"):
        folder.newest("drift", name)
    with pytest.raises(InputError):
        folder.write("drift", "m", at_us=1, ident=name, content={})
    assert list(tmp_path.rglob("*.json")) == []


def test_numbers_that_json_lacks_become_null_at_any_depth() -> None:
    """NaN and infinities, in lists, tuples and dicts; everything else stays what it was."""
    value = {"a": [1.5, np.nan, (np.inf, "x")], "b": {"c": -np.inf, "d": None, "e": True, "f": 3}}

    assert json_ready(value) == {"a": [1.5, None, [None, "x"]], "b": {"c": None, "d": None, "e": True, "f": 3}}
