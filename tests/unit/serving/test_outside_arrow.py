"""Entity rows from outside: what lies about memory is refused before anybody looks at a value."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.serving.convert import arrow_to
from lineshaft.serving.outside_arrow import entity_rows_from

ROWS = pa.table({"asset_id": ["p0", "p1", "p2"], "event_time": pa.array([1, 2, 3], pa.timestamp("us", tz="UTC"))})


def streamed(table: pa.Table, **options: str) -> bytes:
    """Return a table as a stream written with options."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def test_sound_rows_are_read_as_they_are() -> None:
    """Plain, with dictionaries, with lists carried along, and none at all."""
    labels = ROWS.append_column("label", pa.array(["x", "y", "x"]).dictionary_encode())
    for table in (ROWS, labels, ROWS.append_column("l", pa.array([[1], [], None])), ROWS.slice(0, 0)):
        assert entity_rows_from(arrow_to(table)).equals(table)


def test_offsets_that_lead_out_of_memory_are_refused() -> None:
    """Arrow reads such a stream without a word; whoever looked at its values would end the process."""
    raw = arrow_to(ROWS)
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 2, 4, 6))
    assert raw.count(offsets) == 1
    for wrong in (b"\x00\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\x7f\x06\x00\x00\x00", offsets[::-1]):
        with pytest.raises(InputError, match="no Arrow IPC stream"):
            entity_rows_from(raw.replace(offsets, wrong))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("table", [ROWS, pa.table({"asset_id": pa.array(["p" * 900] * 9).dictionary_encode()})])
def test_compressed_streams_are_refused_unread(codec: str, table: pa.Table) -> None:
    """A few bytes may claim to hold as many gigabytes as they like."""
    with pytest.raises(InputError, match="compressed"):
        entity_rows_from(streamed(table, compression=codec))


def test_rows_that_take_no_bytes_are_refused() -> None:
    """A column of nulls may claim a thousand million rows in two hundred bytes."""
    with pytest.raises(InputError, match="1000000 rows in"):
        entity_rows_from(arrow_to(pa.table({"asset_id": pa.nulls(1_000_000)})))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 100, arrow_to(ROWS)[:-30], arrow_to(ROWS).replace(b"event_time", b"event_tim\x80")],
    ids=["empty", "junk", "cut off", "a name that is no text"],
)
def test_bytes_that_are_no_stream_are_refused(raw: bytes) -> None:
    """With a word on how to write one."""
    with pytest.raises(InputError, match="no Arrow IPC stream") as caught:
        entity_rows_from(raw)
    assert caught.value.fix


def test_columns_of_one_name_are_refused() -> None:
    """Nobody could tell which of them is meant."""
    twice = pa.Table.from_arrays([ROWS["asset_id"], ROWS["asset_id"]], names=["asset_id", "asset_id"])
    with pytest.raises(InputError, match="two columns of one name"):
        entity_rows_from(arrow_to(twice))
