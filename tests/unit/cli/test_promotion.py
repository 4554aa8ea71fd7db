"""Promotion on the command line: who decides, why, instead of what, and the proof of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from lineshaft.ops.account import account
from lineshaft.registry.records import Candidate, Verdict
from lineshaft.settings import Settings
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home of its own: the registry of the shared one belongs to other tests."""
    folder = tmp_path_factory.mktemp("registry")
    with EmbeddedValkey(folder / "online"):
        yield folder


@pytest.fixture(scope="module")
def parts(home: Path, grinder: Candidate) -> Iterator[Parts]:
    """Return the parts of the home, in which are two good versions and one with too little evidence."""
    with connect(Settings(home=home)) as opened:
        for one in (grinder, grinder, replace(grinder, metrics={**grinder.metrics, "test_groups": 2.0})):
            opened.registry.register(one, actor="ann")
        yield opened


@pytest.mark.usefixtures("parts")
def test_promotions_and_rollbacks_are_told_and_proven(lineshaft: Lineshaft) -> None:
    """Each names what it replaced and the digest to keep; the history has who and why; the proof holds."""
    first = lineshaft("models", "promote", "grinder@1", "--reason", "first", "--json").rows[0]
    second = lineshaft("models", "promote", "grinder@2", "--reason", "newer", "--instead-of", "1", "--json").rows[0]
    back = lineshaft("models", "rollback", "grinder", "--reason", "worse at night", "--json").rows[0]

    assert (first["model"], first["slot"], first["environment"], first["instead_of"]) == (
        *("grinder@1", "champion", "dev"),
        "",
    )
    assert (second["instead_of"], back["model"], back["instead_of"]) == (
        "dev:champion=1",
        "grinder@1",
        "dev:champion=2",
    )
    lines = lineshaft("models", "history", "grinder", "--json").rows
    assert [line["action"] for line in lines[3:]] == ["judge", "promote", "judge", "promote", "rollback"]
    assert {line["actor"] for line in lines[3:]} == {account()}
    assert [line["reason"] for line in lines if line["action"] == "rollback"] == ["worse at night"]
    assert "worse at night" in lineshaft("models", "history", "grinder").out
    proven = lineshaft("models", "verify", "grinder", "--head", first["head"], "--json")
    assert (proven.code, proven.rows[0]["faults"], proven.rows[0]["head"]) == (0, 0, back["head"])
    roles = {row["model"]: row["role"] for row in lineshaft("models", "--json").rows}
    assert (roles["grinder@1"], roles["grinder@2"]) == ("champion", "")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("promote", "grinder@3", "--reason", "hope"), "LS-CON", "unknown: too little evidence: 2 assets held out"),
        (("promote", "grinder", "--reason", "x"), "LS-INP", "'grinder' names no version"),
        (("promote", "grinder@9", "--reason", "x"), "LS-NOF", "no version 9"),
        (("promote", "grinder@2", "--reason", " "), "LS-INP", "a change needs a reason"),
        (("promote", "grinder@2", "--reason", "x", "--instead-of", "2"), "LS-CON", "changed since you looked"),
        (("rollback", "nothing", "--reason", "x"), "LS-NOF", "no earlier champion"),
        (("clear", "grinder", "--slot", "champion", "--reason", "x"), "LS-CON", "cannot be left without a champion"),
        (("verify", "nothing"), "LS-NOF", "nothing"),
        (("verify", "--head", "abc"), "LS-INP", "of one model's history"),
        (("verify", "grinder", "--head", "abc"), "LS-INP", "64 hex digits"),
        (("verify", "grinder", "--head", "0" * 64), "LS-COR", "rewritten or cut off"),
    ],
)
def test_what_may_not_be_is_refused_with_its_reason(
    lineshaft: Lineshaft, words: tuple[str, ...], code: str, said: str
) -> None:
    """No evidence, no version, no reason, somebody faster, nothing to go back to, a digest that is gone."""
    told = lineshaft("models", *words)

    assert told.code == 1
    assert told.err.startswith(code)
    assert said in told.err


def test_a_shadow_needs_no_pass_and_can_leave(lineshaft: Lineshaft, parts: Parts) -> None:
    """A version without enough evidence watches, is listed as such, and goes again."""
    assert lineshaft("models", "promote", "grinder@3", "--slot", "shadow", "--reason", "watch").code == 0
    assert {row["model"]: row["role"] for row in lineshaft("models", "--json").rows}["grinder@3"] == "shadow"

    assert lineshaft("models", "clear", "grinder", "--slot", "shadow", "--reason", "seen").code == 0
    assert parts.registry.assignments("grinder")[0].valid_to_us is not None


def test_an_altered_file_fails_the_proof(lineshaft: Lineshaft, parts: Parts) -> None:
    """The history is whole, and a version's file is not what it says: each such version is named."""
    (path,) = parts.registry.artifacts.root.rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(b"{ }")
    try:
        told = lineshaft("models", "verify", "grinder")
    finally:
        path.write_bytes(whole)

    assert (told.code, told.err.startswith("LS-COR")) == (1, True)
    assert "grinder@3: artifact " in told.err
    assert "was altered after it was registered" in told.err


def test_an_altered_registry_fails_its_proof(lineshaft: Lineshaft, parts: Parts) -> None:
    """Every model is proven where none is named, and the fault is told in words."""
    parts.registry.judge("grinder", 3, Verdict(gate="g", outcome="unknown", detail=""), actor="ann")
    engine = create_engine(parts.settings.database())
    with engine.begin() as connection:
        connection.execute(text("UPDATE ls_gate_result SET outcome = 'pass' WHERE model = 'grinder' AND number = 3"))
    engine.dispose()

    told = lineshaft("models", "verify")

    assert told.code == 1
    assert "verdicts of grinder@3 is not as it was given" in told.err
    assert "grinder" in told.out
