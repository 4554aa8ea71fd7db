"""Online serving and materialize against Feast 0.67: the same data, the same Valkey, both sides called in turn.

    python tests/bench/bench_serving.py --peers ../shared/bench            everything, about five minutes

10,000 assets, 60 features (50 float64, 10 int64) in three views, as the scripts in `--peers` make them; `wide` is the
same in one view. Feast materializes by `bench_feast_materialize.py`, serves by `feast listen`; Lineshaft materializes
from its offline store, newer-wins rule on, and serves from a process of its own. Every pair of calls gives one ratio,
so that what else the machine does cancels out. Ratio = Feast's time / ours; p10, median, p90 over pairs.

Beside them stands what is possible in this language on this machine: `grpc_server.py` of the peers, which does one
MGET of one packed value an entity and sends the bytes back, without statuses, ages or names (`bare`); it is called in
turn with the others. `warm` is a server that has read every row before, `cold` one that keeps none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from peers import peers_in  # type: ignore[import-not-found]  # beside this script

from lineshaft.clock import SystemClock
from lineshaft.ops.rebuild import fill
from lineshaft.rpc.v1 import features_pb2
from lineshaft.serving import convert
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import frame_from
from lineshaft.serving.server import Handlers, Limits, serve
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import server_binary
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.keys import Keys

ASSETS = 10_000
FLOATS = {"motor": 20, "bearing": 20, "process": 10}
INTS = {"motor": 0, "bearing": 0, "process": 10}
PROJECT = "bench"
GET_FEATURES = "/lineshaft.rpc.v1.FeatureService/GetFeatures"
CHANNEL = [("grpc.max_receive_message_length", 64 << 20)]


def features_of(name: str) -> tuple[Feature, ...]:
    """Return the features of one of Feast's views, by its own column names."""
    floats = [Feature(name=f"{name[:3]}_f{i:02d}") for i in range(FLOATS[name])]
    return (*floats, *(Feature(name=f"{name[:3]}_i{i:02d}", dtype="int64") for i in range(INTS[name])))


def view_of(name: str, features: tuple[Feature, ...]) -> View:
    """Return a view of these features, keyed by asset."""
    source = Source(name=name, channels=("x",), units=("",), kind="rows")
    return View(name=name, source=source, entity_keys=(("asset_id", "string"),), features=features)


THREE = tuple(view_of(name, features_of(name)) for name in FLOATS)
WIDE = view_of("wide", tuple(feature for view in THREE for feature in view.features))
SHAPES = {"three": THREE, "wide": (WIDE,)}
SERVICES = {
    name: Service(
        name=name, views=tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in views)
    )
    for name, views in SHAPES.items()
}


