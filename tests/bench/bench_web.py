"""How long each page of the admin page takes with 50,000 assets and 5,000 reports.

    python tests/bench/bench_web.py            about two minutes, most of it writing what the pages read

A site on SQLite and Delta: 40 views of 12 features (the first with a row of each of 50,000 assets), 50 models with a
champion, 2,500 checkpoint results and 2,500 drift checks of 50 subjects each (of each check 60 findings in the
database), 5,000 alerts, three scores of each of 50,000 assets, a log of 50,000 predictions, 20 batches held. Each page
is asked for over a socket: cold, which is the first time since the start, and then in ten rounds of all pages, while
what is found out beside them is found out anew.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.clock import SystemClock
from lineshaft.drift.findings import Finding
from lineshaft.ops.quarantine import REASON, keep_aside, quarantine_folder
from lineshaft.registry.alerts import Alert, AlertBook
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.registry.scores import KeptScore, ScoreBook
from lineshaft.serving.http_port import http_port
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.overview import look_ahead
from lineshaft_governance.web.parts import WebParts

ASSETS, VIEWS, MODELS, RUNS, ALERTS, TIMES = 50_000, 40, 50, 50, 5_000, 10
NOW = 1_790_000_040_000_000
MINUTE = 60_000_000
SOURCE = Source(name="vibration_blocks", channels=("acceleration",), units=("g",))
FEATURES = tuple(
    Feature(name=f"rms_{n}m", column="acceleration", function="rms", window_us=n * MINUTE, unit="g")
    for n in range(1, 13)
)
PAGES = ["/", "/features", "/features?q=rms_7", "/features/view_00/rms_1m", "/views", "/views/view_00", "/services"]
PAGES += [
    "/lineage",
    "/lineage?of=view_00__rms_1m",
    "/checkpoints",
    "/checkpoints/view_00",
    "/drift",
    "/drift/model_00@3",
    "/quarantine",
]
PAGES += [
    "/models",
    "/models/model_00",
    "/fleet",
    "/fleet?q=0499",
    "/fleet?site=north&state=past",
    "/fleet/asset-049999",
    "/alerts",
    "/audit",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticking:
    """A clock that goes on from NOW."""

    offset_us: int

    def now_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        return SystemClock().now_us() + self.offset_us


def main() -> None:
    """Print one JSON line a page, and the slowest."""
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as url:
        slowest, worst = 0.0, 0.0
        with httpx.Client(base_url=url, timeout=60) as client:
            cold = {path: taken(client, path) for path in PAGES}
            rounds = [{path: taken(client, path) for path in PAGES} for _ in range(TIMES)]
            for path in PAGES:
                warm = [one[path] for one in rounds]
                slowest, worst = max(slowest, statistics.median(warm)), max(worst, cold[path], *warm)
                figures = {
                    "cold_ms": round(cold[path]),
                    "median_ms": round(statistics.median(warm)),
                    "max_ms": round(max(warm)),
                }
                print(json.dumps({"page": path, **figures}), flush=True)
        print(
            json.dumps(
                {
                    "pages": len(PAGES),
                    "slowest_median_ms": round(slowest),
                    "slowest_ms": round(worst),
                    "assets": ASSETS,
                    "reports": 2 * MODELS * RUNS,
                }
            )
        )
        if slowest >= 500:
            sys.exit("a page usually takes half a second or more")


def taken(client: httpx.Client, path: str) -> float:
    """Return the milliseconds until a page is there."""
    start = time.perf_counter()
    answer = client.get(path)
    if answer.status_code != 200:
        sys.exit(f"{path}: {answer.status_code}")
    return (time.perf_counter() - start) * 1e3


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Serve a site of that size; yield its address."""
    clock = Ticking(offset_us=NOW - SystemClock().now_us())
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    upgrade(url)
    views = [
        View(
            name=f"view_{n:02d}",
            source=SOURCE,
            entity_keys=(("asset_id", "string"),),
            features=FEATURES,
            owner="bench@lineshaft.example",
            team="bench",
            ttl_us=60 * MINUTE,
        )
        for n in range(VIEWS)
    ]
    used = tuple(ServiceView(view=one.name, version=one.version, features=one.feature_names) for one in views[:3])
    services = [Service(name=f"service_{n:02d}", views=used, team="bench", owner="bench") for n in range(MODELS)]
    offline = DeltaOfflineStore(str(folder / "offline"))
    names = [f"asset-{n:06d}" for n in range(ASSETS)]
    for view in views:
        offline.write_rows(view, rows(view, names if view is views[0] else names[:500]), batch="bench")
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    register(registry, services, views[0])
    book = AlertBook(url, project="bench", clock=clock)
    raise_alerts(book, names)
    results = ResultFolder(folder / "results")
    remember(results)
    drifts, scores = drift_book(registry, "bench"), ScoreBook(url, project="bench")
    watch(drifts)
    score(scores, names)
    registry.sites.place(dict.fromkeys(names[:20_000], "north"), environment="bench", actor="bench", reason="bench")
    hold(folder / "work", views[1])
    predict(folder, names)
    parts = WebParts(
        catalog=FixedCatalog(all_views=tuple(views), all_services=tuple(services)),
        offline=offline,
        online=None,
        registry=registry,
        results=results,
        reports=folder / "reports",
        clock=clock,
        project="bench",
        home=folder,
        alerts=book,
        drifts=drifts,
        fleet_scores=scores,
    )
    look_ahead(parts)
    with http_port(create_app(parts), "127.0.0.1:0", setting="bench") as bound:
        yield f"http://{bound}"
    parts.close()
    book.close()
    registry.engine.dispose()


