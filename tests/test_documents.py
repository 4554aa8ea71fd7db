"""The documents are true: examples run, commands exist, links lead somewhere, generated pages are fresh."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lineshaft.cli.commands import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
NEEDS_MORE = "<!-- needs: "  # over a block that needs what no test machine has by itself: it is compiled, not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    runs: bool


def blocks(page: Path) -> Iterator[Block]:
    """Walk the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^(?:(<!-- .*? -->)\n)?```(\w+)[^\n]*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, found.start(3)) + 1
        runs = not (found[1] or "").startswith(NEEDS_MORE)
        yield Block(language=found[2], text=found[3], line=line, runs=runs)


@EACH_PAGE
def test_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python blocks of a page run in order, as one reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)

    for block in blocks(page):
        if block.language == "pycon" or (block.language == "python" and ">>> " in block.text):
            example = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line)
            assert not block.runs or runner.run(example, clear_globs=False).failed == 0
            names = example.globs
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            if block.runs:
                exec(code, names)  # noqa: S102  the page is ours


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Walk the commands of the shell blocks of a page, split into words."""
    for block in blocks(page):
        if block.language in {"sh", "bash", "console"}:
            for number, line in enumerate(block.text.replace("\\\n", " ").splitlines()):
                command = line.removeprefix("$ ").partition(" #")[0].strip()
                if command.startswith(("lineshaft ", "make ", ".venv/bin/lineshaft ")):
                    yield block.line + number, shlex.split(command)


@EACH_PAGE
def test_commands_exist(page: Path) -> None:
    """Every `lineshaft` command with its options and every make target that a page names exists."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    faults = []
    for line, (program, *words) in commands(page):
        if program == "make":
            faults += [f"{page.name}:{line}  make {word}" for word in words if "=" not in word and word not in targets]
        else:
            faults += [f"{page.name}:{line}  lineshaft {word}" for word in unknown(words)]

    assert not faults, "\n".join(faults)


def unknown(words: list[str]) -> list[str]:
    """Return the words of a command line that name no command or option of ours."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[:1]
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    return [word for word in given if word not in {*options, "--help"}]


@EACH_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page exists."""
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    near = [target for target in targets if "://" not in target and not target.startswith("mailto:")]

    assert not [target for target in near if not (page.parent / target).exists()]


def test_generated_pages_are_fresh() -> None:
    """The reference pages and the chart's README are what `make docs` would write."""
    done = subprocess.run(
        [sys.executable, "scripts/reference_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_stubs_are_fresh(tmp_path: Path) -> None:
    """The committed gRPC stubs are what `make proto` would write, none missing and none left over."""
    command = [sys.executable, "scripts/generate_stubs.py", "--into", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2*.py*")}
    committed = {
        path.relative_to(ROOT / "platform"): path.read_bytes()
        for path in (ROOT / "platform").rglob("*_pb2*.py*")
        if path.suffix in {".py", ".pyi"}
    }

    assert sorted(fresh) == sorted(committed)
    assert [name for name in fresh if fresh[name] != committed[name]] == []


def test_everything_on_the_wire_is_described() -> None:
    """Each rpc, field and enum value carries a comment in its proto file."""
    lines = (ROOT / "docs" / "reference" / "wire.md").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.endswith("|  |")] == []
