"""The admin page in a real browser, over real stores, a real registry, a real checkpoint and a real report."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from lineshaft.clock import ManualClock
from lineshaft.models.columns import numeric_features
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, release
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft_governance.checks.gate import Gate
from lineshaft_governance.checks.suites import Suite
from lineshaft_governance.drift import DriftPolicy
from lineshaft_governance.drift_check import Window, check_drift, draw_report, open_worker, remember
from lineshaft_governance.policies import promotion_policy
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

pytestmark = pytest.mark.heavy

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
GOVERNANCE = Path(__file__).parents[2] / "governance"
MINUTE_US = 60_000_000
START_US = 1_790_000_040_000_000  # 2026-09-21, a whole minute
HOSTILE = '<img src=x onerror="alert(1)">'

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
VIBRATION = View(
    name="vibration_condition",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=FEATURES,
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


def feature_rows(*, assets: int = 12, ticks: int = 240, wear: float = 0.0, seed: int = 1) -> pa.Table:
    """Return rows of a fleet whose first third wears; `wear` moves them all."""
    generator = np.random.default_rng(seed)
    count = assets * ticks
    asset = np.repeat(np.arange(assets), ticks)
    worn = np.where(asset < assets // 3, np.tile(np.linspace(0, 1.5, ticks), assets), 0) + wear
    times = pa.array(START_US + np.tile(np.arange(ticks), assets) * MINUTE_US).cast(pa.timestamp("us", tz="UTC"))
    columns = {"asset_id": [f"pump-{i:02d}" for i in asset], "event_time": times, "known_at": times}
    for window in ("1m", "1h"):
        rms = 0.3 * np.exp(worn) * np.exp(0.1 * generator.normal(size=count))
        crest = 3.5 + 2 * worn + 0.3 * generator.normal(size=count).clip(-3, 3)
        kurtosis = 3 + 2 * worn + 0.2 * generator.normal(size=count)
        values = (rms, 0.95 * rms, rms * crest, kurtosis.clip(1.1), crest, np.ones(count))
        columns |= {f"acceleration_{name}_{window}": v for name, v in zip(NAMES, values, strict=True)}
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
    """Do what leads to a page worth reading: materialize through the gate, train, promote, check drift."""
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
        offline.write_rows(VIBRATION, gate.check_batch(VIBRATION, later).good, batch="second")
        results = gate.results
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    upgrade(url)
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    _release(registry, offline, rows)
    _drift(folder, gate, rows, clock)
    clock.advance(seconds=300)
    return WebParts(
        catalog=FixedCatalog(all_views=(ORPHAN, VIBRATION), all_services=(SERVICE,)),
        offline=offline,
        online=None,
        registry=registry,
        results=results,
        reports=folder / "drift",
        clock=clock,
        project="demo",
    )


def _known_columns(gate: Gate) -> Suite:
    """Return the shipped suite without the features this small view lacks."""
    suite = gate.suites.found["view", "vibration_condition"]
    named = tuple(f"acceleration_{name}_*" for name in NAMES)
    checks = [c for c in suite.checks if c.column in named and (not c.other or c.other in named)]
    return replace(suite, checks=tuple(checks))


def _release(registry: ModelRegistry, offline: DeltaOfflineStore, rows: pa.Table) -> None:
    """Train and promote a version."""
    policy = promotion_policy(GOVERNANCE / "policies", SPEC.name)
    origin = Origin(service=SERVICE, table_versions={VIBRATION.name: offline.version(VIBRATION)}, actor="ana")
    policy = replace(policy, gates=tuple(replace(gate, min_positive_groups=1) for gate in policy.gates))
    released = release(registry, SPEC, answered(rows), origin=origin, policy=policy, environment="demo")
    assert released.assignment is not None, released.judgement


def _drift(folder: Path, gate: Gate, rows: pa.Table, clock: ManualClock) -> None:
    """Compare a worn fleet with the training rows."""
    reference, current = (Window(table=answered(table)) for table in (rows, feature_rows(wear=0.8, seed=2)))
    check = check_drift(
        "bearing_failure", reference, current, features=SPEC.features, policy=DriftPolicy(), at_us=clock.now_us()
    )
    with open_worker() as worker:
        remember(draw_report(check, reference, current, folder=folder / "drift", worker=worker), gate.results)


@dataclass(frozen=True)
class Site:
    """A running admin page."""

    url: str
    parts: WebParts


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the page on a free port."""
    parts = fill(tmp_path_factory.mktemp("site"), ManualClock(time_us=START_US + 241 * MINUTE_US))
    server = uvicorn.Server(uvicorn.Config(create_app(parts), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Site(url=f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", parts=parts)
    server.should_exit = True
    thread.join()
    parts.registry.engine.dispose()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a tab of the size of a small laptop."""
    opened = browser.new_page(viewport={"width": 1280, "height": 860})
    yield opened
    opened.close()


PAGES = ["/", "/views", "/views/vibration_condition", "/services", "/checkpoints", "/checkpoints/vibration_condition"]
PAGES += ["/drift", "/drift/bearing_failure", "/models", "/models/bearing_failure"]


def test_the_overview_names_what_needs_a_person(site: Site, page: Page) -> None:
    """A failed checkpoint, a drift and a view without owner head the first page."""
    page.goto(site.url)

    said = page.locator("ul.attention").inner_text()

    assert "vibration_condition failed: 4 of 40 rows quarantined" in said
    assert "inputs of bearing_failure drifted" in said
    assert "loop_condition has no owner" in said


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_a_fault(site: Site, page: Page, path: str, tmp_path: Path) -> None:
    """No page breaks its own content policy, asks another host for anything, or scrolls sideways; each says its age."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith((site.url, "blob:", "data:")) else None
        ),
    )

    answer = page.goto(site.url + path, wait_until="networkidle")

    assert answer is not None
    assert answer.status == 200
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "Read 2026-09-21" in page.locator("footer").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=str(tmp_path / "page.png"))
    assert [fault for fault in faults if "sandbox" not in fault] == []


