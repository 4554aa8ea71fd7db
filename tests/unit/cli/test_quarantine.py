"""From a spoilt folder to a decision: ingest holds, quarantine shows, release and discard decide, history says who."""

from __future__ import annotations

import getpass
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineshaft.cli.checks import check_every
from lineshaft.cli.owners import OwnerAlert
from lineshaft.serving.alert_routes import headline
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.wiring import connect

SNAPSHOTS = 20
FIELDS: dict[str, Any] = {
    **dict.fromkeys(("id", "project", "model", "asset_id"), "a"),
    **dict.fromkeys(("number", "at_us", "raised_us", "score", "threshold"), 0),
    "entity": {},
}


class Given:
    """A plan that declares one view."""

    generation = 0
    summary = "one view"
    on_demand = ()
    services = ()
    transfers: frozenset[str] = frozenset()

    def __init__(self, view: View) -> None:
        self.views = (view,)

    def checked(self) -> object:
        """Find no fault."""
        return self


@pytest.fixture
def own(tmp_path: Path, pumps: View) -> Iterator[Path]:
    """Return a home of one's own, with a view of vibration declared in it."""
    home = tmp_path / "own"
    with connect(Settings(home=home), keep_online=False) as parts:
        parts.catalog.apply(Given(pumps), actor="test")
        yield home


