"""Who may open which page of the admin page, and change what: by token, by session, by form, by Host."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from lineshaft.access.guard import Guard
from lineshaft.access.principal import Principal, Role, grants_of
from lineshaft.access.rules import RULES
from lineshaft.clock import ManualClock
from lineshaft.errors import UnauthenticatedError
from lineshaft.models.gate import Gate, Policy
from lineshaft.registry.alerts import Alert, AlertBook, Answer
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.specs import Service
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts
from lineshaft_governance.web.sessions import LASTS_US

NOW = 1_790_000_040_000_000
PEOPLE = {
    "lst_reader": Principal(name="rita", grants=grants_of(["other:reader"])),
    "lst_writer": Principal(name="wim", grants=grants_of(["vibration:writer"])),
    "lst_admin": Principal(name="ada", grants=grants_of(["vibration:admin"])),
    "lst_nothing": Principal(name="nora", grants={}),
}
SERVICE = Service(name="health", views=(), team="vibration", owner="v@lineshaft.example")
POLICY = Policy(
    name="strict",
    approvals_last_us=LASTS_US,
    gates=(Gate(name="g", metric="pr_auc", op=">", value=0.5),),
    approvals=1,
    sha256="d" * 64,
)


class Known:
    """Whoever has one of a few tokens."""

    def __init__(self) -> None:
        self.people = dict(PEOPLE)

    def principal(self, secret: str) -> Principal:
        """Return who has it."""
        if secret not in self.people:
            raise UnauthenticatedError("nobody knows this token")
        return self.people[secret]


class Noted:
    """Denials, as they were noted."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, str]] = []

    def note(self, **told: str) -> None:
        """Keep one."""
        self.lines.append(told)


class Place:
    """An admin page that asks who one is, over a real registry and real alerts."""

    def __init__(self, folder: Path, migrated: Path, *, guarded: bool = True) -> None:
        url = f"sqlite:///{shutil.copy(migrated, folder / 'lineshaft.db')}"
        self.clock, self.known, self.denials = ManualClock(time_us=NOW), Known(), Noted()
        self.registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=self.clock)
        self.book = AlertBook(url, project="demo", clock=self.clock)
        guard = Guard(denials=self.denials, tokens=self.known) if guarded else None
        self.parts = WebParts(
            catalog=FixedCatalog(all_services=(SERVICE,)),
            offline=MemoryOfflineStore(),
            online=None,
            registry=self.registry,
            results=ResultFolder(folder / "results"),
            reports=folder / "reports",
            clock=self.clock,
            project="demo",
            home=folder,
            alerts=self.book,
            guard=guard,
            hosts=["lineshaft.plant.example"],
            policy=lambda _model: POLICY,
            patience_s=30,
        )
        _register(self.registry)
        self.book.add(
            Alert(
                id="a" * 16,
                project="demo",
                model="failure",
                number=1,
                asset_id="pump-1",
                entity={"asset_id": "pump-1"},
                at_us=NOW - 60_000_000,
                raised_us=NOW - 50_000_000,
                score=0.9,
                threshold=0.7,
            )
        )

    def client(self) -> TestClient:
        """Return a browser without cookies."""
        return TestClient(create_app(self.parts), base_url="http://localhost", follow_redirects=False)

    def close(self) -> None:
        """Give everything back."""
        self.parts.close()
        self.book.close()
        self.registry.engine.dispose()