def test_a_person_walks_from_the_alarm_to_the_report(site: Site, page: Page) -> None:
    """From the overview by links: the drift, its features, Evidently's report drawn inside."""
    page.goto(site.url)
    page.get_by_role("link", name="drifted").click()

    assert page.locator("h1").inner_text() == "Drift of bearing_failure"
    frame = page.frame_locator("iframe")
    frame.get_by_text("Dataset Drift", exact=False).first.wait_for(timeout=60_000)


def test_the_model_page_shows_pins_champion_and_seal(site: Site, page: Page) -> None:
    """Which view version and table version a champion was trained on, its verdict, and the sealed history."""
    page.goto(f"{site.url}/models/bearing_failure")

    text = page.locator("main").inner_text()

    assert f"{VIBRATION.version} at table version" in text
    assert "better_than_prevalence" in text
    assert "sealed" in text


def test_names_are_escaped(site: Site, page: Page) -> None:
    """Markup in a description is shown, not run."""
    page.goto(f"{site.url}/views/loop_condition")

    assert HOSTILE in page.locator("p.lead").inner_text()
    assert page.locator("main img").count() == 0


def test_the_keyboard_reaches_everything(site: Site, page: Page) -> None:
    """The first tab stop skips to the content, the next ones are the pages."""
    page.goto(site.url)
    stops = []
    for _ in range(4):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.textContent.trim()"))

    assert stops == ["Skip to the content", "Lineshaft", "Overview", "Views"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_twin_for_machines(site: Site, path: str) -> None:
    """`?format=json` gives the page's values."""
    answer = httpx.get(site.url + path, params={"format": "json"})

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["read_us"] == site.parts.clock.now_us()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/views/nothing", 404),
        ("/models/nothing", 404),
        ("/nothing", 404),
        ("/reports/..%2f..%2flineshaft.db", 404),
        ("/checkpoints/..%2fdrift", 404),
    ],
)
def test_what_does_not_exist_is_said(site: Site, path: str, status: int) -> None:
    """A wrong address is answered with a page, and never with a file from elsewhere."""
    answer = httpx.get(site.url + path)

    assert answer.status_code == status
    assert "SQLite" not in answer.text


def test_the_page_changes_nothing(site: Site) -> None:
    """Anything but reading is refused."""
    assert {httpx.request(verb, site.url + "/views").status_code for verb in ("POST", "PUT", "DELETE")} == {405}


def test_the_report_is_sandboxed(site: Site) -> None:
    """Evidently's scripts run without an origin and reach no network."""
    name = site.parts.results.newest("drift", "bearing_failure")[0]["report"]

    policy = httpx.get(f"{site.url}/reports/{name}").headers["content-security-policy"]

    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "connect-src 'none'" in policy
