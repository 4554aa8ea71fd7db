"""From what was ingested to a lesson: which moments are asked about, and what their labels say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import DefinitionError, InputError, NotFoundError
from lineshaft.ops.learning import lesson, moments
from lineshaft.ops.model_file import ModelFile
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.sources.cmapss import CYCLE_US, EPOCH
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore

GRACE_US = 60_000_000
HOUR_US = 3_600_000_000
RUL = ModelFile(
    name="turbofan_rul",
    task="rul",
    service="turbofan_rul",
    every_us=CYCLE_US,
    split_by="asset_id",
    ends="truth",
    cap=125.0,
)
FAILURE = ModelFile(
    name="bearing_failure",
    task="binary",
    service="bearing_health",
    every_us=600_000_000,
    split_by="asset_id",
    log="maintenance",
    horizon_us=4 * HOUR_US,
    description="Whether it fails.",
)
TIME = pa.timestamp("us", tz="UTC")
ENGINES = View(
    name="turbofan_condition",
    source=Source(name="turbofan_cycles", channels=("s2",), units=("degR",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="s2_mean"),),
    tile_us=CYCLE_US,
    grace_us=GRACE_US,
    ttl_us=2 * CYCLE_US,
)
BEARINGS = View(
    name="vibration_condition",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(Feature(name="rms_1m"),),
    tile_us=60_000_000,
    grace_us=GRACE_US // 2,
)


def catalog() -> FixedCatalog:
    """Return both views under the services that the models name."""
    services = tuple(
        Service(
            name=name,
            views=(ServiceView(view=view.name, version=view.version, features=view.feature_names),),
            team="team",
            owner="owner",
        )
        for name, view in (("turbofan_rul", ENGINES), ("bearing_health", BEARINGS))
    )
    return FixedCatalog(all_views=(ENGINES, BEARINGS), all_services=services)


def rows(view: View, *entries: tuple[object, ...]) -> pa.Table:
    """Return rows of (keys…, event time, features…), each known a grace after its tick."""
    keys = len(view.entity_keys)
    full = [(*entry[: keys + 1], entry[keys] + view.grace_us, *entry[keys + 1 :]) for entry in entries]  # type: ignore[operator]
    columns = zip(*full, strict=True)
    arrays = [pa.array(list(c), f.type) for c, f in zip(columns, row_schema(view), strict=True)]
    return pa.table(arrays, schema=row_schema(view))


def engines(cycles: int) -> MemoryOfflineStore:
    """Return a store with one engine's cycles, the value of cycle k being k."""
    start = utc_us(EPOCH)
    offline = MemoryOfflineStore()
    entries = [("FD001-train-001", start + k * CYCLE_US, float(k)) for k in range(1, cycles + 1)]
    offline.write_rows(ENGINES, rows(ENGINES, *entries), batch="rows")
    return offline


def truth(cycles: int, rul: float | None) -> pa.Table:
    """Return what is true of the engine."""
    return pa.table({"asset_id": ["FD001-train-001"], "cycles": [cycles], "rul": pa.array([rul], pa.float64())})


def test_the_label_of_a_cycle_is_the_number_of_cycles_left(tmp_path: Path) -> None:
    """Whole numbers down to 0 in the last cycle: the grace between a tick and its answer is no part of a life."""
    keep_tables({"truth": truth(200, 0.0)}, tmp_path)

    work = lesson(RUL, catalog=catalog(), offline=engines(200), tables=tmp_path)

    cycle = work.table["turbofan_condition__s2_mean"].to_numpy()
    assert cycle.tolist() == list(range(1, 201))
    assert work.table["label"].to_pylist() == np.minimum(200 - cycle, 125).tolist()
    assert work.dropped == {}
    assert work.statuses == {"present": 200}
    assert work.table_versions == {"turbofan_condition": 0}


