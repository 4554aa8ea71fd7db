"""What is tried is written down as it goes, by one context manager, and how it ended too."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import lineshaft
from lineshaft.clock import SystemClock
from lineshaft.errors import ConflictError, InputError
from lineshaft.ops.account import account, gone, place
from lineshaft.ops.tracking import run, run_files, under_way
from lineshaft.registry.runs import RunBook, RunState, Wanted
from lineshaft.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a home that nobody has made yet."""
    return Settings(home=tmp_path / "home")


def book_of(settings: Settings) -> RunBook:
    """Open the runs of a home."""
    return RunBook(settings.database(), project=settings.project, clock=SystemClock())


def test_a_run_is_kept_with_all_that_was_said(settings: Settings, tmp_path: Path) -> None:
    """Parameters, figures, a curve, files by content; who and where; done at the end of its block."""
    plot = tmp_path / "plot.png"
    plot.write_bytes(b"\x89PNG")
    with lineshaft.run("deeper", model="wear", settings=settings, max_depth=6) as tried:
        tried.params(note="as the last")
        for step in range(3):
            tried.point(step, loss=1.0 / (step + 1))
        tried.curve("tried", [3.0, 2.0])
        tried.metrics(rmse=9.5)
        digest = tried.file("plot.png", plot)
        tried.file("said.txt", "well")

    book = book_of(settings)
    (told,) = book.all()
    assert (told.name, told.model, told.state) == ("deeper", "wear", RunState.DONE)
    assert (told.actor, told.place) == (account(), place())
    assert told.params == {"max_depth": 6, "note": "as the last"}
    assert told.metrics == {"loss": 1 / 3, "tried": 2.0, "rmse": 9.5}
    assert book.curves(told.id)["loss"] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert set(told.files) == {"plot.png", "said.txt"}
    assert run_files(settings.home).get(digest, artifact_format="file") == b"\x89PNG"
    book.close()


def test_an_error_ends_it_as_failed_and_goes_on_its_way(settings: Settings) -> None:
    """What it said is kept, of our own errors the first line."""
    for error, told in ((ValueError("no luck"), "ValueError: no luck"), (InputError("no rows", fix="x"), "no rows")):
        with pytest.raises(type(error)), run("fails", settings=settings):
            raise error
        book = book_of(settings)
        assert (book.all()[0].state, book.all()[0].detail) == (RunState.FAILED, told)
        book.close()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\nb"])
def test_a_file_has_a_name_that_leads_nowhere(settings: Settings, name: str) -> None:
    """A folder, a hidden file, a line break are none."""
    with pytest.raises(InputError, match="names no file"), run("a", settings=settings) as tried:
        tried.file(name, "text")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_not_kept(settings: Settings, protocol: int) -> None:
    """Whatever it is called, of every protocol; what only begins like one is text."""
    with pytest.raises(InputError, match="a pickle can run code"), run("a", settings=settings) as tried:
        tried.file("model.txt", pickle.dumps({"a": [1, "b"]}, protocol))
    with run("b", settings=settings) as tried:
        tried.file("worst.csv", "I1\nI2\nerror,31\n")


def test_a_process_that_is_killed_is_found_gone(settings: Settings, tmp_path: Path) -> None:
    """SIGKILL in the middle of a training: the next one begins at once, and the first is told as lost."""
    code = (
        "import sys, time, lineshaft.ops.tracking as t\n"
        "from lineshaft.settings import Settings; from lineshaft.registry.runs import RunBook, Wanted\n"
        "from lineshaft.clock import SystemClock\n"
        "s = Settings()\n"
        "with t.run('first', settings=s): pass\n"
        "book = RunBook(s.database(), project=s.project, clock=SystemClock())\n"
        "with t.under_way(book, Wanted(name='train/wear', alone=True), files=t.run_files(s.home)):\n"
        "    print('on', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "LINESHAFT_HOME": str(settings.home)}  # noqa: TID251 - the child's own
    wanted = Wanted(name="train/wear", alone=True)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "on\n"
        book = book_of(settings)
        with pytest.raises(ConflictError, match=f":{child.pid}"), under_way(book, wanted, files=run_files(tmp_path)):
            pass
        child.kill()
    with under_way(book, wanted, files=run_files(tmp_path)):
        assert gone(f"{place().rpartition(':')[0]}:{child.pid}")

    assert [one.state for one in book.all(name="train/wear")] == [RunState.DONE, RunState.LOST]
    book.close()


def test_it_costs_nothing_until_it_is_named() -> None:
    """`import lineshaft` brings in neither the database nor the models."""
    code = "import lineshaft, sys, json; print(json.dumps([m for m in ('sqlalchemy', 'optuna') if m in sys.modules]))"

    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(there.stdout) == []
