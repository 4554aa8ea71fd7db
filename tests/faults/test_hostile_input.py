"""Whatever arrives, on the ports or out of the store: no crash, no INTERNAL, no memory kept, and others are served.

    pytest -s tests/faults/test_hostile_input.py                          2,000 inputs, another seed each day
    HOSTILE_INPUTS=100000 pytest -s tests/faults/test_hostile_input.py    the measured run, about twenty minutes

An input follows from the run's seed and its own number, which a failure names, so each can be made again by itself.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import socket
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.rpc.v1 import features_pb2, predictions_pb2, types_pb2
from lineshaft.serving.convert import arrow_to, entities_to
from lineshaft.serving.frames import frame_from
from lineshaft.tiles.packing import RowCodec

Target = Any
"""The server under attack: see `conftest.py`."""
NOW_US = 1_767_225_600_000_000
INPUTS = int(os.environ.get("HOSTILE_INPUTS", "2000"))  # noqa: TID251  the length of a run is no setting of the product
FEATURES, PREDICTIONS = "/lineshaft.rpc.v1.FeatureService/", "/lineshaft.rpc.v1.PredictionService/"
UNARY = (
    f"{FEATURES}GetFeatures", f"{FEATURES}ListFeatureServices", f"{PREDICTIONS}Predict",
    "/feast.serving.ServingService/GetOnlineFeatures", "/grpc.health.v1.Health/Check",
)  # fmt: skip
ODD_TEXTS = (
    "", "\x00", "p1\x00", "ü" * 300, "\u202e", "🜁", "a" * 100_000, "pumps@x", "../..", "%s%n", "' or 1=1 --", "p1 ",
)  # fmt: skip
ODD_ENCODINGS: Any = (1, 2, 3, 3, 0, 99, -1)
ODD_NUMBERS = (0, 1, -1, 2**31, 2**63 - 1, -(2**63), NOW_US)


def mutated(raw: bytes, rnd: random.Random) -> bytes:
    """Turn, drop, double, insert or swap some of the bytes."""
    data = bytearray(raw)
    for _ in range(rnd.choice((1, 1, 2, 5, 20))):
        at, kind = rnd.randrange(len(data) + 1), rnd.randrange(6)
        size = rnd.choice((1, 1, 2, 4, 8, 64))
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rnd.randrange(8)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size] * rnd.choice((1, 2, 50))
        elif kind == 3:
            data[at:at] = rnd.randbytes(size)
        elif kind == 4:
            data[at : at + size] = rnd.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * size
        else:
            del data[at:]
    return bytes(data)


def odd_keys(rnd: random.Random) -> list[types_pb2.EntityColumn]:
    """Return join keys that are almost, or not at all, what is wanted."""
    count = rnd.choice((0, 1, 2, 2, 3, 50)) if rnd.random() < 0.97 else 10_001
    texts = [rnd.choice((*ODD_TEXTS[:6], *ODD_TEXTS[7:], "p0", "p1")) for _ in range(count)]
    if count == 1:
        texts = [rnd.choice(ODD_TEXTS)]
    numbers = [rnd.choice((*ODD_NUMBERS, 0, 1)) for _ in range(count + rnd.choice((0, 0, 0, 1)))]
    columns = [
        types_pb2.EntityColumn(name="asset_id", strings=types_pb2.StringList(values=texts)),
        types_pb2.EntityColumn(name="slot", int64s=types_pb2.Int64List(values=numbers)),
    ]
    odd = rnd.randrange(8)
    if odd == 0:
        columns.append(rnd.choice(columns))
    elif odd == 1:
        columns.pop(rnd.randrange(2))
    elif odd == 2:
        columns[0] = types_pb2.EntityColumn(name="asset_id", int64s=types_pb2.Int64List(values=numbers[:count]))
    elif odd == 3:
        columns[1] = types_pb2.EntityColumn(name="slot", strings=types_pb2.StringList(values=texts))
    elif odd == 4:
        columns.append(types_pb2.EntityColumn(name=rnd.choice(ODD_TEXTS)))
    return columns


def odd_question(rnd: random.Random) -> features_pb2.GetFeaturesRequest:
    """Return a question that parses."""
    request = features_pb2.GetFeaturesRequest(
        feature_service=rnd.choice(("health", "health", "health", "plain", *ODD_TEXTS)),
        entities=odd_keys(rnd) if rnd.random() < 0.8 else entities_to(pa.table({"asset_id": ["p0"], "slot": [0]})),
        at_us=rnd.choice(ODD_NUMBERS),
    )
    request.encoding = rnd.choice(ODD_ENCODINGS)
    return request


def odd_training(rnd: random.Random) -> pa.Table:
    """Return entity rows of a training set, sound or not."""
    count = rnd.choice((0, 1, 3, 200))
    moments = [rnd.choice((*ODD_NUMBERS, None)) if rnd.random() < 0.2 else NOW_US for _ in range(count)]
    kind = rnd.choice(
        (pa.timestamp("us", tz="UTC"),) * 5 + (pa.timestamp("ns"), pa.timestamp("s"), pa.int64(), pa.date32())
    )
    columns: dict[str, Any] = {
        "asset_id": pa.array(["p0"] * count, rnd.choice((pa.string(), pa.string(), pa.large_string(), pa.binary()))),
        "slot": pa.array([0] * count, rnd.choice((pa.int64(), pa.int64(), pa.float64(), pa.uint8()))),
    }
    with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
        columns["event_time"] = pa.array(moments, pa.int64()).cast(kind)
    if rnd.random() < 0.2:
        columns["known_at"] = columns.get("event_time")
    if rnd.random() < 0.2:
        columns[rnd.choice(ODD_TEXTS)] = pa.array([[{"x": 1}]] * count)
    return pa.table({name: column for name, column in columns.items() if column is not None})


# --- attacks: each makes one input of a random generator and delivers it


def junk_bytes(target: Target, rnd: random.Random) -> None:
    """Send random bytes to any method."""
    raw = rnd.randbytes(rnd.choice((0, 1, 5, 40, 300, 3000)))
    kind = rnd.randrange(4)
    if kind == 0:
        target.stream(f"{FEATURES}StreamFeatures", raw, raw, streaming=True)
    elif kind == 1:
        target.stream(FEATURES + rnd.choice(("GetTrainingSet", "WatchFeatures")), raw, streaming=False, most=9)
    else:
        target.call(rnd.choice(UNARY), raw)


def odd_features(target: Target, rnd: random.Random) -> None:
    """Ask odd questions; those that are answered must be readable."""
    request = odd_question(rnd)
    reply = target.call(f"{FEATURES}GetFeatures", request.SerializeToString(), metadata=odd_metadata(rnd))
    if reply and request.entities:
        answer = features_pb2.GetFeaturesResponse.FromString(reply)
        frame_from(pa.table({"n": range(answer.rows)}), answer)


def odd_metadata(rnd: random.Random) -> list[tuple[str, Any]]:
    """Return metadata that means nothing."""
    choices: tuple[list[tuple[str, Any]], ...] = (
        [], [], [("x-request-id", "y" * 5000)], [("x-request-id-bin", b"\xff\x00")], [("authorization", "Bearer \x7e")],
    )  # fmt: skip
    return rnd.choice(choices)


def mutated_features(target: Target, rnd: random.Random) -> None:
    """Send a question with bytes turned, also as a prediction and as a page of services."""
    target.call(rnd.choice(UNARY[:4]), mutated(odd_question(rnd).SerializeToString()[:5000], rnd))


def odd_stream(target: Target, rnd: random.Random) -> None:
    """Ask several questions on one stream, some of them broken: those that parse are each answered or refused."""
    asked = [
        features_pb2.StreamFeaturesRequest(number=i, request=odd_question(rnd), budget_us=rnd.choice(ODD_NUMBERS))
        for i in range(3)
    ]
    raws = [one.SerializeToString() for one in asked]
    whole = rnd.random() < 0.5
    replies = target.stream(
        f"{FEATURES}StreamFeatures", *(raws if whole else [mutated(raw, rnd) for raw in raws]), streaming=True
    )
    assert not whole or len(replies) == len(raws)


def odd_prediction(target: Target, rnd: random.Random) -> None:
    """Ask for predictions of odd entities."""
    model = rnd.choice(("wear", "wear", "wear", *ODD_TEXTS))
    request = predictions_pb2.PredictRequest(model=model, entities=odd_keys(rnd), at_us=rnd.choice(ODD_NUMBERS))
    request.contributions = rnd.choice((0, -1, 5, 2**31 - 1, -(2**31)))
    target.call(f"{PREDICTIONS}Predict", request.SerializeToString())


def odd_training_set(target: Target, rnd: random.Random) -> None:
    """Ask for training sets of odd entity rows, in streams of Arrow that are sound or not."""
    raw = arrow_to(odd_training(rnd))
    request = features_pb2.GetTrainingSetRequest(
        feature_service="health", entities=mutated(raw, rnd) if rnd.random() < 0.6 else raw
    )
    if rnd.random() < 0.2:
        request.table_versions[rnd.choice(("pumps", "sites", "x"))] = rnd.choice(ODD_NUMBERS)
    target.stream(f"{FEATURES}GetTrainingSet", request.SerializeToString(), streaming=False)


def odd_stored(target: Target, rnd: random.Random) -> None:
    """Plant bytes in the store: another entity's answers stay right, and this one's is readable in every encoding."""
    view, row = rnd.choice(target.rows)
    (sound,) = RowCodec(view).encode(row.slice(0, 1))
    body = bytearray(mutated(sound[:-4], rnd) if rnd.random() < 0.7 else sound[:5] + rnd.randbytes(len(sound) - 9))
    if rnd.random() < 0.6:
        body[:5] = sound[:5]  # of the right schema
    value = bytes(body) + (
        zlib.crc32(body).to_bytes(4, "little") if rnd.random() < 0.7 else rnd.randbytes(rnd.choice((0, 4)))
    )
    keys = {"asset_id": ["odd"], "slot": [5]}
    target.online.overwrite(view, pa.table(keys), value)
    both: dict[str, list[Any]] = {"asset_id": ["odd", "p0"], "slot": [5, 0]}
    request = features_pb2.GetFeaturesRequest(
        feature_service="health", entities=entities_to(pa.table(both)), at_us=NOW_US
    )
    request.encoding = rnd.choice(ODD_ENCODINGS[:3])
    reply = features_pb2.GetFeaturesResponse.FromString(
        target.call(f"{FEATURES}GetFeatures", request.SerializeToString())
    )
    frame = frame_from(pa.table(both), reply)
    frame.table.validate(full=True)
    assert frame.table["pumps__state"].to_pylist()[1] == "läuft"
    status, body = target.post(
        "/get-online-features", json.dumps({"feature_service": "health", "entities": both}).encode()
    )
    assert status == 200, (status, body[:300])
    feast = serving_pb2.GetOnlineFeaturesRequest(feature_service="health")
    for name, values in both.items():
        for value in values:
            feast.entities[name].val.add(**{"string_val" if isinstance(value, str) else "int64_val": value})
    assert target.call("/feast.serving.ServingService/GetOnlineFeatures", feast.SerializeToString())


def raw_socket(target: Target, rnd: random.Random) -> None:
    """Write HTTP/2 junk to the port, cut off anywhere, and leave; or leave the connection half open."""
    host, _, port = target.address.rpartition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    frames = b"".join(
        len(body).to_bytes(3, "big")
        + bytes([rnd.choice((*range(11), 255)), rnd.randrange(256)])
        + rnd.choice((0, 1, 3, 2**31 - 1)).to_bytes(4, "big")
        + body
        for body in (rnd.randbytes(rnd.choice((0, 1, 6, 8, 50))) for _ in range(rnd.randrange(6)))
    )
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    said = rnd.choice(
        (
            preface + settings + frames,
            preface + frames,
            frames,
            rnd.randbytes(80),
            b"GET / HTTP/1.1\r\n\r\n",
            b"",
            mutated(preface + settings + frames, rnd),
        )
    )
    with socket.create_connection((host, int(port)), 5) as link, suppress(OSError):
        link.sendall(said)
        if rnd.random() < 0.3:
            link.shutdown(socket.SHUT_WR)
        if rnd.random() < 0.2:
            link.settimeout(0.05)
            link.recv(1000)


def odd_http(target: Target, rnd: random.Random) -> None:
    """Send odd bodies to Feast's HTTP."""
    sound = {"feature_service": rnd.choice(("health", "plain")), "entities": {"asset_id": ["p0"], "slot": [0]}}
    odd: Any = rnd.choice(
        (
            None,
            1,
            [],
            {},
            "x",
            -1e999,
            {"asset_id": [[]], "slot": [{}]},
            {"asset_id": ["p0", None], "slot": [1.5, 2]},
            [1] * 5000,
            "\ud800",
            10**400,
        )
    )
    body: Any = {**sound, rnd.choice(("feature_service", "features", "entities", "full_feature_names", "x")): odd}
    raw = rnd.choice(
        (
            json.dumps(body).encode(),
            mutated(json.dumps(sound).encode(), rnd),
            rnd.randbytes(50),
            b"[" * 100_000,
            json.dumps(sound).encode(),
        )
    )
    method = rnd.choice(("POST", "POST", "POST", "GET", "BREW"))
    status, _ = target.post(
        rnd.choice(("/get-online-features", "/get-online-features", "/health", "/%00")), raw, method
    )
    assert status < 500, (status, raw[:500])
    target.seen[f"HTTP {status}"] += 1


