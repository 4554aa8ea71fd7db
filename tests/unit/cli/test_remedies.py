"""What an error or a page of help tells people to type can be typed."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lineshaft import errors
from lineshaft.cli.commands import app
from lineshaft.errors import LineshaftError
from lineshaft.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(
    path
    for package in ("platform/lineshaft", "flink_jobs/lineshaft_flink", "governance/lineshaft_governance")
    for path in (ROOT / package).rglob("*.py")
    if "rpc" not in path.parts
)
COMMAND = re.compile(r"`lineshaft ((?:[a-z-]+ ?)+)")
SETTING = re.compile(r"LINESHAFT_([A-Z_]+)")
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LineshaftError)]


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Return every text in the shipped code that names a command or a setting, with its place."""
    told = []
    for path in SHIPPED:
        source = path.read_text(encoding="utf-8")
        if COMMAND.search(source) or SETTING.search(source):
            nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
            told += [(f"{path.relative_to(ROOT)}:{n.lineno}", n.value) for n in nodes if isinstance(n.value, str)]
    return tuple(told)


def test_every_command_that_is_recommended_exists() -> None:
    """Fixes, docstrings and help name commands by their words; each is one."""
    wrong = []
    for where, text in texts():
        for words in COMMAND.findall(text):
            command: Any = typer.main.get_command(app)
            for word in words.split():
                if not hasattr(command, "commands"):
                    break
                if word not in command.commands:
                    wrong.append(f"{where}  lineshaft {words}")
                    break
                command = command.commands[word]

    assert not wrong, "\n".join(wrong)


def test_every_setting_that_is_recommended_exists() -> None:
    """Environment variables named in a text are settings, but for the mark that a cluster of ours carries."""
    known = {name.upper() for name in Settings.model_fields} | {"FLINK_CLUSTER"}

    wrong = [f"{where}  {name}" for where, text in texts() for name in SETTING.findall(text) if name not in known]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_an_error_says_what_where_and_how(kind: type[LineshaftError]) -> None:
    """In that order, one line each; what is not known is left out."""
    full = kind("it broke", where="here", fix="mend it")

    assert str(full) == f"{kind.code}  it broke\n  at: here\n  fix: mend it"
    assert str(kind("it broke")) == f"{kind.code}  it broke"
    assert (full.what, full.where, full.fix, full.args) == ("it broke", "here", "mend it", ("it broke",))


def test_codes_tell_errors_apart_and_are_documented() -> None:
    """Each class has a code of its own and stands in the reference and in the tree of the module."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")

    assert len({kind.code for kind in KINDS}) == len(KINDS) == 14
    assert all(f"`{kind.code}` | `{kind.__name__}`" in page for kind in KINDS)
    assert all(re.search(rf"{kind.__name__} +{kind.code} ", errors.__doc__ or "") for kind in KINDS)


def test_every_code_is_raised_by_something_that_is_tested() -> None:
    """An error class nobody can meet is no promise: each is expected by some test."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    expected = [kind for kind in KINDS if kind is not LineshaftError]
    assert [kind.__name__ for kind in expected if f"pytest.raises({kind.__name__}" not in tests] == []
