"""Rows computed elsewhere: read exactly as declared, indexed once, with what was pushed besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("feast")
from lineshaft.errors import InputError
from lineshaft.feast_plugin.parts import PluginParts
from lineshaft.feast_plugin.row_files import history, read_file
from lineshaft.feast_plugin.source_rows import latest_rows
from lineshaft.settings import Settings
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore

T0 = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = View(
    name="lab",
    source=Source(
        name="lab", channels=("level",), units=("mm/s",), kind="rows", path="lab.parquet", timestamp_field="at"
    ),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="level", column="raw_level", dtype="float32"),),
)


def file_rows(*values: float, zone: str | None = "UTC", unit: str = "us") -> pa.Table:
    """Return a file's rows, a minute apart."""
    times = [(T0 if zone else T0.replace(tzinfo=None)) + timedelta(minutes=i) for i in range(len(values))]
    return pa.table(
        {"asset_id": ["a"] * len(values), "at": pa.array(times, pa.timestamp(unit, tz=zone)), "raw_level": list(values)}
    )


@pytest.fixture
def parts(tmp_path: Path) -> PluginParts:
    """Return parts over empty folders; nothing online is touched."""
    settings = Settings(home=tmp_path / "home", repo=tmp_path)
    return PluginParts(settings=settings, offline=DeltaOfflineStore(str(tmp_path / "home" / "offline")))


def stored(parts: PluginParts) -> list[Any]:
    """Return the levels that history holds, in time order."""
    tables = [row_schema(VIEW).empty_table(), *history(VIEW, parts).read_rows(VIEW)]
    levels: list[Any] = pa.concat_tables(tables).sort_by("event_time")["level"].to_pylist()
    return levels


@pytest.mark.parametrize(("zone", "unit"), [("UTC", "us"), (None, "ns"), ("Europe/Berlin", "ms")])
def test_a_file_is_read_in_the_declared_types(tmp_path: Path, zone: str | None, unit: str) -> None:
    """float32 is float32 from the first read; times of any unit and zone become microseconds UTC."""
    pq.write_table(file_rows(0.1, 0.2, zone=zone, unit=unit), tmp_path / "lab.parquet")

    (table,) = read_file(VIEW, root=tmp_path)

    assert table.schema == row_schema(VIEW)
    assert table["level"].to_pylist() == pa.array([0.1, 0.2], pa.float32()).to_pylist()
    assert table["event_time"][0].as_py() == T0
    assert table["known_at"] == table["event_time"]


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    """The message helps to mend the view or the file."""
    pq.write_table(file_rows(0.1).drop_columns(["raw_level"]), tmp_path / "lab.parquet")

    with pytest.raises(InputError, match="raw_level"):
        list(read_file(VIEW, root=tmp_path))


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    """It may be written later."""
    assert list(read_file(VIEW, root=tmp_path)) == []


def test_history_is_the_file_as_it_lies_there_now(parts: PluginParts, tmp_path: Path) -> None:
    """A file written anew is read anew; one that was not is not."""
    pq.write_table(file_rows(1.0, 2.0), tmp_path / "lab.parquet")
    assert stored(parts) == [1.0, 2.0]
    pq.write_table(file_rows(5.0, 6.0, 7.0), tmp_path / "lab.parquet")

    assert stored(parts) == [5.0, 6.0, 7.0]
    shelf = tmp_path / "home" / "feast_rows" / "dev.lab"
    assert len(list(shelf.iterdir())) == 1


def test_pushed_rows_stand_beside_those_of_the_file(parts: PluginParts, tmp_path: Path) -> None:
    """Where both have a row of one time, the file's counts."""
    pq.write_table(file_rows(1.0), tmp_path / "lab.parquet")
    pushed = file_rows(9.0, 2.0).append_column("known_at", file_rows(9.0, 2.0)["at"])
    pushed = pushed.select(["asset_id", "at", "known_at", "raw_level"]).rename_columns(row_schema(VIEW).names)
    parts.offline.write_rows(VIEW, pushed.cast(row_schema(VIEW)), batch="push")

    assert stored(parts) == [1.0, 2.0]


def test_without_a_file_the_store_itself_answers(parts: PluginParts) -> None:
    """Views whose rows are only ever pushed need no file."""
    assert history(VIEW, parts) is parts.offline


def test_the_newest_row_of_each_entity_is_taken() -> None:
    """By event time, then by created time; of equals, the last."""
    rows = pa.table(
        {"k": ["b", "a", "a", "a", "b"], "at": [1, 1, 3, 3, 0], "made": [1, 9, 1, 2, 9], "v": [10, 11, 12, 13, 14]}
    )

    assert latest_rows(rows, ["k"], ["at", "made"]).to_pydict() == {
        "k": ["a", "b"],
        "at": [3, 1],
        "made": [2, 1],
        "v": [13, 10],
    }
