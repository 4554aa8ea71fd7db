"""Watches: told at once, told of each change and of nothing else, over real sockets and a real Valkey."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pyarrow as pa
import pytest

from lineshaft.errors import InputError, LineshaftError, NotFoundError, RateError
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.convert import entities_to
from lineshaft.serving.frames import FeatureFrame
from lineshaft.serving.server import Limits
from lineshaft.specs import Status

RMS = "pumps__rms"
TTL_US = 700_000


def values(frame: FeatureFrame, column: str = RMS) -> list[Any]:
    """Return the values of a column."""
    found: list[Any] = frame.table[column].to_pylist()
    return found


def test_what_is_there_comes_at_once_and_each_change_after_it(place: Any, watched: Any) -> None:
    """First the present, then a written row, a row of an asset there was none of, and one that is removed."""
    place.write("pumps", 1.0, "p0")
    reader = watched(assets=("p0", "p1"))
    assert values(reader.until(1)) == [1.0, None]
    place.until(lambda: place.told() == 1)

    written_us = place.write("pumps", 2.0, "p0")
    second = reader.until(2)
    place.write("pumps", 3.0, "p1")
    third = reader.until(3)
    place.remove("pumps", pa.table({"asset_id": ["p0"]}))
    fourth = reader.until(4)

    assert [values(frame) for frame in (second, third, fourth)] == [[2.0, None], [2.0, 3.0], [None, 3.0]]
    assert second.served_at_us - second.ages["pumps"][0] == written_us
    assert fourth.statuses[RMS].tolist() == [Status.NOT_FOUND, Status.PRESENT]
    with Client(place.address) as client:
        asked = client.features("pumps", asset_id=["p0", "p1"])
    assert asked.table.equals(fourth.table)
    assert asked.view_versions == fourth.view_versions


def test_a_row_is_told_within_milliseconds_and_other_rows_not_at_all(place: Any, watched: Any) -> None:
    """Twenty changes come long before anybody would look by itself; those of another asset bring nothing."""
    reader = watched(min_interval_s=0.001)
    reader.until(1)
    place.until(lambda: place.told() == 1)
    took = []
    for i in range(20):
        time.sleep(0.01)
        start = time.monotonic()
        place.write("pumps", float(i), "p0")
        reader.until(2 + i)
        took.append(time.monotonic() - start)
        place.write("pumps", float(i), "other")

    assert sorted(took)[10] < 0.25
    assert [values(frame) for frame in reader.frames[1:]] == [[float(i)] for i in range(20)]
    # An answer is counted when it has been sent: its reader may be quicker.
    place.until(lambda: place.sample("lineshaft_watch_delay_seconds_count", feature_service="pumps") == 20)
    assert place.sample("lineshaft_watch_answers_total", feature_service="pumps") == 21
    assert place.sample("lineshaft_watched_rows") == 1


def test_changes_that_come_faster_than_agreed_are_put_together(place: Any, watched: Any) -> None:
    """A hundred changes in well under a second make few answers, and the last of them is the last of those."""
    reader = watched(min_interval_s=0.3)
    reader.until(1)
    start = time.monotonic()
    for i in range(100):
        place.write("pumps", float(i), "p0")
    took = time.monotonic() - start

    place.until(lambda: values(reader.frames[-1]) == [99.0])
    assert len(reader.frames) <= 3 + took / 0.3


def test_a_row_that_becomes_stale_is_told_to_the_moment_though_nobody_writes(place: Any, watched: Any) -> None:
    """At the end of its time to live it is withheld; a new one is given again."""
    written_us = place.write("brief", 5.0, "p0")
    reader = watched("brief")
    assert values(reader.until(1), "brief__level") == [5.0]

    stale = reader.until(2)
    place.write("brief", 6.0, "p0")
    fresh = reader.until(3)

    assert stale.statuses["brief__level"].tolist() == [Status.STALE]
    assert values(stale, "brief__level") == [None]
    assert 0 < stale.served_at_us - written_us - TTL_US < 300_000
    assert values(fresh, "brief__level") == [6.0]


def test_rows_of_texts_are_told_too(place: Any, watched: Any) -> None:
    """They are held nowhere near the server; what tells of them is the same."""
    reader = watched("words")
    reader.until(1)
    place.until(lambda: place.told() == 1)
    for number, word in enumerate(("hot", "cold", "hot")):
        place.write("words", word, "p0")
        assert values(reader.until(2 + number), "words__word") == [word]


def test_silence_is_broken_by_signs_of_life(place: Any) -> None:
    """Messages without an answer come as often as agreed, and no answer among them while nothing changes."""
    request = features_pb2.WatchFeaturesRequest(
        request=features_pb2.GetFeaturesRequest(
            feature_service="pumps", entities=entities_to(pa.table({"asset_id": ["p0"]}))
        ),
        heartbeat_us=200_000,
    )
    with grpc.insecure_channel(place.address) as channel:
        call = features_pb2_grpc.FeatureServiceStub(channel).WatchFeatures(request)
        start = time.monotonic()
        kinds = [next(call).HasField("response") for _ in range(5)]
        took = time.monotonic() - start
        call.cancel()

    assert kinds == [True, False, False, False, False]
    assert 0.75 < took < 2.0


REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "a service that there is not": ({"service": "nothing"}, NotFoundError),
    "more entities than are looked at": ({"asset_id": ["p"] * 1001}, InputError),
    "answers without a pause": ({"min_interval_s": 0.0001}, InputError),
    "signs of life without a pause": ({"heartbeat_s": 0.01}, InputError),
    "a silence of an hour": ({"heartbeat_s": 3600.0}, InputError),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_watched_is_refused_with_a_remedy(place: Any, why: str) -> None:
    """At once, by the error that says how to mend it."""
    given, error = REFUSED[why]
    with Client(place.address) as client, pytest.raises(error) as caught:
        next(client.watch(**{"service": "pumps", "asset_id": ["p0"], **given}))

    assert isinstance(caught.value, LineshaftError)
    assert caught.value.fix


def test_a_past_moment_is_not_watched(place: Any) -> None:
    """It will not change."""
    asked = features_pb2.GetFeaturesRequest(feature_service="pumps", at_us=5)
    with grpc.insecure_channel(place.address) as channel, pytest.raises(grpc.RpcError) as caught:
        next(
            features_pb2_grpc.FeatureServiceStub(channel).WatchFeatures(
                features_pb2.WatchFeaturesRequest(request=asked)
            )
        )

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_watches_count_as_streams_and_leave_nothing_behind(place: Any) -> None:
    """The one too many is refused; where all have ended nothing is watched, and one may come again."""
    with Client(place.address) as client:
        watches: list[Any] = [client.watch("pumps", asset_id=[f"p{i}"]) for i in range(Limits().max_streams)]
        for one in watches:
            next(one)
        with pytest.raises(RateError):
            next(client.watch("pumps", asset_id=["p0"]))
        for one in watches:
            one.close()
        place.until(lambda: place.sample("lineshaft_watched_rows") == 0)
        place.until(lambda: place.told() == 0)
        place.until(lambda: place.sample("lineshaft_in_use", limit="streams") == 0)
        assert next(client.watch("pumps", asset_id=["p0"])).table.num_rows == 1
