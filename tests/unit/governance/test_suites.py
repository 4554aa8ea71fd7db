"""Suites as people write them: read strictly, spelt out fully, refused with the line that is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from lineshaft.errors import DefinitionError
from lineshaft.specs import Feature, Source, View
from lineshaft_governance.checks.suites import NOT_FINITE, Check, Expectation, Suite, Suites, default_checks

VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(Feature(name="rms_1m"),),
)


def load(folder: Path, text: str, name: str = "s.yaml") -> Suites:
    """Return the suites of a folder with one file of this text."""
    (folder / name).write_text(text)
    return Suites.load(folder)


def one(folder: Path, line: str) -> Check:
    """Return the check that one line says."""
    (check,) = load(folder, f"view: v\nchecks:\n  - {line}\n").found["view", "v"].checks
    return check


def expected(kind: str = "between", **fields: Any) -> Expectation:
    """Return an expectation of column a, all of it plain but what is given."""
    plain = {"columns": ("a",), "low": None, "high": None, "mostly": 1.0, "unit": "", "why": ""}
    return Expectation(kind=kind, **{**plain, **fields})


@pytest.mark.parametrize(
    ("expectation", "text"),
    [
        (expected(low=0.0, high=50.0, unit="g"), "a between 0 and 50 g"),
        (expected(low=-1.5, high=0.0, unit="1"), "a between -1.5 and 0"),
        (expected(low=1.0, unit="g"), "a at least 1 g"),
        (expected(low=0.0), "a at least 0"),
        (expected(high=3.0, unit="degC"), "a at most 3 degC"),
        (expected("not_null"), "a is not null"),
        (expected("not_null", mostly=0.9), "a is not null, in 90% of rows"),
        (expected("pair_ge", columns=("a", "b")), "a >= b"),
        (expected("unique_key", columns=("k", "t")), "(k, t) is unique"),
        (expected("finite", columns=(NOT_FINITE,)), "every feature is null or finite"),
    ],
)
def test_an_expectation_is_said_in_one_line(expectation: Expectation, text: str) -> None:
    """The line is the reason that quarantined rows carry."""
    assert expectation.text == text


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("{kind: between, column: a, low: 0}", Check(kind="between", column="a", low=0.0)),
        ("{kind: between, column: a, high: 7, unit: g}", Check(kind="between", column="a", high=7.0, unit="g")),
        ("{kind: between, column: a, low: 2, high: 2}", Check(kind="between", column="a", low=2.0, high=2.0)),
        ("{kind: between, column: a, low: '1', high: 2}", Check(kind="between", column="a", low=1.0, high=2.0)),
        ("{kind: not_null, column: a, mostly: 0.5, why: w}", Check(kind="not_null", column="a", mostly=0.5, why="w")),
        ("{kind: pair_ge, column: a, other: b}", Check(kind="pair_ge", column="a", other="b")),
        ("{kind: unique_key, keys: [a, b]}", Check(kind="unique_key", keys=("a", "b"))),
    ],
)
def test_a_check_is_read_as_it_is_meant(tmp_path: Path, line: str, check: Check) -> None:
    """Limits become numbers, unwritten ones stay open, and `mostly` is all rows unless told."""
    assert one(tmp_path, line) == check


@pytest.mark.parametrize(
    "line",
    [
        "{kind: between, low: 1}",
        "{kind: between, column: a, low: 3, high: 2}",
        "{kind: between, column: a, low: warm}",
        "{kind: between, column: a, low: .nan}",
        "{kind: not_null}",
        "{kind: not_null, column: a, mostly: 0}",
        "{kind: not_null, column: a, mostly: 1.01}",
        "{kind: not_null, column: a, mostly: most}",
        "{kind: pair_ge, other: b}",
        "{kind: unique_key}",
        "{kind: finite, column: a}",
        "{kind: equal, column: a}",
        "{column: a}",
        "just words",
        "[a, b]",
        "{kind: unique_key, keys: 3}",
    ],
)
def test_a_check_that_could_never_be_right_is_refused_when_it_is_read(tmp_path: Path, line: str) -> None:
    """Without its column, with a range upside down, or of no known kind: the file is named before any batch comes."""
    with pytest.raises(DefinitionError) as caught:
        one(tmp_path, line)

    assert caught.value.where.endswith("s.yaml")
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("view: v\nchecks: [\n", "no YAML"),
        ("view: v\n", "`view` and `checks`"),
        ("view: v\nchecks: []\nowner: me\n", "`view` and `checks`"),
        ("- a\n", "`view` and `checks`"),
        ("view: v\nchecks:\n", "`checks` is a list"),
        ("view: v\nchecks: {kind: finite}\n", "`checks` is a list"),
        ("view: v\nchecks: []\n---\nview: v\nchecks: []\n", "has two suites"),
    ],
)
def test_a_file_that_is_no_suite_says_so(tmp_path: Path, text: str, what: str) -> None:
    """Broken YAML, other keys, no list, one view twice."""
    with pytest.raises(DefinitionError, match=what) as caught:
        load(tmp_path, text)

    assert caught.value.where.endswith("s.yaml")


def test_two_files_may_not_speak_of_one_view(tmp_path: Path) -> None:
    """The error names both."""
    (tmp_path / "a.yaml").write_text("view: v\nchecks: []\n")

    with pytest.raises(DefinitionError, match="two suites") as caught:
        load(tmp_path, "view: v\nchecks: []\n", "b.yaml")

    assert caught.value.where.endswith("b.yaml")
    assert "a.yaml" in caught.value.fix


def test_one_file_may_hold_the_suites_of_several_views(tmp_path: Path) -> None:
    """Each carries the hash of the whole file, which goes into its verdicts; other files are not looked at."""
    text = "view: v\nchecks: []\n---\nview: w\nchecks:\n  - {kind: not_null, column: a}\n"
    (tmp_path / "notes.txt").write_text("view: x\nchecks: []\n")

    suites = load(tmp_path, text)

    assert set(suites.found) == {("view", "v"), ("view", "w")}
    assert {suite.sha256 for suite in suites.found.values()} == {hashlib.sha256(text.encode()).hexdigest()}
    assert {suite.where for suite in suites.found.values()} == {"s.yaml"}


def test_every_view_is_held_to_the_defaults_first(tmp_path: Path) -> None:
    """One row per key, time and version, and no infinities; then what its team wrote."""
    suites = load(tmp_path, "view: v\nchecks:\n  - {kind: not_null, column: rms_1m}\n")

    own, other = suites.of(VIEW), Suites().of(VIEW)

    assert [check.kind for check in own.checks] == ["unique_key", "finite", "not_null"]
    assert (own.where, len(own.sha256)) == ("s.yaml", 64)
    assert own.checks[0].keys == ("asset_id", "position", "event_time", "known_at")
    assert other.checks == default_checks(VIEW) == own.checks[:2]
    assert (other.where, other.sha256, other.name) == ("defaults", "", "v")


COLUMNS = ("rms_1m", "rms_1h", "peak_1m", "peak_to_peak_1m", "x_rms_1m", "rms_", "rms_1m_raw")


@pytest.mark.parametrize(
    ("check", "columns"),
    [
        (Check(kind="not_null", column="rms_*"), [("rms_1m",), ("rms_1h",)]),
        (Check(kind="not_null", column="*_1m"), [("rms_1m",), ("peak_1m",)]),
        (Check(kind="not_null", column="rms_1m"), [("rms_1m",)]),
        (Check(kind="not_null", column="std_*"), [("std_*",)]),
        (Check(kind="not_null", column="gone"), [("gone",)]),
        (Check(kind="pair_ge", column="peak_*", other="rms_*"), [("peak_1m", "rms_1m")]),
        (Check(kind="pair_ge", column="rms_*", other="peak_1m"), [("rms_1m", "peak_1m"), ("rms_1h", "peak_1m")]),
        (Check(kind="pair_ge", column="a", other="b"), [("a", "b")]),
        (Check(kind="unique_key", keys=("k", "t")), [("k", "t")]),
        (Check(kind="not_null", column="r.s_*"), [("r.s_*",)]),
    ],
)
def test_a_pattern_is_spelt_out_over_the_columns_there_are(check: Check, columns: list[tuple[str, ...]]) -> None:
    """A star is one word without an underscore; what matches nothing stays as written, to be told it could not run."""
    suite = Suite(name="v", checks=(check,))

    assert [expectation.columns for expectation in suite.expand(COLUMNS)] == columns


def test_a_spelt_out_check_keeps_everything_it_says() -> None:
    """Limits, share, unit and reason of the pattern stand in each expectation."""
    check = Check(kind="between", column="rms_*", low=1.0, high=2.0, mostly=0.5, unit="g", why="because")

    first, second = Suite(name="v", checks=(check,)).expand(COLUMNS)

    for found in (first, second):
        assert (found.kind, found.low, found.high, found.mostly, found.unit, found.why) == (
            *("between", 1.0, 2.0, 0.5, "g", "because"),
        )
