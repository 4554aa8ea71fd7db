"""Which server of a Redis cluster holds which keys, as the servers themselves say."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass
from functools import cached_property

from lineshaft.errors import UnavailableError
from lineshaft.stores.redis_link import Place, Session

SLOTS = 16384


def slot_of(key: bytes) -> int:
    """Return the slot of a key: its CRC16, or that of what stands in its first braces.

    >>> slot_of(b"123456789"), slot_of(b"pump{a}x") == slot_of(b"a"), slot_of(b"{}a") == slot_of(b"a")
    (12739, True, False)
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


@dataclass(frozen=True)
class ClusterMap:
    """The primaries of a cluster: which server holds which slots, in ranges (first, last, server)."""

    ranges: tuple[tuple[int, int, Place], ...]

    @cached_property
    def of_slot(self) -> list[Place | None]:
        """Return the server of each slot."""
        places: list[Place | None] = [None] * SLOTS
        for first, last, place in self.ranges:
            places[first : last + 1] = [place] * (last + 1 - first)
        return places

    @cached_property
    def primaries(self) -> tuple[Place, ...]:
        """Return every server that holds slots, once."""
        return tuple(dict.fromkeys(place for _, _, place in self.ranges))


def asked(session: Session, *, of: Place) -> tuple[int, ClusterMap]:
    """Ask a server, reached at `of`, for the number of the latest vote it knows and its map of the cluster."""
    session.send("CLUSTER", "SLOTS")
    session.send("CLUSTER", "INFO")
    slots, info = session.receive(), session.receive()
    ranges = tuple(sorted((first, last, place(named[0], named[1], of=of)) for first, last, named, *_ in slots))
    about = dict(line.partition(":")[::2] for line in info.decode().splitlines())
    if not ranges:
        raise UnavailableError("no server of the cluster holds any slot", fix="finish `redis-cli --cluster create`")
    return int(about["cluster_current_epoch"]), ClusterMap(ranges)


def place(host: bytes | None, port: int, *, of: Place) -> Place:
    """Return where a server listens; one that does not know its own name is where it was reached.

    >>> place(b"", 7000, of=Place("here", 6379))
    Place(host='here', port=7000)
    """
    return Place((host or b"").decode() or of.host, int(port))
