"""The numbers of a running server, scraped as Prometheus scrapes them."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from lineshaft.clock import ManualClock
from lineshaft.errors import EnvironmentFault, InputError, NotFoundError, UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.breaker import Breaker
from lineshaft.serving.champions import Champions
from lineshaft.serving.change_board import ChangeBoard
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.gauges import memory_limit_bytes
from lineshaft.serving.metrics import Metrics, exposed
from lineshaft.serving.predict import Predictor
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

SECOND_US = 1_000_000
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="peak")),
    ttl_us=60 * SECOND_US,
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms", "peak")),))


@dataclass(frozen=True, slots=True)
class Scraped:
    """A server with its numbers."""

    client: Client
    valkey: EmbeddedValkey
    address: str

    def number(self, name: str, **labels: str) -> float:
        """Return one number as scraped now; 0 where there is none."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5.0) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return next((s.value for s in samples if s.name == name and s.labels == labels), 0.0)


def nobody() -> Predictor:
    """Return a predictor of no model."""
    nothing: Any = None
    champions = Champions(registry=nothing, environment="dev")
    return Predictor(champions=champions, features=nothing, clock=ManualClock())


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scraped]:
    """Serve pump `a`, measured 30 seconds ago, and pump `old`, measured 50 seconds ago."""
    with EmbeddedValkey(tmp_path / "online") as valkey:
        online = RedisOnlineStore(valkey.url, project="dev", timeout_s=1.0)
        schema = row_schema(VIEW)
        times = [70 * SECOND_US, 50 * SECOND_US]
        columns = (["a", "old"], times, times, [1.0, 1.0], [None, None])
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        online.write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
        features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=100 * SECOND_US))
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        metrics = Metrics()
        metrics.watch(features.breaker, online)
        metrics.watch_logs([WriteBehind[int](name="served", write=len, rows_of=int, bytes_of=int)])
        metrics.watch_models(nobody())
        handlers = Handlers(plans=plans, features=features, training=training, metrics=metrics)
        with (
            exposed(metrics, "127.0.0.1:0") as shown,
            background_server(handlers, limits=Limits(store_timeout_s=2.0)) as address,
            Client(address) as client,
        ):
            yield Scraped(client, valkey, shown)
        valkey.shut_down()


def test_calls_are_counted_by_method_and_status(scraped: Scraped) -> None:
    """Answered and refused calls, each with its time."""
    for _ in range(3):
        scraped.client.features("health", asset_id=["a"])
    with pytest.raises(NotFoundError):
        scraped.client.features("nothing", asset_id=["a"])

    answered = {"method": "GetFeatures", "feature_service": "health", "code": "OK"}
    refused = {"method": "GetFeatures", "feature_service": "", "code": "NOT_FOUND"}  # a name that is none is no label
    assert scraped.number("lineshaft_call_seconds_count", **answered) == 3
    assert scraped.number("lineshaft_call_seconds_count", **refused) == 1
    assert 0 < scraped.number("lineshaft_call_seconds_sum", **answered) < 30
    assert scraped.number("lineshaft_store_read_seconds_count", feature_service="health") == 3
    assert 0 < scraped.number("lineshaft_store_read_seconds_sum", feature_service="health") < 30


def test_refusals_are_counted_by_their_code(scraped: Scraped) -> None:
    """Of single calls and of the questions of a stream, which goes on after one."""
    with pytest.raises(NotFoundError):
        scraped.client.features("nothing", asset_id=["a"])
    with pytest.raises(InputError):
        scraped.client.features("health", wrong=["a"])
    looked = threading.Event()

    def questions() -> Iterator[Mapping[str, Sequence[str]]]:
        yield {"asset_id": ["a"]}
        looked.wait(10.0)  # the stream stays open until its number was read
        yield {"asset_id": ["a"]}

    answers = scraped.client.stream("nothing", questions())
    assert isinstance(next(answers), NotFoundError)
    assert scraped.number("lineshaft_in_use", limit="streams") == 1
    looked.set()
    assert len(list(answers)) == 1

    def refused(method: str, error: str) -> float:
        return scraped.number("lineshaft_refusals_total", method=method, error=error)

    assert [refused("GetFeatures", error) for error in ("LS-NOF", "LS-INP")] == [1, 1]
    assert refused("StreamFeatures", "LS-NOF") == 2


