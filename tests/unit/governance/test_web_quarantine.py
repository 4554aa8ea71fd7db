"""The pages of quarantine without a browser: what is held and why, whose it is, and who may let it in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from lineshaft.access.guard import Guard
from lineshaft.access.principal import Principal, grants_of
from lineshaft.clock import ManualClock
from lineshaft.errors import UnauthenticatedError
from lineshaft.ops.quarantine import REASON, held_batches, keep_aside, quarantine_folder
from lineshaft.ops.release import Keeper, decisions
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

NOW = 1_790_000_040_000_000
MINUTE = 60_000_000
HOSTILE = "<script>alert('x')</script>"
PEOPLE = {
    "lst_reader": Principal(name="rita", grants=grants_of(["vibration:reader"])),
    "lst_other": Principal(name="otto", grants=grants_of(["other:admin"])),
    "lst_admin": Principal(name="ada", grants=grants_of(["vibration:admin"])),
}
VIEW = View(
    name="pumps",
    source=Source(name="blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1m", column="acceleration", function="rms", window_us=MINUTE, unit="g"),),
    owner="vibration@lineshaft.example",
    team="vibration",
)


class Known:
    """Whoever has one of a few tokens."""

    def principal(self, secret: str) -> Principal:
        """Return who has it."""
        if secret not in PEOPLE:
            raise UnauthenticatedError("nobody knows this token")
        return PEOPLE[secret]


class Noted:
    """Denials, as they were noted."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, str]] = []

    def note(self, **told: str) -> None:
        """Keep one."""
        self.lines.append(told)


@dataclass
class Plant:
    """A page over a store in which two rows are missing: they are held."""

    parts: WebParts
    denials: Noted
    batch: str
    held: pa.Table

    def browser(self, token: str) -> TestClient:
        """Return a browser of somebody who signed in."""
        client = TestClient(create_app(self.parts), base_url="http://localhost", follow_redirects=False)
        if token:
            key = form_key(client.get("/sign-in").text)
            assert client.post("/sign-in", data={"token": token, "form_key": key}).status_code == 303
        return client

    def stored(self) -> pa.Table:
        """Return the rows of the view."""
        return pa.concat_tables([row_schema(VIEW).empty_table(), *self.parts.offline.read_rows(VIEW)])


@pytest.fixture(params=["guarded"])
def plant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plant]:
    """Hold two rows, by a rule whose words are a script."""
    url = f"sqlite:///{tmp_path / 'lineshaft.db'}"
    upgrade(url)
    clock = ManualClock(time_us=NOW)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    offline, denials, work = MemoryOfflineStore(), Noted(), tmp_path / "work"
    at = pa.array([NOW - MINUTE, NOW]).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table([["p", HOSTILE], at, at, [9810.0, None]], schema=row_schema(VIEW))
    held = rows.append_column(REASON, pa.array([f"rms_1m <= 100 {HOSTILE}", "rms_1m is known"]))
    keep_aside(held, quarantine_folder(work, VIEW), "one")
    catalog = FixedCatalog(all_views=(VIEW,))
    keeper = Keeper(
        catalog=catalog, offline=offline, online=MemoryOnlineStore(), work=work, tables=tmp_path / "tables", clock=clock
    )
    parts = WebParts(
        catalog=catalog,
        offline=offline,
        online=None,
        registry=registry,
        results=ResultFolder(tmp_path / "results"),
        reports=tmp_path / "reports",
        clock=clock,
        project="demo",
        home=tmp_path,
        keeper=keeper,
        guard=Guard(denials=denials, tokens=Known()) if request.param == "guarded" else None,
        patience_s=60,
    )
    yield Plant(parts=parts, denials=denials, batch=held_batches(work)[0].id, held=rows)
    parts.close()
    registry.engine.dispose()


def form_key(page: str) -> str:
    """Return what the last form of a page carries."""
    keys: list[str] = re.findall(r'name="form_key" value="([^"]+)"', page)
    return keys[-1]


def test_what_is_held_is_told_with_rule_owner_and_rows(plant: Plant) -> None:
    """The list and the overview lead to the batch; its rows are shown with the rule that holds each, and never run."""
    ada = plant.browser("lst_admin")
    listed = ada.get("/quarantine", params={"format": "json"}).json()
    page = ada.get(f"/quarantine/{plant.batch}")
    twin = ada.get(f"/quarantine/{plant.batch}", params={"format": "json"}).json()
    first = ada.get("/", params={"format": "json"}).json()

    (line,) = listed["held"]
    assert (line["name"], line["rows"], line["owner"], line["team"]) == ("pumps", 2, VIEW.owner, "vibration")
    assert {one["why"] for one in line["reasons"]} == {f"rms_1m <= 100 {HOSTILE}", "rms_1m is known"}
    assert [one["rms_1m"] for one in twin["sample"]] == [9810.0, None]
    assert first["counts"]["quarantined"] == 2
    assert f"/quarantine/{plant.batch}" in [one["link"] for one in first["attention"]]
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


