"""Rows that outlive the process: kept on disk, newest first, and nothing wrong out of a damaged file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.known_rows import KnownRows
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted

KEYS = (("asset_id", "string"),)
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(name="pumps", source=SOURCE, entity_keys=KEYS, features=(Feature(name="rms"),))
LABELS = View(
    name="labels", source=SOURCE, entity_keys=KEYS, features=(Feature(name="text", dtype="string"), Feature(name="n"))
)
PREFIX = b"AAbbbbbb"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Start a Valkey of the test's own."""
    with EmbeddedValkey(tmp_path / "online") as running:
        yield running
        running.shut_down()


def row(view: View, asset: str, *values: object, event: int = 1) -> pa.Table:
    """Return one row."""
    schema = row_schema(view)
    cells = (asset, event, event, *values)
    return pa.Table.from_arrays([pa.array([c], f.type) for c, f in zip(cells, schema, strict=True)], schema=schema)


def packed(event: int, rest: bytes = b"") -> bytes:
    """Return something that has its times where a packed row has them."""
    return b"\xb1" + bytes(4) + event.to_bytes(8, "big") + bytes(8) + rest


def wanted(*views: View, assets: tuple[str, ...] = ("a", "b")) -> list[Wanted]:
    """Return the question for all features of these views."""
    keys = pa.table({"asset_id": list(assets)})
    return [Wanted(view=view, features=view.feature_names, keys=keys) for view in views]


def statuses(store: RedisOnlineStore, *views: View) -> list[list[int]]:
    """Return what a store knows of `a` and `b` when the server cannot be asked."""
    found = store.last_known(wanted(*views))
    assert found is not None
    return [one.status.tolist() for one in found]


def test_a_new_process_knows_what_the_last_one_read(server: EmbeddedValkey, tmp_path: Path) -> None:
    """Numbers and texts read by one store, whose server then dies, are answered by another that never reached it."""
    first = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known"))
    first.write(PUMPS, row(PUMPS, "a", 4.0))
    first.write(LABELS, row(LABELS, "b", "worn", 2.0))
    first.read(wanted(PUMPS, LABELS))
    first.keep_known()
    os.kill(server.pid or 0, signal.SIGKILL)

    second = RedisOnlineStore(server.url, project="dev", timeout_s=0.1, kept=KnownRows(tmp_path / "known", owner="1"))
    found = second.last_known(wanted(PUMPS, LABELS))

    assert found is not None
    assert [one.status.tolist() for one in found] == [
        [Status.PRESENT, Status.UNAVAILABLE],
        [Status.UNAVAILABLE, Status.PRESENT],
    ]
    assert found[0].rows["rms"].to_pylist()[0] == 4.0
    assert found[1].rows["text"].to_pylist()[1] == "worn"


def test_what_was_read_since_is_not_overwritten_from_disk(server: EmbeddedValkey, tmp_path: Path) -> None:
    """A row read by this process stands, also against one kept on disk; a text and a number alike."""
    old = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known"))
    for view, cells in ((PUMPS, (1.0,)), (LABELS, ("old", 1.0))):
        old.write(view, row(view, "a", *cells))
    old.read(wanted(PUMPS, LABELS))
    old.keep_known()
    new = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known", owner="1"))
    for view, cells in ((PUMPS, (2.0,)), (LABELS, ("new", 2.0))):
        new.write(view, row(view, "a", *cells, event=2))
    new.read(wanted(PUMPS, LABELS))

    found = new.last_known(wanted(PUMPS, LABELS))

    assert found is not None
    assert found[0].rows["rms"].to_pylist() == [2.0, None]
    assert found[1].rows["text"].to_pylist() == ["new", None]


def test_nothing_is_written_when_nothing_changed(server: EmbeddedValkey, tmp_path: Path) -> None:
    """A file is replaced after a new read, and left alone otherwise."""
    store = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known"))
    store.write(PUMPS, row(PUMPS, "a", 4.0))
    store.read(wanted(PUMPS))
    store.keep_known()
    (file,) = (tmp_path / "known").iterdir()
    file.unlink()

    store.keep_known()
    left_alone = not file.exists()
    store.read(wanted(PUMPS))
    store.keep_known()

    assert left_alone
    assert file.exists()


def test_of_two_processes_the_newer_row_counts(tmp_path: Path) -> None:
    """Each keeps its own file; of each key the row with the later times is given back."""
    KnownRows(tmp_path, owner="0").save(PREFIX, [b"a", b"b"], [packed(5, b"x"), packed(1, b"x")])
    KnownRows(tmp_path, owner="1").save(PREFIX, [b"b", b"c"], [packed(2, b"yy"), packed(1, b"yy")])

    keys, values = KnownRows(tmp_path).load(PREFIX)

    assert dict(zip(keys, values, strict=True)) == {
        b"a": packed(5, b"x"),
        b"b": packed(2, b"yy"),
        b"c": packed(1, b"yy"),
    }
    assert KnownRows(tmp_path).load(b"ZZ______") == ([], [])


@pytest.mark.parametrize("cut", [0, 1, 100, 400])
def test_a_damaged_file_gives_nothing_and_the_others_are_read(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that was cut off is left out and named in the log."""
    KnownRows(tmp_path, owner="0").save(PREFIX, [b"a"], [packed(1)])
    KnownRows(tmp_path, owner="1").save(PREFIX, [b"b"], [packed(1)])
    (torn,) = tmp_path.glob("*.0.npz")
    torn.write_bytes(torn.read_bytes()[:cut])

    assert KnownRows(tmp_path).load(PREFIX) == ([b"b"], [packed(1)])
    assert torn.name in caplog.text


def test_flipped_bits_in_a_kept_row_are_not_served(server: EmbeddedValkey, tmp_path: Path) -> None:
    """A row whose checksum fails is as if it had not been kept."""
    store = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known"))
    for asset in ("a", "b"):
        store.write(PUMPS, row(PUMPS, asset, 4.0))
    store.read(wanted(PUMPS))
    store.keep_known()
    (file,) = (tmp_path / "known").iterdir()
    with np.load(file) as held:
        columns: dict[str, NDArray[np.generic]] = dict(held)
    values = columns["values"].copy()
    values[30] ^= 1  # within the first row's value
    np.savez(file, keys=columns["keys"], key_ends=columns["key_ends"], values=values, value_ends=columns["value_ends"])

    again = RedisOnlineStore(server.url, project="dev", timeout_s=5.0, kept=KnownRows(tmp_path / "known"))

    assert sorted(statuses(again, PUMPS)[0]) == [Status.PRESENT, Status.UNAVAILABLE]


def test_too_much_is_not_kept_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A view beyond the bound leaves no file."""
    KnownRows(tmp_path, most_bytes=10).save(PREFIX, [b"a"], [packed(1)])

    assert list(tmp_path.iterdir()) == []
    assert "not kept" in caplog.text


def test_a_folder_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Serving goes on where the disk does not."""
    place = tmp_path / "file"
    place.write_text("in the way")

    KnownRows(place / "known").save(PREFIX, [b"a"], [packed(1)])

    assert "cannot be kept" in caplog.text
