"""A Redis cluster: servers that share the keys by slots, each asked for its own, all at once.

Every command names one key: a cluster refuses those that name keys of several slots, even where one server holds them
all. A key that moved is followed to where it is now, and the servers are asked for their map again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import hiredis

from lineshaft.errors import UnavailableError
from lineshaft.stores.cluster_map import ClusterMap, asked, place, slot_of
from lineshaft.stores.exchange import Node, Talk, together
from lineshaft.stores.one_server import IF_UNCHANGED, SCRIPT, SHA
from lineshaft.stores.online_rows import Packed
from lineshaft.stores.redis_link import Place, RedisLink, Session, packed, refused
from lineshaft.stores.replacement import Swap
from lineshaft.stores.servers import PartlyAwayError, scanned
from lineshaft.stores.votes import latest
from lineshaft.stores.watch import Watch

T = TypeVar("T")

AWAY = object()
"""Stands where a reply would: the server that should give it cannot be asked, or not now."""
_MOST_ROUNDS = 5
_MOST_ASKED = 5
_PATIENCE_S = 0.02
_ASKING = packed("ASKING")
_LOAD = packed("SCRIPT", "LOAD", SCRIPT)
_NOT_NOW = ("CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "LOADING")


class Cluster:
    """`Servers` that share the keys. `link_of` makes connections to a server; `seeds` are some of them."""

    def __init__(
        self, seeds: Sequence[Place], *, link_of: Callable[[Place], RedisLink], where: str, lease_s: float = 1.0
    ) -> None:
        self._seeds = seeds
        self._link_of = link_of
        self._where = where
        self._nodes: dict[Place, Node] = {}
        self._lock = Lock()
        self._closed = False
        self._watch = Watch(self._drawn, changed=self._leave, lease_s=lease_s)

    def values(self, keys: Sequence[bytes], *, budget_s: float) -> list[bytes | None]:
        """Return the values of keys; raises `PartlyAwayError` with those of the servers that answer."""
        commands = [b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key) for key in keys]
        return self._whole(self._exchange(keys, commands, budget_s=budget_s))

    def write(self, prefix: bytes, batches: Callable[[], Iterator[Packed]], *, first: bool, step_s: float) -> int:
        """Keep each row that is newer than the stored one; return how many were kept.

        Where a server is away, all rows of the others are written before that is said.
        """
        del first
        head, replies = b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n" % SHA.encode(), []
        for batch in batches():
            keys, commands = [], []
            for key, value in batch.rows():
                full = prefix + key
                keys.append(full)
                commands.append(b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (head, len(full), full, len(value), value))
            replies += self._exchange(keys, commands, budget_s=step_s)
        return sum(self._whole(replies))

    def swap(self, swaps: Sequence[Swap], *, budget_s: float) -> int:
        """Make each swap whose old value is still there; where a server is away, all on the others before that."""
        commands = [packed("EVAL", IF_UNCHANGED, 1, *swap) for swap in swaps]
        return sum(self._whole(self._exchange([swap.key for swap in swaps], commands, budget_s=budget_s)))

    def call(self, *command: bytes | str | int, budget_s: float) -> Any:
        """Send a command about one key to the server that holds it; return its reply."""
        key = command[1].encode() if isinstance(command[1], str) else bytes(command[1])
        return self._whole(self._exchange([key], [packed(*command)], budget_s=budget_s))[0]

    def unlink(self, keys: Sequence[bytes], *, budget_s: float) -> int:
        """Remove keys; return how many were there."""
        commands = [packed("UNLINK", key) for key in keys]
        return sum(self._whole(self._exchange(keys, commands, budget_s=budget_s)))

    def scan(self, pattern: bytes, *, step_s: float) -> Iterator[list[bytes]]:
        """Yield the keys that match, from every server; raises `UnavailableError` where slots move meanwhile."""
        before = self._watch.now(step_s)
        for one in before.primaries:
            yield from scanned(self._node(one).link, pattern, step_s=step_s)
        self._watch.doubt()
        if self._watch.now(step_s) != before:
            what = "slots of the cluster moved while its keys were listed"
            raise UnavailableError(what, where=self._where, fix="run the command again when the cluster is at rest")

    def each(self, work: Callable[[Session], T], *, budget_s: float) -> list[T]:
        """Do something on every server that holds slots."""
        primaries = self._watch.now(budget_s).primaries
        return [self._node(one).link.run(work, budget_s=budget_s) for one in primaries]

    def connect(self, budget_s: float, *, protocol: int = 2) -> Session:
        """Keys of a cluster are not tracked: rows are read each time."""
        raise UnavailableError("keys of a cluster are not tracked", where=self._where)

    def heed(self, budget_s: float) -> None:
        """Do nothing: each exchange minds the map itself."""

    def unavailable(self, error: Exception) -> UnavailableError:
        """Return a failure of a connection as whoever asked for something should see it."""
        return UnavailableError(str(error), where=self._where)

    def close(self) -> None:
        """Close connections: those nobody uses at once, those in use when they come back."""
        with self._lock:
            self._closed, nodes = True, list(self._nodes.values())
        for node in nodes:
            node.link.close()

    def _whole(self, replies: list[Any]) -> list[Any]:
        """Return replies of which none is missing; raises `PartlyAwayError` otherwise."""
        away = [reply is AWAY for reply in replies]
        if not any(away):
            return replies
        values = [None if gone else reply for gone, reply in zip(away, replies, strict=True)]
        error = UnavailableError(
            f"servers of the cluster that hold {sum(away)} of {len(away)} keys do not answer",
            where=self._where,
            fix="check the servers: `redis-cli --cluster check`; `lineshaft online rebuild` refills what is lost",
        )
        raise PartlyAwayError(error, values=values, away=away)

    def _exchange(self, keys: Sequence[bytes], commands: Sequence[bytes], *, budget_s: float) -> list[Any]:
        """Send each command to the server of its key; return the replies in order, AWAY where there is none."""
        deadline = time.monotonic() + budget_s
        of_slot = self._watch.now(budget_s / 2).of_slot
        replies: list[Any] = [AWAY] * len(keys)
        to: dict[Place, list[tuple[int, bytes]]] = {}
        for i, key in enumerate(keys):
            if (holder := of_slot[slot_of(key)]) is not None:
                to.setdefault(holder, []).append((i, b""))
        for _ in range(_MOST_ROUNDS):
            if not to:
                break
            to = self._round(to, commands, replies, deadline=deadline, patient=budget_s >= _PATIENCE_S)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise refused(reply, where=self._where)
        return replies

    def _round(
        self,
        to: dict[Place, list[tuple[int, bytes]]],
        commands: Sequence[bytes],
        replies: list[Any],
        *,
        deadline: float,
        patient: bool,
    ) -> dict[Place, list[tuple[int, bytes]]]:
        """Ask each server once; return what has to be asked again, and of whom. What stands first is asked first."""
        talks, wanted = [], []
        for holder, todo in to.items():
            node = self._node(holder)
            if node.free():
                talks.append(
                    Talk(node=node, commands=[part for i, head in todo for part in (head, commands[i]) if part])
                )
                wanted.append([place for i, head in todo for place in ((None, i) if head else (i,))])
        together(talks, deadline=deadline)
        again: dict[Place, list[tuple[int, bytes]]] = {}
        for talk, places in zip(talks, wanted, strict=True):
            here = talk.node.place
            if talk.done:
                talk.node.answered()
            elif talk.stale:
                again[here] = to[here]
                continue
            elif patient or not talk.late:
                talk.node.failed()
            for i, reply in zip(places, talk.replies, strict=False):
                if i is not None:
                    self._take_in(i, reply, here, replies, again)
        return again

    def _take_in(
        self, i: int, reply: Any, here: Place, replies: list[Any], again: dict[Place, list[tuple[int, bytes]]]
    ) -> None:
        """Keep a reply; one that names another server, or lacks the script, is asked for again there."""
        words = str(reply).split() if isinstance(reply, hiredis.ReplyError) else [""]
        if words[0] in ("MOVED", "ASK"):
            host, _, port = words[2].rpartition(":")
            if words[0] == "MOVED":
                self._watch.doubt()
            there = again.setdefault(place(host.encode(), int(port), of=here), [])
            there.append((i, _ASKING if words[0] == "ASK" else b""))
        elif words[0] == "NOSCRIPT":
            there = again.setdefault(here, [])
            there.append((i, b"" if there else _LOAD))
        elif words[0] not in _NOT_NOW:
            replies[i] = reply

    def _node(self, holder: Place) -> Node:
        with self._lock:
            if holder not in self._nodes:
                self._nodes[holder] = Node(holder, self._link_of(holder))
                if self._closed:  # who asks for the map in the background may have begun before
                    self._nodes[holder].link.close()
            return self._nodes[holder]

    def _drawn(self, budget_s: float) -> ClusterMap:
        """Return the map that the latest vote made, as far as most of those asked know; raises `UnavailableError`."""
        known = list(dict.fromkeys([*self._nodes, *self._seeds]))
        some = random.sample(known, min(_MOST_ASKED, len(known)))
        asks = [partial(self._node(one).link.run, partial(asked, of=one), budget_s=budget_s) for one in some]
        try:
            return latest(asks, budget_s=budget_s)
        except UnavailableError as error:
            raise UnavailableError(
                f"no server of the cluster says which of them holds what: {error.what}",
                where=self._where,
                fix="check that the servers in LINESHAFT_REDIS_URL run and form a cluster: `redis-cli cluster info`",
            ) from error

    def _leave(self, drawn: ClusterMap) -> None:
        """Hang up on servers that hold nothing any more, whoever is talking to them."""
        with self._lock:
            gone = [self._nodes.pop(one) for one in list(self._nodes) if one not in drawn.primaries]
        for node in gone:
            node.link.hang_up()
