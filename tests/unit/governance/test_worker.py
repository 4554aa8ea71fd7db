"""A child process that is asked in lines: it answers, fails, dies, hangs or chatters, and the parent always knows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.errors import UnavailableError
from lineshaft_governance.worker import Worker

CHILD = """
import os, sys, time
from lineshaft_governance.worker import answer_requests

def handle(request, tables):
    what = request["what"]
    if what == "die":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "fail":
        raise ValueError("no such thing")
    if what == "chatter":
        print("a library talks")
        os.system("echo and its tools too")
    if what == "large":
        return {"text": "x" * 300_000}
    return {"pid": os.getpid(), "rows": {name: table.num_rows for name, table in tables.items()},
            "seen": os.environ.get("SEEN", "")}

answer_requests(handle)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the child's module."""
    made = tmp_path_factory.mktemp("child")
    (made / "obedient_child.py").write_text(CHILD)
    return made


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    """Return a worker over the child, closed afterwards."""
    path = ":".join([str(folder), *(part for part in sys.path if part)])
    with Worker(module="obedient_child", environment={"PYTHONPATH": path, "SEEN": "yes"}, timeout_s=30) as opened:
        yield opened


def test_it_is_started_once_and_given_tables_and_environment(worker: Worker) -> None:
    """Two questions, one process; each table arrives whole; its environment is ours and what is added."""
    first = worker.ask({"what": "tell"}, tables={"batch": pa.table({"a": [1, 2, 3]}), "none": pa.table({"a": []})})
    second = worker.ask({"what": "tell"})

    assert first == {"pid": second["pid"], "rows": {"batch": 3, "none": 0}, "seen": "yes"}
    assert second["rows"] == {}


def test_what_it_prints_is_not_taken_for_an_answer(worker: Worker) -> None:
    """Libraries and their children talk on standard output; the answer is still the answer, however long it is."""
    assert worker.ask({"what": "chatter"})["seen"] == "yes"
    assert len(worker.ask({"what": "large"})["text"]) == 300_000


def test_an_error_of_its_own_is_told_and_it_lives_on(worker: Worker) -> None:
    """The kind and the message come back; the next question goes to the same process."""
    before = worker.ask({"what": "tell"})["pid"]

    with pytest.raises(UnavailableError, match="ValueError: no such thing") as caught:
        worker.ask({"what": "fail"})

    assert caught.value.fix
    assert worker.ask({"what": "tell"})["pid"] == before


def test_after_its_death_the_next_question_starts_another(worker: Worker) -> None:
    """The error says how it ended; nothing has to be mended by hand."""
    before = worker.ask({"what": "tell"})["pid"]

    with pytest.raises(UnavailableError, match="ended with code 3"):
        worker.ask({"what": "die"})

    assert worker.ask({"what": "tell"})["pid"] != before


def test_one_that_hangs_is_ended_after_its_time(worker: Worker) -> None:
    """No batch waits for ever: the process is killed, and a new one answers."""
    before = worker.ask({"what": "tell"})["pid"]
    worker.timeout_s = 0.3

    with pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
        worker.ask({"what": "hang"})

    worker.timeout_s = 30
    assert worker.ask({"what": "tell"})["pid"] != before


def test_a_module_that_cannot_be_imported_is_an_error_of_ours() -> None:
    """The module is named."""
    with Worker(module="no_such_child_module") as worker, pytest.raises(UnavailableError, match="no_such_child_module"):
        worker.ask({"what": "tell"})


def test_closing_may_be_done_twice_and_before_anything_was_asked() -> None:
    """Nothing was started, so nothing is ended."""
    worker = Worker(module="no_such_child_module")

    worker.close()
    worker.close()
