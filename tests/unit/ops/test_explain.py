"""A prediction is explained from its records: inputs proven, decision named, outcome judged, the way out shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.cli.reproduce import tell
from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.models.gate import Gate, Policy
from lineshaft.ops.explain import Records, explain
from lineshaft.ops.learning import lesson
from lineshaft.ops.lineage import lineage
from lineshaft.ops.model_file import parse_model
from lineshaft.ops.model_release import Origin, release
from lineshaft.ops.predictions import read_predictions
from lineshaft.ops.reproduce import keep_provenance
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Question
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

HOUR_US = 3_600_000_000
ASSETS, HOURS = 12, 60
NAMES = [f"pump-{i:02d}" for i in range(ASSETS)]
TIME = pa.timestamp("us", tz="UTC")
VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1h"), Feature(name="kurtosis_1h")),
    tile_us=HOUR_US,
    ttl_us=2 * HOUR_US,
)
SERVICE = Service(
    name="bearing_health",
    views=(ServiceView(view=VIEW.name, version=VIEW.version, features=VIEW.feature_names),),
)
CATALOG = FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,))
DECLARED = """\
task: binary
service: bearing_health
every: 1h
label: {log: maintenance, horizon: 24h}
split: {by: asset_id, folds: 3}
rounds: 40
params: {eta: 0.3, min_child_weight: 1}
alert: {threshold: 0.6}
"""


class Changed(FixedCatalog):
    """A catalogue whose first view is the current one; the others are still read by their version."""

    def views(self) -> tuple[View, ...]:
        """Return what is current."""
        return self.all_views[:1]


@dataclass(frozen=True, kw_only=True)
class World:
    """A fleet with a champion that was asked twice about every pump."""

    records: Records
    clock: ManualClock
    ids: dict[str, str]
    offline: MemoryOfflineStore


def rows() -> pa.Table:
    """Return rows of a fleet in which every other pump wears."""
    hour, asset = np.tile(np.arange(1, HOURS + 1), ASSETS), np.repeat(np.arange(ASSETS), HOURS)
    noise = np.random.default_rng(2).normal(size=len(hour))
    rms = 0.3 + np.where(asset % 2 == 0, np.exp((hour - HOURS) / 15), 0) + 0.02 * noise
    times = pa.array(hour * HOUR_US).cast(TIME)
    names = pa.array([NAMES[i] for i in asset])
    return pa.table([names, times, times, pa.array(rms), pa.array(3 + noise)], schema=row_schema(VIEW))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Train by a declaration, promote, ask at the last hour but one and at the last."""
    clock, offline, online = ManualClock(time_us=HOURS * HOUR_US), MemoryOfflineStore(), MemoryOnlineStore()
    offline.write_rows(VIEW, rows(), batch="all")
    failed = NAMES[::2]
    at = pa.array([(HOURS + 1) * HOUR_US] * len(failed)).cast(TIME)
    keep_tables({"maintenance": pa.table({"asset_id": failed, "event_time": at, "kind": ["failure"] * 6})}, tmp_path)
    url = f"sqlite:///{tmp_path / 'lineshaft.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    declared = parse_model("wear", DECLARED, where="here")
    work = lesson(declared, catalog=CATALOG, offline=offline, tables=tmp_path)
    told = keep_provenance(declared, work, generation=0, tables=tmp_path)
    origin = Origin(service=work.service, table_versions=work.table_versions, actor="ana", provenance=told)
    gate = Gate(name="better", metric="pr_auc", op=">", vs="baseline", min_groups=5, min_positive_groups=2)
    policy = Policy(name="better", gates=(gate,), auto=True)
    released = release(registry, work.spec, work.table, origin=origin, policy=policy, environment="prod")
    assert released.assignment is not None, released.judgement.detail
    handler, sink = (
        FeatureHandler(plans=Plans(catalog=CATALOG), online=online, clock=clock),
        PredictionLog(tmp_path / "p"),
    )
    champions = Champions(registry=registry, environment="prod")
    predictor = Predictor(champions=champions, features=handler, clock=clock, sink=sink)
    for hour in (HOURS - 1, HOURS):
        known = rows().filter(pa.array(np.tile(np.arange(1, HOURS + 1) <= hour, ASSETS)))
        online.write(VIEW, known)
        asked_us = np.full(ASSETS, hour * HOUR_US)
        predictor.predict(Question(model="wear", keys=pa.table({"asset_id": NAMES}), at_us=asked_us))
    sink.behind.flush()
    logged = read_predictions(tmp_path / "p", "wear")
    records = Records(
        predictions=tmp_path / "p",
        tables=tmp_path,
        registry=registry,
        catalog=CATALOG,
        offline=offline,
        environment="prod",
        clock=clock,
    )
    ids = dict(zip(logged["asset_id"].to_pylist(), logged["prediction_id"].to_pylist(), strict=True))
    yield World(records=records, clock=clock, ids=ids, offline=offline)
    registry.engine.dispose()


