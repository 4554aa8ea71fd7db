"""The process that holds a job on the mini-cluster: runs it, obeys its parent, tells how it ends.

It reads commands from standard input (`stop <folder>`, `drain <folder>`); the end of input means that the parent is
gone and cancels the job. It writes one JSON object a line to standard output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from lineshaft_flink.job import build
from lineshaft_flink.job_file import JobFile

_log = logging.getLogger(__name__)
STOP_TRIES = 6
STOP_PAUSE_S = 3.0


def stop_with_savepoint(client: Any, folder: Path, *, drain: bool) -> str:
    """Stop a job and return the path of its savepoint.

    PyFlink 2.3's own `JobClient.stop_with_savepoint` calls a Java method that no longer exists.
    """
    from pyflink.java_gateway import get_gateway

    formats = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType
    return str(client._j_job_client.stopWithSavepoint(drain, folder.resolve().as_uri(), formats.CANONICAL).get())  # noqa: SLF001


def drive(path: Path, *, commands: TextIO, answers: TextIO) -> int:
    """Run the job file to its end; return the exit code."""
    told = threading.Lock()

    def tell(**facts: Any) -> None:
        with told:
            answers.write(json.dumps(facts) + "\n")
            answers.flush()

    try:
        job = JobFile.read(path)
        environment, _ = build(job)
        client = environment.execute_async(job.name)
        tell(event="started", job_id=str(client.get_job_id()))
        threading.Thread(target=_obey, args=(client, commands, tell), daemon=True).start()
        client.get_job_execution_result().result()
    except Exception as error:  # noqa: BLE001  the edge of this process: whatever it was, the parent is told
        tell(event="failed", error=f"{type(error).__name__}: {error}"[:20_000])
        return 1
    tell(event="ended")
    return 0


def _obey(client: Any, commands: TextIO, tell: Any) -> None:
    for line in commands:
        word, _, folder = line.strip().partition(" ")
        if word in ("stop", "drain"):
            _stop(client, Path(folder), tell, drain=word == "drain")
    _log.warning("the parent is gone: cancelling")
    client.cancel().result()


def _stop(client: Any, folder: Path, tell: Any, *, drain: bool) -> None:
    """Stop, trying again while tasks come and go: a savepoint fails when a source ends, or none runs yet, just then.

    Flink restarts a job whose savepoint failed from its last checkpoint, so nothing is lost by another try.
    """
    for left in reversed(range(STOP_TRIES)):
        try:
            tell(event="stopped", savepoint=stop_with_savepoint(client, folder, drain=drain))
            return
        except Exception as error:  # noqa: BLE001  the job may have failed meanwhile; the parent decides
            if not left or "CheckpointException" not in str(error):
                tell(event="stop_failed", error=str(error)[:4000])
                return
            _log.warning("savepoint failed, trying again: %s", str(error)[:300])
            time.sleep(STOP_PAUSE_S)


def main() -> None:
    """Run the job file named on the command line, then leave at once.

    `os._exit`, because exit handlers of grpc and py4j wait up to a minute for nothing.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    code = drive(Path(sys.argv[1]), commands=sys.stdin, answers=sys.stdout)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