def test_what_is_left_after_a_cut_counts(tmp_path: Path) -> None:
    """An engine cut 30 cycles before its end has 30 left in the last cycle given."""
    keep_tables({"truth": truth(50, 30.0)}, tmp_path)

    work = lesson(RUL, catalog=catalog(), offline=engines(50), tables=tmp_path)

    assert work.table["label"].to_pylist()[-3:] == [32.0, 31.0, 30.0]


def test_an_engine_of_unknown_end_teaches_nothing(tmp_path: Path) -> None:
    """If no row can be labelled the error says why."""
    keep_tables({"truth": truth(50, None)}, tmp_path)

    with pytest.raises(InputError, match="no row of 'turbofan_rul' could be labelled") as refused:
        lesson(RUL, catalog=catalog(), offline=engines(50), tables=tmp_path)
    assert "labelled: 50 of 50 are of assets whose end of life is not known" in refused.value.what


def test_patterns_that_match_no_asset_are_told_with_the_assets_there_are(tmp_path: Path) -> None:
    """More history would not mend it."""
    keep_tables({"truth": truth(50, None)}, tmp_path)
    elsewhere = replace(RUL, assets=("Bearing*", "pump-*"))

    with pytest.raises(InputError, match=r"no asset is called 'Bearing\*' or 'pump-\*'") as refused:
        lesson(elsewhere, catalog=catalog(), offline=engines(50), tables=tmp_path)
    assert refused.value.fix == "the assets with rows are FD001-train-001"


@pytest.mark.parametrize(("model", "key"), [(RUL, "ends"), (FAILURE, "log")])
def test_a_table_of_another_kind_is_told_before_any_row_is_read(tmp_path: Path, model: ModelFile, key: str) -> None:
    """Which columns are not there, and in which file the table is named; the store is empty, and not asked."""
    keep_tables({"other": pa.table({"asset_id": ["pump"], "note": ["oiled"]})}, tmp_path)
    wrong = replace(model, **{key: "other"})  # type: ignore[arg-type]

    with pytest.raises(DefinitionError, match=rf"label: {{{key}: other}} names a table without \w+, \w+") as refused:
        lesson(wrong, catalog=catalog(), offline=MemoryOfflineStore(), tables=tmp_path)
    assert refused.value.where == f"models/{model.name}.yaml"


def test_failures_are_labelled_within_the_horizon(tmp_path: Path) -> None:
    """One ten-minute moment after another: 1 within four hours of a failure, 0 before, and nothing from after it."""
    start = utc_us("2024-01-01")
    offline = MemoryOfflineStore()
    entries = [("pump", "de", start + minute * 60_000_000, 1.0) for minute in range(1, 601)]
    offline.write_rows(BEARINGS, rows(BEARINGS, *entries), batch="rows")
    failed_us = start + 8 * HOUR_US
    log = pa.table({"asset_id": ["pump"], "event_time": pa.array([failed_us]).cast(TIME), "kind": ["failure"]})
    keep_tables({"maintenance": log}, tmp_path)

    work = lesson(FAILURE, catalog=catalog(), offline=offline, tables=tmp_path)

    times = np.asarray(work.table["event_time"].cast(pa.int64()).to_numpy())
    label = np.asarray(work.table["label"].to_numpy())
    assert np.diff(times).tolist()[1:] == [600_000_000] * (len(times) - 2)
    assert times.max() < failed_us
    np.testing.assert_array_equal(label, (times >= failed_us - 4 * HOUR_US).astype(int))
    assert 0 < label.sum() < len(label)
    assert work.dropped == {"horizon_not_over": 13}
    assert work.spec.features == ("vibration_condition__rms_1m",)
    assert (work.spec.team, work.spec.owner, work.spec.service) == ("team", "owner", "bearing_health")


