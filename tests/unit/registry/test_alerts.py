"""Alerts are written down once an episode, and what becomes of them is added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.registry.alerts import Alert, AlertBook, Answer, episode_id
from lineshaft.registry.migrate import upgrade

ENTITY = {"asset_id": "pump-7", "position": "drive_end"}
ALERT = Alert(
    id=episode_id("dev", "m", ENTITY, 5),
    project="dev",
    model="m",
    number=2,
    asset_id="pump-7",
    entity=ENTITY,
    at_us=5,
    raised_us=9,
    score=0.8,
    threshold=0.7,
    because=(("v__rms", 1.5, 0.25),),
    routed={},
    worst=0.8,
)


@pytest.fixture
def book(database_url: str, clock: ManualClock) -> Iterator[AlertBook]:
    """Return the alerts of a project in an empty database."""
    upgrade(database_url)
    opened = AlertBook(database_url, project="dev", clock=clock)
    yield opened
    opened.close()


def test_an_alert_reads_back_as_it_was_raised_and_a_second_time_it_is_none(book: AlertBook) -> None:
    """Two processes that see the same episode write one row: the second is told that it is not the first."""
    assert book.add(ALERT)
    assert not book.add(replace(ALERT, score=0.9))
    assert book.all() == [ALERT]


def test_how_an_episode_went_on_is_added(book: AlertBook) -> None:
    """Routes, count, worst score and end; what was raised stays."""
    book.add(ALERT)

    book.told(ALERT.id, {"log": "sent"})
    book.went_on(ALERT.id, passing=4, worst=0.95, ended_us=70)

    assert book.all() == [replace(ALERT, routed={"log": "sent"}, passing=4, worst=0.95, ended_us=70)]


def test_the_first_who_acknowledges_is_kept(book: AlertBook, clock: ManualClock) -> None:
    """A second one changes nothing; one that is not there is told."""
    book.add(ALERT)

    seen = book.ack(ALERT.id, by="ana", note="belt slips")

    assert (seen.acked_by, seen.note, seen.acked_us) == ("ana", "belt slips", clock.now_us())
    assert book.ack(ALERT.id, by="ben") == seen
    assert book.all(open_only=True) == []
    with pytest.raises(NotFoundError, match="no alert 'nobody'"):
        book.ack("nobody", by="ana")


def test_where_each_entity_stands_is_its_newest_alert(book: AlertBook) -> None:
    """Of its model alone; other projects' alerts are not seen at all."""
    later = replace(ALERT, id="b", at_us=8, raised_us=10, ended_us=9)
    other = replace(ALERT, id="c", entity={"asset_id": "pump-8"}, asset_id="pump-8")
    for alert in (ALERT, later, other, replace(ALERT, id="d", model="n"), replace(ALERT, id="e", project="prod")):
        book.add(alert)

    assert sorted(book.standing("m"), key=lambda alert: alert.id) == [later, other]
    assert [alert.id for alert in book.all(model="m")] == ["b", *sorted((ALERT.id, "c"))]
    assert len(book.all()) == 4


def test_a_budget_counts_what_was_sent(book: AlertBook) -> None:
    """Since a moment, of a model; what was over the budget is not counted against it."""
    for number, routed in enumerate(({"log": "sent"}, {}, {"budget": "over_budget"})):
        book.add(replace(ALERT, id=str(number), raised_us=10 + number, routed=routed))

    assert book.raised_since("m", 10) == 2
    assert book.raised_since("m", 11) == 1
    assert book.raised_since("n", 0) == 0


def test_what_people_found_is_added_and_the_alert_is_seen(book: AlertBook, clock: ManualClock) -> None:
    """Each word said stays; the first acknowledges; when somebody looked is now unless they say otherwise."""
    book.add(ALERT)
    clock.advance(seconds=1)

    first = book.find(ALERT.id, Answer.CONFIRMED, by="ana", note="spalled")
    clock.advance(seconds=1)
    second = book.find(ALERT.id, Answer.FALSE, by="ben", looked_us=1_500_000)

    assert book.findings() == book.findings(model="m") == book.findings(alert=ALERT.id) == [first, second]
    assert (first.looked_us, second.looked_us, second.said_us) == (2_000_000, 1_500_000, 3_000_000)
    assert (first.model, first.asset_id, book.get(ALERT.id).acked_by) == ("m", "pump-7", "ana")
    assert book.findings(model="n") == []


@pytest.mark.parametrize("looked_us", [4, 1_000_001])
def test_nobody_looked_before_an_alert_or_in_the_future(book: AlertBook, looked_us: int) -> None:
    """Such a moment is refused, and nothing is kept of it."""
    book.add(ALERT)

    with pytest.raises(InputError, match="before it was raised, or later than now"):
        book.find(ALERT.id, Answer.FALSE, by="ana", looked_us=looked_us)

    assert book.findings() == []
    assert book.get(ALERT.id).acked_us is None


def test_alerts_of_one_asset_and_how_many_nobody_has_seen(book: AlertBook) -> None:
    """By asset, of this project alone."""
    for alert in (ALERT, replace(ALERT, id="b", at_us=6), replace(ALERT, id="c", asset_id="pump-8")):
        book.add(alert)
    book.add(replace(ALERT, id="d", project="prod"))
    book.ack("b", by="ana")

    assert book.unseen() == {"pump-7": 1, "pump-8": 1}
    assert {alert.id for alert in book.all(asset_id="pump-7")} == {ALERT.id, "b"}
