"""What an online store says of itself: is it well, is it full, does it throw rows away, what time does it have."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from lineshaft.clock import Clock
from lineshaft.stores.links import servers_of
from lineshaft.stores.online_redis import is_filled
from lineshaft.stores.redis_link import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineReport:
    """One server, as it says itself, or several taken together: the slowest, the sums, the clock that is furthest off.

    `most_bytes` is 0 where there is no limit; `ahead_us` is the server's clock less ours.
    """

    server: str
    latency_s: float
    used_bytes: int
    most_bytes: int
    policy: str
    evicted: int
    filled: bool
    ahead_us: int


def online_report(url: str, *, project: str, clock: Clock, timeout_s: float) -> OnlineReport:
    """Ask servers about themselves; raises `UnavailableError` where one does not answer in time."""
    servers = servers_of(url)
    try:
        each = servers.each(partial(_asked, clock=clock), budget_s=timeout_s)
        filled = is_filled(servers, project, budget_s=timeout_s)
    finally:
        servers.close()
    bounded = all(one.most_bytes for one in each)
    return OnlineReport(
        server=each[0].server if len(each) == 1 else f"{each[0].server}, {len(each)} primaries",
        latency_s=max(one.latency_s for one in each),
        used_bytes=sum(one.used_bytes for one in each),
        most_bytes=sum(one.most_bytes for one in each) if bounded else 0,
        policy=" and ".join(sorted({one.policy for one in each})),
        evicted=sum(one.evicted for one in each),
        filled=filled,
        ahead_us=max((one.ahead_us for one in each), key=abs),
    )


def _asked(session: Session, *, clock: Clock) -> OnlineReport:
    session.call("PING")  # what it costs to connect is not its latency
    start, before_us = time.perf_counter(), clock.now_us()
    seconds, micros = session.call("TIME")
    latency_s = time.perf_counter() - start
    lines = [line.partition(":") for line in session.call("INFO").decode().splitlines()]
    info = {name: value for name, _, value in lines}
    name = "Valkey" if "valkey_version" in info else "Redis"
    return OnlineReport(
        server=f"{name} {info.get('valkey_version', info.get('redis_version', '?'))}",
        latency_s=latency_s,
        used_bytes=int(info["used_memory"]),
        most_bytes=int(info["maxmemory"]),
        policy=info["maxmemory_policy"],
        evicted=int(info["evicted_keys"]),
        filled=False,  # is asked of one server for all
        ahead_us=int(seconds) * 1_000_000 + int(micros) - before_us - round(latency_s * 5e5),
    )
