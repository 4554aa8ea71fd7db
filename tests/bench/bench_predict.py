"""What a prediction costs beside the features that it is made from, with and without its reasons.

    python tests/bench/bench_predict.py                   about a minute

A Valkey, a registry on SQLite, a server of its own process; 60 features in 3 views, a model of 200 trees over all of
them. `calls`: GetFeatures, Predict and Predict with reasons for one asset, in turn; every turn gives one ratio, so that
what else the machine does cancels out, and the server's CPU time is counted for each by itself. `half_load`: the same
at a steady pace, half of the most that the server answers, counted from when a call was due. `parts`: what scoring and
explaining take by themselves, beside XGBoost. All times are of a machine that does other things.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.drills.open_loop import by_code, drive, peak
from lineshaft.models.scoring import Scorer
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.rpc.v1 import features_pb2, predictions_pb2
from lineshaft.serving import convert
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.server import Handlers, Limits, serve
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.keys import Keys

ASSETS, TREES = 500, 200
CLOCK = SystemClock()
GET_FEATURES = "/lineshaft.rpc.v1.FeatureService/GetFeatures"
PREDICT = "/lineshaft.rpc.v1.PredictionService/Predict"
VIEWS = tuple(
    View(
        name=f"v{number}",
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=tuple(Feature(name=f"f{i}") for i in range(20)),
        ttl_us=3600_000_000,
    )
    for number in range(3)
)
SERVICE = Service(
    name="health",
    views=tuple(ServiceView(view=view.name, version=view.version, features=view.feature_names) for view in VIEWS),
)
NAMES = tuple(f"{view.name}__{feature}" for view in VIEWS for feature in view.feature_names)


def booster() -> Any:
    """Return a model of 200 trees over all features."""
    import xgboost  # the server under test must not have it

    rows = np.random.default_rng(1).normal(size=(5000, len(NAMES))).astype(np.float32)
    label = rows[:, 0] + rows[:, 25] * rows[:, 50] + 0.1 * rows.sum(axis=1) > 1.0
    data = xgboost.DMatrix(rows, label=label, feature_names=list(NAMES), nthread=1)
    told = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.05, "colsample_bytree": 0.6, "nthread": 1}
    return xgboost.train(told, data, TREES)


def open_models(home: Path) -> ModelRegistry:
    """Return the registry below a folder."""
    url = f"sqlite:///{home / 'registry.db'}"
    return open_registry(database_url=url, artifacts=home / "artifacts", clock=CLOCK)


def register(home: Path) -> None:
    """Make the model the champion of a new registry."""
    upgrade(f"sqlite:///{home / 'registry.db'}")
    registry = open_models(home)
    told: dict[str, Any] = {"service": SERVICE.name, "service_json": SERVICE.to_json(), "features": NAMES}
    told["pins"] = tuple(ViewPin(view=view.name, version=view.version) for view in VIEWS)
    told |= {"training_set": "", "rows": 5000, "params": {}, "metrics": {}, "seed": 1, "library": "xgboost"}
    artifact = bytes(booster().save_raw("ubj"))
    registry.register(
        Candidate(model="wear", task="binary", artifact=artifact, artifact_format="ubj", **told), actor="bench"
    )
    registry.judge("wear", 1, Verdict(gate="bar", outcome="pass", detail=""), actor="bench")
    registry.promote("wear", 1, environment="bench", actor="bench", reason="bench")
    registry.engine.dispose()


def serve_bench(url: str, home: Path) -> None:
    """Serve from this process; say where."""
    plans = Plans(catalog=FixedCatalog(all_views=VIEWS, all_services=(SERVICE,)))
    store = RedisOnlineStore(url, project="bench", timeout_s=1.0)
    features = FeatureHandler(plans=plans, online=store, clock=CLOCK)
    champions = Champions(registry=open_models(home), environment="bench")
    log = PredictionLog(home / "predictions")
    handlers = Handlers(
        plans=plans,
        features=features,
        training=TrainingSetHandler(plans=plans, offline=MemoryOfflineStore()),
        predictor=Predictor(champions=champions, features=features, clock=CLOCK, sink=log),
        start=champions.start,
    )
    serve(handlers, "127.0.0.1:0", limits=Limits(store_timeout_s=1.0), ready=lambda bound: print(bound, flush=True))


@contextmanager
def server(url: str, home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server of its own process; yield its address and its process."""
    command = [sys.executable, __file__, "--serve", url, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def fill(url: str) -> None:
    """Write rows of every asset."""
    store, generator = RedisOnlineStore(url, project="bench", timeout_s=5.0), np.random.default_rng(2)
    keys = {"asset_id": [f"a{i}" for i in range(ASSETS)]}
    times = {name: [CLOCK.now_us()] * ASSETS for name in ("event_time", "known_at")}
    for view in VIEWS:
        values = {name: generator.normal(size=ASSETS) for name in view.feature_names}
        store.write(view, pa.table({**keys, **times, **values}).cast(row_schema(view)))


def questions() -> dict[str, tuple[str, list[bytes]]]:
    """Return what is asked, as bytes: a path and a message for each asset."""
    asked = [convert.entities_to(Keys({"asset_id": [f"a{i}"]})) for i in range(ASSETS)]
    blocks = features_pb2.ENCODING_BLOCKS
    found = {
        "features": (
            GET_FEATURES,
            [
                features_pb2.GetFeaturesRequest(
                    feature_service="health", entities=one, encoding=blocks
                ).SerializeToString()
                for one in asked
            ],
        )
    }
    for name, most in (("predict", 0), ("predict_top5", 5), ("predict_all", -1)):
        requests = [predictions_pb2.PredictRequest(model="wear", entities=one, contributions=most) for one in asked]
        found[name] = PREDICT, [request.SerializeToString() for request in requests]
    return found


def in_turn(address: str, process: psutil.Process, *, turns: int) -> dict[str, Any]:
    """Ask all in turn; then each by itself for its CPU time."""
    times: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}
    with grpc.insecure_channel(address) as channel:
        calls = {
            name: (channel.unary_unary(path, response_deserializer=reader(path)), messages)
            for name, (path, messages) in questions().items()
        }
        for turn in range(turns + 100):
            names = list(calls)
            for name in names[turn % 4 :] + names[: turn % 4]:  # each is first, and each follows each, in its turn
                call, messages = calls[name]
                start = time.perf_counter()
                call(messages[turn % ASSETS])
                if turn >= 100:
                    times.setdefault(name, []).append(time.perf_counter() - start)
        for name, (call, messages) in calls.items():
            before = sum(process.cpu_times()[:2])
            for turn in range(turns):
                call(messages[turn % ASSETS])
            cpu[name] = (sum(process.cpu_times()[:2]) - before) / turns
    base = times["features"]
    return {
        "case": "calls",
        "median_us": {name: round(statistics.median(took) * 1e6) for name, took in times.items()},
        "ratio_of_pairs": {
            name: round(statistics.median(a / b for a, b in zip(took, base, strict=True)), 2)
            for name, took in times.items()
        },
        "server_cpu_us": {name: round(used * 1e6) for name, used in cpu.items()},
        "server_cpu_ratio": {name: round(used / cpu["features"], 2) for name, used in cpu.items()},
    }


