"""What happens to callers as time goes: tokens end, streams with them, who asks too often waits, denials are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest

from lineshaft.access.denials import Denials, recorded
from lineshaft.access.guard import Guard
from lineshaft.access.principal import Principal, Role, grants_of
from lineshaft.access.rates import Rates
from lineshaft.access.tokens import Tokens
from lineshaft.clock import SystemClock
from lineshaft.errors import ForbiddenError, NotFoundError, RateError, UnauthenticatedError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tokens import TokenRegister
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.convert import entities_to
from lineshaft.serving.door import Door
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.interceptors import RETRY_KEY
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

HOUR_US = 3_600_000_000
SEEN_S = 1.3
"""A server reads its tokens once a second."""
CLOCK = SystemClock()
PUMPS = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
USED = ServiceView(view="pumps", version=PUMPS.version, features=("rms",))
OURS = Service(name="ours", views=(USED,), team="vibration")
SHARED = Service(name="shared", views=(), team="power", readers=("vibration",))


def handlers() -> Handlers:
    """Return handlers of two services; there is no row of either."""
    plans = Plans(catalog=FixedCatalog(all_views=(PUMPS,), all_services=(OURS, SHARED)), refresh_s=600.0)
    return Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=MemoryOnlineStore(), clock=CLOCK),
        training=TrainingSetHandler(plans=plans, offline=MemoryOfflineStore()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A guarded server and its tokens."""

    address: str
    register: TokenRegister
    folder: Path

    def token(self, *grants: str, lives_us: int = HOUR_US) -> tuple[str, str]:
        """Return a new token's id and secret."""
        token, secret = self.register.create("t", grants_of(grants), lives_us=lives_us, actor="test")
        return token.id, secret


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve to those who have a token in a real database."""
    folder = tmp_path_factory.mktemp("access")
    url = f"sqlite:///{folder}/registry.db"
    upgrade(url)
    mine, servers = (TokenRegister(url, project="plant", clock=CLOCK) for _ in range(2))
    tokens, denials = Tokens(servers, clock=CLOCK), Denials(folder / "audit", clock=CLOCK)
    guard = Guard(tokens=tokens, denials=denials)
    with background_server(handlers(), door=Door(guard=guard)) as address:
        yield Place(address=address, register=mine, folder=folder)
    tokens.close()
    mine.close()
    servers.close()


def questions() -> Iterator[dict[str, list[str]]]:
    """Ask for ever."""
    while True:
        yield {"asset_id": ["p0"]}


def ends(client: Client, answers: Iterator[Any], *, within_s: float, why: str) -> None:
    """Check that a stream and a call both end for a reason, in time; questions are answered until then."""
    start = time.monotonic()
    with pytest.raises(UnauthenticatedError, match=why):
        assert all(isinstance(answer, NotFoundError) and time.monotonic() - start < within_s for answer in answers)
    with pytest.raises(UnauthenticatedError, match=why):
        client.services()


def test_a_revoked_token_is_refused_within_two_seconds_also_on_an_open_stream(place: Place) -> None:
    """What began before does not outlive it."""
    identity, secret = place.token("vibration:reader")
    time.sleep(SEEN_S)
    with Client(place.address, token=secret) as client:
        answers = client.stream("no service of that name", questions())
        next(answers)
        assert len(client.services()) == 2
        place.register.revoke(identity, actor="test")
        ends(client, answers, within_s=2.0, why="is revoked")


def test_a_token_ends_at_its_time_also_on_an_open_stream(place: Place) -> None:
    """To the moment: nothing has to be read for it."""
    _, secret = place.token("vibration:reader", lives_us=2_000_000)
    time.sleep(SEEN_S)
    with Client(place.address, token=secret) as client:
        answers = client.stream("no service of that name", questions())
        next(answers)
        ends(client, answers, within_s=1.0, why="is expired")


def test_a_watch_ends_with_its_token_and_with_its_right_to_read(place: Place) -> None:
    """Before the next word: a sign of life is refused too, and nothing is answered to who may not read any more."""
    identity, secret = place.token("vibration:reader")
    time.sleep(SEEN_S)
    with Client(place.address, token=secret) as client:
        answers = client.watch("ours", {"asset_id": ["p0"]}, heartbeat_s=0.2)
        next(answers)
        place.register.revoke(identity, actor="test")
        start = time.monotonic()
        with pytest.raises(UnauthenticatedError, match="is revoked"):
            next(answers)
        assert time.monotonic() - start < 2.0


def test_what_another_team_shares_is_listed_and_nothing_else(place: Place) -> None:
    """The owner names the teams; a role in another team shows nothing."""
    cases = {"vibration:reader": ["ours", "shared"], "power:reader": ["shared"], "x:admin": []}
    secrets = {grant: place.token(grant)[1] for grant in cases}
    time.sleep(SEEN_S)
    for grant, names in cases.items():
        with Client(place.address, token=secrets[grant]) as client:
            assert [service.name for service in client.services()] == names


def test_denials_are_written_down_without_what_was_shown(place: Place) -> None:
    """Who, from where, what and why; no part of a token."""
    (gone, revoked), (known, stranger), unknown = place.token("x:admin"), place.token("x:admin"), "lst_" + "A" * 43
    place.register.revoke(gone, actor="test")
    time.sleep(SEEN_S)
    for secret, error in ((revoked, UnauthenticatedError), (unknown, UnauthenticatedError), (stranger, ForbiddenError)):
        with Client(place.address, token=secret) as client, pytest.raises(error):
            client.features("ours", asset_id=["p0"])

    text = "".join(file.read_text() for file in (place.folder / "audit").iterdir())
    told = {
        (one.who, one.peer, one.what.rpartition("/")[2], one.why) for one in recorded(place.folder / "audit", most=1000)
    }
    assert not [secret for secret in (revoked, unknown, stranger) if secret in text or secret[4:] in text]
    assert ("", "ipv4:127.0.0.1", "GetFeatures", "LS-AUT nobody knows this token") in told
    assert ("", "ipv4:127.0.0.1", "GetFeatures", f"LS-AUT token {gone} is revoked") in told
    who = f"service token {known}, made by test (t)"
    why = f"LS-FOR {who} may not read 'ours', which belongs to team 'vibration'"
    assert (who, "ipv4:127.0.0.1", "GetFeatures", why) in told


class Two:
    """Knows whoever has a secret, by that."""

    def principal(self, secret: str) -> Principal:
        """Return who it is."""
        return Principal(name=secret, grants={"vibration": Role.READER})


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    """Each token by itself; each question of a stream counts; the wait is told as gRPC's own retries read it."""
    denials = Denials(tmp_path / "audit", clock=CLOCK)
    guard = Guard(tokens=Two(), rates=Rates(per_s=0.5, burst=3), denials=denials)
    with (
        background_server(handlers(), door=Door(guard=guard)) as address,
        Client(address, token="lst_ana") as ana,
        Client(address, token="lst_ben") as ben,
    ):
        assert [len(ana.services()) for _ in range(3)] == [2, 2, 2]
        with pytest.raises(RateError, match=r"more than 0\.5 calls a second") as refused:
            ana.services()
        assert 1000 < refused.value.retry_ms <= 2001
        assert len(ben.services()) == 2
        first, second = ben.stream("no service of that name", [{"asset_id": ["p0"]}] * 2)
    assert isinstance(first, NotFoundError)
    assert isinstance(second, RateError)
    assert [one.who for one in recorded(tmp_path / "audit", most=10)] == ["lst_ana", "lst_ben"]