def test_days_whose_failures_may_be_unreported_teach_nothing(tmp_path: Path) -> None:
    """Reports take two hours: what had not failed by then may have, and nobody has said so yet."""
    start = utc_us("2024-01-01")
    offline = MemoryOfflineStore()
    entries = [("pump", "de", start + minute * 60_000_000, 1.0) for minute in range(1, 601)]
    offline.write_rows(BEARINGS, rows(BEARINGS, *entries), batch="rows")
    told = {name: pa.array([start + hour * HOUR_US]).cast(TIME) for name, hour in (("event_time", 2), ("known_at", 4))}
    keep_tables({"maintenance": pa.table({"asset_id": ["pump"], "kind": ["failure"], **told})}, tmp_path)

    work = lesson(FAILURE, catalog=catalog(), offline=offline, tables=tmp_path)

    assert work.dropped == {"horizon_not_over": 36}
    assert int(np.asarray(work.table["event_time"].cast(pa.int64())).max()) <= start + 4 * HOUR_US + GRACE_US


def test_moments_are_each_entitys_first_tick_of_every_stretch() -> None:
    """Asked when first answered, corrections ignored, entities apart and in order."""
    minute = 60_000_000
    offline = MemoryOfflineStore()
    ticks = [("b", "de", 12), ("a", "de", 3), ("a", "de", 1), ("a", "nde", 4), ("a", "de", 11), ("a", "de", 19)]
    table = rows(BEARINGS, *((asset, position, tick * minute, 1.0) for asset, position, tick in ticks))
    offline.write_rows(BEARINGS, table, batch="rows")
    late = rows(BEARINGS, ("a", "de", 1 * minute, 2.0))
    place = late.column_names.index("known_at")
    known = pa.array([30 * minute]).cast(TIME)
    offline.write_rows(BEARINGS, late.set_column(place, late.schema.field(place), known), batch="late")

    found = moments(BEARINGS, offline, every_us=10 * minute)

    asked = [(found["event_time"].cast(pa.int64())[i].as_py() - BEARINGS.grace_us) // minute for i in range(4)]
    keys = list(zip(found["asset_id"].to_pylist(), found["position"].to_pylist(), strict=True))
    assert keys == [("a", "de"), ("a", "de"), ("a", "nde"), ("b", "de")]
    assert asked == [1, 11, 4, 12]


def test_nothing_ingested_is_said_in_words(tmp_path: Path) -> None:
    """A lesson from a view without rows is refused, not a traceback of the join."""
    keep_tables({"truth": truth(50, 0.0)}, tmp_path)

    with pytest.raises(InputError, match="no row of 'turbofan_rul' could be labelled"):
        lesson(RUL, catalog=catalog(), offline=MemoryOfflineStore(), tables=tmp_path)


def test_no_table_of_outcomes_is_told_by_name(tmp_path: Path) -> None:
    """Training before the log was ingested says which table is missing."""
    with pytest.raises(NotFoundError, match="no table 'truth' was ingested"):
        lesson(RUL, catalog=catalog(), offline=engines(50), tables=tmp_path)


def test_a_failure_model_without_rows_is_said_in_words(tmp_path: Path) -> None:
    """The same of the other kind, whose follow-up ends with its newest row."""
    log = pa.table({"asset_id": ["pump"], "event_time": pa.array([1]).cast(TIME), "kind": ["failure"]})
    keep_tables({"maintenance": log}, tmp_path)

    with pytest.raises(InputError, match="no row of 'bearing_failure' could be labelled: there is none"):
        lesson(FAILURE, catalog=catalog(), offline=MemoryOfflineStore(), tables=tmp_path)


class Growing(MemoryOfflineStore):
    """A store into which somebody writes a correction while a lesson is being prepared."""

    correction: pa.Table | None = None

    def version(self, view: View) -> int:
        """Say the version, and let the correction in right after."""
        said = super().version(view)
        if self.correction is not None:
            late, self.correction = self.correction, None
            self.write_rows(view, late, batch="late")
        return said


def test_a_lesson_is_of_the_versions_it_pins(tmp_path: Path) -> None:
    """A correction that arrives meanwhile is not learned from: the pins name exactly the rows that were read."""
    keep_tables({"truth": truth(3, 0.0)}, tmp_path)
    offline = Growing()
    first = utc_us(EPOCH) + CYCLE_US
    offline.write_rows(ENGINES, rows(ENGINES, ("FD001-train-001", first, 1.0)), batch="rows")
    offline.correction = rows(ENGINES, ("FD001-train-001", first, 99.0))

    work = lesson(RUL, catalog=catalog(), offline=offline, tables=tmp_path)

    assert work.table_versions == {"turbofan_condition": 0}
    assert work.table["turbofan_condition__s2_mean"].to_pylist() == [1.0]
    assert offline.version(ENGINES) == 1


def test_a_service_is_asked_by_its_most_detailed_view(tmp_path: Path) -> None:
    """Where one view speaks of machines and another of bearings, each bearing is a row."""
    site = View(
        name="site", source=BEARINGS.source, entity_keys=(("asset_id", "string"),), features=(Feature(name="t"),)
    )
    used = tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in (site, BEARINGS))
    held = FixedCatalog(all_views=(site, BEARINGS), all_services=(Service(name="bearing_health", views=used),))
    start = utc_us("2024-01-01")
    offline = MemoryOfflineStore()
    bearings = [("pump", place, start + k * HOUR_US, 1.0) for k in range(12) for place in ("de", "nde")]
    offline.write_rows(BEARINGS, rows(BEARINGS, *bearings), batch="rows")
    offline.write_rows(site, rows(site, ("pump", start, 20.0)), batch="rows")
    log = pa.table(
        {"asset_id": ["pump"], "event_time": pa.array([start + 11 * HOUR_US]).cast(TIME), "kind": ["failure"]}
    )
    keep_tables({"maintenance": log}, tmp_path)

    work = lesson(FAILURE, catalog=held, offline=offline, tables=tmp_path)

    assert set(work.table["position"].to_pylist()) == {"de", "nde"}
    assert set(work.table["site__t"].to_pylist()) == {20.0}
    assert set(work.table_versions) == {"site", "vibration_condition"}
    assert work.spec.description == "Whether it fails."


