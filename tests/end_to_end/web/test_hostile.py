"""Names that are scripts, in every field that people write: shown on every page in a real browser, and never run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from playwright.sync_api import ConsoleMessage, Dialog, Page

from lineshaft.clock import ManualClock
from lineshaft.drift.findings import Finding
from lineshaft.ops.quarantine import REASON, held_batches, keep_aside, of_table, quarantine_folder
from lineshaft.ops.release import Decision, write_down
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.alerts import Alert, AlertBook, Answer
from lineshaft.registry.catalog_values import Applied, FixedCatalog
from lineshaft.registry.drifts import CheckedWindow, DriftBook, Point, Trigger, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.registry.records import Candidate, Slot, Verdict, ViewPin
from lineshaft.registry.scores import KeptScore, ScoreBook
from lineshaft.serving.http_port import http_port
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

pytestmark = pytest.mark.heavy

NOW = 1_790_000_040_000_000
MINUTE = 60_000_000
SCRIPTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}<iframe srcdoc='<script>alert(1)</script>'>",
    "</svg></text><script>alert(1)</script>",
    "=HYPERLINK(1)&<b>",
]


@dataclass(frozen=True)
class Trap:
    """A site in which everything that somebody may write is a script."""

    url: str
    pages: list[str]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database once: each site starts with a copy."""
    path = tmp_path_factory.mktemp("migrated") / "lineshaft.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module", params=SCRIPTS, ids=range(len(SCRIPTS)))
def trap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Trap]:
    """Serve a site with one of the scripts in every field."""
    bad, folder = request.param, tmp_path_factory.mktemp("trap")
    clock = ManualClock(time_us=NOW)
    shutil.copy(migrated, folder / "lineshaft.db")
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    book = AlertBook(url, project=bad[:80], clock=clock)
    view = hostile_view(bad)
    service = Service(
        name=f"s {bad}",
        views=(ServiceView(view=view.name, version=view.version, features=view.feature_names),),
        owner=bad,
        team=bad,
        description=bad,
    )
    store = MemoryOfflineStore()
    at = pa.array([NOW - MINUTE, NOW]).cast(pa.timestamp("us", tz="UTC"))
    store.write_rows(view, pa.table([[bad, bad], at, at, [1.0, 2.0]], schema=row_schema(view)), batch="one")
    model = bad.replace("/", "|").replace("\\", "|")
    register(registry, model, service, view, bad)
    book.add(alert(model, bad))
    book.find("a" * 16, Answer.CONFIRMED, by=bad, note=bad)
    results = ResultFolder(folder / "results")
    remember(results, bad)
    drifts, held = watch_drift(registry, model, bad, clock), hold(folder, bad)
    scores = ScoreBook(url, project=bad[:80])
    score: dict[str, Any] = {"model": model, "number": 1, "role": "champion", "entity": {"asset_id": bad}, "status": 1}
    scores.add([KeptScore(prediction_id=f"{n:032x}", at_us=NOW - n, score=0.9, **score) for n in (1, 2)])
    keep_tables({"assets": pa.table({"asset_id": [bad], "site": [bad], "class": [bad]})}, folder / "tables")
    parts = WebParts(
        catalog=FixedCatalog(all_views=(view,), all_services=(service,)),
        offline=store,
        online=None,
        registry=registry,
        results=results,
        reports=folder / "reports",
        clock=clock,
        project=bad[:80],
        home=folder,
        alerts=book,
        drifts=drifts,
        fleet_scores=scores,
        applies=lambda: [Applied(generation=1, at_us=NOW, actor=bad, summary=bad)],
        patience_s=30,
    )
    with http_port(create_app(parts), "127.0.0.1:0", setting="test") as bound:
        yield Trap(url=f"http://{bound}", pages=addresses(bad, model, view, service, held))
    parts.close()
    book.close()
    registry.engine.dispose()


def addresses(bad: str, model: str, view: View, service: Service, held: str) -> list[str]:
    """Return every page, with a script in every address that has a name in it."""
    named = quote(bad, safe="")
    pages = ["/", "/features", "/views", "/services", "/checkpoints", "/checkpoints/v", "/drift", "/models"]
    pages += ["/quarantine", f"/quarantine/{held}", "/fleet", "/alerts", f"/alerts/{'a' * 16}", "/audit", "/lineage"]
    pages += [f"/fleet/{named}", f"/features?q={named}", f"/fleet?site={named}&class={named}", f"/fleet?q={named}"]
    pages += [f"/drift/{quote(model, safe='')}@1", f"/drift/{quote(model, safe='')}@1/report", f"/quarantine?q={named}"]
    pages += [f"/models/{quote(model, safe='')}", f"/views/{quote(view.name, safe='')}", f"/nowhere/{named}"]
    pages += [f"/lineage?of={quote(service.name, safe='')}", f"/lineage?of={named}", f"/sign-in?next={named}"]
    return [*pages, f"/predictions/{named}", f"/fleet/{named}?feature={named}"]


def alert(model: str, bad: str) -> Alert:
    """Return an alert in which every name is a script."""
    told: dict[str, Any] = {"project": bad[:80], "model": model, "number": 1, "asset_id": bad, "score": 0.9}
    told |= {"threshold": 0.7, "at_us": NOW, "raised_us": NOW, "because": ((f"{bad}__{bad}", 1.0, 0.5),)}
    return Alert(id="a" * 16, entity={bad: bad}, routed={bad: bad}, **told)


