"""The pages of drift without a browser: what moved when, of whom, how often, why, and whose report one may open."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lineshaft.clock import ManualClock
from lineshaft.drift.policy import DriftPolicy, Least
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.drift_maps import Cell
from lineshaft.registry.drifts import CheckedWindow, Point, Trigger, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.specs import Service
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.testing import small_candidate, small_finding
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.heat import grid, least_effect, squares
from lineshaft_governance.web.parts import WebParts

HOUR_US = 3_600_000_000
NOW = 1_790_000_040_000_000
HOSTILE = "<script>alert('x')</script>"
FINDING = small_finding(scope="pump-1/drive_end")
MODEL = small_candidate().model
SERVICE = Service(name="health", views=(), team="vibration", owner="v@lineshaft.example")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebParts]:
    """Make a site on which one version was checked three times; the last two found the same."""
    folder = tmp_path_factory.mktemp("drift")
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    upgrade(url)
    clock = ManualClock(time_us=NOW)
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    registry.register(replace(small_candidate(), service_json=SERVICE.to_json()), actor="ana")
    book = drift_book(registry, "demo")
    for back, outcome in ((2, "none"), (1, "drift"), (0, "drift")):
        end = NOW - back * HOUR_US
        told = {"start_us": end - HOUR_US, "end_us": end, "checked_us": end, "rows": 900, "assets": 3}
        calm = replace(FINDING, scope="*", column="v__std", method="distribution", effect=0.01, verdict="none", q=0.9)
        found = [Point(kind="feature", finding=calm)]
        if back < 2:
            found += [Point(kind="feature", finding=FINDING), Point(kind="feature", finding=replace(calm, effect=0.4))]
            found[-1] = replace(found[-1], finding=replace(found[-1].finding, column=HOSTILE, verdict="drift", q=1e-4))
        standing = ("pump-1/drive_end", HOSTILE) if back < 1 else ()
        window = CheckedWindow(project="demo", model=MODEL, number=1, outcome=outcome, standing=standing, **told)
        book.add(window, found)
    trigger = Trigger(
        id="t",
        model=MODEL,
        number=1,
        cause="sensor",
        assets=("pump-1",),
        columns=("v__rms",),
        detail=HOSTILE,
        state="ticket",
        raised_us=NOW,
    )
    book.open_trigger(trigger, detail="nothing is learnt from it until it is mended")
    parts = WebParts(
        catalog=FixedCatalog(),
        offline=MemoryOfflineStore(),
        online=None,
        registry=registry,
        results=ResultFolder(folder / "results"),
        reports=folder / "reports",
        clock=clock,
        project="demo",
        home=folder,
        drifts=book,
        patience_s=60,
    )
    parts.reports.mkdir()
    yield parts
    parts.close()
    registry.engine.dispose()


@pytest.fixture
def site(place: WebParts) -> TestClient:
    """Return a client of the page on this machine."""
    return TestClient(create_app(place), base_url="http://localhost")


def test_the_list_is_a_map_of_versions_over_time(site: TestClient) -> None:
    """Three squares from calm to drift, the alarms by name, the diagnosis, and what is done about it."""
    page = site.get("/drift", params={"format": "json"}).json()

    (row,) = page["map"]["rows"]
    assert [one["shade"] for one in row["squares"]] == [0, 1, 1]
    assert row["squares"][-1]["words"] == "drift: 2 alarms"
    (line,) = page["drift"]
    assert (line["subject"], line["outcome"], line["cause"], line["state"]) == (
        f"{MODEL}@1",
        "drift",
        "sensor",
        "ticket",
    )
    assert (line["drifted"], line["compared"]) == (sorted([HOSTILE, "v__rms"]), 3)
    (trigger,) = page["triggers"]
    assert (trigger["assets"], trigger["detail"]) == (["pump-1"], HOSTILE)


def test_a_version_is_told_with_effect_persistence_and_trail(site: TestClient) -> None:
    """Inputs over time, assets by input, each finding with its least effect and in how many checks it was seen."""
    page = site.get(f"/drift/{MODEL}@1", params={"format": "json"}).json()

    over_time = {row["name"]: [one["shade"] for one in row["squares"]] for row in page["map"]["rows"]}
    assert over_time == {"v__rms": [None, 3, 3], HOSTILE: [None, 3, 3], "v__std": [0, 0, 0]}
    (asset,) = page["assets_map"]["rows"]
    assert (asset["name"], asset["squares"][0]["words"]) == ("pump-1/drive_end", "drift: level -1.5")
    together, alone = page["findings"]
    assert (together["whom"]["words"], together["seen"], together["among"]) == ("all that training saw", 2, 3)
    assert (alone["whom"]["asset"], alone["least"], alone["times"]) == ("pump-1", 0.3, 5.0)
    assert page["triggers"][0]["trail"][0]["detail"] == "nothing is learnt from it until it is mended"


@pytest.mark.parametrize("path", ["/", "/drift", f"/drift/{MODEL}@1"])
def test_every_square_has_words_and_no_name_runs(site: TestClient, path: str) -> None:
    """What is coloured is said too, in the table that a screen reader walks; names are escaped."""
    page = site.get(path).text

    assert "<script" not in page
    assert "&lt;script&gt;" in page or path == "/"
    if path != "/":
        squares = re.findall(r'<td class="s(?:\d|-none)"[^>]*>(.*?)</td>', page)
        assert all(re.fullmatch(r'<span class="sr">[^<]+</span>', one) for one in squares)
        assert page.count('<span class="sr">drift') > 0
        assert 'scope="row"' in page


def test_a_report_is_one_click_away_and_drawn_where_there_is_none(place: WebParts) -> None:
    """Without one the page says by which command; with somebody who draws, it is drawn and shown, sandboxed."""
    path = f"/drift/{MODEL}@1/report"
    site = TestClient(create_app(place), base_url="http://localhost")
    said = site.get(path).text

    def draw(model: str) -> Path:
        drawn = place.reports / f"{model}@1-{NOW}.html"
        drawn.write_text("<p>drawn</p>")
        return drawn

    place.draw_report = draw
    shown = site.get(path).text
    place.draw_report = None

    assert f"lineshaft drift report {MODEL}" in said
    assert f'src="/reports/{MODEL}@1-{NOW}.html" sandbox="allow-scripts"' in shown
    assert site.get(path, params={"format": "json"}).json()["report"]["at_us"] == NOW
    assert site.get(f"/reports/{MODEL}@1-{NOW}.html").text == "<p>drawn</p>"


@pytest.mark.parametrize(
    "path", ["/drift/gone@1", "/drift/gone", f"/drift/{MODEL}@2", f"/drift/{MODEL}@x", "/drift/@1"]
)
def test_a_version_that_was_not_checked_is_not_found(site: TestClient, path: str) -> None:
    """The page says so, whatever the name is like."""
    assert site.get(path).status_code == 404


def test_of_several_drifts_in_a_square_the_furthest_speaks() -> None:
    """Darkness is how many times the least effect; both are said; what could not be judged is neither calm nor dark."""
    cells = [
        Cell(place="w", kind="feature", column="a"),
        Cell(place="w", kind="feature", column="a", method="level", scopes=1, low=0.3, high=0.3),
        Cell(place="w", kind="feature", column="a", method="distribution", scopes=4, low=-0.2, high=0.3),
        Cell(place="w", kind="feature", column="b", known=False),
    ]

    found = squares(cells, DriftPolicy())

    assert (found["a", "w"].shade, found["b", "w"].shade) == (2, None)
    assert found["a", "w"].words == "drift: level +0.3; distribution +0.3, 4 of them"


def test_a_long_map_keeps_the_rows_that_drift_and_counts_the_rest() -> None:
    """What drifts now comes first, then what drifted most; a place that nobody looked at is said to be that."""
    cells = [Cell(place="w1", kind="feature", column=f"calm{n}") for n in range(3)]
    cells += [Cell(place="w1", kind="feature", column="once", method="level", scopes=1, low=9, high=9)]
    cells += [Cell(place="w2", kind="feature", column="now", method="level", scopes=1, low=0.3, high=0.3)]

    drawn = grid(squares(cells, DriftPolicy()), [("w1", "first"), ("w2", "second")], most=3)

    assert [row["name"] for row in drawn["rows"]] == ["now", "once", "calm0"]
    assert (drawn["more"], drawn["places"]) == (2, ["first", "second"])
    assert drawn["rows"][1]["squares"][1]["words"] == "not compared"


def test_what_more_is_asked_of_a_column_is_what_its_squares_are_held_against() -> None:
    """A least effect of one column darkens its squares later, and no other's."""
    cells = [Cell(place="w", kind="feature", column=name, method="level", scopes=1, low=2.4, high=2.4) for name in "ab"]
    asked = DriftPolicy(least=(Least(column="a", method="level", effect=1.2),))

    found = squares(cells, asked)

    assert (found["a", "w"].shade, found["b", "w"].shade) == (2, 3)
    assert (least_effect("a", "level", asked), least_effect("b", "level", asked)) == (1.2, asked.min_shift)
    assert math.isnan(least_effect("a", "of another version", asked))
