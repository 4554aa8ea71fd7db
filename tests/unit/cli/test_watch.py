"""`lineshaft watch`: what a server tells of changes, for people and for programs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.clock import SystemClock
from lineshaft.serving.server import background_server
from lineshaft.settings import Settings
from lineshaft.specs import View, row_schema
from lineshaft.wiring import Parts, connect, handlers

KEYS = ("--key", "asset_id=pump-8,pump-9", "--key", "position=de,de")
Lineshaft = Callable[..., Any]


@pytest.fixture
def server(home: Path) -> Iterator[tuple[Parts, str]]:
    """Serve the home."""
    with connect(Settings(home=home)) as parts, background_server(handlers(parts)) as address:
        yield parts, address


def write(parts: Parts, view: View, rms: float) -> None:
    """Write a row of now for pump-8."""
    now_us = SystemClock().now_us()
    columns = [["pump-8"], ["de"], [now_us], [now_us], [rms], [None]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, row_schema(view), strict=True)]
    parts.online.write(view, pa.Table.from_arrays(arrays, schema=row_schema(view)))


def test_a_program_is_told_all_of_an_answer_on_a_line(
    lineshaft: Lineshaft, server: tuple[Parts, str], pumps: View
) -> None:
    """Two entities of two features, with status and age, and whether the answer is degraded."""
    parts, address = server
    write(parts, pumps, 2.5)

    said = lineshaft("watch", "pump_health", *KEYS, "--address", address, "--count", "1", "--json")

    (line,) = said.out.splitlines()
    told = json.loads(line)
    assert said.code == 0
    assert told["degraded"] is False
    assert [(row["asset_id"], row["value"], row["status"]) for row in told["values"]] == [
        ("pump-8", 2.5, "PRESENT"),
        ("pump-9", None, "NOT_FOUND"),
        ("pump-8", None, "NULL"),
        ("pump-9", None, "NOT_FOUND"),
    ]
    assert 0 <= told["values"][0]["age_s"] < 60


def test_people_are_shown_what_changed(lineshaft: Lineshaft, server: tuple[Parts, str], pumps: View) -> None:
    """First everything, then the one value that is another now."""
    parts, address = server
    write(parts, pumps, 3.0)
    over = threading.Event()

    def change() -> None:
        rms = 3.0
        while not over.wait(0.3):
            rms += 1.0
            write(parts, pumps, rms)

    changing = threading.Thread(target=change)
    changing.start()
    said = lineshaft("watch", "pump_health", *KEYS, "--address", address, "--count", "2")
    over.set()
    changing.join()

    first, second = said.out.split("pump_health")[1:]
    assert [line.split()[0] for line in first.splitlines()[2:] if line] == ["pump-8", "pump-9"] * 2
    assert [line.split()[:3] for line in second.splitlines()[2:] if line] == [["pump-8", "de", "pumps__rms_1m"]]


def test_a_token_is_read_from_a_file_and_never_sent_in_the_clear(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """To another machine without encryption the command refuses to show it."""
    file = tmp_path / "token"
    file.write_text("lst_secret\n")

    said = lineshaft("watch", "pump_health", *KEYS, "--address", "plant.example:7700", "--token-file", str(file))

    assert said.code == 1
    assert "LS-INP" in said.err
    assert "lst_secret" not in said.out + said.err