def reader(path: str) -> Callable[[bytes], Any]:
    """Return what reads the replies of a method."""
    reply: Any = predictions_pb2.PredictResponse if path == PREDICT else features_pb2.GetFeaturesResponse
    read: Callable[[bytes], Any] = reply.FromString
    return read


def half_load(address: str, *, seconds: float) -> dict[str, Any]:
    """Ask each at half of what the server answers of it at most; return quantiles of the time since a call was due."""
    found: dict[str, Any] = {"case": "half_load"}
    for name, (path, messages) in questions().items():
        most = peak(address, path, messages, seconds=seconds)[0]
        calls = drive(address, path, messages, rate=most / 2, seconds=seconds)
        told = by_code(calls)
        found[name] = {"rate": round(most / 2), **{code: one for code, one in told.items() if one}}
    return found


def parts() -> dict[str, Any]:
    """Return what one row takes in process, in microseconds of CPU time: ours and XGBoost's."""
    import xgboost

    model = booster()
    scorer = Scorer.load(bytes(model.save_raw("ubj")), features=NAMES)
    row = np.random.default_rng(3).normal(size=(1, len(NAMES))).astype(np.float32)

    def matrix() -> Any:
        return xgboost.DMatrix(row, feature_names=list(NAMES), nthread=1)

    model.set_param({"nthread": 1})
    works: dict[str, Callable[[], object]] = {
        "score": lambda: scorer.predict(row),
        "score_and_reasons": lambda: scorer.score(row),
        "xgboost_inplace": lambda: model.inplace_predict(row),
        "xgboost_reasons": lambda: model.predict(matrix(), pred_contribs=True),
    }
    found: dict[str, Any] = {"case": "parts"}
    for name, work in works.items():
        took = []
        for _ in range(300):
            start = time.process_time()
            work()
            took.append((time.process_time() - start) * 1e6)
        found[f"{name}_us"] = round(statistics.median(took[50:]), 1)
    return found


def main() -> None:
    """Print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    print(json.dumps(parts()), flush=True)
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder) / "online") as url:
        register(Path(folder))
        fill(url)
        with server(url, Path(folder)) as (address, process):
            print(json.dumps(in_turn(address, process, turns=args.turns)), flush=True)
            print(json.dumps(half_load(address, seconds=args.seconds)), flush=True)
            print(json.dumps({"case": "memory", "rss_mb": round(process.memory_info().rss / 1e6)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_bench(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
