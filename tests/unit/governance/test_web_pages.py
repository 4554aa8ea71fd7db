"""The admin page without a browser: every page over nothing, over everything, and with names that are hostile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from lineshaft.clock import ManualClock
from lineshaft.errors import CorruptError, UnavailableError
from lineshaft.registry.audit import Account
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.records import (
    Approval,
    Assignment,
    Conclusion,
    Experiment,
    ModelVersion,
    RegisteredModel,
    Slot,
    State,
    Transition,
    Verdict,
    ViewPin,
)
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

MINUTE = 60_000_000
NOW = 1_790_000_040_000_000
HOSTILE = "<script>alert('x')</script>"
VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1m", column="acceleration", function="rms", window_us=MINUTE),),
    ttl_us=10 * MINUTE,
    owner="ana",
    description=HOSTILE,
)
SERVICE = Service(
    name="health", views=(ServiceView(view="vibration", version="0" * 12, features=("rms_1m",)),), owner=HOSTILE
)
VERSION = ModelVersion(
    model="failure",
    number=2,
    state=State.VALIDATED,
    task="binary",
    service="health",
    service_json=SERVICE.to_json(),
    features=("vibration__rms_1m",),
    pins=(ViewPin(view="vibration", version="0" * 12, table_version=3),),
    training_set="f" * 64,
    rows=10,
    artifact_sha256="a" * 64,
    artifact_format="ubj",
    artifact_bytes=99,
    params={"note": HOSTILE},
    metrics={"auc": 0.9},
    seed=1,
    library="xgboost",
    lock_sha256="",
    actor=HOSTILE,
    created_us=NOW - MINUTE,
)
MODEL = RegisteredModel(
    name="failure", task="binary", team="t", owner="", description=HOSTILE, versions=1, champions={"demo": 2}
)


@dataclass
class Shelf:
    """A model registry with what is put on it."""

    known: list[RegisteredModel] = field(default_factory=list)
    broken: bool = False

    def models(self) -> list[RegisteredModel]:
        """Return the models."""
        return self.known

    def versions(self, _name: str) -> list[ModelVersion]:
        """Return one version."""
        return [VERSION]

    def verdicts(self, _name: str, _number: int) -> list[Verdict]:
        """Return one verdict."""
        shown = {"n": 90, "groups": 7, "pos_groups": 5}
        return [Verdict(gate="promotion", outcome="unknown", detail=HOSTILE, policy_sha256="d" * 64, figures=shown)]

    def get(self, _name: str, _number: int) -> ModelVersion:
        """Return the version."""
        return VERSION

    @property
    def sites(self) -> Shelf:
        """Return itself: it knows where machines stand too."""
        return self

    def placed(self, _environment: str) -> dict[str, str]:
        """Return that none stands anywhere."""
        return {}

    @property
    def experiments(self) -> Shelf:
        """Return itself: it has the experiments too."""
        return self

    def all_of(self, _name: str) -> list[tuple[Experiment, Conclusion | None]]:
        """Return an experiment that runs, and one that ended."""
        plain: dict[str, Any] = {"model": "failure", "environment": "demo", "champion": 2, "challenger": 3}
        plain |= {"unit": "asset", "weight_bp": 1000, "metric": "brier", "effect": 0.1, "alpha": 0.05}
        one = Experiment(**plain, salt="s" * 16, min_assets=5, started_us=NOW)
        ended = Conclusion(salt="t" * 16, verdict="undecided", detail=HOSTILE, ended_us=NOW)
        return [(replace(one, salt="t" * 16), ended), (one, None)]

    def account(self, name: str) -> Account:
        """Return what is recorded, of which nothing holds where the history is broken."""
        return Account(model=name, lines=[], head=None, versions=[VERSION], verdicts=[], assignments=[])

    def damaged(self, _name: str) -> list[str]:
        """Return that an artifact is gone."""
        return [HOSTILE]

    def approvals(self, _name: str, _number: int) -> list[Approval]:
        """Return one approval."""
        return [Approval(actor=HOSTILE, reason=HOSTILE, policy_sha256="d" * 64, at_us=NOW, expires_us=NOW + MINUTE)]

    def assignments(self, _name: str) -> list[Assignment]:
        """Return one assignment, still open."""
        open_one = {"model": "failure", "environment": "demo", "number": 2, "valid_from_us": NOW, "valid_to_us": None}
        return [Assignment(id=1, slot=Slot.CHAMPION, **open_one)]  # type: ignore[arg-type]

    def history(self, _name: str) -> list[Transition]:
        """Return a line of history, or find its seal broken."""
        if self.broken:
            raise CorruptError("line 3 was changed")
        plain = {"model": "failure", "number": 2, "before": "", "after": "registered", "actor": HOSTILE}
        return [
            Transition(**plain, action=action, reason="", at_us=NOW, previous_digest="0" * 64, digest="1" * 64)  # type: ignore[arg-type]
            for action in ("register", "promote")
        ]


class Deaf:
    """An online store that does not answer."""

    def scan(self, _view: View) -> Iterator[pa.RecordBatch]:
        """Fail."""
        raise UnavailableError("nobody listens")


def parts(folder: Path, *, full: bool = True, **changes: Any) -> WebParts:
    """Return what the page looks at: nothing, or one of everything."""
    store = MemoryOfflineStore()
    if full:
        times = pa.array([NOW - 30 * MINUTE, NOW - 20 * MINUTE, NOW - 20 * MINUTE]).cast(pa.timestamp("us", tz="UTC"))
        table = pa.table([["p", "p", "q"], times, times, [1.0, None, 3.0]], schema=row_schema(VIEW))
        store.write_rows(VIEW, table, batch="one")
    plain: dict[str, Any] = {
        "catalog": FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)) if full else FixedCatalog(),
        "offline": store,
        "online": None,
        "registry": Shelf([MODEL] if full else []),
        "results": ResultFolder(folder / "results"),
        "reports": folder / "reports",
        "clock": ManualClock(time_us=NOW),
        "project": "demo",
        "home": folder,
        "patience_s": 30.0,
    }
    return WebParts(**{**plain, **changes})


def browse(looked_at: WebParts) -> TestClient:
    """Return a client of the page on this machine."""
    return TestClient(create_app(looked_at), base_url="http://localhost")


def remember(folder: ResultFolder) -> None:
    """Keep two checkpoints."""
    finding = {"expectation": HOSTILE, "columns": ["a"], "why": HOSTILE, "outcome": "failed", "unexpected": 2}
    for at_us, outcome, quarantined in ((NOW - 9 * MINUTE, "passed", 0), (NOW - MINUTE, "failed", 2)):
        found = [{**finding, "rows": [1, 2], "error": ""}] if quarantined else []
        content = {"view": "vibration", "version": VIEW.version, "outcome": outcome, "at_us": at_us, "rows": 4}
        content |= {"quarantined": quarantined, "expectations": 3, "findings": found, "batch": "b" * 64}
        content |= {"suite": "vibration.yaml", "suite_sha256": "c" * 64, "library": "gx"}
        folder.write("checkpoints", "vibration", at_us=at_us, ident="x", content=content)


LISTS = {
    "/": "attention",
    "/features": "features",
    "/views": "views",
    "/services": "services",
    "/lineage": "names",
    "/checkpoints": "checkpoints",
    "/drift": "drift",
    "/quarantine": "held",
    "/models": "models",
    "/fleet": "assets",
    "/alerts": "alerts",
    "/audit": "acts",
}

NAMED = [
    "/views/vibration",
    "/features/vibration/rms_1m",
    "/checkpoints/vibration",
    "/models/failure",
]
NAMED += ["/fleet/p", "/lineage?of=vibration__rms_1m"]


BARE = {"/", "/views", "/checkpoints", "/drift", "/quarantine", "/models", "/fleet", "/fleet/p", "/alerts", "/features"}
BARE |= {"/features/vibration/rms_1m"}  # lists of names and numbers: nothing that people wrote


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TestClient]:
    """Return a client of the page over one of everything."""
    looked_at = parts(tmp_path)
    remember(looked_at.results)
    with browse(looked_at) as client:
        yield client


@pytest.mark.parametrize("path", LISTS)
def test_every_list_opens_over_nothing(tmp_path: Path, path: str) -> None:
    """A fresh project has no views, no models and no checks, and every page says so instead of failing."""
    with browse(parts(tmp_path, full=False)) as client:
        page, twin = client.get(path), client.get(path, params={"format": "json"})

    assert (page.status_code, twin.status_code) == (200, 200)
    assert twin.json()["read_us"] == NOW
    assert twin.json()[LISTS[path]] == []


@pytest.mark.parametrize("path", [*LISTS, *NAMED])
def test_names_written_by_people_are_shown_and_never_run(site: TestClient, path: str) -> None:
    """Descriptions, owners, reasons and features hold markup: it is escaped on every page, and untouched in JSON."""
    page, twin = site.get(path), site.get(path, params={"format": "json"})

    assert (page.status_code, twin.status_code) == (200, 200)
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert twin.headers["content-type"] == "application/json"
    assert ("&lt;script&gt;" in page.text) == (path not in BARE)


def test_the_overview_counts_and_names_what_needs_a_person(site: TestClient) -> None:
    """A failed checkpoint, a history that does not hold, a stale view, an outdated pin, an orphan."""
    page = site.get("/", params={"format": "json"}).json()

    assert page["counts"] == {"views": 1, "services": 1, "rows": 3, "quarantined": 0, "models": 1}
    assert page["as_of"]["newest feature row"] == NOW - 20 * MINUTE
    assert [line["level"] for line in page["attention"]] == ["bad", "bad", "warn", "warn", "warn"]
    told = " | ".join(line["text"] for line in page["attention"])
    for words in (
        "The last checkpoint of vibration failed: 2 of 4 rows quarantined",
        "View vibration is stale: newest row 20 min old, ttl 10m",
        "The champion of failure reads an older version of vibration",
        "Model failure has no owner",
        "The history of failure does not hold",
    ):
        assert words in told


def test_a_view_is_told_with_its_extent_readers_and_runs(site: TestClient) -> None:
    """Rows, entities, age and who reads it; the store for serving is not connected here."""
    page = site.get("/views/vibration", params={"format": "json"}).json()

    line = page["view"]
    assert (line["rows"], line["entities"], line["age_us"], line["stale"]) == (3, 2, 20 * MINUTE, True)
    assert (page["services"], page["source"]["channels"]) == (["health"], [["acceleration", "g"]])
    assert page["models"] == [
        {
            "model": "failure",
            "number": 2,
            "view_version": "0" * 12,
            "service": "health",
            "champion": True,
            "features": ["vibration__rms_1m"],
        }
    ]
    assert [run["outcome"] for run in page["checkpoints"]] == ["failed", "passed"]
    assert page["online"] == {"entities": None, "error": "not connected"}


@pytest.mark.parametrize(("ttl_minutes", "stale"), [(19, True), (20, False), (21, False), (0, False)])
def test_a_view_is_stale_when_its_newest_row_is_older_than_its_ttl(
    tmp_path: Path, ttl_minutes: int, stale: bool
) -> None:
    """Twenty minutes old: not at a ttl of twenty, and never without one."""
    store = MemoryOfflineStore()
    view = replace(VIEW, ttl_us=ttl_minutes * MINUTE)
    times = pa.array([NOW - 20 * MINUTE]).cast(pa.timestamp("us", tz="UTC"))
    store.write_rows(view, pa.table([["p"], times, times, [1.0]], schema=row_schema(view)), batch="one")
    looked_at = parts(tmp_path, offline=store, catalog=FixedCatalog(all_views=(view,)))

    with browse(looked_at) as client:
        (line,) = client.get("/views", params={"format": "json"}).json()["views"]

    assert line["stale"] == stale


def test_a_table_is_counted_again_only_when_it_has_a_new_version(tmp_path: Path) -> None:
    """New rows are seen at the next look."""
    looked_at = parts(tmp_path)
    first = looked_at.extent(VIEW)
    assert looked_at.extent(VIEW) is first
    times = pa.array([NOW]).cast(pa.timestamp("us", tz="UTC"))
    looked_at.offline.write_rows(VIEW, pa.table([["r"], times, times, [1.0]], schema=row_schema(VIEW)), batch="two")

    second = looked_at.extent(VIEW)

    assert (first.rows, first.entities, first.newest_us) == (3, 2, NOW - 20 * MINUTE)
    assert (second.rows, second.entities, second.newest_us) == (4, 3, NOW)


def test_a_store_that_does_not_answer_is_said_on_its_page(tmp_path: Path) -> None:
    """The view's page opens all the same."""
    with browse(parts(tmp_path, online=Deaf())) as client:
        page = client.get("/views/vibration", params={"format": "json"})

    assert page.status_code == 200
    assert page.json()["online"] == {"entities": None, "error": "nobody listens"}


