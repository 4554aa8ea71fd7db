"""Sentinels name the primary: which of them is believed, what a URL says, and what happens when they do not answer."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lineshaft.drills.fleets import Fleet, free_ports, until
from lineshaft.errors import UnavailableError
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.key_changes import KeyChanges
from lineshaft.stores.links import servers_of
from lineshaft.stores.redis_link import Place, RedisLink
from lineshaft.stores.sentinel import Sentinels

LONG_S = 5.0


@contextmanager
def sentinel(place: Place | None, *, epoch: int = 0, silent: bool = False) -> Iterator[RedisLink]:
    """Answer as a sentinel that knows a primary does, and yield a link to it."""

    class Answer(socketserver.StreamRequestHandler):
        """One connection: two questions, two answers."""

        def handle(self) -> None:
            """Answer until the other end hangs up."""
            while line := self.rfile.readline():
                if silent or (b"GET-MASTER" not in line and not line.startswith(b"MASTER")):
                    continue
                if place is None:
                    words = b"*-1\r\n" if b"GET-MASTER" in line else b"-ERR No such master with that name\r\n"
                elif b"GET-MASTER" in line:
                    words = b"*2\r\n" + bulk(place.host) + bulk(str(place.port))
                else:
                    words = b"*2\r\n" + bulk("config-epoch") + bulk(str(epoch))
                self.wfile.write(words)

    class Server(socketserver.ThreadingTCPServer):
        """A server that ends with its test."""

        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        link = RedisLink(f"redis://127.0.0.1:{server.server_address[1]}")
        yield link
        link.close()
        server.shutdown()


def bulk(text: str) -> bytes:
    """Return a bulk string of RESP."""
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


def named(*links: RedisLink, budget_s: float = LONG_S) -> Place:
    """Return whom sentinels name."""
    return Sentinels(links, name="line", changed=lambda: None).primary(budget_s)


OLD, NEW = Place("10.0.0.1", 6379), Place("10.0.0.2", 6379)


def test_of_what_sentinels_say_the_latest_vote_counts() -> None:
    """One that was cut off and names the primary of before is outvoted by its number, whoever answers first."""
    with sentinel(OLD, epoch=9) as one, sentinel(NEW, epoch=10) as two:
        assert named(one, two) == named(two, one) == NEW


def test_a_silent_sentinel_is_not_waited_for_when_most_have_spoken() -> None:
    """Two of three are enough, at once."""
    with sentinel(NEW, epoch=1) as one, sentinel(None, silent=True) as two, sentinel(NEW, epoch=1) as three:
        start = time.monotonic()
        assert named(one, two, three) == NEW
        assert time.monotonic() - start < LONG_S / 2


def test_the_last_sentinel_left_is_believed() -> None:
    """Where most are silent the one that speaks is heard when the time is over; a serving process must go on."""
    with sentinel(None, silent=True) as one, sentinel(NEW, epoch=1) as two, sentinel(None, silent=True) as three:
        assert named(one, two, three, budget_s=0.2) == NEW


def test_sentinels_that_know_no_such_name_say_so() -> None:
    """A wrong name in the URL is told apart from a server that is away."""
    with sentinel(None) as one, pytest.raises(UnavailableError, match="no sentinel names the primary of 'line'"):
        named(one)


def test_user_password_and_database_are_the_primarys_and_sentinels_have_their_own(tmp_path: Path) -> None:
    """A password of the one is not shown to the other; both are asked for theirs."""
    data, watcher = free_ports(2)
    fleet = Fleet(folder=tmp_path)
    with ExitStack() as stack:
        stack.callback(fleet.end)
        (tmp_path / "sentinel.conf").write_text(
            f"port {watcher}\nrequirepass w@tch\n"
            f"sentinel monitor line 127.0.0.1 {data} 1\nsentinel auth-pass line d@ta\n"
        )
        fleet.start(data, "--port", str(data), "--requirepass", "d@ta", "--save", "", password="d@ta")
        fleet.start(watcher, str(tmp_path / "sentinel.conf"), "--sentinel", password="w@tch")
        url = f"redis+sentinel://:d%40ta@127.0.0.1:{watcher}/line/3"

        servers = servers_of(f"{url}?sentinel_password=w%40tch")
        stack.callback(servers.close)

        until(lambda: servers.call("SET", "a", "1", budget_s=1.0) == b"OK", what="a write")
        assert b"db=3" in servers.call("CLIENT", "LIST", budget_s=LONG_S)
        with pytest.raises(UnavailableError):
            servers_of(url).call("PING", budget_s=LONG_S)


@pytest.mark.parametrize("url", ["redis+sentinel://h:1", "redis+sentinel:///line", "redis+sentinel://h:1/"])
def test_a_url_that_lacks_a_part_is_refused_with_the_forms_there_are(url: str) -> None:
    """No name, or no sentinel: the fault names the right form."""
    with pytest.raises(UnavailableError) as caught:
        servers_of(url)
    assert "redis+sentinel://host:port,host:port/name/0" in (caught.value.fix or "")


class Sign:
    """Points at one server, until it is turned."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def heed(self, budget_s: float) -> None:
        """Say nothing of its own accord."""

    def dial(self, connection: Any, budget_s: float) -> None:
        """Connect to where it points."""
        connection.path = str(self.path)
        connection.connect()

    def close(self) -> None:
        """Hold nothing."""


