"""What servers answer when eight callers ask at once, what that costs them, and what a stream of questions gains.

    python tests/bench/bench_throughput.py --peers ../shared/bench            everything, about five minutes
    python tests/bench/bench_throughput.py --peers ../shared/bench --seconds 1 --rounds 1 --sizes 1

The plant of `bench_serving.py`: Feast 0.67 by gRPC and by HTTP, the bare server (one MGET, bytes out) and ours, on one
Valkey with the same rows of 60 features. Each is called for some seconds by eight threads, one after the other, round
after round; replies are left as bytes. Calls a second are medians over rounds; CPU is what the server's processes took.
`stream` puts StreamFeatures beside GetFeatures, one caller, one row, with questions sent ahead of answers.
`half_load` asks the bare server and ours at a steady pace, at half of the most that each answers by itself, in turn; a
call's time counts from the moment it was due.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bench_serving as plant  # type: ignore[import-not-found]  # beside this script
import grpc
import psutil
from peers import peers_in  # type: ignore[import-not-found]  # beside this script

from lineshaft.drills.open_loop import by_code, drive, peak
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving import convert
from lineshaft.serving.together import apart, together
from lineshaft.tiles.keys import Keys

CALLERS = 8
SHAPES = ("three", "wide")
Call = Callable[[list[str]], Any]


def question(service: str, keys: list[str]) -> features_pb2.GetFeaturesRequest:
    """Return our question."""
    return features_pb2.GetFeaturesRequest(
        feature_service=service,
        entities=convert.entities_to(Keys({"asset_id": keys})),
        encoding=features_pb2.ENCODING_BLOCKS,
    )


def callers_of(name: str, address: str, peers: Path) -> Callable[[], Call]:
    """Return what makes a call for one thread, on a connection of its own."""
    if name == "feast":
        return lambda: plant.feast_calls(peers, address)[0]
    if name == "feast_http":
        return lambda: http_call(peers, address)
    if name == "bare":
        return lambda: plant.bare_call(peers, address)
    service = name.partition("_")[2]

    def ours() -> Call:
        call = grpc.insecure_channel(address, [*plant.CHANNEL, ("grpc.use_local_subchannel_pool", 1)]).unary_unary(
            plant.GET_FEATURES
        )
        return lambda keys: call(question(service, keys).SerializeToString())

    return ours


def http_call(peers: Path, address: str) -> Call:
    """Return Feast's call by HTTP, over a connection that stays open."""
    sys.path.insert(0, str(peers))
    from feast_repo import feature_refs  # type: ignore[import-not-found]  # the peers' own script

    host, port = address.split(":")
    connection, refs = http.client.HTTPConnection(host, int(port)), feature_refs()

    def call(keys: list[str]) -> bytes:
        body = json.dumps({"features": refs, "entities": {"asset_id": keys}})
        connection.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    return call


def rate(make: Callable[[], Call], rows: int, *, seconds: float, pid: int) -> tuple[float, float]:
    """Return calls a second of all callers together, and the server's CPU milliseconds a call."""
    over, counts = threading.Event(), [0] * CALLERS

    def work(number: int) -> None:
        call, rnd = make(), random.Random(number)
        while not over.is_set():
            call([f"asset_{k:07d}" for k in rnd.sample(range(plant.ASSETS), rows)])
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before, start, cpu = sum(counts), time.perf_counter(), cpu_s(pid)
    time.sleep(seconds)
    calls, took, spent = sum(counts) - before, time.perf_counter() - start, cpu_s(pid) - cpu
    over.set()
    for thread in threads:
        thread.join()
    return max(calls, 1) / took, 1e3 * spent / max(calls, 1)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and those it started."""
    root = psutil.Process(pid)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def throughput(args: argparse.Namespace, addresses: dict[str, str], pids: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Let every server answer in turn; yield one line a size."""
    sides = {name: ("warm" if name.startswith("ours") else name) for name in ("feast", "feast_http", "bare")}
    sides.update({f"ours_{shape}": "warm" for shape in SHAPES})
    for rows in args.sizes:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, server in sides.items():
                make = callers_of(name, addresses[server], args.peers)
                found[name].append(rate(make, rows, seconds=args.seconds, pid=pids[server]))
        qps = {name: statistics.median(q for q, _ in values) for name, values in found.items()}
        cpu = {name: statistics.median(c for _, c in values) for name, values in found.items()}
        line: dict[str, Any] = {"case": "throughput", "callers": CALLERS, "rows": rows}
        line["calls_per_s"] = {name: round(value, 1) for name, value in qps.items()}
        line["server_cpu_ms"] = {name: round(value, 3) for name, value in cpu.items()}
        for shape in SHAPES:
            line[f"{shape}_over_feast"] = round(qps[f"ours_{shape}"] / qps["feast"], 1)
            line[f"{shape}_over_feast_http"] = round(qps[f"ours_{shape}"] / qps["feast_http"], 1)
            line[f"{shape}_cpu_over_bare"] = round(cpu[f"ours_{shape}"] / cpu["bare"], 2)
        yield line


