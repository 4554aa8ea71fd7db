"""OpenLineage's events: as its specification has them, to a file or a server, and never in a job's way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError
from lineshaft.ops.openlineage import Dataset, Lineage, materializing, rows_of
from lineshaft.settings import Settings
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore

TEXT = {"type": "string", "minLength": 1}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": {**TEXT, "format": "uri"}, "_schemaURL": {**TEXT, "format": "uri"}},
    },
}
DATASET = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {"namespace": TEXT, "name": TEXT, "facets": FACETS},
}
EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
        "producer": {**TEXT, "format": "uri"},
        "schemaURL": {"type": "string", "pattern": r"#/\$defs/RunEvent$"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}},
        },
        "job": {"type": "object", "required": ["namespace", "name"], "properties": {"namespace": TEXT, "name": TEXT}},
        "inputs": {"type": "array", "items": DATASET},
        "outputs": {"type": "array", "items": DATASET},
    },
}
"""What the specification 2-0-2 asks of a RunEvent, written down from it: its published file is not to be had here."""
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)


def told(path: Path) -> list[dict[str, Any]]:
    """Return the events in a file, each as the specification has it."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        jsonschema.validate(event, EVENT)
        for one in [*event["inputs"], *event["outputs"], event["run"]]:
            jsonschema.validate(one.get("facets", {}), FACETS)
    return events


def test_a_run_is_told_as_it_starts_and_as_it_ends(tmp_path: Path) -> None:
    """One run id, what was read with its columns, and what was made with its version."""
    lineage = Lineage(str(tmp_path / "l" / "events.jsonl"), namespace="lineshaft/dev", clock=ManualClock(time_us=1))
    with lineage.run("train/wear") as run:
        run.inputs = [rows_of(VIEW, 7)]
        run.outputs = [Dataset(name="models/wear", version="3")]
    lineage.close()

    start, end = told(tmp_path / "l" / "events.jsonl")
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    (read,) = end["inputs"]
    assert (read["name"], read["facets"]["version"]["datasetVersion"]) == ("rows/pumps", f"{VIEW.version}/7")
    assert {"name": "rms", "type": "double"} in read["facets"]["schema"]["fields"]
    assert end["outputs"][0]["facets"]["version"]["datasetVersion"] == "3"


def test_a_run_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    """What it raises goes on."""
    lineage = Lineage(str(tmp_path / "e"), namespace="n", clock=ManualClock())
    with pytest.raises(InputError), lineage.run("train/wear"):
        raise InputError("no rows")
    lineage.close()

    assert told(tmp_path / "e")[-1]["eventType"] == "FAIL"
    assert "no rows" in told(tmp_path / "e")[-1]["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.parametrize(("kind", "read"), [("blocks", "blocks/s"), ("rows", "files/s")])
def test_a_job_that_makes_rows_tells_its_sources_and_tables(tmp_path: Path, kind: str, read: str) -> None:
    """As it ends well with the versions of the tables, and as it fails with what it was reading."""
    view, offline = replace(VIEW, source=replace(VIEW.source, kind=kind)), MemoryOfflineStore()
    settings = Settings(home=tmp_path, project="plant", openlineage=str(tmp_path / "e"))

    with materializing(settings, "materialize/pumps", [view], offline=offline, clock=ManualClock()):
        row = {"asset_id": ["p"], "event_time": [1], "known_at": [2], "rms": [3.0]}
        offline.write_rows(view, pa.table(row, schema=row_schema(view)), batch="b")
    with (
        pytest.raises(InputError),
        materializing(settings, "backfill", [view], offline=offline, clock=ManualClock()),
    ):
        raise InputError("no rows")

    _, done, _, failed = told(tmp_path / "e")
    assert [one["name"] for one in done["inputs"]] == [one["name"] for one in failed["inputs"]] == [read]
    assert done["job"] == {"namespace": "lineshaft/plant", "name": "materialize/pumps"}
    (made,) = done["outputs"]
    version = f"{view.version}/{offline.version(view)}"
    assert (made["name"], made["facets"]["version"]["datasetVersion"]) == ("rows/pumps", version)
    assert (failed["eventType"], failed["outputs"]) == ("FAIL", [])


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return a server's address and what was sent there."""
    taken: list[dict[str, Any]] = []

    class Takes(BaseHTTPRequestHandler):
        """Takes events."""

        def do_POST(self) -> None:
            """Take one."""
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            taken.append(event)
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = HTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/api/v1/lineage", taken
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_events_go_to_a_server(server: tuple[str, list[dict[str, Any]]]) -> None:
    """By POST, in their order."""
    address, taken = server
    lineage = Lineage(address, namespace="n", clock=ManualClock())
    with lineage.run("backfill"):
        pass
    lineage.close()

    assert [event["eventType"] for event in taken] == ["START", "COMPLETE"]
    jsonschema.validate(taken[0], EVENT)


def test_a_server_that_is_away_holds_no_job_up(caplog: pytest.LogCaptureFixture) -> None:
    """Its events are lost, and that is said."""
    lineage = Lineage("http://127.0.0.1:9/", namespace="n", clock=ManualClock())
    started = time.perf_counter()
    with lineage.run("backfill"):
        pass
    assert time.perf_counter() - started < 0.5
    lineage.close()

    assert "is lost" in caplog.text


def test_without_a_place_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no thread; a place that takes no events is refused."""
    monkeypatch.chdir(tmp_path)
    before = threading.active_count()
    lineage = Lineage("", namespace="n", clock=ManualClock())
    with lineage.run("backfill"):
        pass
    lineage.close()

    assert (list(tmp_path.iterdir()), threading.active_count()) == ([], before)
    with pytest.raises(InputError, match="takes no events"):
        Lineage("kafka://x", namespace="n", clock=ManualClock())
