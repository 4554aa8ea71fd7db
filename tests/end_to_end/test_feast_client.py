"""Feast's own client on Lineshaft's stores. Each wrong answer of Feast 0.67 has its right one here.

The machine time is real; rows are written relative to it, because Feast's client has no clock to hand in.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.clock import SystemClock
from lineshaft.errors import DefinitionError, InputError
from lineshaft.specs import BLOCK_SCHEMA

feast = pytest.importorskip("feast")
pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FEAST = Path(sys.executable).with_name("feast")
NOW = datetime.fromtimestamp(SystemClock().now_us() // 1_000_000, tz=UTC)
TINY = timedelta(microseconds=123_457)

LEVELS = ["lab:level", "lab:serial", "lab:grade", "lab:serviced"]
BIG = 2**53 + 1


def lab_rows() -> pa.Table:
    """Return rows of five machines: fresh, with nulls, stale, corrected, and known only later."""
    hour = timedelta(hours=1)
    rows = [
        ("fresh", NOW - timedelta(minutes=5) + TINY, 0.1, BIG, "A", NOW - hour + TINY),
        ("nulls", NOW - timedelta(minutes=5), None, None, None, None),
        ("stale", NOW - 3 * hour, 7.0, 7, "B", NOW),
        ("corrected", NOW - timedelta(minutes=6), 1.0, 1, "C", NOW),
    ]
    table = {
        "asset_id": pa.array([row[0] for row in rows]),
        "at": pa.array([row[1] for row in rows], pa.timestamp("us", tz="UTC")),
        "created": pa.array([row[1] for row in rows], pa.timestamp("us", tz="UTC")),
        "level": pa.array([row[2] for row in rows], pa.float64()),
        "serial": pa.array([row[3] for row in rows], pa.int64()),
        "grade": pa.array([row[4] for row in rows]),
        "serviced": pa.array([row[5] for row in rows], pa.timestamp("us", tz="UTC")),
    }
    fixed = pa.table(table)
    late = fixed.filter(pa.array([row[0] == "corrected" for row in rows]))
    moment = pa.array([NOW - timedelta(minutes=2)], pa.timestamp("us", tz="UTC"))
    late = late.set_column(2, "created", moment).set_column(3, "level", pa.array([2.0]))
    return pa.concat_tables([fixed, late])


def blocks() -> pa.Table:
    """Return the hour before NOW of two machines' temperature, one block of six readings a minute."""
    start_us = (int(NOW.timestamp()) // 60 - 60) * 60_000_000
    rng = np.random.default_rng(3)
    rows = [
        {
            "asset_id": asset, "position": "", "start_us": start_us + minute * 60_000_000,
            "known_us": start_us + (minute + 1) * 60_000_000, "sequence": 0, "rate_hz": 0.1, "dtype": "f8",
            "payload": rng.normal(60, 1, 6).astype("<f8").tobytes(), "shaft_hz": None, "bearing": None,
            "full_scale": None,
        }
        for asset in ("fresh", "stale")
        for minute in range(60)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=BLOCK_SCHEMA)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return Feast's FeatureStore on an applied and materialized repository."""
    base = tmp_path_factory.mktemp("feast")
    repo, modules = base / "feature_repo", str(HERE / "feast_jobs")
    shutil.copytree(HERE / "feast_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    pq.write_table(lab_rows(), repo / "lab.parquet")
    sys.path.insert(0, modules)
    apply(repo)
    opened = feast.FeatureStore(str(repo))
    parts = parts_of(opened)
    parts.offline.write_blocks(parts.catalog().view("heat").source, blocks(), batch="hour")
    opened.materialize(NOW - timedelta(days=1), NOW + timedelta(minutes=1))
    yield opened
    parts.close()
    sys.path.remove(modules)


def apply(repo: Path) -> None:
    """Do what `feast apply` does, in this process."""
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    config = load_repo_config(repo, repo / "feature_store.yaml")
    path = list(sys.path)
    sys.path.insert(0, str(repo))
    importlib.invalidate_caches()
    try:
        with contextlib.chdir(Path.cwd()):  # Feast changes the folder and leaves it so
            apply_total(config, repo, skip_source_validation=True)
    finally:
        sys.path[:] = path
        sys.modules.pop("machines", None)


def parts_of(opened: Any) -> Any:
    """Return Lineshaft's parts behind a Feast store."""
    from lineshaft.feast_plugin.parts import parts_of as opened_parts

    return opened_parts(opened.config)


def online(store: Any, assets: list[str], features: list[str] = LEVELS) -> Any:
    """Ask Feast's client online."""
    return store.get_online_features(features=features, entity_rows=[{"asset_id": asset} for asset in assets])


def historical(store: Any, assets: list[str], at: datetime, features: list[str] = LEVELS) -> Any:
    """Ask Feast's client offline, for one moment."""
    entities = pd.DataFrame({"asset_id": assets, "event_timestamp": [at] * len(assets)})
    return store.get_historical_features(entity_df=entities, features=features)


def test_an_unknown_entity_is_not_found_online(store: Any) -> None:
    """Fact 6: Feast's Redis store says PRESENT with a null of 1970."""
    answer = online(store, ["fresh", "nobody"])

    assert answer.statuses["level"] == ["PRESENT", "NOT_FOUND"]
    assert answer.to_dict()["level"][1] is None


def test_the_ttl_holds_online_and_offline_alike(store: Any) -> None:
    """Fact 2: Feast applies it offline only."""
    there, here = online(store, ["stale", "fresh"]), historical(store, ["stale", "fresh"], NOW).to_arrow()

    assert there.statuses["serial"] == ["OUTSIDE_MAX_AGE", "PRESENT"]
    assert there.to_dict()["serial"] == here["serial"].to_pylist() == [None, BIG]


def test_a_null_is_neither_missing_nor_stale(store: Any) -> None:
    """NULL_VALUE, NOT_FOUND and OUTSIDE_MAX_AGE are three answers."""
    statuses = online(store, ["nulls", "nobody", "stale"]).statuses["grade"]

    assert statuses == ["NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]


def test_every_entity_row_comes_back_in_order(store: Any) -> None:
    """Fact 3: Feast's default store drops stale and future rows and collapses duplicates."""
    assets = ["nobody", "stale", "fresh", "fresh", "nulls", "corrected", "nobody"]

    rows = historical(store, assets, NOW).to_df()

    assert rows["asset_id"].tolist() == assets
    assert rows["level"].isna().tolist() == [True, True, False, False, True, False, True]


def test_values_and_types_are_the_same_offline_and_online(store: Any) -> None:
    """Fact 10: Feast gives 0.1 offline and 0.10000000149 online, and rounds an integer next to a null."""
    assets = ["fresh", "nulls", "stale", "corrected", "nobody"]

    there, here = online(store, assets), historical(store, assets, NOW)

    features = ["level", "serial", "grade", "serviced"]
    assert there.to_arrow().select(features) == here.to_arrow().select(features)
    pd.testing.assert_frame_equal(there.to_df()[features], here.to_df()[features])
    assert there.to_arrow()["level"].type == pa.float32()
    assert there.to_df()["serial"].tolist()[:2] == [BIG, pd.NA]


def test_a_timestamp_keeps_its_microseconds(store: Any) -> None:
    """Fact 10: Feast cuts it to seconds online."""
    wanted = NOW - timedelta(hours=1) + TINY

    answer = online(store, ["fresh"])

    assert answer.to_dict()["serviced"] == [wanted]
    assert answer.to_arrow(include_event_timestamps=True)["level__ts"].to_pylist() == [
        NOW - timedelta(minutes=5) + TINY
    ]
    assert historical(store, ["fresh"], NOW).to_arrow()["serviced"].to_pylist() == [wanted]


def test_a_correction_of_one_event_time_wins_everywhere(store: Any) -> None:
    """Feast's Redis store drops a write whose event time is not newer."""
    assert online(store, ["corrected"]).to_dict()["level"] == [2.0]
    assert historical(store, ["corrected"], NOW).to_arrow()["level"].to_pylist() == [2.0]


def test_history_shows_what_was_known_then(store: Any) -> None:
    """A correction that came later does not leak into an earlier training row."""
    then = NOW - timedelta(minutes=3)

    assert historical(store, ["corrected"], then).to_arrow()["level"].to_pylist() == [1.0]


def test_windows_are_computed_offline_and_online_alike(store: Any) -> None:
    """Fact 4: Feast looks for the aggregated column in the raw source and fails."""
    features = ["heat:mean_1m", "heat:max_1m", "excess:peak_over_mean"]

    there = online(store, ["fresh", "stale"], features).to_arrow().select(["mean_1m", "max_1m", "peak_over_mean"])
    here = historical(store, ["fresh", "stale"], NOW, features).to_arrow().select(there.column_names)

    assert there == here
    assert there["mean_1m"].null_count == 0
    assert (there["max_1m"].to_numpy() - there["mean_1m"].to_numpy()).tolist() == there["peak_over_mean"].to_pylist()


def test_request_data_is_read_offline_and_online_alike(store: Any) -> None:
    """A named function reads it from the entity rows, and a null is a null."""
    features, expected = ["heat:mean_1m", "surplus:over"], [55.5, None]
    rows = [{"asset_id": a, "expected": e} for a, e in zip(["fresh", "stale"], expected, strict=True)]
    entities = pd.DataFrame({**pd.DataFrame(rows), "event_timestamp": [NOW] * 2})

    there = store.get_online_features(features=features, entity_rows=rows).to_arrow()
    here = store.get_historical_features(entity_df=entities, features=features).to_arrow()

    mean = there["mean_1m"].to_pylist()
    assert there["over"].to_pylist() == here["over"].to_pylist() == [mean[0] - 55.5, None]
    with pytest.raises(InputError, match="expected"):
        online(store, ["fresh"], features)


def test_a_feature_service_is_answered_in_one_call(store: Any) -> None:
    """Plain, computed and on-demand features stand side by side under full names."""
    answer = store.get_online_features(
        features=store.get_feature_service("health"), entity_rows=[{"asset_id": "fresh"}], full_feature_names=True
    )

    assert {"lab__level", "heat__mean_1m", "excess__peak_over_mean"} <= set(answer.to_dict())
    assert {status for column in answer.statuses.values() for status in column} == {"PRESENT"}


@pytest.mark.parametrize("rows", [[], {}])
def test_a_request_for_no_rows_is_answered(store: Any, rows: Any) -> None:
    """Feast raises IndexError and KeyError."""
    answer = store.get_online_features(features=LEVELS, entity_rows=rows)

    assert answer.to_df().shape == (0, 5)


@pytest.mark.parametrize("key", [None, 5])
def test_a_key_of_the_wrong_type_is_refused(store: Any, key: Any) -> None:
    """Feast raises a TypeError for None, and takes 5 for another machine than "5"."""
    with pytest.raises(InputError, match="asset_id"):
        store.get_online_features(features=LEVELS, entity_rows=[{"asset_id": key}])


def test_a_pushed_row_keeps_every_digit(store: Any) -> None:
    """`write_to_online_store` goes round Feast's messages, which would cut and round it."""
    row = {"asset_id": ["pushed", "other"], "at": [NOW, NOW], "created": [NOW, NOW], "level": [0.5, 0.5],
           "serial": pd.array([BIG, None], "Int64"), "grade": ["A", None], "serviced": [NOW + TINY, None]}  # fmt: skip

    store.write_to_online_store("lab", df=pd.DataFrame(row))

    answer = online(store, ["pushed", "other"]).to_dict()
    assert answer["serial"] == [BIG, None]
    assert answer["serviced"] == [NOW + TINY, None]


def test_rows_written_offline_twice_count_once(store: Any) -> None:
    """Feast's file store appends three identical pushes as three rows."""
    frame = lab_rows().slice(0, 1).to_pandas().assign(asset_id="logged")

    for _ in range(3):
        store.write_to_offline_store("lab", frame)

    assert historical(store, ["logged"], NOW).to_arrow()["serial"].to_pylist() == [BIG]
    view = parts_of(store).catalog().view("lab")
    stored = pa.concat_tables(parts_of(store).offline.read_rows(view, assets=["logged"]))
    assert stored.num_rows == 1


def test_materializing_again_changes_nothing(store: Any) -> None:
    """Replays and races are harmless, because newer wins and batches are named by their content."""
    view = parts_of(store).catalog().view("lab")
    before = parts_of(store).online(view).digest(view), parts_of(store).offline.version(view)

    store.materialize(NOW - timedelta(days=1), NOW + timedelta(minutes=1), feature_views=["lab"])

    assert (parts_of(store).online(view).digest(view), parts_of(store).offline.version(view)) == before


def test_a_time_range_without_entities_gives_every_row(store: Any) -> None:
    """Feast's range retrieval, on one view."""
    job = store.get_historical_features(
        features=["heat:mean_1m"], start_date=NOW - timedelta(minutes=30), end_date=NOW - timedelta(minutes=10)
    )

    assert set(job.to_df()["asset_id"]) == {"fresh", "stale"}


def test_a_retired_project_does_not_take_another_with_it(store: Any) -> None:
    """Fact 8: on Redis, Feast's teardown of `prod` deleted the rows of `line_prod`."""
    from lineshaft.stores.online_redis import RedisOnlineStore

    view = parts_of(store).catalog().view("heat")
    neighbour = RedisOnlineStore(parts_of(store).redis_url, project="line_dev", timeout_s=1.0)
    rows = pa.concat_tables(parts_of(store).offline.read_rows(view))
    neighbour.write(view, rows)

    parts_of(store).online(view).clear(view)

    assert sum(table.num_rows for table in neighbour.scan(view)) == 2
    parts_of(store).online(view).write(view, rows)


def test_a_faulty_repository_is_refused_whole(tmp_path: Path) -> None:
    """`feast apply` goes through the same checks as `lineshaft apply`, before anything is written."""
    repo = tmp_path / "feature_repo"
    shutil.copytree(HERE / "feast_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    text = (repo / "machines.py").read_text(encoding="utf-8")
    (repo / "machines.py").write_text(text.replace('("mean", "max")', '("mean", "maximum")'), encoding="utf-8")

    with pytest.raises(DefinitionError, match="LS-DEF-011"):
        apply(repo)

    opened = feast.FeatureStore(str(repo))
    assert not opened.list_feature_views() + opened.list_stream_feature_views() + opened.list_feature_services()


def test_feast_ui_starts_and_answers(store: Any, tmp_path: Path) -> None:
    """`feast ui` shows the projection that `feast apply` wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "ui.log").open("wb")
    repo = str(store.config.repo_path)
    process = subprocess.Popen([FEAST, "-c", repo, "ui", "-h", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        assert _answers(f"http://127.0.0.1:{port}/", within_s=90) == 200
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def _answers(url: str, *, within_s: float) -> int:
    """Return the status of a page as soon as it answers."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:  # noqa: S310 - our own address
                return int(page.status)
        except OSError:
            time.sleep(0.5)
    return 0


def test_the_repository_we_ship_applies_with_feast(tmp_path: Path) -> None:
    """Every view compiles to one version, from the repository and from Feast's registry."""
    from lineshaft.feast_plugin.requests import view_of

    repo = tmp_path / "feature_repo"
    shutil.copytree(ROOT / "feature_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))

    done = subprocess.run([FEAST, "-c", repo, "apply"], capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    opened = feast.FeatureStore(str(repo))
    catalog = parts_of(opened).catalog()
    views = opened.list_stream_feature_views()
    assert {view_of(view).ref for view in views} == {view.ref for view in catalog.views()}