def test_a_view_shows_how_new_its_rows_are_and_how_old_they_may_become(scraped: Scraped) -> None:
    """The newest row that was answered was measured at second 70, whatever moment the question is about."""
    scraped.client.features("health", asset_id=["a", "b"])
    scraped.client.features("health", asset_id=["a"], at_us=500 * SECOND_US)

    assert scraped.number("lineshaft_newest_row_timestamp_seconds", view="pumps") == 70
    scraped.client.features("health", asset_id=["old"])
    assert scraped.number("lineshaft_newest_row_timestamp_seconds", view="pumps") == 70  # an older row lowers nothing
    assert scraped.number("lineshaft_view_ttl_seconds", view="pumps") == 60


def test_limits_are_shown_with_how_much_of_them_is_in_use(scraped: Scraped) -> None:
    """Nothing is in use while nobody asks; the process shows its memory and how much it may have."""
    limits = Limits()
    assert scraped.number("lineshaft_limit", limit="calls") == limits.max_concurrent_calls
    assert scraped.number("lineshaft_limit", limit="streams") == limits.max_streams
    assert scraped.number("lineshaft_in_use", limit="calls") == 0
    assert scraped.number("lineshaft_waiting_calls", port="grpc") == 0
    resident = scraped.number("process_resident_memory_bytes")
    assert 0 < resident < scraped.number("lineshaft_memory_limit_bytes")
    assert scraped.number("process_open_fds") > 0


@pytest.mark.parametrize(("text", "limit"), [("1048576", 1 << 20), ("max", None), (None, None)])
def test_the_limit_of_memory_is_the_control_groups(tmp_path: Path, text: str | None, limit: int | None) -> None:
    """Where there is none, it is the machine's."""
    file = tmp_path / "memory.max"
    if text is not None:
        file.write_text(text)

    assert memory_limit_bytes([tmp_path / "absent", file]) == (limit or memory_limit_bytes([]))


def test_a_status_that_never_came_is_shown_as_none(scraped: Scraped) -> None:
    """An alert sees the first corrupt value as an increase, not as the beginning of a series."""
    scraped.client.features("health", asset_id=["a"])

    with urllib.request.urlopen(f"http://{scraped.address}/metrics", timeout=5.0) as page:
        assert 'lineshaft_values_total{feature_service="health",status="corrupt"} 0.0' in page.read().decode()


def test_values_are_counted_by_status_and_ages_by_view(scraped: Scraped) -> None:
    """One present and one undefined value of `a`, two of an entity nobody knows; its row is 30 seconds old."""
    scraped.client.features("health", asset_id=["a", "b"])

    counts = {
        status: scraped.number("lineshaft_values_total", feature_service="health", status=status)
        for status in ("present", "null", "not_found")
    }
    assert counts == {"present": 1, "null": 1, "not_found": 2}
    assert scraped.number("lineshaft_row_age_seconds_sum", view="pumps") == 30
    assert scraped.number("lineshaft_row_age_seconds_bucket", view="pumps", le="10.0") == 0


def test_rows_are_counted_by_where_they_came_from(scraped: Scraped) -> None:
    """Of two reads of one row, one at least came from the server, and none is counted twice."""
    for _ in range(5):
        scraped.client.features("health", asset_id=["a"])

    held, fetched = (scraped.number("lineshaft_rows_read_total", source=source) for source in ("memory", "server"))
    assert held + fetched == 5
    assert fetched >= 1


