"""What once did harm, kept as it was: each of these ended the server, blamed it, or filled its memory."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.rpc.v1 import features_pb2, types_pb2
from lineshaft.serving.convert import arrow_to, entities_to
from lineshaft.tiles.packing import RowCodec

Target = Any
"""The server under attack: see `conftest.py`."""
FEATURES = "/lineshaft.rpc.v1.FeatureService/"
KEYS = {"asset_id": ["p0"], "slot": [0]}
MOMENTS = pa.array([1_767_225_600_000_000] * 3, pa.timestamp("us", tz="UTC"))
MOST_KEPT = 64 << 20


def training(table: pa.Table, *, edit: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    """Return a request for a training set whose stream was edited."""
    raw = arrow_to(table)
    assert edit[0] in raw
    entities = raw.replace(*edit) if edit[0] else raw
    message: bytes = features_pb2.GetTrainingSetRequest(feature_service="health", entities=entities).SerializeToString()
    return message


ROWS = pa.table({"asset_id": ["p0", "p1", "p2"], "slot": [0, 1, 2], "event_time": MOMENTS})
OFFSETS = b"".join(n.to_bytes(4, "little") for n in (0, 2, 4, 6))


@pytest.mark.parametrize(
    "raw",
    [
        training(ROWS, edit=(OFFSETS, OFFSETS[:8] + b"\xff\xff\xff\x7f" + OFFSETS[12:])),
        training(ROWS, edit=(b"event_time", b"event_tim\x80")),
        training(ROWS.set_column(2, "event_time", MOMENTS.cast(pa.int64()).cast(pa.timestamp("s")))),
        training(pa.table({"asset_id": pa.nulls(10_000_000), "slot": pa.nulls(10_000_000)})),
        training(pa.Table.from_arrays([ROWS["asset_id"]] * 2, names=["asset_id", "asset_id"])),
    ],
    ids=["offsets out of memory", "a name that is no text", "absurd times", "rows of nothing", "columns of one name"],
)
def test_a_training_set_of_lies_is_refused(target: Target, raw: bytes) -> None:
    """The first ended the process, the others were told as faults of the server."""
    assert target.stream(f"{FEATURES}GetTrainingSet", raw, streaming=False) == []
    assert target.seen.pop("INVALID_ARGUMENT") == 1
    target.healthy()


@pytest.mark.parametrize("method", [f"{FEATURES}GetFeatures", "/grpc.health.v1.Health/Check"])
def test_bytes_that_are_no_message_are_the_callers_fault(target: Target, method: str) -> None:
    """GRPC itself answers UNKNOWN."""
    target.call(method, b"\xff" * 20)
    assert target.seen.pop("INVALID_ARGUMENT") == 1


def test_a_name_without_end_is_refused_with_the_reason(target: Target) -> None:
    """The error that quoted it fitted into no trailer: the caller was told of a limit instead."""
    target.call(
        f"{FEATURES}GetFeatures", features_pb2.GetFeaturesRequest(feature_service="a" * 100_000).SerializeToString()
    )
    assert target.seen.pop("NOT_FOUND") == 1


@pytest.mark.parametrize("name", [b'"\\ud800"', b'"\xed\xa0\x80"'])
def test_half_a_letter_in_json_is_refused(target: Target, name: bytes) -> None:
    """The database's driver raised on it."""
    status, _ = target.post(
        "/get-online-features", b'{"feature_service": ' + name + b', "entities": {"asset_id": ["p"]}}'
    )
    assert status == 400


def test_a_stored_time_that_no_calendar_holds_is_answered(target: Target) -> None:
    """With a sound checksum, by Feast's HTTP: its times end with the year 9999."""
    view, rows = target.rows[1]
    far = rows.slice(0, 1).set_column(1, "event_time", pa.array([2**62], pa.timestamp("us", tz="UTC")))
    (value,) = RowCodec(view).encode(far)
    target.online.overwrite(view, pa.table({"asset_id": ["far"]}), value)

    body = {"feature_service": "plain", "entities": {"asset_id": ["far"]}}
    status, answer = target.post("/get-online-features", json.dumps(body).encode())

    assert status == 200
    assert b"9999-12-31" in answer


def test_refused_messages_are_forgotten(target: Target) -> None:
    """Each refused call kept its request until memory was swept: twenty of 32 MiB took 640."""
    column = types_pb2.EntityColumn(name="asset_id", strings=types_pb2.StringList(values=["x" * (32 << 20)]))
    raw = features_pb2.GetFeaturesRequest(feature_service="plain", entities=[column]).SerializeToString()
    for _ in range(3):
        target.call(f"{FEATURES}GetFeatures", raw)
    before = target.memory
    for _ in range(20):
        target.call(f"{FEATURES}GetFeatures", raw)

    assert target.seen.pop("INVALID_ARGUMENT") == 23
    assert target.grown_since(before, most=MOST_KEPT) < MOST_KEPT


def test_entities_of_endless_names_are_not_remembered(target: Target) -> None:
    """What was read is kept by its key: hostile names filled the memory, and the log with it."""
    before = target.memory
    for number in range(100):
        entities = entities_to(pa.table({"asset_id": [f"{number}:{i}" + "k" * 20_000 for i in range(20)]}))
        target.call(
            f"{FEATURES}GetFeatures",
            features_pb2.GetFeaturesRequest(feature_service="plain", entities=entities).SerializeToString(),
        )

    assert target.seen.pop("INVALID_ARGUMENT") == 100
    # 40 MB were sent; some of what was freed stays with the allocator, beside what other tests left of this server
    assert target.grown_since(before, most=MOST_KEPT // 2) < MOST_KEPT // 2
