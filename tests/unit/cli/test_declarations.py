"""`plan` and `apply` on a repository: exit codes, JSON, faults, and the folder that turned out to be empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("feast")
from lineshaft.stores.embedded import EmbeddedValkey

Lineshaft = Callable[..., Any]
PUMPS = """
from datetime import timedelta
from feast import Aggregation, Entity, FeatureService, Field, FileSource, PushSource, StreamFeatureView, ValueType
from feast.types import Float64

pump = Entity(name="pump", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@x")
rows = FileSource(name="rows", path="none.parquet", timestamp_field="event_time")
readings = PushSource(name="readings", batch_source=rows, tags={"lineshaft.channels": "temperature [degC]"})
heat = StreamFeatureView(
    name="heat", entities=[pump], source=readings, timestamp_field="event_time", ttl=timedelta(minutes=10),
    aggregations=[Aggregation(column="temperature", function="mean", name="mean_5m",
                              time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1))],
    schema=[Field(name="mean_5m", dtype=Float64)], owner="a@x", tags={"team": "a"},
)
health = FeatureService(name="health", features=[heat], owner="a@x", tags={"team": "a"})
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for definitions, with a home and a running online server beside it."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    monkeypatch.setenv("LINESHAFT_REPO", str(folder))
    with EmbeddedValkey(tmp_path / "home" / "online"):
        yield folder


def test_a_plan_is_applied_once(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """Something to apply is exit code 2, then it is applied, then there is nothing left and the code is 0."""
    (repo / "pumps.py").write_text(PUMPS)

    first = lineshaft("plan", at=tmp_path / "home")
    applied = lineshaft("apply", "--actor", "ann", at=tmp_path / "home")
    second = lineshaft("plan", at=tmp_path / "home")

    assert (first.code, applied.code, second.code) == (2, 0, 0)
    assert "+ view heat  new" in first.out
    assert "backfill: 1 features of readings, every 1m: `lineshaft backfill heat`" in first.out.splitlines()[1]
    assert "+ service health  new" in applied.err
    assert "current views, generation 1" in applied.out
    assert second.out == "no changes\n"


def test_a_view_without_rows_has_no_table_version(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """What was never written is told as nothing, not as a version below zero."""
    (repo / "pumps.py").write_text(PUMPS)
    lineshaft("apply", at=tmp_path / "home")

    (row,) = lineshaft("views", "--json", at=tmp_path / "home").rows
    (online,) = lineshaft("online", "status", "--json", at=tmp_path / "home").rows
    shown = lineshaft("views", at=tmp_path / "home").out

    assert (row["view"], row["table version"], online["table version"]) == ("heat", None, None)
    assert "-1" not in shown
    assert shown.rstrip().endswith("–")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_empty_repository_does_not_remove_everything(
    lineshaft: Lineshaft, repo: Path, tmp_path: Path, command: str
) -> None:
    """The wrong folder is refused by code, with the way out; with --allow-empty it is taken at its word."""
    (repo / "pumps.py").write_text(PUMPS)
    lineshaft("apply", at=tmp_path / "home")
    (repo / "pumps.py").unlink()

    refused = lineshaft(command, at=tmp_path / "home")
    kept = lineshaft("views", "--json", at=tmp_path / "home").rows
    meant = lineshaft(command, "--allow-empty", at=tmp_path / "home")

    assert refused.code == 1
    assert "LS-DEF-032" in refused.out + refused.err
    assert "--allow-empty" in refused.out + refused.err
    assert [row["view"] for row in kept] == ["heat"]
    assert meant.code == {"plan": 2, "apply": 0}[command]
    assert "- view heat  removed" in meant.out + meant.err


@pytest.mark.usefixtures("repo")
def test_an_empty_repository_on_an_empty_catalogue_is_no_fault(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """Where there is nothing to lose there is nothing to refuse."""
    said = lineshaft("plan", at=tmp_path / "home")

    assert (said.code, said.out) == (0, "no changes\n")


def test_faults_come_as_json_with_exit_code_1(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """A pull request's check gets code, place and fix of each fault."""
    (repo / "pumps.py").write_text(PUMPS.replace('function="mean"', 'function="meen"'))

    said = lineshaft("plan", "--json", at=tmp_path / "home")

    (fault,) = said.rows["faults"]
    assert said.code == 1
    assert (fault["code"], fault["warning"]) == ("LS-DEF-011", False)
    assert fault["where"].startswith("definitions/pumps.py:")
    assert fault["fix"].startswith("did you mean mean")
    assert said.rows["changes"] == []


def test_a_faulty_repository_is_not_applied(lineshaft: Lineshaft, repo: Path, tmp_path: Path) -> None:
    """The error lists the fault, exits with 1, and nothing is current afterwards."""
    (repo / "pumps.py").write_text(PUMPS.replace('function="mean"', 'function="meen"'))

    said = lineshaft("apply", at=tmp_path / "home")

    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("LS-DEF  1 fault in the feature repository")
    assert "LS-DEF-011" in said.err
    assert lineshaft("views", "--json", at=tmp_path / "home").rows == []


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_repository_that_is_not_there_is_named(
    lineshaft: Lineshaft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The error says where it looked and how to say otherwise."""
    monkeypatch.setenv("LINESHAFT_REPO", str(tmp_path / "nowhere"))

    said = lineshaft(command, at=tmp_path / "home")

    assert said.code == 1
    assert said.err.startswith(f"LS-NOF  no feature repository at {tmp_path / 'nowhere'}")
    assert "LINESHAFT_REPO" in said.err