def test_a_lost_store_shows(scraped: Scraped) -> None:
    """Degraded answers are counted, and the breaker's state is shown."""
    scraped.client.features("health", asset_id=["a"])
    assert scraped.number("lineshaft_online_store_breaker") == 0
    os.kill(scraped.valkey.pid or 0, signal.SIGKILL)
    time.sleep(0.12)

    answers = [scraped.client.features("health", asset_id=["a"]) for _ in range(3)]

    assert all(answer.degraded for answer in answers)
    assert scraped.number("lineshaft_degraded_answers_total", feature_service="health") == 3
    with pytest.raises(UnavailableError):
        scraped.client.features("health", asset_id=["never read"])
    assert scraped.number("lineshaft_online_store_breaker") in {1, 2}


def test_nothing_is_shown_where_no_address_is_given() -> None:
    """An empty address opens no port."""
    with exposed(Metrics(), "") as shown:
        assert shown == ""


def test_what_became_of_logged_rows_is_counted() -> None:
    """Written, lost and held, by log."""
    log = WriteBehind[int](name="served", write=len, rows_of=int, bytes_of=int)
    metrics = Metrics()
    metrics.watch_logs([log])
    log.put(3)
    log.close()
    log.put(5)

    def shown(outcome: str) -> float | None:
        return metrics.registry.get_sample_value("lineshaft_log_rows_total", {"log": "served", "outcome": outcome})

    assert [shown(outcome) for outcome in ("written", "lost")] == [3.0, 5.0]
    assert metrics.registry.get_sample_value("lineshaft_log_held_rows", {"log": "served"}) == 0.0


@pytest.mark.parametrize(("address", "error"), [("0.0.0.0:0", InputError), ("127.0.0.1", InputError)])
def test_an_address_that_will_not_do_is_refused(address: str, error: type[Exception]) -> None:
    """One that others can reach, and one without a port."""
    with pytest.raises(error) as caught, exposed(Metrics(), address):
        pass

    assert "LINESHAFT_METRICS_ADDRESS" in str(caught.value)


def test_a_used_port_is_an_error_of_ours() -> None:
    """Who listens there already is not disturbed."""
    with (
        exposed(Metrics(), "127.0.0.1:0") as taken,
        pytest.raises(EnvironmentFault, match="cannot listen"),
        exposed(Metrics(), taken),
    ):
        pass


def test_every_number_has_its_line_in_the_reference() -> None:
    """What a server shows is written down, and nothing else is."""
    metrics = Metrics()
    metrics.watch(Breaker(), RedisOnlineStore("redis://x", project="p"))
    metrics.watch_logs([WriteBehind[int](name="served", write=len, rows_of=int, bytes_of=int)])
    metrics.watch_models(nobody())
    with ThreadPoolExecutor() as pool:
        metrics.watch_watches(ChangeBoard(None, pool))
    shown = {named(family) for family in metrics.registry.collect()}

    lines = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    assert {line.split("`")[1] for line in lines} == shown


def named(family: Metric) -> str:
    """Return the name under which a family is asked for."""
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


MONITORING = Path(__file__).parents[2] / "helm" / "lineshaft" / "monitoring"
SAMPLES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "info": ("_info",), "gauge": ("",)}


@pytest.mark.parametrize("file", ["rules.yaml", "dashboard.json"])
def test_rules_and_dashboard_ask_for_numbers_there_are(scraped: Scraped, file: str) -> None:
    """Each name in a query is one of a real scrape, or recorded by a rule."""
    scraped.client.features("health", asset_id=["a"])
    with urllib.request.urlopen(f"http://{scraped.address}/metrics", timeout=5.0) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    there = {family.name + end for family in families for end in SAMPLES[family.type]}
    text = (MONITORING / file).read_text(encoding="utf-8")
    if file == "rules.yaml":
        queries = [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    else:
        queries = [one["expr"] for panel in json.loads(text)["panels"] for one in panel.get("targets", [])]

    asked = {name for query in queries for name in re.findall(r"(?<![\w:])(?:lineshaft|process)_\w+(?!:)", query)}

    assert len(asked) > 10
    assert asked - there == set()