def test_a_prediction_is_proven_and_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Score and inputs are found again bit for bit; contributions add up; whoever let it answer is named."""
    found = explain(world.ids["pump-00"], world.records)

    assert found.proven
    assert found.score is not None
    assert found.score > 0.6
    margin = found.base + sum(one.contribution for one in found.inputs)
    assert 1 / (1 + np.exp(-margin)) == pytest.approx(found.score, abs=1e-6)
    assert found.keys == {"asset_id": "pump-00"}
    assert (found.decided["act"], found.decided["by"]) == ("promote prod:champion=1", "policy better, for ana")
    assert [line["version"] for line in found.recent] == ["wear@1", "wear@1"]
    assert found.recent[-1]["score"] == found.score
    tell(found, most=5)
    printed = capsys.readouterr().out
    assert "found again bit for bit" in printed
    assert "vibration__rms_1h" in printed


def test_the_way_out_takes_the_score_across_the_alert(world: World) -> None:
    """Of a worn pump by its rms, and of a sound one the other way; a threshold that is named stands in."""
    worn, sound = (explain(world.ids[name], world.records) for name in ("pump-00", "pump-01"))

    assert list(worn.moves[0].values) == ["vibration__rms_1h"]
    assert worn.moves[0].score < 0.6 <= sound.moves[0].score
    assert worn.moves[0].values["vibration__rms_1h"] < max(one.value or 0 for one in worn.inputs)
    other = explain(world.ids["pump-01"], world.records, threshold=0.9)
    assert other.rule is not None
    assert other.rule.threshold == 0.9
    with pytest.raises(InputError, match="a threshold of 7 never alerts"):
        explain(world.ids["pump-01"], world.records, threshold=7)
    assert min(move.score for move in other.moves) >= 0.9


def test_the_outcome_is_told_when_its_time_has_come(world: World) -> None:
    """Pending first; a day and more later the failure has happened, or has not."""
    names = ("pump-00", "pump-01")
    assert [explain(world.ids[name], world.records).outcome for name in names] == ["pending"] * 2

    world.clock.advance(seconds=30 * 3600)

    assert [explain(world.ids[name], world.records).outcome for name in names] == ["true_positive", "true_negative"]


def test_inputs_that_are_not_what_is_stored_are_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that claims to have been there says another value: what the model saw is no longer proven."""
    late = rows().slice(HOURS - 1, 1)
    known = pa.array([HOURS * HOUR_US]).cast(TIME)
    at = pa.array([HOURS * HOUR_US - 1]).cast(TIME)
    earlier = replace(world.records, offline=MemoryOfflineStore())
    earlier.offline.write_rows(VIEW, late.set_column(2, late.schema.field(2), known), batch="a")
    wrong = late.set_column(2, late.schema.field(2), at).set_column(3, late.schema.field(3), pa.array([9.0]))
    wrong_only = replace(world.records, offline=MemoryOfflineStore())
    wrong_only.offline.write_rows(VIEW, wrong, batch="a")

    assert explain(world.ids["pump-00"], earlier).proven
    found = explain(world.ids["pump-00"], wrong_only)
    tell(found, most=1)

    assert [(one.feature, one.offline) for one in found.inputs if not one.same] == [("vibration__rms_1h", 9.0)]
    assert "1 of 2 inputs differ from the offline store: vibration__rms_1h" in capsys.readouterr().out