def hostile_view(bad: str) -> View:
    """Return a view in which every word is a script."""
    feature = Feature(name=f"f {bad}", column=bad, function="", dtype="float64", unit=bad, description=bad)
    return View(
        name=f"v {bad}",
        source=Source(name=bad, channels=(bad,), units=(bad,), kind="rows"),
        entity_keys=(("asset_id", "string"),),
        features=(feature,),
        owner=bad,
        team=bad,
        description=bad,
        where=bad,
    )


def register(registry: Any, model: str, service: Service, view: View, bad: str) -> None:
    """Register, judge and promote a version whose every word is a script."""
    candidate = Candidate(
        model=model,
        task=bad,
        service=service.name,
        service_json=service.to_json(),
        features=(f"{view.name}__{view.feature_names[0]}",),
        pins=(ViewPin(view=view.name, version=bad, table_version=1),),
        training_set=bad,
        rows=7,
        artifact=b"{}",
        artifact_format="json",
        params={bad: bad},
        metrics={bad: 1.0},
        seed=1,
        library=bad,
        team=bad,
        owner=bad,
        description=bad,
    )
    registry.register(candidate, actor=bad, reason=bad)
    figures: dict[str, str | float | None] = {
        "metric": bad,
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 5,
        "groups": 2,
        "pos_groups": 1,
    }
    registry.judge(model, 1, Verdict(gate=bad, outcome="pass", detail=bad, figures=figures), actor=bad)
    registry.promote(model, 1, environment=bad[:80], actor=bad, reason=bad, slot=Slot.CHAMPION)


def remember(results: ResultFolder, bad: str) -> None:
    """Keep a checkpoint whose words are scripts."""
    finding = {"expectation": bad, "columns": [bad], "why": bad, "outcome": "failed", "unexpected": 2, "error": bad}
    content = {"view": bad, "version": bad, "outcome": "failed", "at_us": NOW, "rows": 4, "quarantined": 2}
    content |= {
        "expectations": 3,
        "findings": [finding],
        "batch": bad,
        "suite": bad,
        "suite_sha256": "c",
        "library": bad,
    }
    results.write("checkpoints", "v", at_us=NOW, ident="x", content=content)


def watch_drift(registry: Any, model: str, bad: str, clock: ManualClock) -> DriftBook:
    """Keep a drift check in which every name is a script, and what stands behind it."""
    book = drift_book(registry, bad[:80])
    told: dict[str, Any] = {
        "project": bad[:80],
        "model": model,
        "number": 1,
        "start_us": 0,
        "end_us": NOW,
        "checked_us": NOW,
    }
    window = CheckedWindow(**told, rows=9, assets=1, outcome="drift", standing=(bad,))
    numbers: dict[str, Any] = {
        "effect": 4.0,
        "p": 0.0,
        "q": 0.0,
        "rows": 9,
        "reference_effective": 9.0,
        "current_effective": 9.0,
    }
    finding = Finding(column=f"{bad}__{bad}", scope=bad, regime=bad, method=bad[:20], verdict="drift", **numbers)
    points = [replace(finding, method=method) for method in (bad[:20], "level")]
    book.add(window, [Point(kind="feature", finding=one) for one in points])
    about: dict[str, Any] = {
        "assets": (bad,),
        "columns": (bad,),
        "detail": bad,
        "state": bad[:20],
        "raised_us": clock.now_us(),
    }
    book.open_trigger(Trigger(id="t", model=model, number=1, cause=bad[:20], **about), detail=bad)
    return book


def hold(folder: Path, bad: str) -> str:
    """Hold a batch whose rule, name and values are scripts; return its id."""
    held = pa.table({bad: [bad], "asset_id": [bad], REASON: [bad]})
    keep_aside(held, quarantine_folder(folder / "work", of_table("t")), bad)
    (batch,) = held_batches(folder / "work")
    write_down(Decision(act=bad, batch=bad, what=bad, rows=1, actor=bad, reason=bad, at_us=NOW), folder / "work")
    return batch.id


def test_no_script_runs_on_any_page(trap: Trap, stranger: Page) -> None:
    """No dialog, no element that is not ours, no address of a script, nothing that the policy had to stop."""
    faults: list[str] = []
    watch(stranger, faults)

    for path in trap.pages:
        answer = stranger.goto(trap.url + path)
        assert answer is not None
        assert answer.status in {200, 404}, path
        strange = stranger.evaluate(
            "() => [...document.querySelectorAll('script, img, iframe:not([sandbox]), object, embed, base, b b')]"
            ".map(e => e.outerHTML)"
            ".concat([...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name)))"
            ".map(e => e.outerHTML))"
            ".concat([...document.querySelectorAll('[href], [action], [src]')].map(e => e.getAttribute('href')"
            " || e.getAttribute('action') || e.getAttribute('src'))"
            ".filter(a => /^\\s*(javascript|data|vbscript):/i.test(a)))"
        )
        assert strange == [], path
        stranger.mouse.move(300, 300)

    assert faults == []


def watch(page: Page, faults: list[str]) -> None:
    """Note every dialog, and everything that the browser refuses."""

    def dismissed(dialog: Dialog) -> None:
        faults.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def noted(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 404" not in message.text:
            faults.append(message.text)

    page.on("dialog", dismissed)
    page.on("console", noted)
