"""The floor under overload: what one refusal costs the CPU of a bare grpc.aio server, by where the call is refused.

    python tests/bench/bench_refusals.py               two minutes

`answer`: an empty answer of an empty handler, for comparison. `handler`: a handler sets RESOURCE_EXHAUSTED. `limit`:
grpc.aio's `maximum_concurrent_rpcs`. `core`: gRPC's C core, since too many calls wait to be looked at
(`grpc.server.max_pending_requests`). `stream`: HTTP/2 itself, since the connection has too many streams
(`grpc.max_concurrent_streams`): callers that keep to HTTP/2 wait instead, in a queue of their own.
Calls come one by one (500 a second) and as a flood (8,000 a second), of which many are read at once. Server and caller
have a core each. With `a` the CPU of an answer and `r` that of a refusal, the most that can be answered of n times as
many calls as fit is (1 - n r/a) / (1 - r/a) of the peak; `share_of_peak` says it of n = 5 and an answer of 520 us.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import grpc
import psutil

from lineshaft.drills.open_loop import drive
from lineshaft.drills.overload import cores_apart

PATH = "/bare.Bare/Say"
WAYS: dict[str, list[tuple[str, int]]] = {
    "answer": [],
    "handler": [],
    "limit": [],
    "core": [("grpc.server.max_pending_requests", 0), ("grpc.server.max_pending_requests_hard_limit", 1)],
    "stream": [("grpc.max_concurrent_streams", 1)],
}
ANSWER_US, TIMES = 520.0, 5.0


async def serve(way: str) -> None:
    """Serve one method of bytes that refuses in a way; print the port."""

    async def say(_: bytes, context: Any) -> bytes:
        if way == "handler":
            context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
        elif way in ("limit", "stream"):
            await asyncio.sleep(3600)  # the first takes all the room there is
        return b""

    server = grpc.aio.server(options=WAYS[way], maximum_concurrent_rpcs=1 if way == "limit" else None)
    method = grpc.unary_unary_rpc_method_handler(say)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Bare", {"Say": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    if way == "core":
        await asyncio.sleep(1.0)
        time.sleep(3600)  # noqa: ASYNC251 - nobody looks at calls any more
    await server.wait_for_termination()


def cost_us(address: str, pid: int, *, rate: float, seconds: float, rounds: int) -> float:
    """Return the CPU of the server for a call, in microseconds: the median of some rounds."""
    process, costs = psutil.Process(pid), list[float]()
    for _ in range(rounds):
        before = process.cpu_times()
        calls = drive(address, PATH, [b"x" * 200], rate=rate, seconds=seconds, timeout_s=5.0)
        after = process.cpu_times()
        costs.append(1e6 * (after.user + after.system - before.user - before.system) / len(calls))
    return statistics.median(costs)


def measured(way: str, others: set[int]) -> dict[str, Any]:
    """Return the costs of one way."""
    with subprocess.Popen([sys.executable, __file__, "--serve", way], stdout=subprocess.PIPE, text=True) as server:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, others)
        try:
            assert server.stdout is not None
            address = f"127.0.0.1:{server.stdout.readline().strip()}"
            drive(address, PATH, [b""], rate=100, seconds=1.5, timeout_s=0.5)
            paced = cost_us(address, server.pid, rate=500, seconds=2.0, rounds=3)
            python = way in ("answer", "handler", "limit")
            flood = paced if python else cost_us(address, server.pid, rate=8000, seconds=1.0, rounds=5)
        finally:
            os.sched_setaffinity(0, before)
            server.kill()
    share = max(0.0, (1 - TIMES * flood / ANSWER_US) / (1 - flood / ANSWER_US)) if flood < ANSWER_US else 0.0
    costs = {"one_by_one_us": round(paced, 1), "flood_us": round(flood, 1)}
    return {"case": "refusal", "way": way, **costs, "share_of_peak": round(share, 3)}


def main() -> None:
    """Measure each way, or be one of the servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", choices=list(WAYS))
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return
    with cores_apart() as others:
        for way in WAYS:
            print(json.dumps(measured(way, others)), flush=True)


if __name__ == "__main__":
    main()
