"""Scores of the fleet are kept once, the last of each is at hand, and rounds are taken on by one, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lineshaft.clock import ManualClock
from lineshaft.registry.engine import open_engine
from lineshaft.registry.fleet_runs import LEASE_US, REST_US, TRIES, FleetRuns
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.scores import KeptScore, ScoreBook

DUE_US = 43_200_000_000
SCORE = KeptScore(
    prediction_id="a" * 32,
    model="wear",
    number=3,
    role="champion",
    entity={"asset_id": "pump-7", "position": "de"},
    at_us=DUE_US,
    score=0.1 + 0.2,
    status=1,
)


@pytest.fixture
def book(database_url: str) -> Iterator[ScoreBook]:
    """Return the scores of an environment over a migrated database."""
    upgrade(database_url)
    opened = ScoreBook(database_url, project="prod")
    yield opened
    opened.close()


@pytest.fixture
def runs(database_url: str, clock: ManualClock) -> Iterator[FleetRuns]:
    """Return the rounds of an environment as one home sees them."""
    upgrade(database_url)
    engine = open_engine(database_url)
    yield FleetRuns(engine=engine, project="prod", clock=clock, owner="here")
    engine.dispose()


def test_a_score_is_kept_once_to_the_last_bit(book: ScoreBook, database_url: str) -> None:
    """Written again, by whomever and whatever it then says, it stays; another environment does not see it."""
    book.add([SCORE])
    book.add([SCORE, replace(SCORE, score=9.0)])

    assert book.latest() == [SCORE]
    other = ScoreBook(database_url, project="dev")
    assert other.latest() == []
    other.close()


def test_the_last_of_each_entity_model_and_role_is_at_hand(book: ScoreBook) -> None:
    """Newer ones hide older ones of the same role only; a score that was refused hides too."""
    entity = {"asset_id": "pump-8", "position": "de"}
    lines = [
        SCORE,
        replace(SCORE, prediction_id="b" * 32, at_us=DUE_US + 1, score=None, status=2),
        replace(SCORE, prediction_id="c" * 32, role="shadow", number=4),
        replace(SCORE, prediction_id="d" * 32, entity=entity, degraded=True),
        replace(SCORE, prediction_id="e" * 32, model="leak"),
    ]
    book.add(lines)

    def told(**of: str) -> list[str]:
        return [one.prediction_id[0] for one in book.latest(**of)]

    assert sorted(told()) == ["b", "c", "d", "e"]
    assert sorted(told(model="wear")) == ["b", "c", "d"]
    assert told(model="wear", asset_id="pump-8") == ["d"]
    assert book.latest(asset_id="pump-8") == [lines[3]]
    assert book.forget(before_us=DUE_US + 1) == 4
    assert told() == ["b"]


def test_a_model_is_taken_on_once_a_round(runs: FleetRuns) -> None:
    """Done is done, also for another home; the next round is another."""
    there = replace(runs, owner="there")

    assert runs.claim(DUE_US, "wear")
    assert not there.claim(DUE_US, "wear")
    runs.ended(DUE_US, "wear", version="wear@3", entities=5, scored=4, fault="")
    assert not runs.claim(DUE_US, "wear")
    assert not there.claim(DUE_US, "wear")
    assert there.claim(2 * DUE_US, "wear")
    (run,) = runs.of(DUE_US)
    assert (run.state, run.version, run.entities, run.scored, run.tries) == ("done", "wear@3", 5, 4, 1)


def test_of_many_who_want_a_model_one_takes_it_on(runs: FleetRuns) -> None:
    """Eight at once, twenty rounds: exactly one each."""
    wanting = [replace(runs, owner=f"home-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for due in range(20):
            asked = [pool.submit(one.claim, due, "wear") for one in wanting]
            assert sum(one.result() for one in asked) == 1


def test_what_a_crash_left_behind_is_taken_up(runs: FleetRuns, clock: ManualClock) -> None:
    """By the same home at once, by another when the lease is over; not for ever."""
    there = replace(runs, owner="there")
    assert runs.claim(DUE_US, "wear")
    assert runs.claim(DUE_US, "wear")
    clock.time_us += LEASE_US - 1
    assert not there.claim(DUE_US, "wear")
    clock.time_us += 1
    assert there.claim(DUE_US, "wear")
    assert not there.claim(DUE_US, "wear")

    (run,) = runs.of(DUE_US)

    assert (run.state, run.tries, run.fault) == ("failed", TRIES, f"{TRIES} tries did not end")


def test_what_failed_is_tried_again_after_a_rest(runs: FleetRuns, clock: ManualClock) -> None:
    """Three times in all; then the next round may."""
    took = []
    for _ in range(TRIES + 1):
        took.append(runs.claim(DUE_US, "wear"))
        runs.ended(DUE_US, "wear", version="", entities=0, scored=0, fault="the store is away")
        assert not runs.claim(DUE_US, "wear")
        clock.time_us += REST_US

    assert took == [True] * TRIES + [False]
    assert runs.of(DUE_US)[0].fault == "the store is away"


def test_a_fleet_is_told_by_the_last_of_each_and_its_history(book: ScoreBook) -> None:
    """Champions only, of one model; the history of some machines since a moment, oldest first."""
    later = replace(SCORE, prediction_id="b" * 32, at_us=DUE_US + 5, score=None, degraded=True)
    other = replace(SCORE, prediction_id="c" * 32, entity={"asset_id": "pump-8"}, model="life")
    shadow = replace(SCORE, prediction_id="d" * 32, role="shadow", at_us=DUE_US + 9)
    book.add([SCORE, later, other, shadow])

    assert book.models() == ["life", "wear"]
    (last,) = book.last_of_assets("wear")
    assert (last.asset_id, last.at_us, last.score, bool(last.degraded)) == ("pump-7", DUE_US + 5, None, True)
    assert book.history(["pump-7"], since_us=0) == [SCORE, later]
    assert book.history(["pump-7", "pump-8"], since_us=0, model="life") == [other]
    assert book.history(["pump-7"], since_us=DUE_US + 1) == [later]