def rows(view: View, names: list[str]) -> pa.Table:
    """Return three rows an asset."""
    generator = np.random.default_rng(1)
    count = len(names) * 3
    at = pa.array(np.repeat([NOW - 30 * MINUTE, NOW - 20 * MINUTE, NOW - 10 * MINUTE], len(names)))
    at = at.cast(pa.timestamp("us", tz="UTC"))
    plain = {"asset_id": names * 3, "event_time": at, "known_at": at}
    plain |= {one.name: generator.lognormal(size=count) for one in view.features}
    return pa.table(plain, schema=row_schema(view))


def register(registry: ModelRegistry, services: list[Service], view: View) -> None:
    """Register and promote three versions of each model."""
    for number, service in enumerate(services):
        candidate = Candidate(
            model=f"model_{number:02d}",
            task="binary",
            service=service.name,
            service_json=service.to_json(),
            features=tuple(f"{view.name}__{one}" for one in view.feature_names),
            pins=(ViewPin(view=view.name, version=view.version, table_version=0),),
            training_set="e" * 64,
            rows=7,
            artifact=b"{}",
            artifact_format="json",
            params={},
            metrics={"pr_auc": 0.9, "pr_auc_low": 0.8, "pr_auc_high": 0.95, "baseline_pr_auc": 0.1, "test_groups": 9.0},
            seed=1,
            library="none",
            team="bench",
            owner="bench",
        )
        for one in (1, 2, 3):
            registry.register(replace(candidate, seed=one), actor="bench")
            registry.judge(candidate.model, one, Verdict(gate="bar", outcome="pass", detail="good"), actor="bench")
            registry.promote(candidate.model, one, environment="bench", actor="bench", reason="bench")


def raise_alerts(book: AlertBook, names: list[str]) -> None:
    """Raise alerts, each on an asset of its own."""
    for number, name in enumerate(names[-ALERTS:]):
        book.add(
            Alert(
                id=f"{number:016x}",
                project="bench",
                model=f"model_{number % MODELS:02d}",
                number=3,
                asset_id=name,
                entity={"asset_id": name},
                at_us=NOW - MINUTE,
                raised_us=NOW - MINUTE + number,
                score=0.9,
                threshold=0.7,
                because=(("view_00__rms_1m", 1.5, 0.2),),
            )
        )