def test_a_row_received_late_is_named_and_not_taken_for_skew(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked about a recording, a server answers from rows received since: both row times are told, and no skew."""
    known = rows()
    own = np.asarray(known["event_time"].cast(pa.int64()).to_numpy())
    received = np.where(own == HOURS * HOUR_US, own + 5 * HOUR_US, own)
    held_up = replace(world.records, offline=MemoryOfflineStore())
    table = known.set_column(2, known.schema.field(2), pa.array(received).cast(TIME))
    held_up.offline.write_rows(VIEW, table, batch="a")

    found = explain(world.ids["pump-00"], held_up)
    tell(found, most=1)

    assert not found.proven
    (late,) = found.late
    assert (late.view, late.used_us, late.then_us) == ("vibration", HOURS * HOUR_US, (HOURS - 1) * HOUR_US)
    assert late.known_us == (HOURS + 5) * HOUR_US
    printed = " ".join(capsys.readouterr().out.split())
    assert "inputs differ" not in printed
    assert "1970-01-03T12:00:00Z" in printed
    assert "1970-01-03T11:00:00Z" in printed


def test_an_outcome_waits_for_reports_as_outcomes_does(world: World) -> None:
    """Failures here are written down two days late: what has no report yet is pending, not a true negative."""
    failed = NAMES[::2]
    at = (HOURS + 1) * HOUR_US
    told = {"asset_id": failed, "event_time": pa.array([at] * 6).cast(TIME), "kind": ["failure"] * 6}
    told["known_at"] = pa.array([at + 48 * HOUR_US] * 6).cast(TIME)
    keep_tables({"maintenance": pa.table(told)}, world.records.tables)

    outcomes = []
    for hours in (50, 24):
        world.clock.advance(seconds=hours * 3600)
        outcomes.append([explain(world.ids[name], world.records).outcome for name in ("pump-00", "pump-01")])

    assert outcomes == [["pending", "pending"], ["true_positive", "true_negative"]]


def test_an_unknown_prediction_is_not_found(world: World) -> None:
    """An id that no file has is told, with where was looked."""
    with pytest.raises(NotFoundError, match="no prediction 'nothing' is remembered"):
        explain("nothing", world.records)


def named(world: World, name: str) -> dict[str, set[tuple[str, str]]]:
    """Return what is up and down of a thing."""
    records = world.records
    _, found = lineage(name, catalog=CATALOG, registry=records.registry, predictions=records.predictions)
    return {way: {(o.node.kind, o.node.name) for o in found if o.direction == way} for way in ("up", "down")}


def test_lineage_leads_from_a_channel_to_a_prediction_and_back(world: World) -> None:
    """One question, both ways: nothing of it is missing at either end, nor in the middle."""
    ident = world.ids["pump-00"]
    rms, other = ("feature", "vibration__rms_1h"), ("feature", "vibration__kurtosis_1h")
    service, model = ("service", "bearing_health"), ("model", "wear@1")
    rests = {("slot", "prod:champion of wear"), ("predictions", "wear@1")}
    source = ("channel", "vibration_blocks")

    assert named(world, "vibration_blocks") == {"up": set(), "down": {rms, other, service, model, *rests}}
    assert named(world, "vibration__rms_1h") == {"up": {source}, "down": {service, model, *rests}}
    assert named(world, "wear@1") == {"up": {source, rms, other, service}, "down": rests}
    assert named(world, ident) == {"up": {source, rms, other, service, model}, "down": set()}


def test_lineage_of_a_pinned_view_outlives_its_change(world: World) -> None:
    """The view is another by now; the model still comes from the channel that it pins."""
    later = replace(VIEW, features=(Feature(name="rms_2h"),), source=replace(VIEW.source, name="other_blocks"))
    records = world.records
    there = {"registry": records.registry, "predictions": records.predictions}

    _, found = lineage("wear@1", catalog=Changed(all_views=(later, VIEW)), **there)  # type: ignore[arg-type]
    _, lost = lineage("wear@1", catalog=Changed(all_views=(later,)), **there)  # type: ignore[arg-type]

    assert "vibration_blocks" in {one.node.name for one in found if one.direction == "up"}
    assert "vibration_blocks" not in {one.node.name for one in lost}


def test_lineage_of_nothing_names_what_is_near(world: World) -> None:
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(NotFoundError, match="nothing is called 'vibration__rms'") as refused:
        named(world, "vibration__rms")
    assert "vibration__rms_1h" in refused.value.fix


@pytest.mark.parametrize(
    ("name", "what"), [("wear@7", "'wear' has no version 7"), ("wear", "'wear' is no one version")]
)
def test_lineage_of_a_version_there_is_not_names_those_there_are(world: World, name: str, what: str) -> None:
    """Not what is spelt alike: what of this model can be asked about."""
    with pytest.raises(NotFoundError, match=what) as refused:
        named(world, name)
    assert refused.value.fix == "there are wear@1"
