"""`lineshaft up` alerts of rows beside the server: a real process, a real Valkey, and a row that somebody writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.detectors import fit, to_bytes
from lineshaft.registry.alerts import Alert, AlertBook
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.serving.client import Client
from lineshaft.settings import Settings
from lineshaft.specs import View, row_schema
from lineshaft.wiring import Parts, connect

FEATURES = ("pumps__rms_1m",)


def register(parts: Parts, view: View) -> None:
    """Make a detector champion: its score is how many g a pump is from 2, in tenths."""
    service = parts.catalog.service("pump_health")
    values = np.linspace(1.9, 2.1, 201, dtype=np.float32)[:, None]
    candidate = Candidate(
        model="pump_watch",
        task="anomaly",
        service=service.name,
        service_json=service.to_json(),
        features=FEATURES,
        pins=(ViewPin(view=view.name, version=view.version),),
        training_set="e" * 64,
        rows=201,
        artifact=to_bytes(fit("distance", values, FEATURES, seed=1, trees=1)),
        artifact_format="json",
        params={"alert": AlarmRule(threshold=5).to_params()},
        metrics={},
        seed=1,
        library="numpy",
    )
    parts.registry.register(candidate, actor="ana")
    parts.registry.judge("pump_watch", 1, Verdict(gate="g", outcome="pass", detail=""), actor="ana")
    parts.registry.promote("pump_watch", 1, environment="dev", actor="ana", reason="first")


def write(parts: Parts, view: View, rms: float) -> None:
    """Write a row of now of pump-1, as a job does."""
    now = pa.array([SystemClock().now_us()]).cast(pa.timestamp("us", tz="UTC"))
    keys = {"asset_id": ["pump-1"], "position": ["de"], "event_time": now, "known_at": now}
    rows = {**keys, "rms_1m": [rms], "kurtosis_1m": [3.0]}
    parts.online.write(view, pa.table(rows, schema=row_schema(view)))


@contextmanager
def upped(home: Path) -> Iterator[dict[str, str]]:
    """Run `lineshaft up` without a stream; yield what it says runs where, once all of it does."""
    places = dict.fromkeys(("LINESHAFT_GRPC_ADDRESS", "LINESHAFT_WEB_ADDRESS"), "127.0.0.1:0")
    told = {**places, "LINESHAFT_HOME": str(home), "LINESHAFT_ALERT_ROUTES": "log"}
    told = {**os.environ, **told}  # noqa: TID251 - a child's environment
    command = [sys.executable, "-m", "lineshaft.cli", "up", "--no-stream"]
    with (home / "up.log").open("w") as log:
        process = subprocess.Popen(command, env=told, stdout=log, stderr=subprocess.STDOUT)
    try:
        end_s, said = time.monotonic() + 90, ""
        while "admin page" not in said or "alerts " not in said:
            assert time.monotonic() < end_s, said
            assert process.poll() is None, said
            time.sleep(0.05)
            said = (home / "up.log").read_text()
        yield {line[:12].strip(): line[12:].strip() for line in said.splitlines()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (home / "up.log").read_text()
    finally:
        process.kill()
        process.wait()


def test_a_row_that_is_written_while_it_runs_becomes_an_alert(own_home: Path, pumps: View) -> None:
    """Raised once, sent by the route of the setting, while the server answers calls by the same champion."""
    with connect(Settings(home=own_home)) as parts:
        register(parts, pumps)
        write(parts, pumps, 2.0)
        with upped(own_home) as places:
            book = AlertBook(parts.settings.database(), project="dev", clock=parts.clock)
            assert (places["alerts"], book.all()) == ("by pump_watch", [])
            write(parts, pumps, 9.0)
            raised = first_of(book)
            with Client(places["gRPC"]) as client:
                answer = client.predict("pump_watch", asset_id=["pump-1"], position=["de"])
        book.close()

    assert (raised.entity, raised.version) == ({"asset_id": "pump-1", "position": "de"}, "pump_watch@1")
    assert raised.score == answer.predictions[0].score > 5
    assert f"alert {raised.id}: pump-1" in (own_home / "up.log").read_text()


def first_of(book: AlertBook) -> Alert:
    """Wait for an alert that was sent."""
    end_s = time.monotonic() + 30
    while not (raised := book.all()) or not raised[0].routed:
        assert time.monotonic() < end_s, "no alert came"
        time.sleep(0.02)
    assert dict(raised[0].routed or {}) == {"log": "sent"}
    return raised[0]