def remember(results: ResultFolder) -> None:
    """Keep the reports of checkpoints."""
    finding: dict[str, Any] = {"expectation": "rms >= 0", "columns": ["rms_1m"], "why": "physics", "outcome": "failed"}
    finding |= {"unexpected": 2, "error": ""}
    for subject in range(MODELS):
        for run in range(RUNS):
            at_us = NOW - run * 60 * MINUTE
            content = {"view": f"view_{subject:02d}", "version": "0" * 12, "outcome": "passed", "at_us": at_us}
            content |= {"rows": 900, "quarantined": 0, "expectations": 40, "batch": "b" * 64, "library": "gx"}
            content |= {"suite": "s.yaml", "suite_sha256": "c" * 64, "findings": [finding]}
            results.write("checkpoints", f"view_{subject:02d}", at_us=at_us, ident="x", content=content)


def watch(drifts: DriftBook) -> None:
    """Keep drift checks of every champion, an hour apart; a tenth of what they find drifts."""
    told: dict[str, Any] = {"scope": "*", "regime": "all", "method": "distribution", "p": 0.4, "q": 0.4, "rows": 900}
    told |= {"reference_effective": 90.0, "current_effective": 90.0}
    findings = [Finding(column=f"view_00__f{n}", effect=0.05, verdict="none", **told) for n in range(54)]
    findings += [Finding(column=f"view_00__f{n}", effect=0.4, verdict="drift", **told) for n in range(54, 60)]
    points = [Point(kind="feature", finding=one) for one in findings]
    for model in range(MODELS):
        for run in range(RUNS):
            end_us = NOW - run * 60 * MINUTE
            about = {"project": "bench", "model": f"model_{model:02d}", "number": 3, "outcome": "drift"}
            times = {"start_us": end_us - 60 * MINUTE, "end_us": end_us, "checked_us": end_us, "rows": 900}
            drifts.add(CheckedWindow(**about, **times, assets=3, standing=("*",)), points)  # type: ignore[arg-type]


def score(scores: ScoreBook, names: list[str]) -> None:
    """Score the fleet three times."""
    for number in range(3):
        told: dict[str, Any] = {"model": "model_00", "number": 3, "role": "champion", "status": 1}
        at_us = NOW - (3 - number) * 720 * MINUTE
        fleet = [
            KeptScore(
                prediction_id=f"{number}{place:031x}",
                entity={"asset_id": name},
                at_us=at_us,
                score=place / ASSETS,
                **told,
            )
            for place, name in enumerate(names)
        ]
        scores.add(fleet)


def hold(work: Path, view: View) -> None:
    """Hold twenty batches of a thousand rows."""
    table = rows(view, [f"asset-{n:06d}" for n in range(334)])
    table = table.append_column(REASON, pa.array(["rms_1m <= 100 g"] * table.num_rows))
    for number in range(20):
        keep_aside(table, quarantine_folder(work, view), f"batch {number}")


def predict(folder: Path, names: list[str]) -> None:
    """Write a log with a prediction of each asset."""
    at = pa.array(np.full(len(names), NOW - MINUTE)).cast(pa.timestamp("us", tz="UTC"))
    told = {"prediction_id": [f"{n:032x}" for n in range(len(names))], "asset_id": names, "asked_at": at}
    told |= {"version": ["model_00@3"] * len(names), "role": ["champion"] * len(names)}
    told |= {"score": np.linspace(0, 1, len(names)), "status": np.zeros(len(names), np.int8)}
    told |= {"degraded": np.zeros(len(names), bool)}
    day = folder / "predictions" / "model=model_00" / "date=2026-09-21"
    day.mkdir(parents=True)
    pq.write_table(pa.table(told), day / "all.parquet")


if __name__ == "__main__":
    main()
