"""How long a fleet takes: 500 assets by one model, and by 50 models with feature services of their own.

    python tests/bench/bench_fleet.py                   about a minute, most of it training the models

A Valkey and a registry on SQLite; 60 features in 3 views, 200 trees a model, features read anew for every model; scores
are in Parquet and in the database when a model is done. The first pass reads all models into memory beside the scoring;
the second finds them there.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import bench_predict as plant  # type: ignore[import-not-found]  # beside this script

from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.records import Candidate, Verdict
from lineshaft.registry.scores import ScoreBook
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.fleet import Fleet, Remembered
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore

MODELS = 50


def main() -> None:
    """Print one JSON line."""
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder) / "online") as url:
        home = Path(folder)
        plant.register(home)
        plant.fill(url)
        registry = plant.open_models(home)
        first = registry.get("wear", 1)
        same = {name: getattr(first, name) for name in set(Candidate.__slots__) & set(first.__slots__)}
        services = [replace(plant.SERVICE, name=f"health_{number:02d}") for number in range(MODELS)]
        for number, service in enumerate(services):
            own = {"model": f"wear_{number:02d}", "service": service.name, "service_json": service.to_json()}
            registry.register(Candidate(**{**same, **own}, artifact=registry.load(first)), actor="bench")
            registry.judge(own["model"], 1, Verdict(gate="bar", outcome="pass", detail=""), actor="bench")
            registry.promote(own["model"], 1, environment="bench", actor="bench", reason="bench")
        plans = Plans(catalog=FixedCatalog(all_views=plant.VIEWS, all_services=tuple(services)))
        store = RedisOnlineStore(url, project="bench", timeout_s=5.0)
        features = FeatureHandler(plans=plans, online=store, clock=plant.CLOCK)
        log = PredictionLog(home / "predictions")
        champions = Champions(registry=registry, environment="bench")
        remembered = Remembered(log=log, book=ScoreBook(str(registry.engine.url), project="bench"))
        predictor = Predictor(champions=champions, features=features, clock=plant.CLOCK, sink=remembered)
        fleet = Fleet(predictor=predictor, features=features, clock=plant.CLOCK, remembered=remembered)
        names = [f"wear_{number:02d}" for number in range(MODELS)]
        for case, asked in (("one model", names[:1]), ("50 models", names), ("50 models, in memory", names)):
            start, cpu = time.perf_counter(), time.process_time()
            found = list(fleet.score(asked))
            took = {"seconds": round(time.perf_counter() - start, 2), "cpu_s": round(time.process_time() - cpu, 2)}
            print(json.dumps({"case": case, **took, "scores": sum(one.scored for one in found)}), flush=True)
        log.behind.close()


if __name__ == "__main__":
    main()