def test_who_may_be_told_less_often_than_things_change_is_told_the_newest(tmp_path: Path) -> None:
    """A watch is no way around a rate: its words wait for their turn, and the stream lives on."""
    guard = Guard(tokens=Two(), rates=Rates(per_s=2.0, burst=1), denials=Denials(tmp_path, clock=CLOCK))
    shown = (("authorization", "bearer lst_ana"),)
    request = features_pb2.WatchFeaturesRequest(
        request=features_pb2.GetFeaturesRequest(
            feature_service="ours", entities=entities_to(pa.table({"asset_id": ["p0"]}))
        ),
        heartbeat_us=100_000,
    )
    with background_server(handlers(), door=Door(guard=guard)) as address, grpc.insecure_channel(address) as channel:
        call = features_pb2_grpc.FeatureServiceStub(channel).WatchFeatures(request, metadata=shown)
        start = time.monotonic()
        words = [next(call).HasField("response") for _ in range(4)]
        took = time.monotonic() - start
        call.cancel()

    assert words == [True, False, False, False]
    assert took >= 3 / 2.0 - 0.1


def test_the_wait_is_told_to_callers_in_any_language(tmp_path: Path) -> None:
    """RESOURCE_EXHAUSTED, with the metadata that gRPC's retries read."""
    guard = Guard(tokens=Two(), rates=Rates(per_s=0.5, burst=1), denials=Denials(tmp_path, clock=CLOCK))
    shown, request = (("authorization", "bearer lst_ana"),), features_pb2.ListFeatureServicesRequest()
    with background_server(handlers(), door=Door(guard=guard)) as address, grpc.insecure_channel(address) as channel:
        stub = features_pb2_grpc.FeatureServiceStub(channel)
        stub.ListFeatureServices(request, metadata=shown)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListFeatureServices(request, metadata=shown)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 1000 < int(dict(refused.value.trailing_metadata())[RETRY_KEY]) <= 2001


def test_without_a_guard_nobody_is_asked() -> None:
    """As it is on one's own machine: the address is local, and everything is there."""
    with background_server(handlers()) as address, Client(address) as client:
        assert [service.name for service in client.services()] == ["ours", "shared"]
