"""The pages in a real browser: each opens, holds to its own policy, says its age, and leads onward."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.heavy

HOSTILE = '<img src=x onerror="alert(1)">'


PAGES = ["/", "/views", "/views/vibration_condition", "/services", "/checkpoints", "/checkpoints/vibration_condition"]
PAGES += [
    "/drift",
    "/drift/bearing_failure@1",
    "/drift/bearing_failure@1/report",
    "/quarantine",
    "/models",
    "/models/bearing_failure",
    "/audit",
    "/lineage",
]
PAGES += ["/features", "/features?q=kurtosis", "/features/vibration_condition/acceleration_rms_1m", "/fleet"]
PAGES += ["/lineage?of=vibration_condition__acceleration_rms_1m", "/fleet/pump-00", "/alerts", f"/alerts/{0:016x}"]
PAGES += [f"/predictions/{0:032x}"]


def test_the_overview_names_what_needs_a_person(site: Any, page: Page) -> None:
    """A failed checkpoint, a drift and a view without owner head the first page."""
    page.goto(site.url)

    said = page.locator("ul.attention").inner_text()

    assert "vibration_condition failed: 4 of 40 rows quarantined" in said
    assert "inputs of bearing_failure@1 drifted" in said
    assert "rows of vibration_condition" in said
    assert "loop_condition has no owner" in said


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_a_fault(site: Any, page: Page, path: str) -> None:
    """No page breaks its own content policy, asks another host for anything, or scrolls sideways; each says its age."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith((site.url, "blob:", "data:")) else None
        ),
    )

    answer = page.goto(site.url + path, wait_until="load")

    assert answer is not None
    assert answer.status == 200
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "Read 2026-09-21" in page.locator("footer").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert [fault for fault in faults if "sandbox" not in fault] == []


def test_a_person_walks_from_the_alarm_to_the_report(site: Any, page: Page) -> None:
    """From the overview by links: the drift, its map and diagnosis, and Evidently's report one click away."""
    page.goto(site.url)
    page.get_by_role("link", name="inputs of bearing_failure@1 drifted").click()
    heading, drifts = page.locator("h1").inner_text(), page.locator("table.heat td.s3").count()
    diagnosis = page.locator("main").inner_text()
    page.get_by_role("link", name="Evidently's report").click()

    assert heading == "Drift of bearing_failure@1"
    assert drifts > 0
    assert "Diagnosis, and what was done" in diagnosis
    frame = page.frame_locator("iframe")
    frame.get_by_text("Dataset Drift", exact=False).first.wait_for(timeout=60_000)


def test_each_square_of_a_map_is_read_under_its_row_and_column(site: Any, page: Page) -> None:
    """A screen reader is told the same as the colours say: words in every square, heads for rows and columns."""
    page.goto(f"{site.url}/drift/bearing_failure@1")
    table = page.locator("table.heat").first

    squares = table.locator("td").all_inner_texts()

    assert len(squares) == table.locator("tbody th[scope=row]").count() * (table.locator("thead th").count() - 1)
    assert all(words.strip() for words in squares)
    assert any(words.startswith("drift: ") for words in squares)
    assert any(words == "no drift" for words in squares)


def test_the_model_page_shows_pins_champion_and_seal(site: Any, page: Page) -> None:
    """Which view version and table version a champion was trained on, its verdict, and the sealed history."""
    page.goto(f"{site.url}/models/bearing_failure")

    text = page.locator("main").inner_text()

    assert f"{site.parts.catalog.view('vibration_condition').version} at table version" in text
    assert "better_than_prevalence" in text
    assert "sealed" in text


def test_names_are_escaped(site: Any, page: Page) -> None:
    """Markup in a description is shown, not run."""
    page.goto(f"{site.url}/views/loop_condition")

    assert HOSTILE in page.locator("p.lead").inner_text()
    assert page.locator("main img").count() == 0


def test_the_keyboard_reaches_everything(site: Any, page: Page) -> None:
    """The first tab stop skips to the content, the next ones are the pages."""
    page.goto(site.url)
    stops = []
    for _ in range(4):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.textContent.trim()"))

    assert stops == ["Skip to the content", "Lineshaft", "Overview", "Fleet"]


def asked(site: Any, path: str, *, form: str = "") -> httpx.Response:
    """Ask for a page as a machine does."""
    query = {"format": form} if form else {}
    url = httpx.URL(site.url + path)
    return httpx.get(url.copy_merge_params(query), headers={"authorization": f"Bearer {site.tokens['ada']}"})


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_twin_for_machines(site: Any, path: str) -> None:
    """`?format=json` gives the page's values."""
    answer = asked(site, path, form="json")

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
def test_what_does_not_exist_is_said(site: Any, path: str, status: int) -> None:
    """A wrong address is answered with a page, and never with a file from elsewhere."""
    answer = asked(site, path)

    assert answer.status_code == status
    assert "SQLite" not in answer.text


def test_the_page_changes_nothing(site: Any) -> None:
    """Anything but reading is refused."""
    assert {httpx.request(verb, site.url + "/views").status_code for verb in ("POST", "PUT", "DELETE")} == {405}


def test_the_report_is_sandboxed(site: Any) -> None:
    """Evidently's scripts run without an origin and reach no network."""
    name = next(one.name for one in site.parts.reports.glob("*.html"))

    policy = asked(site, f"/reports/{name}").headers["content-security-policy"]

    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "connect-src 'none'" in policy
