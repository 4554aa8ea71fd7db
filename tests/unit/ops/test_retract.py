"""Rows that a checkpoint refused after they were served are taken back, and nothing else is touched."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lineshaft.ops.retract import retract
from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.ports import Wanted

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(Feature(name="rms"),),
)
Row = tuple[str, int, int, float]


def table(*rows: Row) -> pa.Table:
    """Return rows of (asset, event time, known at, rms)."""
    assets, events, knowns, values = ([row[i] for row in rows] for i in range(4))
    columns = (assets, ["de"] * len(rows), events, knowns, values)
    schema = row_schema(VIEW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Both stores: `stored` lies offline, `served` lies online."""

    offline: MemoryOfflineStore
    online: MemoryOnlineStore

    @staticmethod
    def of(*, stored: pa.Table, served: pa.Table) -> Both:
        """Return stores that hold these rows."""
        both = Both(offline=MemoryOfflineStore(), online=MemoryOnlineStore())
        if stored.num_rows:
            both.offline.write_rows(VIEW, stored, batch="stored")
        both.online.write(VIEW, served)
        return both

    def retract(self, refused: pa.Table, *, good: pa.Table | None = None) -> int:
        """Take refused rows back."""
        reasons = refused.append_column("reason", pa.array(["implausible"] * refused.num_rows))
        passed = table() if good is None else good
        return retract(VIEW, reasons, good=passed, offline=self.offline, online=self.online)

    def rms(self, *assets: str) -> list[float | None]:
        """Return what is served of assets."""
        keys = pa.table({"asset_id": list(assets), "position": ["de"] * len(assets)})
        (found,) = self.online.read([Wanted(view=VIEW, features=("rms",), keys=keys)])
        values: list[float | None] = found.rows["rms"].to_pylist()
        assert [value is None for value in values] == [status == Status.NOT_FOUND for status in found.status]
        return values


def test_the_newest_good_row_is_served_again() -> None:
    """A refused row gives way to the newest row that is stored; other entities keep theirs."""
    both = Both.of(
        stored=table(("a", 1, 1, 1.0), ("a", 2, 2, 2.0), ("b", 2, 2, 5.0)),
        served=table(("a", 3, 3, 99.0), ("b", 3, 3, 6.0)),
    )

    assert both.retract(table(("a", 3, 3, 99.0))) == 1
    assert both.rms("a", "b") == [2.0, 6.0]


def test_nothing_is_served_where_nothing_good_is_known() -> None:
    """An entity whose every row was refused is not found, rather than served wrong."""
    both = Both.of(stored=table(), served=table(("a", 1, 1, 99.0)))

    assert both.retract(table(("a", 1, 1, 99.0))) == 1
    assert both.rms("a") == [None]


def test_good_rows_of_the_same_batch_count_though_they_are_not_stored_yet() -> None:
    """The gate judges before the commit: a batch's own good rows are what the refused row falls back to."""
    both = Both.of(stored=table(("a", 1, 1, 1.0)), served=table(("a", 4, 4, 99.0)))

    both.retract(table(("a", 4, 4, 99.0)), good=table(("a", 2, 2, 2.0), ("a", 3, 3, 3.0), ("b", 9, 9, 9.0)))

    assert both.rms("a", "b") == [3.0, None]


def test_a_row_that_replaced_the_refused_one_stays() -> None:
    """The stream runs ahead of the checkpoint: a newer row that is served by now is not taken for the refused one."""
    both = Both.of(stored=table(("a", 1, 1, 1.0)), served=table(("a", 5, 5, 5.0)))

    assert both.retract(table(("a", 4, 4, 99.0))) == 0
    assert both.rms("a") == [5.0]


def test_a_corrected_version_of_the_refused_tick_stays() -> None:
    """The same tick, known later, is another row."""
    both = Both.of(stored=table(), served=table(("a", 4, 6, 4.0)))

    assert both.retract(table(("a", 4, 4, 99.0))) == 0
    assert both.rms("a") == [4.0]


def test_nothing_refused_is_nothing_done() -> None:
    """An empty quarantine touches no store."""
    both = Both.of(stored=table(), served=table(("a", 1, 1, 1.0)))

    assert both.retract(table()) == 0
    assert both.rms("a") == [1.0]
