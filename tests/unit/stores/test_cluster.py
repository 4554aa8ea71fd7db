"""A cluster's keys are found where they are, also while they move, and all servers are asked at once."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from lineshaft.clock import SystemClock
from lineshaft.drills.fleets import Shared, shared, until
from lineshaft.errors import UnavailableError
from lineshaft.stores.cluster_map import slot_of
from lineshaft.stores.exchange import Node, Talk, together
from lineshaft.stores.links import servers_of
from lineshaft.stores.online_report import online_report
from lineshaft.stores.redis_link import Place, RedisLink, packed
from lineshaft.stores.servers import PartlyAwayError, Servers

LONG_S = 5.0
KEYS = [b"k%d" % i for i in range(300)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Start three servers that share the keys."""
    with shared(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def servers(fleet: Shared) -> Iterator[Servers]:
    """Return an empty cluster."""
    for port in fleet.primaries:
        fleet.fleet.ask(port, "FLUSHALL")
        fleet.fleet.ask(port, "SCRIPT", "FLUSH")
    found = servers_of(fleet.url)
    yield found
    found.close()


def fill(servers: Servers) -> None:
    """Store each key's own name under it."""
    for key in KEYS:
        servers.call("SET", key, key, budget_s=LONG_S)


def holder_of(fleet: Shared, key: bytes) -> int:
    """Return the port of the server that holds a key's slot."""
    size = 16384 // len(fleet.primaries) + 1
    return fleet.primaries[slot_of(key) // size]


@contextmanager
def moving(fleet: Shared, key: bytes) -> Iterator[int]:
    """Have a key's slot on its way to another server, whose port is yielded; it goes back at the end."""
    source = holder_of(fleet, key)
    target = next(port for port in fleet.primaries if port != source)
    carry(fleet, key, source, target)
    yield target
    if settled(fleet, target, slot_of(key), target):
        carry(fleet, key, target, source)
    give(fleet, key, source)
    until(lambda: all(settled(fleet, port, slot_of(key), source) for port in fleet.primaries), what="the slot is back")


def carry(fleet: Shared, key: bytes, source: int, target: int) -> None:
    """Put a slot on its way from one server to another, one key of it ahead."""
    slot, ask = slot_of(key), fleet.fleet.ask
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", fleet.identity(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", fleet.identity(target))
    ask(source, "MIGRATE", "127.0.0.1", target, key.decode(), 0, 1000)


def give(fleet: Shared, key: bytes, target: int) -> None:
    """Tell every server that a slot has arrived, the one that has it first."""
    for port in (target, *fleet.primaries):
        fleet.fleet.ask(port, "CLUSTER", "SETSLOT", slot_of(key), "NODE", fleet.identity(target))


def redirections(fleet: Shared, port: int) -> str:
    """Return how often a server has sent somebody elsewhere for good."""
    errors = fleet.fleet.ask(port, "INFO", "errorstats").decode()
    return str(errors.partition("errorstat_MOVED:count=")[2].partition("\r")[0])


def settled(fleet: Shared, port: int, slot: int, holder: int) -> bool:
    """Tell whether a server knows that another holds a slot."""
    ranges = fleet.fleet.ask(port, "CLUSTER", "SLOTS")
    return any(first <= slot <= last and named[1] == holder for first, last, named, *_ in ranges)


def test_the_slots_of_keys_are_those_of_the_servers(fleet: Shared) -> None:
    """Braces and all: whatever a machine is called, its key is looked for where the servers put it."""
    names = ["a", "", "{a}b", "b{a}", "{}a", "{a", "a}b", "{{a}}", "a{b}{c}", "ü{ö}", "x" * 900]

    asked = [fleet.fleet.ask(fleet.primaries[0], "CLUSTER", "KEYSLOT", name) for name in names]

    assert [slot_of(name.encode()) for name in names] == asked


def test_values_come_in_the_order_asked_from_all_servers(fleet: Shared, servers: Servers) -> None:
    """Some hundred keys of three servers, known and unknown ones, twice the same."""
    fill(servers)
    asked = [*reversed(KEYS), b"nobody", KEYS[0], KEYS[0]]

    values = servers.values(asked, budget_s=LONG_S)

    assert values == [*reversed(KEYS), None, KEYS[0], KEYS[0]]
    assert len({holder_of(fleet, key) for key in KEYS}) == 3


def test_a_key_that_is_moving_is_asked_for_where_it_went(fleet: Shared, servers: Servers) -> None:
    """ASK: the key is on the other server already, its slot not yet; the next key of that slot may not be."""
    fill(servers)
    with moving(fleet, KEYS[0]):
        assert servers.values(KEYS, budget_s=LONG_S) == KEYS
        assert servers.call("SET", KEYS[0], "new", budget_s=LONG_S) == b"OK"
        assert servers.values(KEYS[:2], budget_s=LONG_S) == [b"new", KEYS[1]]


def test_a_slot_that_moved_is_followed_and_remembered(fleet: Shared, servers: Servers) -> None:
    """MOVED: asked for again at its new place within the call; the map is asked for anew."""
    fill(servers)
    with moving(fleet, KEYS[0]) as target:
        give(fleet, KEYS[0], target)

        assert servers.values(KEYS, budget_s=LONG_S) == KEYS
        assert servers.values(KEYS, budget_s=LONG_S) == KEYS
        before = redirections(fleet, holder_of(fleet, KEYS[0]))
        assert servers.values(KEYS, budget_s=LONG_S) == KEYS
        assert redirections(fleet, holder_of(fleet, KEYS[0])) == before != ""


def test_keys_are_not_listed_while_slots_move(fleet: Shared, servers: Servers) -> None:
    """A list that may lack keys, or have some twice, is refused: a digest of it would say something wrong."""
    fill(servers)
    with moving(fleet, KEYS[0]) as target:
        listing = servers.scan(b"k*", step_s=LONG_S)
        next(listing)
        give(fleet, KEYS[0], target)

        with pytest.raises(UnavailableError, match="moved while"):
            list(listing)


def test_slots_without_a_server_are_away_and_the_others_are_not(fleet: Shared, servers: Servers) -> None:
    """A slot that nobody holds is missing from the answer; the values beside it are there."""
    fill(servers)
    slot = slot_of(KEYS[0])
    for port in fleet.primaries:
        fleet.fleet.ask(port, "CLUSTER", "DELSLOTS", slot)

    with pytest.raises(PartlyAwayError) as caught:
        servers.values(KEYS[:9], budget_s=LONG_S)
    with pytest.raises(UnavailableError, match="1 of 1 keys"):
        servers.call("SET", KEYS[0], "x", budget_s=LONG_S)

    assert caught.value.away == [True] + [False] * 8
    assert caught.value.values == [None, *KEYS[1:9]]
    fleet.fleet.ask(holder_of(fleet, KEYS[0]), "CLUSTER", "ADDSLOTS", slot)
    until(lambda: all(settled(fleet, port, slot, holder_of(fleet, KEYS[0])) for port in fleet.primaries), what="whole")


def test_a_refusal_is_told_and_no_reply_is_mistaken_for_another(servers: Servers) -> None:
    """A wrong command fails by its own words, and the connections go on in order."""
    fill(servers)

    with pytest.raises(UnavailableError, match="WRONGTYPE"):
        servers.call("SADD", KEYS[0], "x", budget_s=LONG_S)

    assert servers.values(KEYS, budget_s=LONG_S) == KEYS


def test_a_report_speaks_for_all_servers(fleet: Shared) -> None:
    """Sums over the servers, and how many there are."""
    report = online_report(fleet.url, project="dev", clock=SystemClock(), timeout_s=LONG_S)

    assert report.server.endswith("3 primaries")
    assert report.used_bytes > 3 * 500_000
    assert not report.filled


def test_a_map_comes_from_whoever_is_left(fleet: Shared) -> None:
    """Seeds that are away, and hosts that never were, do not matter while one answers."""
    one = fleet.primaries[1]
    found = servers_of(f"redis+cluster://127.0.0.1:1,127.0.0.1:{one}")

    assert found.call("PING", "x", budget_s=LONG_S) == b"x"
    found.close()
    with pytest.raises(UnavailableError, match="no server of the cluster"):
        servers_of("redis+cluster://127.0.0.1:1").call("PING", "x", budget_s=LONG_S)


def test_what_is_under_way_when_all_is_closed_is_closed_when_it_comes_back(fleet: Shared) -> None:
    """Somebody may be asking for the map in the background: his connection is not kept for a next one."""
    link = RedisLink(f"redis://127.0.0.1:{fleet.primaries[0]}")
    session = link.take(time.monotonic() + LONG_S)
    assert session.call("PING") == b"PONG"

    link.close()
    link.give_back(session)

    assert not link.connected
    with pytest.raises(OSError, match="Bad file descriptor"):
        session.call("PING")


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://h:1/3", "redis+cluster://h:x"])
def test_a_url_of_no_cluster_is_refused_with_the_forms_there_are(url: str) -> None:
    """No host, a database, or no port: the fault names the right form."""
    with pytest.raises(UnavailableError) as caught:
        servers_of(url)
    assert "redis+cluster://host:port,host:port" in caught.value.fix


class Slow(socketserver.StreamRequestHandler):
    """Answers each request after a while."""

    delay_s = 0.3

    def handle(self) -> None:
        """Take a request of one key, wait, answer."""
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked did not wait
            while self.rfile.readline():
                for _ in range(4):
                    self.rfile.readline()
                time.sleep(self.delay_s)
                self.wfile.write(b"+late\r\n")


class Server(socketserver.ThreadingTCPServer):
    """A server that ends with its test."""

    daemon_threads = True
    block_on_close = False


def talks_with(stack: ExitStack, number: int) -> list[Talk]:
    """Return talks of one command each with slow servers."""
    talks = []
    for _ in range(number):
        server = stack.enter_context(Server(("127.0.0.1", 0), Slow))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        stack.callback(server.shutdown)
        host, port = server.server_address[:2]
        link = RedisLink(f"redis://{host!s}:{port}")
        stack.callback(link.close)
        talks.append(Talk(node=Node(Place("x", port), link), commands=[packed("GET", "a")]))
    return talks


def test_several_servers_take_as_long_as_the_slowest_of_them() -> None:
    """All are asked before any is waited for: one round trip, however many there are."""
    with ExitStack() as stack:
        talks, start = talks_with(stack, 4), time.monotonic()

        together(talks, deadline=start + LONG_S)

        assert [talk.replies for talk in talks] == [[b"late"]] * 4
        assert time.monotonic() - start < 2.5 * Slow.delay_s


def test_whoever_is_late_costs_the_others_nothing() -> None:
    """When the time is over, those that answered are done, and the connection to the other is dropped."""
    with ExitStack() as stack:
        quick, late = talks_with(stack, 2)
        late.commands = [packed("GET", "a")] * 5
        start = time.monotonic()

        together([late, quick], deadline=start + 2.5 * Slow.delay_s)

        assert quick.done
        assert (late.done, late.late, len(late.replies) < 5) == (False, True, True)
        assert time.monotonic() - start < 3.5 * Slow.delay_s
        assert (quick.node.link.connected, late.node.link.connected) == (True, False)


def test_a_server_at_rest_is_tried_by_one() -> None:
    """After a failure nobody asks for a moment, then one does; an answer lets all ask."""
    node = Node(Place("x", 1), RedisLink("redis://127.0.0.1:1"))
    node.failed()

    assert not node.free()
    time.sleep(0.25)
    assert (node.free(), node.free()) == (True, False)
    node.answered()
    assert (node.free(), node.free()) == (True, True)