def _register(registry: ModelRegistry) -> None:
    candidate = Candidate(
        model="failure",
        task="binary",
        service=SERVICE.name,
        service_json=SERVICE.to_json(),
        features=("a",),
        pins=(ViewPin(view="vibration", version="1" * 12),),
        training_set="e" * 64,
        rows=7,
        artifact=b"{}",
        artifact_format="json",
        params={},
        metrics={},
        seed=1,
        library="none",
    )
    registry.register(candidate, actor="ben")
    registry.judge("failure", 1, Verdict(gate="g", outcome="pass", detail="good"), actor="ben")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database once: each place starts with a copy."""
    path = tmp_path_factory.mktemp("migrated") / "lineshaft.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Iterator[Place]:
    """Return a page that asks who one is."""
    opened = Place(tmp_path, migrated)
    yield opened
    opened.close()


def signed_in(place: Place, token: str) -> TestClient:
    """Return a browser of somebody who signed in."""
    browser = place.client()
    given = {"token": token, "form_key": key_in(browser.get("/sign-in").text)}
    assert browser.post("/sign-in", data=given).status_code == 303
    return browser


def key_in(page: str) -> str:
    """Return what the first form of a page carries."""
    found = re.search(r'name="form_key" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def test_every_route_has_a_rule_and_no_rule_is_left_over(place: Place) -> None:
    """Whoever adds a page must say who may open it."""
    routes = [route for route in create_app(place.parts).routes if isinstance(route, Route)]
    served = {f"WEB {verb} {route.path}" for route in routes for verb in (route.methods or set()) - {"HEAD"}}

    assert served == {name for name in RULES if name.startswith("WEB ")}


def addresses() -> list[str]:
    """Return an address of each page that needs a role."""
    filled = {"{of_view}": "v", "{name}": "failure", "{name:path}": "pump-1", "{ident}": "a" * 16, "{number:int}": "1"}
    found = []
    for rule, role in RULES.items():
        if rule.startswith("WEB GET ") and role is not Role.ANYONE:
            path = rule.removeprefix("WEB GET ")
            for name, value in filled.items():
                path = path.replace(name, value)
            found.append(path)
    return found


@pytest.mark.parametrize("path", addresses())
def test_no_page_is_shown_to_a_stranger(place: Place, path: str) -> None:
    """A browser is led to signing in and back, a machine is told 401; who has no role is told 403."""
    browser = place.client()

    led, told = browser.get(path), browser.get(path, params={"format": "json"})
    no_role = browser.get(path, headers={"authorization": "Bearer lst_nothing"})
    unknown = browser.get(path, headers={"authorization": "Bearer lst_unknown"})
    let_in = browser.get(path, headers={"authorization": "Bearer lst_reader"})

    assert (led.status_code, told.status_code, no_role.status_code, unknown.status_code) == (303, 401, 403, 401)
    assert led.headers["location"].startswith("/sign-in?next=/")
    assert let_in.status_code in {200, 404}


def test_one_signs_in_is_named_and_signs_out(place: Place) -> None:
    """The cookie is of this site and for HTTP only; after signing out it opens nothing."""
    browser = place.client()
    door = browser.get("/sign-in", params={"next": "/models?q=a"})
    answer = browser.post(
        "/sign-in", data={"token": " lst_writer\n", "next": "/models?q=a", "form_key": key_in(door.text)}
    )
    page = browser.get("/models")
    cookie = dict(browser.cookies)
    browser.post("/sign-out", data={"form_key": key_in(page.text)})
    browser.cookies.update(cookie)

    assert answer.headers["location"] == "/models?q=a"
    set_cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=lax" in set_cookie
    assert "wim" in page.text
    assert browser.get("/models").status_code == 303


def test_a_token_nobody_knows_is_refused_where_it_is_typed(place: Place) -> None:
    """The form says why, sets no session, and the denial is noted without what was typed."""
    browser = place.client()

    answer = browser.post("/sign-in", data={"token": "lst_no", "form_key": key_in(browser.get("/sign-in").text)})

    assert answer.status_code == 401
    assert "nobody knows this token" in answer.text
    assert "lineshaft_session" not in browser.cookies
    assert "lst_no" not in str(place.denials.lines)


@pytest.mark.parametrize(
    "onward", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_no_other_site(place: Place, onward: str) -> None:
    """Whatever a link says, one lands on a page of ours."""
    browser = place.client()
    key = key_in(browser.get("/sign-in", params={"next": onward}).text)

    answer = browser.post("/sign-in", data={"token": "lst_reader", "next": onward, "form_key": key})

    assert answer.headers["location"] == "/"


def test_a_revoked_token_ends_its_session_at_once_and_so_does_time(place: Place) -> None:
    """Who one is is asked at every request, and a session lasts one shift."""
    revoked, late = signed_in(place, "lst_reader"), signed_in(place, "lst_writer")
    assert revoked.get("/models").status_code == 200

    del place.known.people["lst_reader"]
    place.clock.time_us += LASTS_US

    assert revoked.get("/models").status_code == 303
    assert late.get("/models").status_code == 303


APPROVE = "/models/failure/versions/1/approve"
FIND = f"/alerts/{'a' * 16}/finding"


@pytest.mark.parametrize(("path", "given"), [(APPROVE, {"reason": "good"}), (FIND, {"answer": "false"})])
def test_no_form_of_another_page_changes_anything(place: Place, path: str, given: dict[str, str]) -> None:
    """Without the key of the form, with that of somebody else, as another kind of body, without a session."""
    ada, wim = signed_in(place, "lst_admin"), signed_in(place, "lst_writer")
    foreign = key_in(wim.get(f"/alerts/{'a' * 16}").text)

    found = [
        ada.post(path, data=given).status_code,
        ada.post(path, data={**given, "form_key": foreign}).status_code,
        ada.post(path, json={**given, "form_key": foreign}).status_code,
        place.client().post(path, data=given).status_code,
    ]

    assert found == [403, 403, 400, 401]
    assert place.registry.approvals("failure", 1) == []
    assert place.book.findings() == []


def test_an_administrator_of_the_team_approves_and_is_written_down(place: Place) -> None:
    """The version waits, the form stands on its page, and the approval is that of whoever signed in."""
    ada = signed_in(place, "lst_admin")
    page = ada.get("/models/failure").text

    answer = ada.post(APPROVE, data={"reason": "seen on the bench", "form_key": key_in(page)})

    assert "Approve version 1" in page
    assert answer.status_code == 303
    (given,) = place.registry.approvals("failure", 1)
    assert (given.actor, given.reason, given.policy_sha256) == ("ada", "seen on the bench", "d" * 64)
    assert "Approve version 1" not in ada.get("/models/failure").text
    assert ada.post(APPROVE, data={"reason": "again", "form_key": key_in(page)}).status_code == 409


@pytest.mark.parametrize(("token", "path"), [("lst_writer", APPROVE), ("lst_reader", FIND), ("lst_reader", APPROVE)])
def test_who_has_not_the_role_changes_nothing(place: Place, token: str, path: str) -> None:
    """A writer does not approve, a reader of another team says nothing; both are noted."""
    browser = signed_in(place, token)
    key = key_in(browser.get("/models").text)

    answer = browser.post(path, data={"reason": "r", "answer": "false", "form_key": key})

    assert answer.status_code == 403
    assert (place.registry.approvals("failure", 1), place.book.findings()) == ([], [])
    assert place.denials.lines[-1]["who"] == PEOPLE[token].name


def test_an_admin_of_another_team_approves_nothing_of_this_one(place: Place) -> None:
    """The role counts in the team whose service the model reads."""
    place.known.people["lst_reader"] = Principal(name="otto", grants=grants_of(["other:admin"]))
    otto = signed_in(place, "lst_reader")

    answer = otto.post(APPROVE, data={"reason": "r", "form_key": key_in(otto.get("/models").text)})

    assert answer.status_code == 403
    assert "belongs to team" in answer.text
    assert place.registry.approvals("failure", 1) == []


def test_what_was_found_of_an_alert_is_kept_and_shown(place: Place) -> None:
    """With who said it, when they looked, and in which words; saying it acknowledges the alert."""
    wim = signed_in(place, "lst_writer")
    key = key_in(wim.get(f"/alerts/{'a' * 16}").text)
    told = {"answer": "confirmed", "note": "<b>spalled</b>", "looked": "2026-09-21T18:00", "form_key": key}
    place.clock.time_us = NOW + 6 * 3_600_000_000

    first = wim.post(FIND, data=told)
    bad = [wim.post(FIND, data={**told, **wrong}).status_code for wrong in BAD_FINDINGS]

    assert first.status_code == 303
    (found,) = place.book.findings()
    assert (found.answer, found.said_by, found.note) == (Answer.CONFIRMED, "wim", "<b>spalled</b>")
    assert found.looked_us == 1_790_013_600_000_000
    assert place.book.get("a" * 16).acked_by == "wim"
    assert bad == [400] * len(BAD_FINDINGS)
    page = wim.get(f"/alerts/{'a' * 16}").text
    assert "&lt;b&gt;spalled" in page


BAD_FINDINGS: list[dict[str, Any]] = [
    {"answer": "perhaps"},
    {"looked": "yesterday"},
    {"looked": "2020-01-01T00:00"},
    {"looked": "2050-01-01T00:00"},
]


def test_without_signing_in_the_page_reads_and_changes_nothing(tmp_path: Path, migrated: Path) -> None:
    """A page that knows no callers has no forms, and refuses those that are sent."""
    place = Place(tmp_path, migrated, guarded=False)
    browser = place.client()

    pages = [browser.get(path) for path in ("/", "/models/failure", f"/alerts/{'a' * 16}", "/sign-in")]
    sent = [browser.post(path, data={"reason": "r", "answer": "false"}).status_code for path in (APPROVE, FIND)]

    assert [page.status_code for page in pages] == [200] * 4
    assert not [page for page in pages if 'method="post"' in page.text]
    assert "lineshaft models approve" in pages[1].text
    assert sent == [403, 403]
    assert place.registry.approvals("failure", 1) == []
    place.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7701", 303),
        ("127.0.0.1:7701", 303),
        ("[::1]:7701", 303),
        ("lineshaft.plant.example", 303),
        ("evil.example", 421),
        ("localhost.evil.example:7701", 421),
        ("", 421),
    ],
)
def test_a_foreign_name_that_points_here_is_refused(place: Place, host: str, status: int) -> None:
    """A page of another site cannot read ours by a name that its owner let point to this machine."""
    assert place.client().get("/", headers={"host": host}).status_code == status


def test_values_are_shown_to_who_may_read_them(place: Place) -> None:
    """Denials are for administrators; what a stranger to a team may not read is not in the machine's twin either."""
    reader, admin = signed_in(place, "lst_reader"), signed_in(place, "lst_admin")

    shown = [one.get("/audit", params={"format": "json"}).json()["denials"] for one in (reader, admin)]

    assert shown == [None, []]