def test_a_write_that_a_demoted_primary_refuses_goes_to_the_next(tmp_path: Path) -> None:
    """READONLY on a connection made earlier means that another is the primary now: it is looked up, and written to."""
    with EmbeddedValkey(tmp_path / "one") as one, EmbeddedValkey(tmp_path / "two") as two:
        link, sign = RedisLink(one.url), Sign(one.socket_path)
        link.follow(sign)
        link.run(lambda s: s.call("SET", "a", "1"), budget_s=LONG_S)
        link.run(lambda s: s.call("REPLICAOF", "127.0.0.1", "1"), budget_s=LONG_S)
        sign.path = two.socket_path

        link.run(lambda s: s.call("SET", "a", "2"), budget_s=LONG_S)

        plain = RedisLink(two.url)
        assert plain.run(lambda s: s.call("GET", "a"), budget_s=LONG_S) == b"2"
        plain.close()
        link.close()


def test_connections_in_use_end_when_another_server_is_the_right_one(tmp_path: Path) -> None:
    """Whoever waits for a reply of the old primary is let go, and asks the new one within the same call."""
    with EmbeddedValkey(tmp_path / "one") as one, EmbeddedValkey(tmp_path / "two") as two:
        link, sign = RedisLink(one.url), Sign(one.socket_path)
        link.follow(sign)
        link.run(lambda s: s.call("PING"), budget_s=LONG_S)
        sign.path = two.socket_path
        threading.Timer(0.2, link.hang_up).start()
        start = time.monotonic()

        popped = link.run(lambda s: s.call("BLPOP", "nothing", 2), budget_s=LONG_S)

        assert popped is None
        assert time.monotonic() - start > 2.1  # 0.2 s of the first, 2 s of the second
        link.close()


def test_a_replica_that_is_still_named_is_not_talked_to(tmp_path: Path) -> None:
    """A server has to say itself that it is the primary: a demoted one, or one not promoted yet, is refused."""
    fleet, (port,) = Fleet(folder=tmp_path), free_ports(1)
    with ExitStack() as stack:
        stack.callback(fleet.end)
        fleet.start(port, "--port", str(port), "--save", "", "--replicaof", "127.0.0.1 1")
        named_one = stack.enter_context(sentinel(Place("127.0.0.1", port), epoch=1))
        link = RedisLink("redis://primary")
        link.follow(Sentinels([named_one], name="line", changed=link.hang_up))
        stack.callback(link.close)

        with pytest.raises(UnavailableError, match="is not the primary"):
            link.run(lambda s: s.call("PING"), budget_s=LONG_S)
        fleet.ask(port, "REPLICAOF", "NO", "ONE")

        assert link.run(lambda s: s.call("PING"), budget_s=LONG_S) == b"PONG"


def test_a_connection_under_way_while_the_primary_changes_is_not_used(tmp_path: Path) -> None:
    """It was dialled by what was known before: it ends like those that were there already."""
    with EmbeddedValkey(tmp_path / "one") as one:
        link = RedisLink(one.url)

        class Turning(Sign):
            """Hears of another primary while it dials."""

            def dial(self, connection: Any, budget_s: float) -> None:
                """Connect, a moment too late."""
                super().dial(connection, budget_s)
                link.hang_up()

        link.follow(Turning(one.socket_path))

        with pytest.raises(UnavailableError, match="cannot be reached"):
            link.run(lambda s: s.call("PING"), budget_s=LONG_S)
        link.close()


def test_who_only_listens_for_changes_is_let_go_too(tmp_path: Path) -> None:
    """A sign of life is also the moment to hear of another primary: the old one may be well, and say nothing new."""
    with EmbeddedValkey(tmp_path / "one") as one:
        link = RedisLink(one.url)

        class Heard(Sign):
            """Hears of another primary as soon as it is asked."""

            def heed(self, budget_s: float) -> None:
                """End what leads to the old one."""
                link.hang_up()

        changes = KeyChanges(link, prefix_of=lambda _: b"", changed=lambda: None)
        link.follow(Heard(one.socket_path))

        with suppress(UnavailableError):  # the sign of life may not go out any more
            changes.beat()
        with pytest.raises(UnavailableError):
            changes.poll()
        changes.close()
        link.close()
