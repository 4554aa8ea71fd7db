"""Rows that were held back are found again, and each once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.ops.proof import prove_stored
from lineshaft.ops.quarantine import divided, quarantine_folder, quarantined_rows
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a"),),
)


def rows(*cells: tuple[str, int, float]) -> pa.Table:
    """Return rows of (asset, event and known time, value)."""
    assets, times, values = zip(*cells, strict=True)
    schema = row_schema(VIEW)
    return pa.table([pa.array(c, f.type) for c, f in zip((assets, times, times, values), schema, strict=True)], schema)


TRUTH = rows(("p", 1, 1.0), ("p", 2, 2.0), ("q", 1, 3.0), ("q", 2, 900.0))


def put_aside(work: Path, table: pa.Table, name: str) -> None:
    """Keep rows as a committer does, with a reason each."""
    folder = quarantine_folder(work, VIEW)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.append_column("reason", pa.array(["too hot"] * table.num_rows)), folder / f"{name}.parquet")


def test_rows_held_back_twice_count_once_and_rows_stored_after_all_do_not_count(tmp_path: Path) -> None:
    """Two runs that refuse the same rows; then one of them was let in."""
    offline = MemoryOfflineStore()
    assert quarantined_rows(VIEW, offline=offline, work=tmp_path).num_rows == 0
    put_aside(tmp_path, TRUTH.slice(2), "first")
    put_aside(tmp_path, TRUTH.slice(1), "second")

    assert quarantined_rows(VIEW, offline=offline, work=tmp_path).equals(TRUTH.take([2, 3, 1]))
    offline.write_rows(VIEW, TRUTH.slice(0, 3), batch="rows")
    assert quarantined_rows(VIEW, offline=offline, work=tmp_path).equals(TRUTH.slice(3))
    assert quarantined_rows(VIEW, offline=offline, work=tmp_path, assets=["p"]).num_rows == 0


def test_the_oracles_rows_are_divided_by_who_holds_them() -> None:
    """Every row goes to one side, in its order, whatever its value."""
    good, aside = divided(VIEW, TRUTH, rows(("q", 2, -1.0), ("p", 1, 1.0)))

    assert good.equals(TRUTH.take([1, 2]))
    assert aside.equals(TRUTH.take([0, 3]))


def proof(stored: pa.Table, held: pa.Table) -> dict[str, tuple[int, int, int, int]]:
    """Return (rows, missing, extra, differing) by check, of stores that hold these rows and a quarantine of those."""
    offline, online = MemoryOfflineStore(), MemoryOnlineStore()
    offline.write_rows(VIEW, stored, batch="rows")
    online.write(VIEW, stored)
    checks = prove_stored([VIEW], {"v": TRUTH}, offline=offline, online=online, path="job", held={"v": held})
    return {c.path: (c.result.rows, c.result.missing, c.result.extra, c.result.differing) for c in checks}


def test_a_row_in_quarantine_is_compared_there_and_nowhere_else() -> None:
    """The proof of the other paths is over the other rows; nobody may lose a row by calling it held back."""
    assert proof(TRUTH.slice(0, 3), TRUTH.slice(3)) == {
        "job, quarantined": (1, 0, 0, 0),
        "job, offline": (3, 0, 0, 0),
        "job, online": (2, 0, 0, 0),
        "training": (3, 0, 0, 0),
    }
    assert proof(TRUTH.slice(0, 3), rows(("q", 2, 901.0)))["job, quarantined"] == (1, 0, 0, 1)
    assert proof(TRUTH.slice(0, 3), rows(("q", 2, 900.0), ("r", 1, 1.0)))["job, quarantined"] == (1, 0, 1, 0)
    assert proof(TRUTH, TRUTH.slice(3))["job, offline"] == (3, 0, 1, 0)
    assert proof(TRUTH.slice(0, 2), TRUTH.slice(3))["job, offline"] == (3, 1, 0, 0)
