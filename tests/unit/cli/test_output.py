"""What a pipe gets and what a person sees: whole lines for the one, a table that fits for the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from lineshaft.cli import output
from lineshaft.cli.output import complain, show, underway
from lineshaft.errors import InputError, NotFoundError

Lineshaft = Callable[..., Any]
PROSE = "one word after another, " * 12
WIDE = [{"view": "a_view_with_a_long_name", "description": PROSE, "rows": 12_345}]


def test_a_wide_table_stays_on_its_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """What reads line by line finds a row on one line, however long it is."""
    show(WIDE, title="wide", as_json=False)

    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["wide", "view", "a_view_with_a_long_name"]
    assert lines[2].rstrip().endswith("12,345")
    assert PROSE in lines[2]


def test_a_wide_table_is_folded_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees every word within the width of the window."""
    monkeypatch.setattr(output, "console", Console(width=60, force_terminal=True, highlight=False, color_system=None))

    show(WIDE, title="wide", as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) > 5


def test_json_is_what_was_handed_in(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stay numbers, nothing stays null, brackets stay text; what JSON does not know is written as text."""
    rows = [{"n": 1, "x": 0.5, "none": None, "yes": True, "name": "rms[a]", "kind": Exception("odd")}]

    show(rows, title="t", as_json=True)

    assert json.loads(capsys.readouterr().out) == [{**rows[0], "kind": "odd"}]


def test_what_is_no_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no NaN and no Infinity: readers other than Python's refuse the whole answer for one."""
    rows = [{"score": float("nan"), "width": float("inf"), "deep": {"low": [float("-inf"), 0.5]}}]

    show(rows, title="t", as_json=True)

    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == [{"score": None, "width": None, "deep": {"low": [None, 0.5]}}]


@pytest.mark.parametrize(("as_json", "said"), [(True, "[]"), (False, "things: nothing yet")])
def test_nothing_is_said_in_either_form(capsys: pytest.CaptureFixture[str], as_json: bool, said: str) -> None:
    """No rows are an empty list or words, never a table without rows."""
    show([], title="things", as_json=as_json)

    assert capsys.readouterr().out.strip() == said


def test_columns_of_numbers_are_aligned_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits stand under digits; words, and numbers mixed with nothing, stand to the left."""
    show([{"n": 5, "word": "b"}, {"n": 1_000, "word": None}], title="t", as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["    5  b   ", "1,000  –   "]


def test_an_error_without_place_or_remedy_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that would be empty are left out, and a long sentence is not broken."""
    complain(InputError("word " * 40))

    said = capsys.readouterr().err
    assert said == f"LS-INP  {'word ' * 40}\n"


def test_an_error_is_told_with_its_place_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """What, where and how to mend it stand on a line each."""
    complain(NotFoundError("no view 'x'", where="a.py:3", fix="apply it"))

    assert capsys.readouterr().err.splitlines() == ["LS-NOF  no view 'x'", "  at   a.py:3", "  fix  apply it"]


def test_what_takes_long_says_so_in_a_pipe_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every few seconds a line with the time and the newest words; none after the end, and none of what is quick."""
    with underway("quick"):
        pass
    monkeypatch.setattr(output, "_EVERY_S", 0.02)
    with underway("half of [a/b]") as tell:
        time.sleep(0.1)
        tell("the other half")
        time.sleep(0.1)

    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert list(dict.fromkeys(lines)) == ["0 s  half of [a/b]", "0 s  the other half"]
    assert len(lines) >= 4


def test_a_piped_command_prints_a_line_a_row(lineshaft: Lineshaft) -> None:
    """The list of functions, which is wider than any window, has one line for each after title and head."""
    count = len(lineshaft("functions", "--json").rows)

    assert len(lineshaft("functions").out.strip().splitlines()) == count + 2