def odd_push(target: Target, rnd: random.Random) -> None:
    """Push odd readings by HTTP; whatever is taken is no more than what a sensor may send."""
    sound = {
        "push_source_name": "s",
        "df": {"asset_id": ["p0"], "event_timestamp": ["2026-01-01T00:00:00Z"], "x": [1.0]},
    }
    odd: Any = rnd.choice(
        (None, 1, [], {}, "x", [[]], ["2026-13-01"], [1e308], ["\ud800"], [10**400], [NOW_US], [None], [True], [{}])
    )
    body: dict[str, Any] = json.loads(json.dumps(sound))
    if rnd.random() < 0.5:
        body["df"][rnd.choice(("asset_id", "event_timestamp", "x", "position", "ü"))] = odd
    else:
        body[rnd.choice(("push_source_name", "df", "to", "x"))] = odd
    raw = json.dumps(body).encode()
    status, reply = target.post("/push", mutated(raw, rnd) if rnd.random() < 0.3 else raw)
    assert status < 500, (status, raw[:500], reply)
    target.seen[f"HTTP {status}"] += 1


def new_keys(target: Target, rnd: random.Random) -> None:
    """Ask for entities that nobody ever heard of, by long names: none of them may be remembered for long."""
    tail = "k" * rnd.choice((0, 200, 20_000))
    texts = [f"{rnd.random()}{tail}" for _ in range(rnd.choice((1, 20)))]
    entities = entities_to(pa.table({"asset_id": texts}))
    request = features_pb2.GetFeaturesRequest(feature_service="plain", entities=entities)
    reply = target.call(f"{FEATURES}GetFeatures", request.SerializeToString())
    assert bool(reply) == (len(texts[0]) < 1000)


