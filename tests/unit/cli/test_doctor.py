"""The doctor as a shell runs it: a line for each check, JSON for programs, an exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_a_line_for_each_check(lineshaft: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a home with data nothing fails; what is old is a warning with its remedy."""
    monkeypatch.setenv("LINESHAFT_GRPC_ADDRESS", "127.0.0.1:1")
    said = lineshaft("doctor")

    assert said.code == 0, said.out
    lines = said.out.splitlines()
    checks = [line.split()[1] for line in lines]
    assert checks[:3] == ["python", "packages", "settings"]
    assert {"catalogue", "online", "clock", "offline", "freshness", "quarantine", "server", "disk", "ports"} < {*checks}
    assert next(line for line in lines if " freshness " in line).startswith("warn")
    assert "fix run `lineshaft serve`" in next(line for line in lines if " server " in line)


def test_a_failure_is_an_exit_code_and_json_on_request(
    lineshaft: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Redis that is not there fails, with what to do; the other checks are told all the same."""
    monkeypatch.setenv("LINESHAFT_REDIS_URL", f"unix://{tmp_path}/nobody.sock")

    said = lineshaft("doctor", "--json")

    found = {row["check"]: row for row in json.loads(said.out)}
    assert said.code == 1
    assert {name for name, row in found.items() if row["state"] == "fail"} == {"online", "clock"}
    assert found["online"]["fix"]
    assert found["catalogue"]["state"] == "ok"
