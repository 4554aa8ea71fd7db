"""Training sets: every row back in order, asked at its own time, refused with words when it cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.errors import CorruptError, InputError, NotFoundError
from lineshaft.ops.training_set import entity_keys, fingerprint, training_set
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.ports import Found, Wanted

SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(name="pumps", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="rms"),))
LINES = View(name="lines", source=SOURCE, entity_keys=(("line", "int64"),), features=(Feature(name="speed"),))
HEALTH = Service(
    name="health",
    views=tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in (PUMPS, LINES)),
)
CATALOG = FixedCatalog(all_views=(PUMPS, LINES), all_services=(HEALTH,))
TIME = pa.timestamp("us", tz="UTC")


class Uneven(MemoryOfflineStore):
    """A store that answers each view in chunks of another size."""

    def as_of(
        self, wanted: Wanted, at_us: NDArray[np.int64], *, known_us: Any = None, version: int | None = None
    ) -> Iterator[Found]:
        """Cut the answer of the memory store."""
        size = 3 if wanted.view == PUMPS else 2
        for found in super().as_of(wanted, at_us, known_us=known_us, version=version):
            for start in range(0, found.rows.num_rows, size):
                yield Found(rows=found.rows.slice(start, size), status=found.status[start : start + size])


class Prophet(MemoryOfflineStore):
    """A store that answers one view as of ten microseconds later, by the clock of events or of knowledge alone."""

    by: str

    def as_of(
        self, wanted: Wanted, at_us: NDArray[np.int64], *, known_us: Any = None, version: int | None = None
    ) -> Iterator[Found]:
        """Look ahead."""
        ahead = 10 if wanted.view == PUMPS else 0
        when, known = (ahead, ahead) if self.by == "event_time" else (0, ahead)
        yield from super().as_of(wanted, at_us + when, known_us=known_us + known, version=version)


def store(kind: type[MemoryOfflineStore] = MemoryOfflineStore) -> MemoryOfflineStore:
    """Return a store with rows of pump "a" at 10 and 20, and of line 1 at 10."""
    offline = kind()
    for view, columns in ((PUMPS, (["a", "a"], [10, 20], [10, 25], [1.0, 2.0])), (LINES, ([1], [10], [10], [5.0]))):
        arrays = [pa.array(c, f.type) for c, f in zip(columns, row_schema(view), strict=True)]
        offline.write_rows(view, pa.table(arrays, schema=row_schema(view)), batch="one")
    return offline


def asked(*times: int, **columns: Any) -> pa.Table:
    """Return entity rows of pump "a" and line 1 at these times."""
    rows = {"asset_id": ["a"] * len(times), "line": [1] * len(times), "event_time": pa.array(times).cast(TIME)}
    return pa.table(rows | columns)


def test_rows_come_back_in_order_whatever_the_stores_chunks() -> None:
    """Views that answer in chunks of three and of two are put side by side row by row, labels beside them."""
    entities = asked(9, 10, 24, 25, 11, 30, 12, label=list(range(7)))

    chunks = list(training_set(CATALOG, store(Uneven), "health", entities))
    table = pa.concat_tables(chunk.table() for chunk in chunks)

    assert [chunk.entities.num_rows for chunk in chunks] == [2, 1, 1, 2, 1]
    assert table["label"].to_pylist() == list(range(7))
    assert table["pumps__rms"].to_pylist() == [None, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0]
    assert table["lines__speed"].to_pylist() == [None, *[5.0] * 6]
    assert table.equals(pa.concat_tables(c.table() for c in training_set(CATALOG, store(), "health", entities)))


def test_a_known_at_column_asks_what_was_known_then() -> None:
    """What happened by 20 was known at 25: asked at 20 as known at 20 it is not there yet."""
    entities = asked(20, 20, known_at=pa.array([20, 25]).cast(TIME))

    (chunk,) = training_set(CATALOG, store(), "health", entities)

    assert chunk.answer.columns["pumps__rms"].to_pylist() == [1.0, 2.0]


def test_a_pinned_table_version_hides_what_came_later() -> None:
    """Rows written after the pin are not seen, those before are."""
    offline = store()
    pin = offline.version(PUMPS)
    late = [pa.array(c, f.type) for c, f in zip((["a"], [22], [22], [9.0]), row_schema(PUMPS), strict=True)]
    offline.write_rows(PUMPS, pa.table(late, schema=row_schema(PUMPS)), batch="two")

    now = [c.answer for c in training_set(CATALOG, offline, "health", asked(30))]
    pinned = [c.answer for c in training_set(CATALOG, offline, "health", asked(30), versions={"pumps": pin})]

    assert now[0].columns["pumps__rms"].to_pylist() == [9.0]
    assert pinned[0].columns["pumps__rms"].to_pylist() == [2.0]


@pytest.mark.parametrize(("by", "at_us"), [("event_time", 15), ("known_at", 20)])
def test_an_answer_from_later_than_the_moment_asked_is_no_training_set(by: str, at_us: int) -> None:
    """Whatever store gave it: the pump's row of 20, known at 25, asked for at 15, or at 20 when it was not known."""
    offline = store(Prophet)
    assert isinstance(offline, Prophet)
    offline.by = by

    with pytest.raises(CorruptError, match=f"1 rows of 'pumps' say {by} is later than the moment") as caught:
        list(training_set(CATALOG, offline, "health", asked(10, at_us)))

    assert caught.value.where == "row 1, 5 us later"


