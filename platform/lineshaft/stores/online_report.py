"""What an online store says of itself: is it well, is it full, does it throw rows away, what time does it have."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lineshaft.clock import Clock
from lineshaft.stores.links import link_to
from lineshaft.stores.online_redis import FILLED
from lineshaft.stores.redis_link import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineReport:
    """One server, as it says itself. `most_bytes` is 0 where it has no limit; `ahead_us` is its clock less ours."""

    server: str
    latency_s: float
    used_bytes: int
    most_bytes: int
    policy: str
    evicted: int
    filled: bool
    ahead_us: int


def online_report(url: str, *, project: str, clock: Clock, timeout_s: float) -> OnlineReport:
    """Ask a server about itself; raises `UnavailableError` where it does not answer in time."""

    def ask(session: Session) -> OnlineReport:
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
            filled=bool(session.call("SISMEMBER", FILLED, project)),
            ahead_us=int(seconds) * 1_000_000 + int(micros) - before_us - round(latency_s * 5e5),
        )

    link = link_to(url, where="online store")
    try:
        return link.run(ask, budget_s=timeout_s)
    finally:
        link.close()