def streams(args: argparse.Namespace, address: str) -> Iterator[dict[str, Any]]:
    """Ask one row again and again, call by call and on one stream, in turn."""
    channel = grpc.insecure_channel(address, plant.CHANNEL)
    stub = features_pb2_grpc.FeatureServiceStub(channel)
    for shape in SHAPES:
        asked = question(shape, ["asset_0000001"])
        unary: list[float] = []
        stream: list[float] = []
        for _ in range(max(3, args.rounds)):
            unary.append(steady(partial(stub.GetFeatures, asked), args.seconds))
            over = threading.Event()
            questions = (features_pb2.StreamFeaturesRequest(number=i, request=asked) for i in endless(over))
            call = stub.StreamFeatures(together(questions, over))  # as the client sends them and takes them apart
            replies = apart(call)
            stream.append(steady(partial(next, replies), args.seconds))
            over.set()
            for _ in replies:
                pass
        ratios = sorted(a / b for a, b in zip(stream, unary, strict=True))
        yield {
            "case": "stream",
            "shape": shape,
            "rows": 1,
            "unary_per_s": round(statistics.median(unary)),
            "stream_per_s": round(statistics.median(stream)),
            "ratio_p10_p50_p90": plant.quantiles(ratios),
        }
    channel.close()


def bare_messages(peers: Path, asked: list[list[str]]) -> list[bytes]:
    """Return what the bare server is asked."""
    sys.path.insert(0, str(peers))
    from grpc_gen import load  # type: ignore[import-not-found]  # the peers' own script

    messages, _ = load()
    return [messages.FetchRequest(keys=keys).SerializeToString() for keys in asked]


def half_load(args: argparse.Namespace, addresses: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Ask the bare server and ours at half of their own peaks, in turn; compare what 99 % of calls took."""
    rnd = random.Random(1)
    for rows in [size for size in args.sizes if size <= 100]:
        asked = [[f"asset_{k:07d}" for k in rnd.sample(range(plant.ASSETS), rows)] for _ in range(200)]
        sides = {"bare": (addresses["bare"], "/bench.Bench/Fetch", bare_messages(args.peers, asked))}
        for shape in SHAPES:
            sides[shape] = (
                addresses["warm"],
                plant.GET_FEATURES,
                [question(shape, keys).SerializeToString() for keys in asked],
            )
        peaks = {name: peak(*side, seconds=args.seconds)[0] for name, side in sides.items()}
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for _ in range(max(3, args.rounds)):
            for name, side in sides.items():
                calls = drive(*side, rate=peaks[name] / 2, seconds=args.seconds)
                seen[name].append(by_code([call for call in calls if call.code == "OK"])["OK"])
        line: dict[str, Any] = {
            "case": "half_load",
            "rows": rows,
            "peak_per_s": {n: round(p) for n, p in peaks.items()},
        }
        for quantile in ("p50_ms", "p99_ms"):
            line[quantile] = {name: statistics.median(one[quantile] for one in all_) for name, all_ in seen.items()}
        for shape in SHAPES:
            ratios = [a["p99_ms"] / b["p99_ms"] for a, b in zip(seen[shape], seen["bare"], strict=True)]
            line[f"{shape}_p99_over_bare"] = [round(ratio, 2) for ratio in sorted(ratios)]
        yield line


def endless(over: threading.Event) -> Iterator[int]:
    """Count until it is over."""
    number = 0
    while not over.is_set():
        yield number
        number += 1


def steady(ask: Callable[[], Any], seconds: float) -> float:
    """Return how often something can be asked in a second."""
    for _ in range(50):
        ask()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        ask()
        count += 1
    return count / (time.perf_counter() - start)


def main() -> None:
    """Run everything and print one JSON line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path("../shared/bench"))
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10, 100, 500])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.peers = peers_in(args.peers)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench")))
        addresses, pids = plant.started(stack, folder, args.peers, near={"warm": plant.ASSETS}, http=True)
        with grpc.insecure_channel(addresses["warm"], plant.CHANNEL) as channel:
            ask = features_pb2_grpc.FeatureServiceStub(channel).GetFeatures
            for shape in SHAPES:
                plant.warm_up(lambda keys, shape=shape: ask(question(shape, keys)))
        for line in itertools.chain(
            half_load(args, addresses), streams(args, addresses["warm"]), throughput(args, addresses, pids)
        ):
            plant.report(line)


if __name__ == "__main__":
    main()
