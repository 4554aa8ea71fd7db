"""Runs are written down as they go; a name that only one may hold is held by one, and given up by the dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.runs import RunBook, RunState, Wanted

TRAIN = Wanted(name="train/wear", model="wear", actor="ana", place="plant:7", alone=True)


@pytest.fixture
def book(database_url: str, clock: ManualClock) -> Iterator[RunBook]:
    """Return the runs of a fresh database, of each kind."""
    upgrade(database_url)
    opened = RunBook(database_url, project="dev", clock=clock)
    yield opened
    opened.close()


def test_a_run_is_told_from_its_beginning_to_its_end(book: RunBook, clock: ManualClock) -> None:
    """Parameters and figures add up, the later word counts, and a curve's last point is its figure."""
    run = book.begin(Wanted(name="deeper", actor="ana", place="plant:7"))
    book.log(run, params={"max_depth": 6, "eta": 0.1}, metrics={"rmse": 12.0})
    clock.advance(seconds=5)
    book.log(run, params={"eta": 0.2}, files={"plot.png": "a" * 64})
    book.draw(run, "loss", {2: 0.5, 0: 3.0, 1: 1.0})
    book.draw(run, "loss", {1: 0.9})
    assert book.get(run).state is RunState.RUNNING
    book.end(run, RunState.DONE, detail="good", number=3)

    told = book.get(run)

    assert (told.params, told.files) == ({"eta": 0.2, "max_depth": 6}, {"plot.png": "a" * 64})
    assert told.metrics == {"loss": 0.9, "rmse": 12.0}
    assert book.curves(run) == {"loss": [(0, 3.0), (1, 0.9), (2, 0.5)]}
    assert (told.state, told.detail, told.number, told.ended_us) == (RunState.DONE, "good", 3, 6_000_000)


def test_runs_are_listed_newest_first_by_model_and_by_name(book: RunBook, database_url: str) -> None:
    """Those of another project are not seen, neither in the list nor by their number."""
    runs = [book.begin(Wanted(name=name, model=model)) for name, model in (("a", "x"), ("b", "x"), ("a", ""))]

    assert [one.id for one in book.all()] == runs[::-1]
    assert [one.id for one in book.all(model="x")] == runs[1::-1]
    assert [one.id for one in book.all(name="a")] == [runs[2], runs[0]]
    other = RunBook(database_url, project="prod", clock=ManualClock())
    assert other.all() == []
    with pytest.raises(NotFoundError, match="there is no run"):
        other.get(runs[0])
    other.close()


def test_one_of_a_name_at_a_time(book: RunBook) -> None:
    """The second is told who is at it; another name, and the same one after the end, may begin."""
    run = book.begin(TRAIN)

    with pytest.raises(ConflictError, match=r"train/wear is under way since 1970-01-01T00:00:01Z by ana at plant:7"):
        book.begin(TRAIN)
    book.begin(Wanted(name="train/life", alone=True))
    book.end(run, RunState.FAILED, detail="no labels")
    assert book.begin(TRAIN) != run


def test_the_name_of_the_dead_is_free(book: RunBook, clock: ManualClock) -> None:
    """At once where somebody sees that it is gone, else a minute after the last sign of life, and not before."""
    run = book.begin(TRAIN)
    clock.advance(seconds=50)
    book.seen(run)
    clock.advance(seconds=59)
    with pytest.raises(ConflictError):
        book.begin(TRAIN, gone=lambda place: place == "elsewhere:7")
    clock.advance(seconds=2)

    second = book.begin(TRAIN)
    third = book.begin(TRAIN, gone=lambda place: place == "plant:7")

    assert [book.get(one).state for one in (run, second, third)] == [RunState.LOST, RunState.LOST, RunState.RUNNING]
    assert "last heard of at 1970-01-01T00:00:51Z" in book.get(run).detail


def test_of_many_that_begin_at_once_one_does(book: RunBook, database_url: str) -> None:
    """Eight threads, each with connections of its own: one run, seven refusals, whatever the order."""
    ready, won, lost = threading.Barrier(8), [], []

    def begin() -> None:
        own = RunBook(database_url, project="dev", clock=ManualClock(time_us=1_000_000))
        ready.wait()
        try:
            won.append(own.begin(TRAIN))
        except ConflictError:
            lost.append(1)
        own.close()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 7)
    assert [one.id for one in book.all()] == won


def test_where_a_schedule_stood_is_known_after_a_restart(book: RunBook) -> None:
    """The latest moment that a run was due, however it ended; runs by hand are none."""
    assert book.last_due_us("train/wear") is None
    for due_us, state in ((10, RunState.DONE), (30, RunState.FAILED), (20, RunState.SKIPPED), (None, RunState.DONE)):
        book.end(book.begin(Wanted(name="train/wear", due_us=due_us)), state)

    assert book.last_due_us("train/wear") == 30


@pytest.mark.parametrize("value", ["12", float("nan"), float("inf"), None, True])
def test_a_figure_is_a_number(book: RunBook, value: object) -> None:
    """What is none is refused, and nothing of the call is kept."""
    run = book.begin(Wanted(name="a"))

    with pytest.raises(InputError, match="figure 'rmse' is"):
        book.log(run, metrics={"good": 1.0, "rmse": value})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="figure 'rmse' is"):
        book.draw(run, "rmse", {0: value})  # type: ignore[dict-item]
    assert book.get(run).metrics == {}
    assert book.curves(run) == {}