def life(folder: Path, factor: float) -> Path:
    """Write snapshots of a bearing, the second half in another unit."""
    folder.mkdir()
    waves = np.rint(np.random.default_rng(1).normal(scale=300, size=(SNAPSHOTS, 2560, 2)))
    waves[SNAPSHOTS // 2 :] *= factor
    np.savez(folder / "Bearing3_1.npz", acc_milli_g=waves, t_first_sample_s_of_day=np.arange(SNAPSHOTS) * 10.0)
    return folder


def counted(rows: list[dict[str, Any]], word: str) -> int:
    """Return how many records are said to be so."""
    return sum(row["count"] for row in rows if row["what"].startswith(word))


def test_what_is_held_is_shown_released_and_remembered(
    tmp_path: Path, own: Path, lineshaft: Callable[..., Any]
) -> None:
    """Half of a life in m/s2: held with its reason, listed, shown without its samples, let in, and written down."""
    folder = life(tmp_path / "femto", 9.80665)

    took = lineshaft("ingest", str(folder), "--json", at=own)
    (listed,) = lineshaft("quarantine", "list", "--json", at=own).rows
    shown = lineshaft("quarantine", "show", listed["batch"], "--json", at=own).rows
    mute = lineshaft("quarantine", "release", listed["batch"], "--reason", " ", at=own)
    done = lineshaft("quarantine", "release", listed["batch"], "--reason", "m/s2 from now on", "--json", at=own).rows
    after = lineshaft("quarantine", "list", "--json", at=own).rows
    (told,) = lineshaft("quarantine", "history", "--json", at=own).rows

    assert (took.code, counted(took.rows, "vibration_blocks: blocks"), counted(took.rows, "held")) == (0, 20, 20)
    assert (listed["of"], listed["rows"], listed["why"][:13]) == ("source.vibration_blocks", 20, "scale_changed")
    assert len(shown) == 20
    assert "payload" not in shown[0]
    assert (mute.code, "reason" in mute.err) == (1, True)
    assert (done[0]["stored"], done[0]["replayed"] > 0, after) == (20, True, [])
    assert (told["act"], told["by"], told["why"]) == ("released", getpass.getuser(), "m/s2 from now on")


def test_what_is_discarded_is_not_asked_about_again(tmp_path: Path, own: Path, lineshaft: Callable[..., Any]) -> None:
    """The same folder again: the good half changes nothing, and the other waits for nobody."""
    folder = life(tmp_path / "femto", 1000.0)
    lineshaft("ingest", str(folder), at=own)
    (listed,) = lineshaft("quarantine", "list", "--json", at=own).rows

    lineshaft("quarantine", "discard", listed["batch"][:6], "--reason", "mg, and nobody knows since when", at=own)
    lineshaft("ingest", str(folder), at=own)

    assert lineshaft("quarantine", "list", "--json", at=own).rows == []
    assert lineshaft("quarantine", "release", listed["batch"], "--reason", "r", at=own).err.startswith("LS-NOF")


def test_a_checkpoint_that_cannot_run_has_an_exit_code_of_its_own(
    tmp_path: Path, own: Path, lineshaft: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite that names what no block has: everything is held, as unknown, and the command ends with 4."""
    suites = tmp_path / "governance" / "suites"
    suites.mkdir(parents=True)
    (suites / "s.yaml").write_text("source: vibration_blocks\nchecks:\n  - {kind: not_null, column: torque_low}\n")
    monkeypatch.setenv("LINESHAFT_POLICIES", str(tmp_path / "governance"))

    took = lineshaft("ingest", str(life(tmp_path / "femto", 1.0)), "--json", at=own)

    assert (took.code, counted(took.rows, "not checked: vibration_blocks"), counted(took.rows, "held")) == (4, 40, 40)
    assert any("could not run" in row["what"] for row in took.rows)


def test_an_owner_is_told_by_the_routes_of_alerts(
    tmp_path: Path, own: Path, lineshaft: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One post for what is held, with the owner, the reason and the count."""
    heard: list[dict[str, Any]] = []

    class Pager(http.server.BaseHTTPRequestHandler):
        """A pager that takes down what it is sent."""

        def do_POST(self) -> None:
            """Take an alert."""
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Pager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("LINESHAFT_ALERT_ROUTES", f"http://127.0.0.1:{server.server_port}/hook")
        folder = str(life(tmp_path / "femto", 9.80665))
        for _ in range(2):  # what is held already is told of once
            lineshaft("ingest", folder, at=own)
        (listed,) = lineshaft("quarantine", "list", "--json", at=own).rows
        server.shutdown()

    (alert,) = heard
    assert alert["entity"] == {"of": "vibration_blocks", "owner": "nobody", "asset_id": "Bearing3_1"}
    assert alert["model"] == "the checkpoint of vibration_blocks"
    said = alert["because"][0]["feature"]
    assert alert["score"] == 20.0
    assert said.startswith(
        "20 blocks of source vibration_blocks, machine Bearing3_1, are held and not used: scale_changed"
    )
    assert f"lineshaft quarantine release {listed['batch']}" in said
    assert headline(OwnerAlert(**FIELDS, speaker="the checkpoint of v", because=((said, 20.0, 0.0),))) == said


def test_suites_are_generated_from_declarations_and_held_against_them(own: Path, lineshaft: Callable[..., Any]) -> None:
    """A view without a suite: what is generated is what is missing, and the difference ends with 2."""
    printed = lineshaft("checks", "generate", "pumps", at=own)
    unlike = lineshaft("checks", "diff", "pumps", "--json", at=own)

    of_source = lineshaft("checks", "generate", "vibration_blocks", at=own)

    assert printed.out.count("kind: between") == 2
    assert of_source.out.startswith("source: vibration_blocks")
    assert unlike.code == 2
    assert {row["column"] for row in unlike.rows} == {"rms_1m", "kurtosis_1m"}


def test_the_last_hours_are_checked_and_drawn_on_demand(lineshaft: Callable[..., Any], home: Path) -> None:
    """Stored rows pass as one batch, and Great Expectations draws its own page of them."""
    ran = lineshaft("checks", "run", "pumps", "--json")
    drawn = lineshaft("checks", "docs", "pumps", "--json")

    assert (ran.code, [(row["outcome"], row["rows"], row["stale"]) for row in ran.rows]) == (0, [("passed", 6, True)])
    page = Path(drawn.rows[0]["page"])
    assert page.is_relative_to(home)
    assert "Expectation" in page.read_text(encoding="utf-8")


def test_a_contract_is_written_for_each_view(tmp_path: Path, lineshaft: Callable[..., Any]) -> None:
    """In the standard's own words, with the defaults that every view is held to."""
    wrote = lineshaft("export", "odcs", "pumps", "--to", str(tmp_path / "contracts"), "--json")

    (row,) = wrote.rows
    text = Path(row["file"]).read_text(encoding="utf-8")
    assert (wrote.code, row["standard"]) == (0, "v3.1.0")
    assert "kind: DataContract" in text
    assert "(asset_id, position, event_time, known_at) is unique" in text


def test_the_last_hour_is_checked_until_stopped(home: Path) -> None:
    """As beside a stream: a checkpoint of each view with rows, and an end when there is one."""
    stopping = threading.Event()
    with connect(Settings(home=home)) as parts:
        checking = threading.Thread(target=check_every, args=(stopping, parts), kwargs={"seconds": 0.1})
        checking.start()
        results = home / "reports" / "results" / "checkpoints" / "pumps"
        before = len(list(results.glob("*.json")))
        for _ in range(600):
            if len(list(results.glob("*.json"))) > before:
                break
            time.sleep(0.1)
        stopping.set()
        checking.join()

    assert len(list(results.glob("*.json"))) > before
