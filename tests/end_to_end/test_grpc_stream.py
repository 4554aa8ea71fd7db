"""Question after question on one stream: the answers of single calls, in order, and refusals that end nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError, RateError, UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving import convert
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import FeatureFrame
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.serving.together import MOST, apart
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.keys import Keys

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
RMS = "pumps__rms"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a hundred pumps; pump i has the value i."""
    folder: Path = tmp_path_factory.mktemp("stream")
    with embedded_server(folder / "online") as url:
        online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
        schema = row_schema(VIEW)
        columns = ([f"p{i}" for i in range(100)], [1] * 100, [1] * 100, [float(i) for i in range(100)])
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        online.write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
        features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=10))
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        handlers = Handlers(plans=plans, features=features, training=training)
        with background_server(handlers, limits=Limits(store_timeout_s=5.0)) as bound:
            yield bound


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """Return a connected client."""
    with Client(address) as connected:
        yield connected


def frames(answers: Iterator[FeatureFrame | Exception]) -> list[FeatureFrame]:
    """Return answers that must all be there."""
    found = list(answers)
    assert all(isinstance(one, FeatureFrame) for one in found), found
    return [one for one in found if isinstance(one, FeatureFrame)]


def test_a_stream_answers_as_single_calls_do(client: Client) -> None:
    """Five hundred questions of one to three entities: the same tables, ages and versions, in the order asked."""
    questions = [{"asset_id": [f"p{(i + j) % 120}" for j in range(1 + i % 3)]} for i in range(500)]

    streamed = frames(client.stream("health", questions))

    single = [client.features("health", question) for question in questions[:20]]
    assert [frame.table[RMS].to_pylist()[0] for frame in streamed] == [
        float(i % 120) if i % 120 < 100 else None for i in range(500)
    ]
    for ours, theirs in zip(streamed, single, strict=False):
        assert ours.table.equals(theirs.table)
        assert ours.ages["pumps"].tolist() == theirs.ages["pumps"].tolist()
        assert ours.view_versions == theirs.view_versions


def test_a_refused_question_is_answered_by_its_error_and_ends_nothing(client: Client) -> None:
    """What, where and how to mend it arrive in its place; the questions after it are answered."""
    questions: list[Mapping[str, Sequence[str]]] = [{"asset_id": ["p1"]}, {"wrong_key": ["p1"]}, {"asset_id": ["p2"]}]

    first, refused, last = client.stream("health", questions)

    assert isinstance(refused, InputError)
    assert "asset_id" in refused.what
    assert refused.fix
    assert [one.table[RMS].to_pylist() for one in (first, last) if isinstance(one, FeatureFrame)] == [[1.0], [2.0]]


def test_questions_of_one_message_are_answered_each_by_itself(address: str) -> None:
    """A wrong one, those beyond the most, one that holds others, and good ones between: an answer each, in order."""

    def question(number: int, key: str = "asset_id") -> features_pb2.StreamFeaturesRequest:
        entities = convert.entities_to(Keys({key: [f"p{number}"]}))
        asked = features_pb2.GetFeaturesRequest(feature_service="health", entities=entities)
        return features_pb2.StreamFeaturesRequest(number=number, request=asked)

    message = question(0)
    message.also.extend([question(1), question(2, "wrong_key"), *(question(n) for n in range(3, MOST + 2))])
    message.also[4].also.append(question(99))
    with grpc.insecure_channel(address) as channel:
        (reply,) = features_pb2_grpc.FeatureServiceStub(channel).StreamFeatures(iter([message]))

    answers = list(apart([reply]))
    refused = {one.number: one.refusal for one in answers if one.WhichOneof("result") == "refusal"}
    assert [one.number for one in answers] == list(range(MOST + 2))
    assert sorted(refused) == [2, 5, MOST, MOST + 1]
    assert "questions in one message" in refused[MOST].what == refused[5].what
    assert all(refusal.fix for refusal in refused.values())


def test_an_unknown_service_is_refused_each_time(client: Client) -> None:
    """A service that is not there is a refusal of each question, not of the stream."""
    answers = list(client.stream("nothing", [{"asset_id": ["p1"]}] * 3))

    assert [type(answer) for answer in answers] == [NotFoundError] * 3


def test_questions_may_wait_for_answers(client: Client) -> None:
    """A caller that asks the next only when it has the last is not kept waiting for more questions."""
    gate = threading.Semaphore(1)

    def one_at_a_time() -> Iterator[Mapping[str, Sequence[str]]]:
        for i in range(50):
            assert gate.acquire(timeout=10.0)
            yield {"asset_id": [f"p{i}"]}

    seen = []
    for answer in client.stream("health", one_at_a_time()):
        assert isinstance(answer, FeatureFrame)
        seen.append(answer.table[RMS].to_pylist()[0])
        gate.release()

    assert seen == [float(i) for i in range(50)]


def test_a_stream_to_nowhere_fails_with_a_remedy() -> None:
    """Where no server listens the stream raises, as a call does."""
    with Client("127.0.0.1:1") as nobody, pytest.raises(UnavailableError) as caught:
        list(nobody.stream("health", [{"asset_id": ["p1"]}]))

    assert caught.value.fix


def test_streams_leave_room_for_single_calls(address: str) -> None:
    """The stream too many is refused with a remedy; single calls and open streams go on; afterwards it may come."""
    over = threading.Event()

    def questions() -> Iterator[Mapping[str, Sequence[str]]]:
        yield {"asset_id": ["p1"]}
        over.wait(10.0)

    with Client(address) as client:
        open_ones = [client.stream("health", questions()) for _ in range(Limits().max_streams)]
        firsts = [next(stream) for stream in open_ones]
        with pytest.raises(RateError, match=f"{Limits().max_streams} streams already") as caught:
            next(client.stream("health", questions()))
        alone = client.features("health", asset_id=["p2"]).table[RMS].to_pylist()
        over.set()
        rest = [list(stream) for stream in open_ones]
        again = frames(client.stream("health", [{"asset_id": ["p3"]}]))

    assert len(frames(iter(firsts))) == Limits().max_streams
    assert caught.value.fix
    assert alone == [2.0]
    assert rest == [[]] * len(open_ones)
    assert again[0].table[RMS].to_pylist() == [3.0]