def huge(target: Target, rnd: random.Random) -> None:
    """Send as much as a message may hold, or a little more."""
    size = rnd.choice((60 << 20, 63 << 20, 65 << 20))
    kind = rnd.randrange(4)
    if kind == 0:
        target.call(rnd.choice(UNARY), b"\x0a" + rnd.randbytes(1) * size)
        return
    if kind == 1:
        target.stream(
            f"{FEATURES}GetTrainingSet",
            features_pb2.GetTrainingSetRequest(
                feature_service="health", entities=arrow_to(pa.table({"asset_id": ["x" * size]}))
            ).SerializeToString(),
            streaming=False,
        )
        return
    column = types_pb2.EntityColumn(name="slot", int64s=types_pb2.Int64List(values=range(size // 8)))
    if kind == 2:
        column = types_pb2.EntityColumn(name="asset_id", strings=types_pb2.StringList(values=["x" * size]))
    target.call(
        f"{FEATURES}GetFeatures",
        features_pb2.GetFeaturesRequest(feature_service="plain", entities=[column]).SerializeToString(),
    )


ATTACKS: dict[Callable[[Target, random.Random], None], float] = {
    junk_bytes: 15,
    odd_features: 20,
    mutated_features: 20,
    odd_stream: 8,
    odd_prediction: 8,
    odd_training_set: 8,
    odd_stored: 10,
    raw_socket: 8,
    odd_http: 8,
    odd_push: 4,
    new_keys: 4,
    huge: 0.1 if INPUTS >= 10_000 else 0.0,  # a second each
}
"""The kinds of input, and how often each comes."""


def attack(target: Target, seed: str, number: int) -> None:
    """Make one input of a run and deliver it."""
    rnd = random.Random(f"{seed}:{number}")
    (kind,) = rnd.choices(list(ATTACKS), list(ATTACKS.values()))
    try:
        kind(target, rnd)
    except Exception as error:
        error.add_note(f"input {seed}:{number}, {kind.__name__}")
        raise


BATCH = 500
WARM = min(INPUTS // 2, 20_000)  # growth counts from here on: by then every kind of input has come
MOST_GROWTH = 32 << 20
"""Delta's hundred threads come one by one and hold a quarter of a megabyte; requests that are kept fill gigabytes."""


@pytest.mark.timeout(300 + INPUTS // 10)
def test_nothing_that_arrives_does_harm(target: Target) -> None:
    """No crash, no status that means a fault of ours, no memory kept; after each batch others are served soon."""
    seed = str(dt.datetime.now(dt.UTC).date())  # noqa: TID251 - another one each day, the same all day
    waits, held = [], []
    for number in range(INPUTS):
        attack(target, seed, number)
        if (number + 1) % BATCH == 0:
            waits.append(target.healthy())
            held.append(target.memory)
    grown = target.grown_since(min(held[: max(WARM // BATCH, 1)][-4:]), most=MOST_GROWTH)

    told = f"{dict(target.seen)}, {grown >> 10} KiB grown, held {held[::10]}, slowest other {max(waits):.3f} s"
    sys.stdout.write(f"seed {seed}, {INPUTS} inputs: {told}\n")
    assert max(waits) < 1.0
    assert grown < MOST_GROWTH
