"""A process that is asked in lines: it answers, fails, dies, hangs, chatters, is shared; who asks always knows."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft_governance import worker as module
from lineshaft_governance.worker import Worker

CHILD = """
import os, sys, time
from lineshaft_governance.answering import answer_requests

def handle(request, tables):
    what = request["what"]
    if what == "die":
        os._exit(3)
    if what == "die once":
        if not os.path.exists(request["mark"]):
            open(request["mark"], "w").close()
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
            "seen": os.environ.get("SEEN", ""), "session": os.getsid(0)}

answer_requests(handle)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the child's module."""
    made = tmp_path_factory.mktemp("child")
    (made / "obedient_child.py").write_text(CHILD)
    return made


@pytest.fixture
def open_worker(folder: Path) -> Iterator[Callable[..., Worker]]:
    """Return what opens workers over the child; those that are alone are closed afterwards."""
    path = ":".join([str(folder), *(part for part in sys.path if part)])
    opened: list[Worker] = []

    def open_one(**fields: Any) -> Worker:
        environment = {"PYTHONPATH": path, "SEEN": "yes"}
        one = Worker(module="obedient_child", environment=environment, **{"timeout_s": 30, "alone": True, **fields})
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def worker(open_worker: Callable[..., Worker]) -> Worker:
    """Return a worker of this test alone."""
    return open_worker()


def gone(pid: int) -> bool:
    """Wait until a process has ended; say whether it has."""
    if psutil.pid_exists(pid):
        psutil.wait_procs([psutil.Process(pid)], timeout=20)
    return not psutil.pid_exists(pid)


def test_it_is_started_once_and_given_tables_and_environment(worker: Worker) -> None:
    """Two questions, one process; each table arrives whole; its environment is ours and what is added."""
    first = worker.ask({"what": "tell"}, tables={"batch": pa.table({"a": [1, 2, 3]}), "none": pa.table({"a": []})})
    second = worker.ask({"what": "tell"})

    assert (first["pid"], first["rows"], first["seen"]) == (second["pid"], {"batch": 3, "none": 0}, "yes")
    assert second["rows"] == {}
    assert worker.pid() == first["pid"]


def test_it_does_not_hear_the_terminals_interrupt(worker: Worker) -> None:
    """Ctrl-C ends the command that started it; others still have batches to ask about."""
    assert worker.ask({"what": "tell"})["session"] == worker.pid() != os.getsid(0)


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


def test_one_that_is_killed_is_started_anew(worker: Worker) -> None:
    """Who asks next sees nothing of it."""
    before = worker.ask({"what": "tell"})["pid"]
    os.kill(before, signal.SIGKILL)
    assert worker.ask({"what": "tell"})["pid"] != before


def test_a_question_that_ends_it_is_asked_once_more(worker: Worker, tmp_path: Path) -> None:
    """What killed it may have been the system's want of memory; what kills it twice is the question."""
    assert worker.ask({"what": "die once", "mark": str(tmp_path / "mark")})["seen"] == "yes"

    with pytest.raises(UnavailableError, match="ended twice without an answer: it said nothing") as caught:
        worker.ask({"what": "die"})

    assert ".log" in caught.value.fix
    assert worker.ask({"what": "tell"})["seen"] == "yes"


def test_one_that_hangs_is_ended_after_its_time(open_worker: Callable[..., Worker]) -> None:
    """No batch waits for ever: the process ends, says in its log where it hung, and a new one answers."""
    patient = open_worker()
    hurried = replace(patient, timeout_s=0.3)
    before = patient.pid()

    with pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
        hurried.ask({"what": "hang"})

    assert gone(before)
    assert patient.ask({"what": "tell"})["pid"] != before


def test_all_who_run_the_same_code_share_one(open_worker: Callable[..., Worker]) -> None:
    """Eight ask at once, before it was started and after: one process; closing it ends it for nobody."""
    several = [open_worker(alone=False, idle_s=0.5) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        pids = list(pool.map(lambda one: one.ask({"what": "tell"})["pid"], several))
    several[0].close()

    assert set(pids) == {several[1].pid()}
    assert gone(pids[0])  # after half a second without a question


def test_one_that_was_idle_for_its_time_ends_and_leaves_nothing(open_worker: Callable[..., Worker]) -> None:
    """No socket, no log; the next question starts another."""
    brief = open_worker(idle_s=0.2)
    first = brief.pid()
    assert gone(first)

    assert list(module._folder().glob(f"{brief._socket().stem}*")) == []  # noqa: SLF001  the claim is about its files
    assert brief.pid() != first


def test_closing_ends_one_that_is_alone(worker: Worker) -> None:
    """Nothing of a test outlives it."""
    pid = worker.pid()
    worker.close()

    assert gone(pid)


def test_a_folder_that_others_can_enter_is_not_used(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can listen there could answer in our place."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"lineshaft-{os.getuid()}-workers").mkdir(mode=0o755)

    with pytest.raises(EnvironmentFault, match="lets them in"):
        worker.pid()


def test_a_module_that_cannot_be_imported_is_an_error_of_ours() -> None:
    """The module is named, from its log."""
    with (
        Worker(module="no_such_child_module", alone=True) as worker,
        pytest.raises(UnavailableError, match="no_such_child_module"),
    ):
        worker.ask({"what": "tell"})


def test_closing_may_be_done_twice_and_before_anything_was_asked() -> None:
    """Nothing was started, so nothing is ended."""
    worker = Worker(module="no_such_child_module", alone=True)

    worker.close()
    worker.close()