def test_a_model_shows_what_its_verdicts_rest_on_and_who_approved(site: TestClient) -> None:
    """Counts beside each gate, the policy by its hash, and people with the end of their word; JSON has every figure."""
    page, told = site.get("/models/failure").text, site.get("/models/failure", params={"format": "json"}).json()

    assert "90 rows of 7 assets, 5 with positives" in page
    assert page.count("policy <code>dddddd") == 2
    (version,) = told["versions"]
    assert version["verdicts"][0]["figures"] == {"n": 90, "groups": 7, "pos_groups": 5}
    assert version["approvals"][0]["expires_us"] == NOW + MINUTE


def test_a_broken_history_is_shown_and_not_hidden(tmp_path: Path, site: TestClient) -> None:
    """A sound history is told newest first; a changed one is told as that, with the model's page around it."""
    sound = site.get("/models/failure", params={"format": "json"}).json()
    with browse(parts(tmp_path, registry=Shelf([MODEL], broken=True))) as client:
        broken, page = client.get("/models/failure", params={"format": "json"}).json(), client.get("/models/failure")

    assert [line["action"] for line in sound["history"]] == ["promote", "register"]
    assert (sound["broken_history"], broken["history"]) == ("", [])
    assert broken["broken_history"] == "line 3 was changed"
    assert "line 3 was changed" in page.text


@pytest.mark.parametrize(
    "path",
    [
        *("/views/gone", "/checkpoints/gone", "/drift/gone", "/models/gone", "/nowhere", "/reports/gone.html"),
        *("/checkpoints/..%2f..", "/reports/..%2fresults", "/reports/x.txt", "/drift/a%20b"),
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(site: TestClient, path: str) -> None:
    """404 with words, escaped; the twin has the same words; no file from elsewhere is ever sent."""
    page, twin = site.get(path), site.get(path, params={"format": "json"})

    assert (page.status_code, twin.status_code) == (404, 404)
    assert "<h1" in page.text
    assert twin.json()["error"]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_changed_through_the_page(site: TestClient, method: str) -> None:
    """Every page takes reading only."""
    assert {getattr(site, method)(path).status_code for path in (*LISTS, *NAMED)} == {405}


def test_the_process_says_that_it_answers(site: TestClient) -> None:
    """For a probe, without looking at any store."""
    assert site.get("/healthz").text == "ok"
