"""The fleet without a browser: the worst by a model first, filtered by site, class and state, with what was said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from lineshaft.access.guard import Caller
from lineshaft.access.principal import Principal, grants_of
from lineshaft.clock import ManualClock
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.registry.records import Verdict
from lineshaft.registry.scores import KeptScore, ScoreBook
from lineshaft.specs import Feature, Service, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.testing import small_candidate
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import Asked, WebParts
from lineshaft_governance.web.ranking import judges

NOW = 1_790_000_040_000_000
HOUR_US = 3_600_000_000
NAMES = [f"pump-{n}" for n in range(4)]
SERVICE = Service(name="health", views=(), team="vibration", owner="v@lineshaft.example")
VIEW = View(
    name="pumps",
    source=Source(name="blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1m", column="acceleration", function="rms", window_us=60_000_000, unit="g"),),
    team="vibration",
)
SAID: dict[str, list[float | None]] = {"risk": [0.1, 0.9, None, 0.5], "life": [900.0, 20.0, 50.0, 400.0]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebParts]:
    """Make four machines that a probability and a remaining life were said of, twice."""
    folder = tmp_path_factory.mktemp("fleet")
    url = f"sqlite:///{folder / 'lineshaft.db'}"
    upgrade(url)
    clock = ManualClock(time_us=NOW)
    registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=clock)
    book = ScoreBook(url, project="demo")
    for model, task in (("risk", "binary"), ("life", "rul")):
        one = replace(small_candidate(), model=model, task=task, service_json=SERVICE.to_json())
        registry.register(one, actor="ana")
        registry.judge(model, 1, Verdict(gate="g", outcome="pass", detail="good"), actor="ana")
        registry.promote(model, 1, environment="demo", actor="ana", reason="r")
        for back, share in ((12, 0.5), (0, 1.0)):
            told: dict[str, Any] = {
                "model": model,
                "number": 1,
                "role": "champion",
                "at_us": NOW - back * HOUR_US,
                "status": 1,
            }
            scores = zip(NAMES, SAID[model], strict=True)
            book.add(
                [
                    KeptScore(
                        prediction_id=f"{model}{back}{name}",
                        entity={"asset_id": name},
                        score=None if score is None else share * score,
                        degraded=name == "pump-3",
                        **told,
                    )
                    for name, score in scores
                ]
            )
        beside: dict[str, Any] = {
            "entity": {"asset_id": "pump-0", "position": "nde"},
            "score": 0.05 if task == "binary" else 950.0,
        }
        book.add([KeptScore(prediction_id=f"{model}beside", degraded=False, **told, **beside)])  # it is the better one
    registry.sites.place({"pump-0": "north", "pump-1": "north"}, environment="demo", actor="ana", reason="r")
    keep_tables({"assets": pa.table({"asset_id": NAMES, "class": ["fan", "pump", "pump", "fan"]})}, folder / "tables")
    store = MemoryOfflineStore()
    at = pa.array([NOW - HOUR_US] * 5).cast(pa.timestamp("us", tz="UTC"))
    store.write_rows(VIEW, pa.table([[*NAMES, "spare"], at, at, [1.0] * 5], schema=row_schema(VIEW)), batch="one")
    parts = WebParts(
        catalog=FixedCatalog(all_views=(VIEW,)),
        offline=store,
        online=None,
        registry=registry,
        results=ResultFolder(folder / "results"),
        reports=folder / "reports",
        clock=clock,
        project="demo",
        home=folder,
        fleet_scores=book,
        patience_s=60,
    )
    yield parts
    parts.close()
    registry.engine.dispose()


def asked(place: WebParts, **query: str) -> dict[str, Any]:
    """Return the fleet as machines read it."""
    client = TestClient(create_app(place), base_url="http://localhost")
    answer = client.get("/fleet", params={**query, "format": "json"})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def names(page: dict[str, Any]) -> list[str]:
    """Return the machines of a page in their order."""
    return [line["asset_id"] for line in page["assets"]]


def test_the_worst_come_first_and_what_is_worse_depends_on_the_model(place: WebParts) -> None:
    """A high probability and a short life; machines without a score come last; the last score counts."""
    risk, life = asked(place, model="risk"), asked(place, model="life")

    assert names(risk) == ["pump-1", "pump-3", "pump-0", "pump-2", "spare"]
    assert names(life) == ["pump-1", "pump-2", "pump-3", "pump-0", "spare"]
    assert (life["judges"], life["judge"]["low_is_worse"]) == (["life", "risk"], True)
    assert [line["score"] for line in risk["assets"]] == [0.9, 0.5, 0.1, None, None]
    assert risk["as_of"]["newest score"] == NOW


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"site": "north"}, ["pump-1", "pump-0"]),
        ({"class": "fan"}, ["pump-3", "pump-0"]),
        ({"site": "north", "class": "fan"}, ["pump-0"]),
        ({"state": "past"}, ["pump-1"]),
        ({"state": "degraded"}, ["pump-3"]),
        ({"state": "unscored"}, ["pump-2", "spare"]),
        ({"q": "PUMP 3"}, ["pump-3"]),
        ({"site": "nowhere"}, []),
        ({"sort": "name"}, [*NAMES, "spare"]),
        ({"state": "strange", "sort": "strange"}, [*NAMES, "spare"]),
    ],
)
def test_a_fleet_is_filtered_and_ordered(place: WebParts, query: dict[str, str], found: list[str]) -> None:
    """By site, class, state and words of the name; a state that is none filters nothing."""
    page = asked(place, model="risk", **query)

    assert names(page) == found
    assert (page["search"]["found"], page["search"]["of"]) == (len(found), 5)


def test_filters_stay_on_the_next_piece_and_in_the_file(place: WebParts) -> None:
    """The links onward carry them, and the CSV has every machine that they leave."""
    client = TestClient(create_app(place), base_url="http://localhost")

    page = asked(place, model="risk", site="north")
    written = client.get("/fleet", params={"model": "risk", "site": "north", "format": "csv"}).text

    assert page["search"]["kept"] == "model=risk&site=north"
    assert [line.split(",")[0] for line in written.splitlines()[1:]] == ["pump-1", "pump-0"]


def test_each_machine_has_its_week_as_a_line_with_words(place: WebParts) -> None:
    """Two points each, drawn and said; one that was never scored has none."""
    page = asked(place, model="life")
    drawn = TestClient(create_app(place), base_url="http://localhost").get("/fleet", params={"model": "life"}).text

    trends = {line["asset_id"]: line["trend"] for line in page["assets"]}
    assert trends["pump-1"] == [[NOW - 12 * HOUR_US, 10.0], [NOW, 20.0]]
    assert trends["spare"] == []
    assert 'aria-label="pump-1 from 10 to 20"' in drawn


def test_a_machine_shows_what_every_model_said_of_it(place: WebParts) -> None:
    """Its page has the points of each, the threshold, and a picture."""
    client = TestClient(create_app(place), base_url="http://localhost")

    twin = client.get("/fleet/pump-1", params={"format": "json"}).json()
    page = client.get("/fleet/pump-1").text

    said = {one["model"]: [point["score"] for point in one["points"]] for one in twin["said"]}
    assert said == {"life": [10.0, 20.0], "risk": [0.45, 0.9]}
    assert "Trend of what risk said" in page


def test_models_of_another_team_rank_nothing(place: WebParts) -> None:
    """Whoever may not ask a model is not told what it said."""
    stranger = Caller(principal=Principal(name="otto", grants=grants_of(["other:reader"])), method="m")

    assert judges(place, Asked(caller=stranger)) == []
    assert [one.model for one in judges(place, Asked())] == ["life", "risk"]
