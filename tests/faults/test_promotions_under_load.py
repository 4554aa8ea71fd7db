"""A server under load follows every promotion and rollback within a second, and no call fails of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from lineshaft.clock import SystemClock
from lineshaft.ops.followers import followers
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict
from lineshaft.settings import Settings

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]
SWAPS = int(os.environ.get("PROMOTION_SWAPS", "100"))  # noqa: TID251  the length of a run is no setting of the product
FOLLOWED_S = 1.0
Target = Any
"""The server under load: see `conftest.py`."""


@pytest.fixture
def registry(target: Target) -> Iterator[ModelRegistry]:
    """Return the registry of the server's home, with a second version of its model that passed."""
    home = Path(psutil.Process(target.process.pid).environ()["LINESHAFT_HOME"])
    url = Settings(home=home).database()
    opened = open_registry(database_url=url, artifacts=home / "artifacts", clock=SystemClock())
    first = opened.champion("wear", "dev")
    same = {name: getattr(first, name) for name in set(Candidate.__slots__) & set(first.__slots__)}
    opened.register(Candidate(**same, artifact=opened.load(first)), actor="ann")
    opened.judge("wear", 2, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    yield opened
    opened.engine.dispose()


def starved(process: int) -> dict[str, float]:
    """Return for each thread of a process how long, in seconds so far, it could run and got no core."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return {one.parent.name: int(one.read_text().split()[1]) / 1e9 for one in threads}


def test_every_swap_is_followed_within_a_second_and_no_call_fails(target: Target, registry: ModelRegistry) -> None:
    """Promotions and rollbacks by turns, each waited for; callers ask all the while and each is answered."""
    registry.promote("wear", 2, environment="dev", actor="ann", reason="second")
    over = threading.Event()
    failures: list[Exception] = []
    asked: list[int] = []

    def ask() -> None:
        while not over.is_set():
            try:
                target.client.predict("wear", asset_id=["p0", "p1"], timeout_s=5.0)
                asked.append(1)
            except Exception as error:  # noqa: BLE001  whatever it is, it is a failure
                failures.append(error)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    took: list[float] = []
    waits: list[tuple[int, float, float]] = []
    try:
        for swap in range(SWAPS):
            if swap % 2:
                made = registry.promote("wear", 2, environment="dev", actor="ann", reason=f"swap {swap}")
            else:
                made = registry.rollback("wear", environment="dev", actor="ann", reason=f"swap {swap}")
            start, without = time.monotonic(), starved(target.process.pid)
            while target.client.predict("wear", asset_id=["p0"], timeout_s=5.0).model_version != f"wear@{made.number}":
                assert time.monotonic() - start < 30 * FOLLOWED_S
                time.sleep(0.005)
            took.append(time.monotonic() - start)
            most = max(now - without.get(name, 0.0) for name, now in starved(target.process.pid).items())
            waits.append((swap, round(took[-1], 2), round(most, 2)))
    finally:
        over.set()
        for caller in callers:
            caller.join()

    late = sum(one > FOLLOWED_S for one in took)
    figures = f"median {np.median(took):.3f} s, 99 % {np.quantile(took, 0.99):.3f} s, slowest {max(took):.3f} s"
    print(f"{SWAPS} swaps: {figures}, {late} late; {len(asked)} calls, {len(failures)} failed")  # noqa: T201
    slowest = sorted(waits, key=lambda one: one[1])[-5:]
    print(f"slowest: number, seconds, of these some thread of the server had no core: {slowest}")  # noqa: T201
    assert failures == []
    assert len(asked) > SWAPS
    assert max(took) <= FOLLOWED_S
    following = followers(registry, made)
    assert [one.models["wear"] for one in following.following] == [made.number]
    assert following.late == ()
    assert faults(registry.account("wear")) == []