def test_an_administrator_releases_and_it_is_as_if_never_held(plant: Plant) -> None:
    """The rows are stored with their bits, the decision names who and why, and the page says so from then on."""
    ada = plant.browser("lst_admin")
    path = f"/quarantine/{plant.batch}"
    key = form_key(ada.get(path).text)

    answer = ada.post(f"{path}/release", data={"reason": "the gain was changed", "form_key": key})

    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert plant.stored().sort_by("event_time").equals(plant.held)
    (decision,) = decisions(plant.parts.work)
    assert (decision.act, decision.actor, decision.reason) == ("released", "ada", "the gain was changed")
    after = ada.get(path)
    assert (after.status_code, "the gain was changed" in after.text) == (200, True)
    assert ada.get("/quarantine", params={"format": "json"}).json()["held"] == []
    assert ada.post(f"{path}/release", data={"reason": "again", "form_key": key}).status_code == 404


def test_what_is_discarded_stays_out(plant: Plant) -> None:
    """Nothing is stored, and the file is kept beside."""
    ada = plant.browser("lst_admin")
    path = f"/quarantine/{plant.batch}"

    answer = ada.post(f"{path}/discard", data={"reason": "loose", "form_key": form_key(ada.get(path).text)})

    assert answer.status_code == 303
    assert plant.stored().num_rows == 0
    assert [one.act for one in decisions(plant.parts.work)] == ["discarded"]
    assert len(list((plant.parts.work / "quarantine").glob("*/discarded/*.parquet"))) == 1


@pytest.mark.parametrize(
    ("token", "given", "status"),
    [
        ("lst_reader", {"reason": "r"}, 403),
        ("lst_other", {"reason": "r"}, 403),
        ("lst_admin", {"reason": "  "}, 400),
        ("lst_admin", {"reason": "r", "form_key": "forged"}, 403),
        ("", {"reason": "r"}, 401),
    ],
)
def test_nobody_else_decides_and_nothing_without_a_reason(
    plant: Plant, token: str, given: dict[str, str], status: int
) -> None:
    """A reader, an administrator of another team, a forged form, a stranger: refused, and the batch is still held."""
    browser = plant.browser(token)
    key = form_key(browser.get("/models").text) if token else ""

    answer = browser.post(f"/quarantine/{plant.batch}/release", data={"form_key": key, **given})

    assert answer.status_code == status
    assert (len(held_batches(plant.parts.work)), decisions(plant.parts.work)) == (1, [])
    assert plant.stored().num_rows == 0


def test_values_are_kept_back_from_other_teams(plant: Plant) -> None:
    """Who reads for another team sees the rule and whose it is, and no row."""
    otto = plant.browser("lst_other")

    twin = otto.get(f"/quarantine/{plant.batch}", params={"format": "json"}).json()

    assert (twin["sample"], twin["kept_back"], twin["may_decide"]) == ([], ["vibration"], False)
    assert "lst_" not in str(twin)


@pytest.mark.parametrize("plant", ["open"], indirect=True)
def test_without_signing_in_the_command_is_told(plant: Plant) -> None:
    """The page has no form, refuses one that is sent, and says what to type."""
    browser = plant.browser("")

    page = browser.get(f"/quarantine/{plant.batch}").text

    assert 'method="post"' not in page
    assert f"lineshaft quarantine release {plant.batch}" in page
    assert browser.post(f"/quarantine/{plant.batch}/release", data={"reason": "r"}).status_code == 403
    assert len(held_batches(plant.parts.work)) == 1


def test_a_log_of_decisions_that_was_altered_is_told(plant: Plant) -> None:
    """The page opens, says where, and shows no decision that cannot be trusted."""
    ada = plant.browser("lst_admin")
    path = f"/quarantine/{plant.batch}"
    ada.post(f"{path}/discard", data={"reason": "loose", "form_key": form_key(ada.get(path).text)})
    (log,) = plant.parts.work.rglob("*.jsonl")
    log.write_text(log.read_text().replace("loose", "tight"))

    twin = ada.get("/quarantine", params={"format": "json"}).json()

    assert twin["decided"] == []
    assert "was altered" in twin["broken"]