def test_only_assets_that_are_named_teach(tmp_path: Path) -> None:
    """The lives of engines kept for judging are neither learned from nor counted as dropped."""
    start = utc_us(EPOCH)
    offline = MemoryOfflineStore()
    names = ("FD001-train-001", "FD001-test-001", "FD003-train-001")
    offline.write_rows(
        ENGINES, rows(ENGINES, *((n, start + k * CYCLE_US, float(k)) for n in names for k in range(1, 6))), batch="rows"
    )
    lives = pa.table({"asset_id": list(names), "cycles": [5] * 3, "rul": [0.0, 7.0, 0.0]})
    keep_tables({"truth": lives}, tmp_path)

    work = lesson(replace(RUL, assets=("FD001-train-*",)), catalog=catalog(), offline=offline, tables=tmp_path)

    assert set(work.table["asset_id"].to_pylist()) == {"FD001-train-001"}
    assert work.dropped == {}
    with pytest.raises(InputError, match=r"no asset is called 'FD002-\*'"):
        lesson(replace(RUL, assets=("FD002-*",)), catalog=catalog(), offline=offline, tables=tmp_path)


def test_a_failure_within_cycles_is_read_from_ends_of_life(tmp_path: Path) -> None:
    """The last 31 of an engine's 50 cycles, whenever others end; an engine of unknown end says nothing."""
    declared = replace(
        FAILURE, service="turbofan_rul", every_us=CYCLE_US, log="", ends="truth", horizon_us=30 * CYCLE_US
    )

    later = pa.table({"asset_id": ["another"], "cycles": [500], "rul": [0.0]})
    keep_tables({"truth": pa.concat_tables([truth(50, 0.0), later])}, tmp_path)

    work = lesson(declared, catalog=catalog(), offline=engines(50), tables=tmp_path)

    assert work.table["label"].to_pylist() == [0] * 19 + [1] * 31
    assert work.dropped == {}
    keep_tables({"truth": truth(50, None)}, tmp_path / "unknown")
    with pytest.raises(InputError, match="could be labelled"):
        lesson(declared, catalog=catalog(), offline=engines(50), tables=tmp_path / "unknown")