def test_no_rows_asked_is_no_error() -> None:
    """An empty request is answered with nothing."""
    chunks = list(training_set(CATALOG, store(), "health", asked(9).slice(0, 0)))

    assert sum(chunk.entities.num_rows for chunk in chunks) == 0


NAIVE = pa.array([20]).cast(pa.timestamp("us"))
BAD = {
    "no such key": (asked(1).drop_columns(["line"]), "keyed by 'line', which the request lacks"),
    "a null key": (asked(1, asset_id=pa.array([None], pa.string())), "holds 1 nulls"),
    "a key of another type": (asked(1, line=["one"]), "is string, not int64"),
    "no time": (asked(1).drop_columns(["event_time"]), "no column 'event_time'"),
    "times as numbers": (asked(1, event_time=[1]), "'event_time' is int64"),
    "a time no microsecond holds": (asked(1, event_time=pa.array([2**62], pa.timestamp("s"))), "out of bounds"),
    "a time between microseconds": (asked(1, event_time=pa.array([1], pa.timestamp("ns"))), "lose data"),
    "a null time": (asked(1, event_time=pa.array([None], TIME)), "holds nulls"),
    "a known_at that is no time": (asked(1, known_at=["x"]), "'known_at' is string"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_request_that_cannot_be_asked_is_refused_with_words(what: str) -> None:
    """The error names the column and how to mend it."""
    entities, text = BAD[what]

    with pytest.raises(InputError, match=text) as refused:
        list(training_set(CATALOG, store(), "health", entities))
    assert refused.value.fix


NANOSECONDS = pa.timestamp("ns")
BAD_ROWS = {
    "null": pa.chunked_array([pa.array([1], TIME), pa.array([2, 3, None, None], TIME)]),
    "between microseconds": pa.array([1000, 0, -2000, 1001, -1], NANOSECONDS),
    "too early and too late": pa.array([0, 1, 2, -(2**62), 2**62], pa.timestamp("s")),
}


@pytest.mark.parametrize("what", BAD_ROWS)
def test_a_time_that_cannot_be_is_told_with_its_row(what: str) -> None:
    """Two of five rows are bad, and the first of them is the fourth."""
    with pytest.raises(InputError) as refused:
        list(training_set(CATALOG, store(), "health", asked(1, 2, 3, 4, 5, event_time=BAD_ROWS[what])))

    assert refused.value.where == "2 of 5 rows, the first in row 3, counted from 0"


def test_an_unknown_service_is_not_found() -> None:
    """The catalogue's error reaches the caller."""
    with pytest.raises(NotFoundError, match="no service 'wealth'"):
        list(training_set(CATALOG, store(), "wealth", asked(1)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_read_in_any_unit_and_naive_ones_as_utc(unit: str) -> None:
    """What pandas and Parquet hand over (ns, us, with a zone or without) is one moment."""
    for zone in (None, "UTC", "Europe/Berlin"):
        second = pa.array([1_700_000_000]).cast(pa.timestamp("s", tz="UTC")).cast(pa.timestamp(unit, tz=zone))
        (chunk,) = training_set(CATALOG, store(), "health", asked(1, event_time=second))

        assert chunk.answer.age_us["pumps"].tolist() == [1_700_000_000_000_000 - 20]


def test_keys_are_cast_to_the_views_own_types() -> None:
    """An int32 line number finds an int64 key; other columns stay out."""
    keys = entity_keys(LINES, asked(1, line=pa.array([1], pa.int32())))

    assert keys.schema == pa.schema([("line", pa.int64())])


def test_a_fingerprint_depends_on_values_alone() -> None:
    """Chunks, metadata and what lies under nulls do not count; a value, a null, a name, a type or the order do."""
    table = pa.table({"a": [1.0, 2.0, None], "b": ["x", "y", "z"]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    masked = pa.array(np.array([1.0, 2.0, 9.0]), mask=np.array([False, False, True]))
    same = [chunked, table.set_column(0, "a", masked), table.replace_schema_metadata({"k": "v"})]
    others = [
        table.slice(1),
        table.take([1, 0, 2]),
        table.rename_columns(["a", "c"]),
        table.set_column(0, "a", pa.array([1.0, 2.0, 0.0])),
        table.set_column(0, "a", pa.array([1.0, None, 2.0])),
        table.set_column(0, "a", pa.array([1.0, 2.0, None], pa.float32())),
        table.select(["b", "a"]),
    ]

    assert {fingerprint(one) for one in same} == {fingerprint(table)}
    assert fingerprint(table.slice(0, 1)) == fingerprint(pa.table({"a": [1.0], "b": ["x"]}))
    assert len({fingerprint(other) for other in (table, *others)}) == 8
