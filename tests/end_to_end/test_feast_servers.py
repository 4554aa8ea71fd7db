"""Feast's own servers and less used calls, on Lineshaft's stores."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.clock import SystemClock
from lineshaft.errors import ConflictError
from lineshaft.specs import row_schema

feast = pytest.importorskip("feast")
pytestmark = pytest.mark.filterwarnings("ignore")

HERE = Path(__file__).parent
FEAST = Path(sys.executable).with_name("feast")
NOW = datetime.fromtimestamp(SystemClock().now_us() // 1_000_000, tz=UTC)
STAMP = pa.timestamp("us", tz="UTC")


def lab_rows() -> pa.Table:
    """Return three rows of one machine, the newest written twice with a later created time."""
    ages = [50, 20, 10, 10]
    return pa.table(
        {
            "asset_id": ["press"] * 4,
            "at": pa.array([NOW - timedelta(minutes=age) for age in ages], STAMP),
            "created": pa.array([NOW - timedelta(minutes=age) for age in [50, 20, 10, 1]], STAMP),
            "level": [1.0, 2.0, 3.0, 4.0],
            "serial": pa.array([1, None, 3, 4], pa.int64()),
            "grade": ["A", "B", None, "D"],
            "serviced": pa.array([None] * 4, STAMP),
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return Feast's FeatureStore on a repository whose plain view is materialized."""
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    from lineshaft.feast_plugin.parts import parts_of

    repo = tmp_path_factory.mktemp("feast") / "feature_repo"
    shutil.copytree(HERE / "feast_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    pq.write_table(lab_rows(), repo / "lab.parquet")
    sys.path.insert(0, str(repo))
    with contextlib.chdir(Path.cwd()):
        apply_total(load_repo_config(repo, repo / "feature_store.yaml"), repo, skip_source_validation=True)
    sys.path.remove(str(repo))
    sys.modules.pop("machines", None)
    opened = feast.FeatureStore(str(repo))
    opened.materialize(NOW - timedelta(days=1), NOW, feature_views=["lab"])
    yield opened
    parts_of(opened.config).close()


def test_feasts_http_server_passes_the_statuses_on(store: Any) -> None:
    """`feast serve` asks the same store: a client of any language sees NOT_FOUND."""
    from fastapi.testclient import TestClient
    from feast.feature_server import get_app

    request = {"features": ["lab:level", "lab:serial"], "entities": {"asset_id": ["press", "nobody"]}}
    with TestClient(get_app(store)) as client:
        answer = client.post("/get-online-features", json=request)

    assert answer.status_code == 200
    names, results = answer.json()["metadata"]["feature_names"], answer.json()["results"]
    found = dict(zip(names, results, strict=True))
    assert found["level"]["values"] == [4.0, None]
    assert found["serial"]["statuses"] == ["PRESENT", "NOT_FOUND"]


def test_feasts_grpc_server_answers(store: Any) -> None:
    """`feast listen` serves the same rows over Feast's own contract."""
    import grpc
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
    from feast.protos.feast.types.Value_pb2 import Value

    request = GetOnlineFeaturesRequest()
    request.features.val.extend(["lab:level", "lab:grade"])
    request.entities["asset_id"].val.extend([Value(string_val="press"), Value(string_val="nobody")])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [FEAST, "-c", str(store.config.repo_path), "listen", "-a", address, "-w", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=90)
            answer = GrpcFeatureServerStub(channel).GetOnlineFeatures(request, timeout=30)
    finally:
        process.kill()
        process.wait(timeout=20)

    names = list(answer.metadata.feature_names.val)
    grade = answer.results[names.index("grade")]
    assert [value.string_val for value in grade.values] == ["D", ""]
    assert list(grade.statuses) == [1, 3]


def test_an_on_demand_feature_can_be_asked_for_alone(store: Any) -> None:
    """What it reads is fetched, and not shown."""
    answer = store.get_online_features(features=["excess:peak_over_mean"], entity_rows=[{"asset_id": "press"}])

    assert list(answer.to_dict()) == ["asset_id", "peak_over_mean"]
    assert answer.statuses["peak_over_mean"] == ["NOT_FOUND"]


def test_entities_may_be_given_by_column(store: Any) -> None:
    """As Feast's servers give them."""
    answer = store.get_online_features(features=["lab:level"], entity_rows={"asset_id": ["press", "nobody"]})

    assert answer.to_dict()["level"] == [4.0, None]


def test_online_read_keeps_to_feasts_contract(store: Any) -> None:
    """The four-method interface: (event time, values) in order, (None, None) where nothing is."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    view = store.get_feature_view("lab")
    keys = [EntityKey(join_keys=["asset_id"], entity_values=[Value(string_val=name)]) for name in ("nobody", "press")]
    provider = store._get_provider()  # noqa: SLF001 - the caller Feast itself is

    nothing, there = provider.online_read(store.config, view, keys, ["level", "grade"])

    assert nothing == (None, None)
    assert there[0] == NOW - timedelta(minutes=10)
    assert {name: value.WhichOneof("val") for name, value in there[1].items()} == {
        "level": "float_val",
        "grade": "string_val",
    }


def test_pulling_gives_all_rows_or_the_newest(store: Any) -> None:
    """The calls that Feast's own engine would make, bounds included."""
    source = store.get_feature_view("lab").batch_source
    provider = store._get_provider()  # noqa: SLF001 - the caller Feast itself is
    asked = {
        "config": store.config,
        "data_source": source,
        "join_key_columns": ["asset_id"],
        "feature_name_columns": ["level"],
        "timestamp_field": "at",
        "created_timestamp_column": "created",
        "start_date": NOW - timedelta(minutes=20),
        "end_date": NOW,
    }

    every = provider.offline_store.pull_all_from_table_or_query(**asked).to_arrow()
    newest = provider.offline_store.pull_latest_from_table_or_query(**asked).to_arrow()

    assert every["level"].to_pylist() == [2.0, 3.0, 4.0]
    assert newest["level"].to_pylist() == [4.0]


def test_a_training_set_can_be_saved(store: Any) -> None:
    """Feast's saved data sets are written whole, and not over one another unasked."""
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    job = store.get_historical_features(
        features=["lab:level"], start_date=NOW - timedelta(hours=1), end_date=NOW, entity_df=None
    )
    storage = SavedDatasetFileStorage(path="saved.parquet")

    job.persist(storage)

    assert pq.read_table(Path(store.config.repo_path) / "saved.parquet").num_rows == 4
    with pytest.raises(ConflictError, match="exists"):
        job.persist(storage)


def test_a_pinned_version_is_read_beside_the_new_one(tmp_path: Path) -> None:
    """`view@v0:feature` names rows of its own: changing a view takes nothing from those who pinned it."""
    from lineshaft.feast_plugin.parts import parts_of

    repo = tmp_path / "feature_repo"
    shutil.copytree(HERE / "feast_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "jobs").mkdir()
    machines, command = repo / "machines.py", [str(FEAST), "-c", str(repo), "apply"]
    subprocess.run(command, check=True, timeout=240, capture_output=True)
    parts = parts_of(feast.FeatureStore(str(repo)).config)
    old = parts.catalog().view("heat")
    machines.write_text(machines.read_text(encoding="utf-8").replace('("mean", "max")', '("mean", "max", "min")'))
    subprocess.run(command, check=True, timeout=240, capture_output=True)
    new = parts.catalog().view("heat")
    moment = pa.array([NOW - timedelta(seconds=5)], STAMP)
    for view, level in ((old, 1.0), (new, 2.0)):
        columns = [pa.array(["press"]), moment, moment, *([pa.array([level])] * len(view.features))]
        parts.online(view).write(view, pa.Table.from_arrays(columns, schema=row_schema(view)))

    answer = feast.FeatureStore(str(repo)).get_online_features(
        features=["heat@v0:mean_1m", "heat:mean_1m"], entity_rows=[{"asset_id": "press"}], full_feature_names=True
    )

    parts.close()
    assert old.version != new.version
    assert answer.to_dict() == {"asset_id": ["press"], "heat@v0__mean_1m": [1.0], "heat__mean_1m": [2.0]}


def test_teardown_forgets_this_projects_rows(store: Any) -> None:
    """Last in this file: afterwards the entity is not found, and offline still has it."""
    view = store.get_feature_view("lab")
    provider = store._get_provider()  # noqa: SLF001 - the caller Feast itself is

    provider.online_store.teardown(store.config, [view], [])

    answer = store.get_online_features(features=["lab:level"], entity_rows=[{"asset_id": "press"}])
    assert answer.statuses["level"] == ["NOT_FOUND"]
    assert (Path(store.config.repo_path) / "lab.parquet").exists()
