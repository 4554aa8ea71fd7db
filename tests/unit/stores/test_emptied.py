"""A server that was full and is not any more is not believed when it calls a row missing."""

from __future__ import annotations

import gc
import weakref

from lineshaft.errors import UnavailableError
from lineshaft.stores.emptied import Emptied
from lineshaft.stores.online_redis import RedisOnlineStore


class Server:
    """A server that has the mark or has not, may not answer, and counts who asks."""

    def __init__(self) -> None:
        self.marked, self.away, self.asked, self.now_s = False, False, 0, 100.0

    def __call__(self) -> bool:
        """Return the mark."""
        self.asked += 1
        if self.away:
            raise UnavailableError("away", fix="wait")
        return self.marked


def test_a_server_that_was_never_full_is_believed_and_asked_once() -> None:
    """Who never marks is not held to it, before a loss and after one."""
    server = Server()
    emptied = Emptied(server, clock=lambda: server.now_s)

    before = [emptied(), emptied()]
    emptied.doubt()

    assert before == [False, False]
    assert not emptied()
    assert server.asked == 2


def test_a_mark_that_is_gone_is_missed_until_it_is_back() -> None:
    """Full, emptied, being filled, full: believed, not, not, believed."""
    server = Server()
    server.marked = True
    emptied = Emptied(server, clock=lambda: server.now_s)
    full = emptied()
    server.marked = False
    emptied.doubt()

    lost = [emptied(), emptied()]
    asked = server.asked
    server.marked = True
    server.now_s += 0.2

    assert not full
    assert lost == [True, True]
    assert asked == 2  # the second of them did not ask again so soon
    assert not emptied()


def test_where_the_mark_cannot_be_asked_for_a_server_that_was_full_is_not_believed() -> None:
    """Nobody knows then; one that was never full is believed, and none of them fails the read."""
    server = Server()
    emptied = Emptied(server, clock=lambda: server.now_s)
    server.away = True
    never_full = emptied()
    server.away, server.marked = False, True
    emptied()
    emptied.doubt()
    server.away = True

    assert not never_full
    assert emptied()


def test_a_mark_made_later_is_learnt() -> None:
    """A process that was there before the server was full knows of it in time, and asks seldom."""
    server = Server()
    emptied = Emptied(server, clock=lambda: server.now_s)
    emptied.learn()
    server.marked = True
    emptied.learn()
    soon = server.asked
    server.now_s += 6.0
    emptied.learn()
    server.marked = False
    emptied.doubt()

    assert soon == 1
    assert emptied()


def test_a_server_that_does_not_answer_is_asked_another_time() -> None:
    """Learning never fails."""
    server = Server()
    server.away = True
    emptied = Emptied(server, clock=lambda: server.now_s)

    emptied.learn()
    server.away, server.marked = False, True
    server.now_s += 6.0
    emptied.learn()

    assert server.asked == 2


def test_a_store_that_nobody_holds_is_gone_at_once() -> None:
    """What watches over a store does not hold it: its connections would stay open until memory is swept."""
    gc.disable()
    try:
        store = RedisOnlineStore("redis://127.0.0.1:1", project="p")
        seen = weakref.ref(store)
        del store
        assert seen() is None
    finally:
        gc.enable()
