"""The README's commands, in its order, on a small fleet; and the proof fails as soon as one stored value is wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
SMALLER = {"--assets": "2", "--hours": "1", "--at": "2024-01-01T01:00:30"}
PATHS = {
    *(f"{job}, {store}" for job in ("backfill", "stream") for store in ("offline", "online")),
    "training",
    "served",
    "online rebuilt",
}
VIEWS = {"vibration_condition", "vibration_fast", "vibration_change", "process_condition"}


def first_look() -> list[list[str]]:
    """Return the commands under "A first look" of the README, as words."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## A first look\n.*?```console\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    lines = [line.removeprefix("$ ").partition(" #")[0] for line in block[1].splitlines() if line.startswith("$ ")]
    return [shlex.split(line) for line in lines]


def smaller(words: list[str]) -> list[str]:
    """Return a command with the sizes of a test instead of those of a first look."""
    return [SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell in the checkout, whose home is a temporary folder."""

    home: Path

    def environment(self) -> dict[str, str]:
        """Return a child's environment: ours, another home, free ports."""
        ours = {"LINESHAFT_HOME": str(self.home), "LINESHAFT_REDIS_TIMEOUT_S": "5"}
        ours |= {"LINESHAFT_GRPC_ADDRESS": "127.0.0.1:0", "LINESHAFT_WEB_ADDRESS": "127.0.0.1:0"}
        return {**os.environ, **ours}  # noqa: TID251  a child's environment

    def command(self, words: list[str]) -> list[str]:
        """Return a command with its program beside this Python."""
        return [str(Path(sys.executable).with_name(words[0])), *words[1:]]

    def run(self, *words: str, code: int = 0) -> Any:
        """Run a command that is to end with this code; return what it printed as JSON."""
        command = self.command([*words, "--json"])
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return json.loads(done.stdout)

    def parts(self) -> Any:
        """Open the home as the commands do."""
        return connect(Settings(home=self.home, redis_timeout_s=5.0))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell on an empty home; its server is stopped at the end, whoever started it."""
    home = tmp_path_factory.mktemp("quickstart")
    with EmbeddedValkey(home / "online"):
        yield Shell(home=home)


@pytest.fixture(scope="module")
def printed(shell: Shell) -> dict[str, Any]:
    """Run the commands of the first look up to `up`, each to exit code 0; return what each printed."""
    *commands, last = first_look()
    assert last[:2] == ["lineshaft", "up"]
    return {words[1]: shell.run(*smaller(words)) for words in commands}


def test_the_first_look_does_what_the_readme_says(printed: dict[str, Any]) -> None:
    """Apply, simulate, backfill, features and verify run one after the other and leave what they promise."""
    assert list(printed) == ["apply", "simulate", "backfill", "features", "verify"]
    assert {row["view"] for row in printed["apply"]} >= VIEWS
    blocks = {row["what"]: row["count"] for row in printed["simulate"] if row["what"].endswith(": blocks")}
    assert min(blocks.values()) > 60
    rows = {row["view"].partition("@")[0]: row["rows"] for row in printed["backfill"]}
    assert {name for name, count in rows.items() if count > 0} >= VIEWS
    asked = {row["feature"]: (row["value"], row["status"]) for row in printed["features"]}
    value, status = asked["vibration_condition__acceleration_rms_1m"]
    assert status == "PRESENT"
    assert value > 0


def test_every_path_is_proven_equal(printed: dict[str, Any]) -> None:
    """Backfill, stream, online, training, served and rebuilt: all there, values compared, none differing."""
    checks = printed["verify"]

    assert {check["path"] for check in checks} == PATHS
    assert {check["of"] for check in checks if check["path"] == "stream, offline"} == VIEWS
    assert all(check["rows"] > 0 for check in checks)
    assert all(check["values"] > 0 for check in checks if check["path"] != "online rebuilt")
    assert sum(check["differing"] + check["missing"] + check["extra"] for check in checks) == 0


def wrong(rows: pa.Table, feature: str) -> pa.Table:
    """Return a row with the last bit of one value turned."""
    place = rows.column_names.index(feature)
    bits = rows[feature].combine_chunks().view(pa.int64())
    return rows.set_column(place, rows.schema.field(feature), pc.bit_wise_xor(bits, 1).view(pa.float64()))


def one_row(parts: Parts, view: View) -> pa.Table:
    """Return the newest stored row of one entity."""
    return next(parts.offline.latest(view)).slice(0, 1)


def faults(checks: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return (differing, extra) of the checks that found something, by path."""
    return {c["path"]: (c["differing"], c["extra"]) for c in checks if c["differing"] or c["extra"] or c["missing"]}


@pytest.mark.usefixtures("printed")
def test_one_bit_turned_online_fails_the_proof_and_is_mended_by_a_rebuild(shell: Shell) -> None:
    """A served value that is wrong in its last bit is found by exit code 1; a rebuild puts it right."""
    with shell.parts() as parts:
        view = parts.catalog.view("process_condition")
        row = one_row(parts, view)
        parts.online.remove(view, row.select(["asset_id"]))
        parts.online.write(view, wrong(row, "temperature_mean_5m"))

    found = faults(shell.run("lineshaft", "verify", "process_condition", "--no-stream", code=1))

    assert found["backfill, online"] == (1, 0)
    assert set(found) == {"backfill, online", "served", "online rebuilt"}
    assert shell.run("lineshaft", "online", "rebuild", "process_condition", "--json")[0]["changed"] == 1
    assert faults(shell.run("lineshaft", "verify", "process_condition", "--no-stream")) == {}


@pytest.mark.usefixtures("printed")
def test_one_row_too_many_offline_fails_the_proof(shell: Shell) -> None:
    """A version that no block made, wrong in one bit, is found stored and in what training would be given."""
    with shell.parts() as parts:
        view = parts.catalog.view("vibration_fast")
        row = one_row(parts, view)
        later = pc.add(row["known_at"], pa.scalar(10_000_000, pa.duration("us")))
        place = row.column_names.index("known_at")
        row = row.set_column(place, row.schema.field("known_at"), later)
        parts.offline.write_rows(view, wrong(row, view.feature_names[0]), batch="tampered")

    found = faults(shell.run("lineshaft", "verify", "vibration_fast", "--no-stream", code=1))

    assert found["backfill, offline"] == (0, 1)
    assert "online rebuilt" in found


@pytest.mark.usefixtures("printed")
def test_up_serves_until_it_is_told_to_stop(shell: Shell) -> None:
    """The last command of the first look answers on its ports, and ends with 0 at SIGTERM."""
    command = [*shell.command(first_look()[-1]), "--no-stream"]
    running = subprocess.Popen(
        command, cwd=ROOT, env=shell.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    with running.stdout as output:
        said = [output.readline() for _ in range(2)]
        running.send_signal(signal.SIGTERM)
        rest = output.read()

    assert running.wait(timeout=60) == 0, rest
    assert re.match(r"gRPC +127\.0\.0\.1:\d+", said[0])
    assert re.match(r"admin page +http:..127.0.0.1:\d+", said[1])
    assert "stopped" in rest