class BenchCatalog:
    """The two services and their views."""

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view by name."""
        return next(view for view in self.views() if view.name == name)

    def views(self) -> Sequence[View]:
        """Return every view."""
        return (*THREE, WIDE)

    def on_demand_views(self) -> Sequence[OnDemandView]:
        """Return none."""
        return ()

    def service(self, name: str) -> Service:
        """Return a service by name."""
        return SERVICES[name]

    def services(self) -> Sequence[Service]:
        """Return every service."""
        return list(SERVICES.values())


def rows_from(repo: Path) -> dict[str, pa.Table]:
    """Return each view's rows from Feast's own Parquet files."""
    tables = {}
    for view in THREE:
        table = pq.read_table(repo / f"fv_{view.name}.parquet")
        names = {"event_timestamp": "event_time", "created": "known_at"}
        table = table.rename_columns([names.get(name, name) for name in table.column_names])
        tables[view.name] = table.select(row_schema(view).names).cast(row_schema(view))
    wide = tables["motor"]
    for view in THREE[1:]:
        for name in view.feature_names:
            wide = wide.append_column(name, tables[view.name][name])
    return {**tables, "wide": wide.cast(row_schema(WIDE))}


def bench_materialize(
    args: argparse.Namespace, offline: DeltaOfflineStore, port: int, repo: Path
) -> Iterator[dict[str, Any]]:
    """Let Feast and Lineshaft fill the emptied server in turn; yield one line a shape."""
    client = redis.Redis(port=port)
    feast_rate: list[float] = []
    feast_bytes = 0
    ours: dict[str, list[float]] = {name: [] for name in SHAPES}
    size: dict[str, int] = {}
    script = [sys.executable, "bench_feast_materialize.py", "--dir", str(repo), "--redis-port", str(port)]
    for _ in range(args.repeats):
        output = run([*script, "--rows", str(ASSETS), "--repeats", "1"], args.peers)
        line = json.loads(output.strip().splitlines()[-1])
        feast_rate.append(line["rows_per_s"][1])
        feast_bytes = line["redis_bytes_per_row"]
        for name, views in SHAPES.items():
            client.flushall()
            empty = client.info("memory")["used_memory"]  # type: ignore[index]
            online = RedisOnlineStore(f"redis://127.0.0.1:{port}", project=PROJECT)
            start = time.perf_counter()
            fill(views, offline, online)
            ours[name].append(ASSETS / (time.perf_counter() - start))
            size[name] = round((client.info("memory")["used_memory"] - empty) / ASSETS)  # type: ignore[index]
            online.close()
    for name in SHAPES if feast_rate else ():
        ratios = sorted(mine / theirs for mine, theirs in zip(ours[name], feast_rate, strict=True))
        yield {
            "case": "materialize",
            "shape": name,
            "feast_rows_per_s": round(statistics.median(feast_rate)),
            "rows_per_s": round(statistics.median(ours[name])),
            "ratio_p10_p50_p90": quantiles(ratios),
            "feast_bytes_per_row": feast_bytes,
            "bytes_per_row": size[name],
            "bytes_ratio": round(size[name] / feast_bytes, 2),
        }


def bench_reads(args: argparse.Namespace, addresses: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Call all servers in turn with the same keys; yield one line for each shape, size and way of reading."""
    feast_bytes, feast_values = feast_calls(args.peers, addresses["feast"])
    bare = bare_call(args.peers, addresses["bare"])
    channels = [grpc.insecure_channel(addresses[state], CHANNEL) for state in ("warm", "cold")]
    calls = {
        state: channel.unary_unary(GET_FEATURES) for state, channel in zip(("warm", "cold"), channels, strict=True)
    }
    rnd = random.Random(3)

    def request(service: str, keys: list[str]) -> bytes:
        entities = convert.entities_to(Keys({"asset_id": keys}))
        message = features_pb2.GetFeaturesRequest(
            feature_service=service, entities=entities, encoding=features_pb2.ENCODING_BLOCKS
        )
        raw: bytes = message.SerializeToString()
        return raw

    def raw(state: str, service: str) -> Callable[[list[str]], Any]:
        call = calls[state]
        return lambda keys: call(request(service, keys))

    def decoded(state: str, service: str) -> Callable[[list[str]], Any]:
        def read(keys: list[str]) -> Any:
            reply = features_pb2.GetFeaturesResponse.FromString(calls[state](request(service, keys)))
            return frame_from(pa.table({"asset_id": keys}), reply)

        return read

    for shape in SHAPES:
        warm_up(raw("warm", shape))
        for way, theirs, ours in (("bytes", feast_bytes, raw), ("values", feast_values, decoded)):
            for n in args.sizes:
                sides = {"feast": theirs, "bare": bare, "warm": ours("warm", shape), "cold": ours("cold", shape)}
                times = in_turn(sides, n, turns=max(5, args.pairs * 100 // max(n, 100)), rnd=rnd)
                yield {"case": "get_features", "shape": shape, "to": way, "rows": n, **times}
    for channel in channels:
        channel.close()


def warm_up(ask: Callable[[list[str]], Any]) -> None:
    """Ask about every asset, twice: the first call of a service, and what it reads, goes by a thread."""
    everything = [f"asset_{i:07d}" for i in range(ASSETS)]
    for first in [*range(0, ASSETS, 100)] * 2:
        ask(everything[first : first + 100])


def feast_calls(peers: Path, address: str) -> tuple[Callable[[list[str]], Any], Callable[[list[str]], Any]]:
    """Return Feast's call that leaves bytes, and the one that makes values of them."""
    from feast.protos.feast.serving import ServingService_pb2 as serving  # the peer, needed by this script alone

    sys.path.insert(0, str(peers))
    from feast_repo import feature_refs  # type: ignore[import-not-found]  # the peers' own script

    call = grpc.insecure_channel(address, CHANNEL).unary_unary("/GrpcFeatureServer/GetOnlineFeatures")
    refs = feature_refs()

    def raw(keys: list[str]) -> Any:
        message = serving.GetOnlineFeaturesRequest()
        message.features.val.extend(refs)
        for key in keys:
            message.entities["asset_id"].val.add().string_val = key
        return call(message.SerializeToString())

    def values(keys: list[str]) -> Any:
        reply = serving.GetOnlineFeaturesResponse.FromString(raw(keys))
        return [[getattr(v, v.WhichOneof("val")) for v in column.values] for column in reply.results[1:]]

    return raw, values


def bare_call(peers: Path, address: str) -> Callable[[list[str]], Any]:
    """Return the call of the bare server."""
    sys.path.insert(0, str(peers))
    from grpc_gen import load  # type: ignore[import-not-found]  # the peers' own script

    messages, _ = load()
    call = grpc.insecure_channel(address, CHANNEL).unary_unary("/bench.Bench/Fetch")
    return lambda keys: call(messages.FetchRequest(keys=keys).SerializeToString())


def in_turn(sides: dict[str, Callable[[list[str]], Any]], n: int, *, turns: int, rnd: random.Random) -> dict[str, Any]:
    """Time all sides in turn, one call each on the same keys."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(turns + 2):
        keys = [f"asset_{k:07d}" for k in rnd.sample(range(ASSETS), n)]
        for name, call in sides.items():
            start = time.perf_counter_ns()
            call(keys)
            if i >= 2:  # the first two warm up
                took[name].append((time.perf_counter_ns() - start) / 1e6)
    line: dict[str, Any] = {f"{name}_ms": round(statistics.median(times), 3) for name, times in took.items()}
    for name in ("bare", "warm", "cold"):
        ratios = sorted(a / b for a, b in zip(took["feast"], took[name], strict=True))
        line[f"{name}_ratio_p10_p50_p90"] = quantiles(ratios)
    over = sorted(a / b for a, b in zip(took["warm"], took["bare"], strict=True))
    return {**line, "warm_over_bare": round(statistics.median(over), 2), "turns": turns}


def quantiles(ratios: list[float]) -> list[float]:
    """Return p10, median and p90 of sorted ratios."""
    last = len(ratios) - 1
    return [round(ratios[round(q * last)], 1) for q in (0.1, 0.5, 0.9)]


def run(command: list[str], folder: Path) -> str:
    """Run a peer's script in its own folder; return what it prints."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it is needed no more; wait for its port first."""
    with (folder / f"server_{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve_bench(redis_port: int, near_rows: int, port: int) -> None:
    """Serve the bench's services from this process."""
    url = f"redis://127.0.0.1:{redis_port}"
    online = RedisOnlineStore(url, project=PROJECT, timeout_s=1.0, near_rows=near_rows)
    plans = Plans(catalog=BenchCatalog())
    features = FeatureHandler(plans=plans, online=online, clock=SystemClock())
    training = TrainingSetHandler(plans=plans, offline=DeltaOfflineStore(tempfile.gettempdir()))
    handlers = Handlers(plans=plans, features=features, training=training)
    serve(handlers, f"127.0.0.1:{port}", limits=Limits(store_timeout_s=1.0))


def main() -> None:
    """Run the whole bench and print one JSON line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path("../shared/bench"))
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10, 100, 500])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3, help="of materialize; 0 leaves it out")
    parser.add_argument(
        "--serve", type=int, nargs=3, metavar=("REDIS_PORT", "NEAR_ROWS", "PORT"), help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    if args.serve:
        serve_bench(*args.serve)
        return
    args.peers = peers_in(args.peers)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench")))
        first = partial(bench_materialize, args)
        addresses, _ = started(stack, folder, args.peers, near={"warm": ASSETS, "cold": 0}, before=first)
        for line in bench_reads(args, addresses):
            report(line)


def started(
    stack: contextlib.ExitStack,
    folder: Path,
    peers: Path,
    *,
    near: dict[str, int],
    http: bool = False,
    before: Callable[[DeltaOfflineStore, int, Path], Iterator[dict[str, Any]]] | None = None,
) -> tuple[dict[str, str], dict[str, int]]:
    """Fill a Valkey with everybody's rows and start all servers on it; return their addresses and process ids.

    near: our servers, and how many rows each may hold. before: what is measured on the emptied Valkey.
    """
    redis_port = free_port()
    valkey = [str(server_binary()), "--port", str(redis_port), "--save", "", "--bind", "127.0.0.1"]
    valkey += ["--lazyfree-lazy-user-flush", "no"]  # memory is read right after a flush
    stack.enter_context(running(valkey, redis_port, folder))
    repo = folder / "repo"
    make = [sys.executable, "feast_repo.py", "--dir", str(repo), "--assets", str(ASSETS), "--apply"]
    run([*make, "--redis", f"127.0.0.1:{redis_port}"], peers)
    offline = DeltaOfflineStore(str(folder / "offline"))
    for name, table in rows_from(repo).items():
        offline.write_rows(BenchCatalog().view(name), table, batch="bench")
    for line in before(offline, redis_port, repo) if before is not None else ():
        report(line)
    script = [sys.executable, "bench_feast_materialize.py", "--dir", str(repo), "--redis-port", str(redis_port)]
    run([*script, "--rows", str(ASSETS), "--repeats", "1"], peers)
    fill((*THREE, WIDE), offline, RedisOnlineStore(f"redis://127.0.0.1:{redis_port}", project=PROJECT))
    fill_bare(redis_port)
    commands = commands_of(repo, peers, redis_port, near, http=http)
    ports = {name: free_port() for name in commands}
    processes = {
        name: stack.enter_context(running([*command, *place(ports[name])], ports[name], folder))
        for name, (command, place) in commands.items()
    }
    return {name: f"127.0.0.1:{port}" for name, port in ports.items()}, {n: p.pid for n, p in processes.items()}


def commands_of(
    repo: Path, peers: Path, redis_port: int, near: dict[str, int], *, http: bool
) -> dict[str, tuple[list[str], Callable[[int], list[str]]]]:
    """Return how to start each server, and how it is told its port."""
    feast = [str(Path(sys.executable).with_name("feast")), "-c", str(repo)]
    bare = [sys.executable, str(peers / "grpc_server.py"), "--kind", "aio", "--uvloop", "--redis-port", str(redis_port)]
    commands: dict[str, tuple[list[str], Callable[[int], list[str]]]] = {
        "feast": ([*feast, "listen", "-r", "3600"], lambda port: ["-a", f"127.0.0.1:{port}"]),
        "bare": (bare, lambda port: ["--port", str(port)]),
    }
    if http:
        options = ["--no-access-log", "--max-requests", "0", "-r", "3600", "-h", "127.0.0.1", "-p"]
        commands["feast_http"] = [*feast, "serve", *options], lambda port: [str(port)]
    own = [sys.executable, str(Path(__file__).resolve()), "--serve", str(redis_port)]
    for name, rows in near.items():
        commands[name] = [*own, str(rows)], lambda port: [str(port)]
    return commands


def fill_bare(redis_port: int) -> None:
    """Give the bare server its values: a header and 60 numbers an entity."""
    with redis.Redis(port=redis_port).pipeline(transaction=False) as pipe:
        for i in range(ASSETS):
            pipe.set(f"p:asset_{i:07d}", os.urandom(8 + 60 * 8))
        pipe.execute()


def report(line: dict[str, Any]) -> None:
    """Print one case."""
    sys.stdout.write(json.dumps({**line, "load1": round(os.getloadavg()[0], 1)}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
