"""A time range of one view: each row answers for itself, and so does each correction of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("feast")
from lineshaft.errors import InputError
from lineshaft.feast_plugin.offline import _entities_between, _join, _times
from lineshaft.feast_plugin.parts import PluginParts
from lineshaft.feast_plugin.requests import Column, FeastRequest, Part
from lineshaft.settings import Settings
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore

MINUTE_US = 60_000_000
GRACE_US = 30_000_000
HEAT = View(
    name="heat",
    source=Source(name="s", channels=("x",), units=("K",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean"),),
    grace_us=GRACE_US,
)
PART = Part(name="heat", view=HEAT, features=("mean",), key_names={"asset_id": "asset_id"})
COLUMN = Column(inner="heat__mean", outer="mean", dtype="float64", part="heat")
REQUEST = FeastRequest(parts=(PART,), on_demand=(), columns=(COLUMN,))
ROWS = [
    # asset, tick in minutes, known so many seconds after it, value
    ("a", 1, 30, 1.0),
    ("a", 2, 30, 2.0),
    ("a", 3, 30, 3.0),
    ("a", 1, 3600, 1.5),  # a correction, known when minute 3 was long there
    ("b", 2, 30, 9.0),
]


@pytest.fixture
def parts(tmp_path: Path) -> PluginParts:
    """Return parts whose offline store holds the rows."""
    offline: Any = MemoryOfflineStore()
    columns = [
        [asset for asset, *_ in ROWS],
        [minute * MINUTE_US for _, minute, _, _ in ROWS],
        [minute * MINUTE_US + seconds * 1_000_000 for _, minute, seconds, _ in ROWS],
        [value for *_, value in ROWS],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, row_schema(HEAT), strict=True)]
    offline.write_rows(HEAT, pa.table(arrays, schema=row_schema(HEAT)), batch="one")
    return PluginParts(settings=Settings(home=tmp_path, repo=tmp_path), offline=offline)


def moment(minute: float) -> datetime:
    """Return a moment some minutes after the epoch."""
    return datetime.fromtimestamp(minute * 60, tz=UTC)


def found(parts: PluginParts, start: datetime | None, end: datetime | None) -> list[tuple[str, float, float | None]]:
    """Return (asset, minute, value) of every row in a range."""
    entities, known_us = _entities_between(parts, REQUEST, start, end)
    table = _join(parts, REQUEST, entities, known_us)
    minutes = [us / MINUTE_US for us in table["event_timestamp"].cast(pa.int64()).to_pylist()]
    return sorted(zip(table["asset_id"].to_pylist(), minutes, table["mean"].to_pylist(), strict=True))


def test_each_row_has_its_own_value(parts: PluginParts) -> None:
    """Not that of the row before, which was what a server knew at the tick; corrections stand beside what they mend."""
    assert found(parts, None, None) == [("a", 1, 1.0), ("a", 1, 1.5), ("a", 2, 2.0), ("a", 3, 3.0), ("b", 2, 9.0)]


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        (moment(1), moment(2), [1, 1, 2, 2]),
        (moment(2), None, [2, 2, 3]),
        (None, moment(1.99), [1, 1]),
        (moment(4), None, []),
    ],
    ids=["both ends belong to it", "from", "until", "nothing there"],
)
def test_a_range_is_closed(
    parts: PluginParts, start: datetime | None, end: datetime | None, minutes: list[float]
) -> None:
    """Rows at either end are in it; an empty range has the same columns and no rows."""
    assert sorted(minute for _, minute, _ in found(parts, start, end)) == minutes


def test_a_range_of_two_views_is_refused(parts: PluginParts) -> None:
    """It would not say whose rows are meant."""
    both = FeastRequest(parts=(PART, PART), on_demand=(), columns=(COLUMN,))

    with pytest.raises(InputError, match="one view at a time") as refused:
        _entities_between(parts, both, None, None)
    assert refused.value.fix == "pass entity rows"


def test_asked_at_a_time_only_what_was_known_counts(parts: PluginParts) -> None:
    """With entity rows the question is what a server could have answered: at the tick, the row before."""
    entities = pa.table(
        {"asset_id": ["a", "a", "a"], "event_timestamp": [moment(2), moment(2.5), moment(90)], "label": [1, 2, 3]}
    )

    table = _join(parts, REQUEST, entities)

    assert table["mean"].to_pylist() == [1.0, 2.0, 3.0]
    assert table.column_names == ["asset_id", "event_timestamp", "label", "mean"]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({}, "do not say when"),
        ({"event_timestamp": ["today"]}, "do not say when"),
        ({"made": [moment(1)], "sold": [moment(1)]}, "do not say when"),
        ({"event_timestamp": pa.array([None], pa.timestamp("us"))}, "1 entity rows have no event_timestamp"),
    ],
    ids=["no time", "words", "two times", "a hole"],
)
def test_rows_that_do_not_say_when_are_refused(columns: dict[str, Any], text: str) -> None:
    """The error names the column to add."""
    with pytest.raises(InputError, match=text) as refused:
        _times(pa.table({"asset_id": ["a"], **columns}))
    assert refused.value.fix


@pytest.mark.parametrize("name", ["event_timestamp", "made"])
def test_the_only_time_is_the_time(name: str) -> None:
    """A frame with one column of times needs no special name; naive times are UTC, nanoseconds are cut."""
    column = pa.array([1_500_000_001_999], pa.timestamp("ns"))

    assert _times(pa.table({"asset_id": ["a"], name: column})).tolist() == [1_500_000_001]
