"""`lineshaft land`: rows that were pushed pass the real checkpoint, and come to both stores or to quarantine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.ops.quarantine import held_batches
from lineshaft.settings import Settings
from lineshaft.specs import Feature, Source, View
from lineshaft.stores.ports import Wanted
from lineshaft.wiring import connect, handlers

LAB = View(
    name="lab",
    source=Source(name="lab_rows", channels=(), units=(), kind="rows"),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="level"),),
    team="lab",
)


class Given:
    """A plan that declares one view of rows."""

    generation = 0
    summary = "one view"
    views = (LAB,)
    on_demand = ()
    services = ()
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


def test_pushed_rows_pass_the_checkpoint_or_are_taken_back(tmp_path: Path, lineshaft: Callable[..., Any]) -> None:
    """Great Expectations, in its own process, refuses an infinite level: it leaves the online store, and is counted."""
    home, policies = tmp_path / "home", Path(__file__).parents[3] / "governance"
    columns: dict[str, list[Any]] = {
        "asset_id": ["good", "bad"],
        "event_time": ["2026-01-01"] * 2,
        "level": [1.5, "inf"],
    }
    keys = pa.table({"asset_id": ["good", "bad"]})
    with connect(Settings(home=home, policies=policies), keep_online=False) as parts:
        parts.catalog.apply(Given(), actor="test")
        pushes = handlers(parts).row_pushes
        assert pushes is not None
        pushes.push("lab", columns)
        wanted = Wanted(view=LAB, features=("level",), keys=keys)
        (before,) = parts.online.read([wanted], timeout_s=5.0)

        said = lineshaft("land", "--json", at=home)
        again = lineshaft("land", "--json", at=home)

        (after,) = parts.online.read([wanted], timeout_s=5.0)
        stored = pa.concat_tables(parts.offline.read_rows(LAB))
    assert said.rows == [{"view": LAB.ref, "rows": 1, "quarantined": 1, "known before": 0}]
    assert again.rows == []
    assert before.rows["level"].to_pylist() == [1.5, float("inf")]
    assert after.rows["level"].to_pylist() == [1.5, None]
    assert (stored["asset_id"].to_pylist(), stored["level"].to_pylist()) == (["good"], [1.5])


def test_an_owner_is_told_of_pushed_rows_that_are_held(
    tmp_path: Path, lineshaft: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The loop that lands says in one sentence what is held, of which machine, why, and how it is let in; once."""
    home, policies = tmp_path / "home", Path(__file__).parents[3] / "governance"
    columns: dict[str, list[Any]] = {"asset_id": ["pump-7"], "event_time": ["2026-01-01"], "level": ["inf"]}
    with connect(Settings(home=home, policies=policies), keep_online=False) as parts:
        parts.catalog.apply(Given(), actor="test")
        pushes = handlers(parts).row_pushes
        assert pushes is not None
        pushes.push("lab", columns)
        for _ in range(2):
            lineshaft("land", "--json", at=home)
        (held,) = held_batches(parts.work)

    (said,) = [text for text in caplog.messages if "held and not used" in text]
    assert said == (
        "1 feature row of view lab, machine pump-7, is held and not used: every feature is null or finite. "
        f"Look: lineshaft quarantine show {held.id}. "
        f'If right: lineshaft quarantine release {held.id} --reason "why"'
    )


def test_a_look_that_fails_is_told_of_and_the_next_comes(tmp_path: Path) -> None:
    """A torn file among the pushes: each look says so and the loop goes on; SIGTERM ends it well."""
    home = tmp_path / "home"
    with connect(Settings(home=home), keep_online=False) as parts:
        parts.catalog.apply(Given(), actor="test")
        torn = parts.pushed / LAB.ref / "torn.parquet"
        torn.parent.mkdir(parents=True)
        torn.write_bytes(b"no such thing")
        told = {"LINESHAFT_HOME": str(home), "LINESHAFT_REDIS_URL": parts.redis_url}
        environment = {**os.environ, **told}  # noqa: TID251 - the child's own
        words = [sys.executable, "-m", "lineshaft.cli", "land", "--every", "0.2", "--json"]
        with subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                said = [json.loads(child.stdout.readline()) for _ in range(3)]
                child.send_signal(signal.SIGTERM)
                code = child.wait(timeout=60)
            finally:
                child.kill()
    assert code == 0
    assert {one["outcome"] for one in said} == {"failed"}
    assert all("ArrowInvalid" in one["detail"] for one in said)
    assert [one["due"] for one in said] == sorted(one["due"] for one in said)
