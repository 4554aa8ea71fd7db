"""What the admin page is looked at over: real stores, a real registry, a checkpoint, drift, scores, a report."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.clock import ManualClock
from lineshaft.drift.policy import DriftPolicy, RetrainPolicy
from lineshaft.models.columns import numeric_features
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.drift_check import Asked, check
from lineshaft.ops.drift_loop import DriftLoop, Hands
from lineshaft.ops.model_release import Origin, release
from lineshaft.ops.quarantine import REASON, keep_aside, quarantine_folder
from lineshaft.ops.release import Keeper
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.alerts import Alert, AlertBook
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.drifts import drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Provenance, Slot
from lineshaft.registry.scores import KeptScore, ScoreBook
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft_governance.cards.card import card, render
from lineshaft_governance.checks.gate import Gate
from lineshaft_governance.checks.suites import Suite
from lineshaft_governance.drift.check import Window, check_drift, draw_report, open_worker
from lineshaft_governance.policies import promotion_policy
from lineshaft_governance.web.parts import WebParts

GOVERNANCE = Path(__file__).parents[3] / "governance"
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 86_400_000_000
START_US = 1_790_000_040_000_000  # 2026-09-21, a whole minute
HOSTILE = '<img src=x onerror="alert(1)">'
BEARING = "9,0.3126,1.537,0"  # SKF 6205
SHAFT_HZ = 29.95
LOG = pa.table(
    {
        "asset_id": pa.array(["pump-00", "pump-05"]),
        "event_time": pa.array([START_US + 3 * DAY_US, START_US + 2 * DAY_US]).cast(pa.timestamp("us", tz="UTC")),
        "kind": pa.array(["failure", "inspection_ok"]),
    }
)
DECLARED = """
task: binary
service: bearing_health
every: 1d
label: {log: maintenance, horizon: 7d}
split: {by: asset_id, held_out: 0.3}
alert: {threshold: 0.7}
"""

NAMES = ("rms", "std", "peak", "kurtosis", "crest_factor", "coverage")
FEATURES = tuple(
    Feature(
        name=f"acceleration_{name}_{window}",
        column="acceleration",
        function=name,
        window_us=us,
        unit="g" if name in {"rms", "std", "peak"} else "1",
    )
    for window, us in (("1m", MINUTE_US), ("1h", 60 * MINUTE_US))
    for name in NAMES
)
OUTER = Feature(
    name="acceleration_envelope_ratio_bpfo_5m",
    column="acceleration",
    function="envelope_ratio[bpfo]",
    window_us=5 * MINUTE_US,
    unit="1",
    description="The line of the outer race over the background of the envelope spectrum.",
)
VIBRATION = View(
    name="vibration_condition",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(*FEATURES, OUTER),
    grace_us=30_000_000,
    ttl_us=10 * MINUTE_US,
    team="vibration",
    owner="vibration@lineshaft.example",
    description="Level and shape of acceleration over one minute and one hour.",
)
ORPHAN = replace(VIBRATION, name="loop_condition", owner="", team="", description=HOSTILE, features=FEATURES[:3])
SERVICE = Service(
    name="bearing_health",
    views=(ServiceView(view=VIBRATION.name, version=VIBRATION.version, features=VIBRATION.feature_names),),
    team="vibration",
    owner="vibration@lineshaft.example",
    description="Everything known of a bearing.",
)
SPEC = ModelSpec(
    name="bearing_failure",
    task="binary",
    service=SERVICE.name,
    features=numeric_features(SERVICE),
    rounds=30,
    team="vibration",
    owner="vibration@lineshaft.example",
    description="Fails within seven days, by asset.",
)


def feature_rows(
    *, assets: int = 12, ticks: int = 240, wear: float = 0.0, wears: float = 1.5, seed: int = 1
) -> pa.Table:
    """Return rows of a fleet whose first third wears by `wears`; `wear` moves them all."""
    generator = np.random.default_rng(seed)
    count = assets * ticks
    asset = np.repeat(np.arange(assets), ticks)
    worn = np.where(asset < assets // 3, np.tile(np.linspace(0, wears, ticks), assets), 0) + wear
    times = pa.array(START_US + np.tile(np.arange(ticks), assets) * MINUTE_US).cast(pa.timestamp("us", tz="UTC"))
    columns = {"asset_id": [f"pump-{i:02d}" for i in asset], "event_time": times, "known_at": times}
    for window in ("1m", "1h"):
        rms = 0.3 * np.exp(worn) * np.exp(0.1 * generator.normal(size=count))
        crest = 3.5 + 2 * worn + 0.3 * generator.normal(size=count).clip(-3, 3)
        kurtosis = 3 + 2 * worn + 0.2 * generator.normal(size=count)
        values = (rms, 0.95 * rms, rms * crest, kurtosis.clip(1.1), crest, np.ones(count))
        columns |= {f"acceleration_{name}_{window}": v for name, v in zip(NAMES, values, strict=True)}
    columns[OUTER.name] = np.exp(2 * worn) * (2 + 0.3 * generator.normal(size=count).clip(-3, 3))
    return pa.table(columns, schema=row_schema(VIBRATION))


def answered(rows: pa.Table) -> pa.Table:
    """Name the features as an answer does, and label the rows of worn assets."""
    worn = [int(asset[-2:]) < 4 for asset in rows["asset_id"].to_pylist()]
    late = np.asarray(rows["event_time"].cast(pa.int64())) > START_US + 120 * MINUTE_US
    named = {f"vibration_condition__{name}": rows[name] for name in VIBRATION.feature_names}
    return pa.table(
        {
            "asset_id": rows["asset_id"],
            "event_time": rows["event_time"],
            **named,
            "label": (worn & late).astype(np.int8),
        }
    )


def fill(folder: Path, clock: ManualClock) -> WebParts:
    """Do what leads to a page worth reading: materialize, train, promote, alert, predict, check drift."""
    offline = DeltaOfflineStore(str(folder / "offline"))
    rows = feature_rows()
    with Gate.open(suites=GOVERNANCE / "suites", folder=folder, clock=clock) as gate:
        gate.suites.found["view", "vibration_condition"] = _known_columns(gate)
        offline.write_rows(VIBRATION, gate.check_batch(VIBRATION, rows).good, batch="first")
        clock.advance(seconds=3600)
        bad = rows.slice(0, 40).to_pandas()
        bad.loc[3:5, "acceleration_rms_1m"] = 9810.0  # somebody sent mm/s2 for g
        bad.loc[9, "acceleration_kurtosis_1h"] = 0.2
        later = pa.Table.from_pandas(bad, schema=row_schema(VIBRATION), preserve_index=False)
        gated = gate.check_batch(VIBRATION, later)
        offline.write_rows(VIBRATION, gated.good, batch="second")
        keep_aside(gated.quarantined, quarantine_folder(folder / "work", VIBRATION), "second")
        results = gate.results
    offline.write_blocks(VIBRATION.source, worn_bearing(), batch="blocks")
    keep_tables({"maintenance": LOG}, folder / "tables")
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    _release(registry, offline, rows, clock)
    _drift(folder, registry, rows)
    _hold(folder)
    for path in (folder / "work" / "quarantine").rglob("*.parquet"):
        os.utime(
            path, (START_US / 1e6 + 4 * 3600, START_US / 1e6 + 4 * 3600)
        )  # held by this clock, not by the machine's
    book = AlertBook(url, project="demo", clock=clock)
    catalog = FixedCatalog(all_views=(ORPHAN, VIBRATION), all_services=(SERVICE,))
    _predict(folder, registry, rows, book)
    clock.advance(seconds=300)
    policy = promotion_policy(GOVERNANCE / "policies", SPEC.name)
    return WebParts(
        catalog=catalog,
        offline=offline,
        online=None,
        registry=registry,
        results=results,
        reports=folder / "drift",
        clock=clock,
        project="demo",
        home=folder,
        alerts=book,
        fleet_scores=_score(folder, registry, url),
        drifts=drift_book(registry, "demo"),
        drift_policy=lambda _model: DriftPolicy(window_us=HOUR_US),
        keeper=Keeper(
            catalog=catalog,
            offline=offline,
            online=MemoryOnlineStore(),
            work=folder / "work",
            tables=folder / "tables",
            clock=clock,
        ),
        policy=lambda _model: replace(policy, approvals=1),
        card=lambda one: render(card(one, catalog=catalog, registry=registry, drift=None), html=True),
        patience_s=60,
    )


def worn_bearing() -> pa.Table:
    """Return a block of a machine whose outer race is struck: a resonance that rings once a pass, in noise."""
    rate, generator = 12_000.0, np.random.default_rng(3)
    at = np.arange(12_000) / rate
    strikes = np.floor(at * 3.5848 * SHAFT_HZ)
    since = at - strikes / (3.5848 * SHAFT_HZ)
    wave = np.exp(-since * 900) * np.sin(2 * np.pi * 3300 * since) + 0.05 * generator.normal(size=len(at))
    start = START_US + 239 * MINUTE_US - 1_000_000
    told: dict[str, Any] = {"rate_hz": rate, "shaft_hz": SHAFT_HZ, "bearing": BEARING, "position": "drive_end"}
    return blocks_table(asset_id="pump-00", starts_us=[start], samples=wave[None, None, :], **told)


def _known_columns(gate: Gate) -> Suite:
    """Return the shipped suite without the features this small view lacks."""
    suite = gate.suites.found["view", "vibration_condition"]
    named = tuple(f"acceleration_{name}_*" for name in NAMES)
    checks = [c for c in suite.checks if c.column in named and (not c.other or c.other in named)]
    return replace(suite, checks=tuple(checks))


def _release(registry: ModelRegistry, offline: DeltaOfflineStore, rows: pa.Table, clock: ManualClock) -> None:
    """Train two versions: the first is champion, the second waits for somebody to agree."""
    policy = promotion_policy(GOVERNANCE / "policies", SPEC.name)
    policy = replace(policy, gates=tuple(replace(gate, min_positive_groups=1) for gate in policy.gates))
    kept = {"label_sha256": "", "moments_sha256": "", "features_sha256": "", "environment": {}}
    told = Provenance(model_file=DECLARED, catalog_generation=1, label_table="maintenance", **kept)  # type: ignore[arg-type]
    origin = Origin(
        service=SERVICE,
        table_versions={VIBRATION.name: offline.version(VIBRATION)},
        actor="ana",
        provenance=told,
    )
    released = release(registry, SPEC, answered(rows), origin=origin, policy=policy, environment="demo")
    assert released.assignment is not None, released.judgement
    clock.advance(seconds=1200)
    later = replace(policy, approvals=1, gates=tuple(one for one in policy.gates if one.vs != "champion"))
    waiting = release(registry, replace(SPEC, seed=3), answered(rows), origin=origin, policy=later, environment="demo")
    assert waiting.judgement.outcome == "pass", waiting.judgement
    why: dict[str, Any] = {"actor": "ana", "reason": "compare it on the line first"}
    registry.promote(SPEC.name, 2, environment="demo", slot=Slot.SHADOW, **why)


def _predict(folder: Path, registry: ModelRegistry, rows: pa.Table, book: AlertBook) -> None:
    """Write the log of predictions of every asset's last row, and alert of those that are worn."""
    version = registry.get(SPEC.name, 1)
    table = answered(rows).filter(pa.array(np.arange(rows.num_rows) % 240 == 239))
    scorer = load_model(registry.load(version), features=version.features)
    scored = scorer.score(feature_matrix(table, version.features))
    columns = {
        "prediction_id": [f"{place:032x}" for place in range(len(table))],
        "asset_id": table["asset_id"],
        "asked_at": table["event_time"],
        "version": [version.ref] * len(table),
        "role": ["champion"] * len(table),
        "score": np.asarray(scored.scores, dtype=np.float64),
        "status": np.zeros(len(table), dtype=np.int8),
        "degraded": np.zeros(len(table), dtype=bool),
        "contributions": pa.array(scored.reasons.tolist()),
        **{name: table[name].cast(pa.float32()) for name in version.features},
    }
    day = folder / "predictions" / f"model={SPEC.name}" / "date=2026-09-21"
    day.mkdir(parents=True)
    pq.write_table(pa.table(columns), day / "all.parquet")
    for place, (name, score) in enumerate(zip(table["asset_id"].to_pylist(), columns["score"].tolist(), strict=True)):
        if score >= 0.7:
            order = np.argsort(-np.abs(scored.reasons[place]))[:3].tolist()
            inputs = [(version.features[i], columns[version.features[i]][place].as_py()) for i in order]
            because = [(n, v, float(scored.reasons[place][i])) for i, (n, v) in zip(order, inputs, strict=True)]
            at_us = int(table["event_time"].cast(pa.int64())[place].as_py())
            about = {"project": "demo", "model": SPEC.name, "number": 1, "asset_id": name, "threshold": 0.7}
            times = {"at_us": at_us, "raised_us": at_us + 1_000_000, "worst": score, "score": score}
            id_ = f"{place:016x}"
            book.add(
                Alert(id=id_, entity={"asset_id": name}, because=because, routed={"log": "sent"}, **about, **times)
            )


