"""OpenLineage: what a job read and made, told as it begins and ends, to a file or a server, never holding it up."""

from __future__ import annotations

import json
import logging
import queue
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lineshaft.clock import Clock
from lineshaft.errors import InputError
from lineshaft.settings import Settings
from lineshaft.specs import View, row_schema
from lineshaft.stores.ports import OfflineStore

_LOG = logging.getLogger(__name__)
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "schema": f"{_SPEC}/facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "version": f"{_SPEC}/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "errorMessage": f"{_SPEC}/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
}
_PRODUCER = f"urn:lineshaft:{version('lineshaft')}"
_READ = {"rows": "files"}  # rows that another job made come as files; `rows/` are those that we make
_MOST_WAITING, _PATIENCE_S = 1000, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Something read or made: a table of feature rows, a model's version; `fields` are its columns and their types."""

    name: str
    version: str = ""
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class Run:
    """A job as it runs; who runs it fills in what it reads and makes."""

    job: str
    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)


def rows_of(view: View, version: int = -1) -> Dataset:
    """Return the offline rows of a view as a dataset, at the version of their table where it is known."""
    columns = tuple((column.name, str(column.type)) for column in row_schema(view))
    told = view.version if version < 0 else f"{view.version}/{version}"
    return Dataset(name=f"rows/{view.name}", version=told, fields=columns)


@contextmanager
def told_of(settings: Settings, job: str, *, clock: Clock) -> Iterator[Run]:
    """Tell of a job, and how it ended, where the settings say."""
    lineage = Lineage(settings.openlineage, namespace=f"lineshaft/{settings.project}", clock=clock)
    try:
        with lineage.run(job) as run:
            yield run
    finally:
        lineage.close()


@contextmanager
def materializing(
    settings: Settings, job: str, views: Sequence[View], *, offline: OfflineStore, clock: Clock
) -> Iterator[None]:
    """Tell of a job that makes feature rows: from which sources, and as which versions of their tables."""
    with told_of(settings, job, clock=clock) as run:
        read = {f"{_READ.get(view.source.kind, view.source.kind)}/{view.source.name}" for view in views}
        run.inputs = [Dataset(name=name) for name in sorted(read)]
        yield
        run.outputs = [rows_of(view, offline.version(view)) for view in views]


class Lineage:
    """Tells of runs; `destination` is a file of lines of JSON, or an http:// or https:// URL that takes them by POST.

    Events wait for a thread. Where a server does not take them, they are lost with a warning: a job is not held up.
    """

    def __init__(self, destination: str, *, namespace: str, clock: Clock) -> None:
        if "://" in destination and not destination.startswith(("http://", "https://")):
            what = f"{destination.partition('://')[0]!r} takes no events"
            raise InputError(what, where="LINESHAFT_OPENLINEAGE", fix="give a file, http:// or https://")
        self._destination, self._namespace, self._clock = destination, namespace, clock
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._tell, name="openlineage", daemon=True)
        if destination:
            self._thread.start()

    @contextmanager
    def run(self, job: str) -> Iterator[Run]:
        """Tell that a job starts, and how it ended; what it raises goes on."""
        run, run_id = Run(job=job), str(uuid.uuid4())
        self._put("START", run, run_id)
        try:
            yield run
        except BaseException as error:
            message = {"message": f"{type(error).__name__}: {error}", "programmingLanguage": "PYTHON"}
            self._put("FAIL", run, run_id, {"errorMessage": _facet("errorMessage", message)})
            raise
        self._put("COMPLETE", run, run_id)

    def close(self) -> None:
        """Let what waits be told, for two seconds at most."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(_PATIENCE_S)

    def _put(self, kind: str, run: Run, run_id: str, facets: dict[str, Any] | None = None) -> None:
        if not self._destination:
            return
        event = {
            "eventType": kind,
            "eventTime": datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC).isoformat(),
            "producer": _PRODUCER,
            "schemaURL": _EVENT,
            "run": {"runId": run_id, "facets": facets or {}},
            "job": {"namespace": self._namespace, "name": run.job},
            "inputs": [self._dataset(one) for one in run.inputs],
            "outputs": [self._dataset(one) for one in run.outputs],
        }
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            _LOG.warning("an event of OpenLineage is lost: %d wait", _MOST_WAITING)

    def _dataset(self, one: Dataset) -> dict[str, Any]:
        facets = {}
        if one.fields:
            facets["schema"] = _facet("schema", {"fields": [{"name": n, "type": kind} for n, kind in one.fields]})
        if one.version:
            facets["version"] = _facet("version", {"datasetVersion": one.version})
        return {"namespace": self._namespace, "name": one.name, "facets": facets}

    def _tell(self) -> None:
        while (event := self._waiting.get()) is not None:
            line = json.dumps(event, allow_nan=False).encode()
            try:
                self._send(line)
            except OSError as error:
                _LOG.warning("an event of OpenLineage is lost: %s", error)

    def _send(self, line: bytes) -> None:
        if not self._destination.startswith(("http://", "https://")):
            path = Path(self._destination)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(line + b"\n")
            return
        from lineshaft.ops.lineage_post import post

        post(self._destination, line, timeout_s=_PATIENCE_S)


def _facet(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": _FACETS[name], **content}