def _drift(folder: Path, registry: ModelRegistry, rows: pa.Table) -> None:
    """Check seven times a fleet that runs faster and slower later on, say what stands, and draw a report."""
    book = drift_book(registry, "demo")
    sketch, policy = book.sketch(SPEC.name, 1), DriftPolicy(window_us=HOUR_US)
    calm, fast = answered(feature_rows(seed=2, wears=0.0)), answered(feature_rows(seed=2, wears=0.0, wear=0.8))
    minutes = (np.asarray(calm["event_time"].cast(pa.int64())) - START_US) // MINUTE_US
    often = (minutes > 90) & (minutes // 20 % 2 == 0)  # faster every other twenty minutes, from then on
    current = pa.concat_tables([calm.filter(pa.array(~often)), fast.filter(pa.array(often))])
    hands = Hands(train=_nobody, standing=_nobody, promote=_nobody, environment="demo", actor="test")
    loop = DriftLoop(book=book, registry=registry, policy=RetrainPolicy(), hands=hands)
    for end in range(60, 241, 30):
        asked = Asked(rows=current, time="event_time")
        at_us = START_US + end * MINUTE_US
        loop.step(check(book, SPEC.name, 1, sketch, asked, policy=policy, at_us=at_us))
    reference, moved = Window(table=answered(rows)), Window(table=current)
    found = check_drift(
        f"{SPEC.name}@1", reference, moved, features=SPEC.features, policy=policy, at_us=START_US + 240 * MINUTE_US
    )
    with open_worker() as worker:
        draw_report(found, reference, moved, folder=folder / "drift", worker=worker)


def _nobody(*_asked: Any) -> Any:
    """Fail: nothing is trained here, and nothing promoted."""
    raise AssertionError("nobody asked for this")


def _hold(folder: Path) -> None:
    """Hold a batch of the view that nobody owns: its level is negative."""
    rows = feature_rows(assets=2, ticks=2).select(row_schema(ORPHAN).names)
    rows = rows.set_column(rows.column_names.index("acceleration_rms_1m"), "acceleration_rms_1m", pa.array([-1.0] * 4))
    why = pa.array([f"acceleration_rms_1m >= 0 {HOSTILE}"] * 4)
    keep_aside(rows.append_column(REASON, why), quarantine_folder(folder / "work", ORPHAN), "held")


def _score(folder: Path, registry: ModelRegistry, url: str) -> ScoreBook:
    """Score the fleet twice a day for a week, say where machines stand and what they are."""
    book, names = ScoreBook(url, project="demo"), [f"pump-{n:02d}" for n in range(12)]
    for number in range(14):
        at_us = START_US + 240 * MINUTE_US - (13 - number) * 12 * HOUR_US
        told: dict[str, Any] = {"model": SPEC.name, "number": 1, "role": "champion", "at_us": at_us, "status": 1}
        book.add(
            [
                KeptScore(
                    prediction_id=f"{place:016x}{number:016x}",
                    entity={"asset_id": name},
                    score=None if place == 11 else 0.05 + (0.065 * number if place < 3 else 0.01 * place),
                    degraded=place == 10,
                    **told,
                )
                for place, name in enumerate(names)
            ]
        )
    registry.sites.place(dict.fromkeys(names[:6], "north"), environment="demo", actor="ana", reason="as built")
    classes = ["pump", "fan"]
    keep_tables({"assets": pa.table({"asset_id": names, "class": (classes * 6)})}, folder / "tables")
    return book
