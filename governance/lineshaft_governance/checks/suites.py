"""Suites: what must be true of a view's rows, a source's blocks, a side table or a training set, as data.

A suite is a document of YAML that its team reads and changes; what it speaks of is said by its first key.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from lineshaft.errors import DefinitionError
from lineshaft.specs import View, row_identity

NOT_FINITE = "lineshaft_not_finite"
"""A column the checkpoint adds: how many of a row's features are neither null nor finite."""

KINDS = frozenset({"not_null", "between", "pair_ge", "unique_key", "finite", "in_set", "matches"})

SUBJECTS = ("view", "source", "table", "training")
"""What a suite may be about: a view's rows, the facts of a source's blocks, a side table, a model's training set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a suite.

    `column` and `other` may hold one `*`: the same word, without an underscore, in both (a window, usually).
    """

    kind: str
    column: str = ""
    other: str = ""
    keys: tuple[str, ...] = ()
    values: tuple[str | float, ...] = ()
    pattern: str = ""
    low: float | None = None
    high: float | None = None
    mostly: float = 1.0
    unit: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One check of named columns of one batch."""

    kind: str
    columns: tuple[str, ...]
    low: float | None
    high: float | None
    mostly: float
    unit: str
    why: str
    values: tuple[str | float, ...] = ()
    pattern: str = ""

    @property
    def text(self) -> str:
        """Say what is expected, in one line.

        >>> Expectation(kind="between", columns=("rms",), low=0, high=50, mostly=1, unit="g", why="").text
        'rms between 0 and 50 g'
        """
        said = {
            "between": f"{self.columns[0]} {_range(self.low, self.high)} {self.unit.removesuffix('1')}".rstrip(),
            "not_null": f"{self.columns[0]} is not null",
            "pair_ge": f"{' >= '.join(self.columns)}",
            "unique_key": f"({', '.join(self.columns)}) is unique",
            "finite": "every feature is null or finite",
            "in_set": f"{self.columns[0]} is {' or '.join(map(_plain, self.values))}",
            "matches": f"{self.columns[0]} matches {self.pattern}",
        }[self.kind]
        return said if self.mostly == 1 else f"{said}, in {self.mostly:.0%} of rows"


def _range(low: float | None, high: float | None) -> str:
    """Say a range that may be open.

    >>> _range(0, 1.5), _range(1, None), _range(None, 3)
    ('between 0 and 1.5', 'at least 1', 'at most 3')
    """
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}"
    return f"at most {high:g}" if high is not None else f"at least {low or 0:g}"


def _plain(value: str | float) -> str:
    """Say a value of a set as it is written.

    >>> _plain(25600.0), _plain("error")
    ('25600', 'error')
    """
    return value if isinstance(value, str) else f"{value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The checks of one subject, such as a view, and the hash of the file that holds them."""

    name: str
    checks: tuple[Check, ...]
    about: str = "view"
    sha256: str = ""
    where: str = ""

    def expand(self, columns: Sequence[str]) -> list[Expectation]:
        """Return the expectations for a batch with these columns, patterns spelt out.

        A pattern without a match, or a column that is not there, stays as it is written: the checkpoint will say that
        it could not be run, which is not the same as having passed.
        """
        return [expectation for check in self.checks for expectation in _expand(check, columns)]


def default_checks(view: View) -> tuple[Check, ...]:
    """Return what holds for every view: one row per key, time and version; no infinities."""
    unique = Check(kind="unique_key", keys=tuple(row_identity(view)), why="a row has one version per known_at")
    return (unique, Check(kind="finite", column=NOT_FINITE, why="an undefined value is null, never infinite"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suites:
    """The suites of a folder; views without one are held to the defaults."""

    found: dict[tuple[str, str], Suite] = field(default_factory=dict)  # by what it is about, and its name

    @staticmethod
    def load(folder: Path) -> Suites:
        """Read every *.yaml of a folder.

        Raises
        ------
        DefinitionError
            If a file is no suite, names an unknown kind, or a subject has two.
        """
        found: dict[tuple[str, str], Suite] = {}
        for path in sorted(folder.glob("*.yaml")):
            for suite in read_suites(path):
                other = found.setdefault((suite.about, suite.name), suite)
                if other is not suite:
                    fix = f"put them into one; the other is {other.where}"
                    raise DefinitionError(f"{suite.about} {suite.name!r} has two suites", where=str(path), fix=fix)
        return Suites(found=found)

    def about(self, kind: str, name: str) -> Suite | None:
        """Return the suite of a source, a table or a training set; None where nobody wrote one."""
        return self.found.get((kind, name))

    def of(self, view: View) -> Suite:
        """Return the defaults followed by the view's own checks."""
        own = self.about("view", view.name)
        checks = default_checks(view)
        if own is None:
            return Suite(name=view.name, checks=checks, where="defaults")
        return replace(own, checks=checks + own.checks)


def read_suites(path: Path) -> list[Suite]:
    """Read the suites of one file: a list of YAML documents, each of what it is about and `checks`."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    suites = []
    try:
        documents = list(yaml.safe_load_all(content))
    except yaml.YAMLError as error:
        raise DefinitionError(f"this is no YAML: {error}", where=str(path), fix="mend the line named") from error
    for document in documents:
        about = [key for key in SUBJECTS if isinstance(document, dict) and key in document]
        if len(about) != 1 or set(document) != {about[0], "checks"}:
            what = "a suite has `view` and `checks`, and nothing else; or `source`, `table` or `training` for `view`"
            raise DefinitionError(what, where=str(path), fix="begin a document with view: NAME")
        if not isinstance(document["checks"], list):
            raise DefinitionError(
                "`checks` is a list, one check a line", where=str(path), fix="write - {kind: not_null, column: ...}"
            )
        checks = tuple(_check(line, path) for line in document["checks"])
        suite = Suite(name=document[about[0]], about=about[0], checks=checks, sha256=digest, where=path.name)
        suites.append(suite)
    return suites


def _check(line: dict[str, Any], path: Path) -> Check:
    """Read one line of a suite."""
    try:
        check = Check(**{**line, "keys": tuple(line.get("keys", ())), "values": tuple(line.get("values", ()))})
        re.compile(check.pattern)
        low, high = (math.nan if end is None else float(end) for end in (check.low, check.high))
        share = float(check.mostly)
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise DefinitionError(f"cannot read the check {line}", where=str(path), fix=str(error)) from error
    complete = {
        "between": bool(check.column) and not (math.isnan(low) and math.isnan(high)) and not low > high,
        "pair_ge": bool(check.column and check.other),
        "not_null": bool(check.column),
        "unique_key": bool(check.keys),
        "finite": check.column == NOT_FINITE,
        "in_set": bool(check.column and check.values),
        "matches": bool(check.column and check.pattern),
    }
    if not complete.get(check.kind, False) or not 0 < share <= 1:
        fix = f"kinds are {', '.join(sorted(KINDS))}; each names its columns, a range has its ends in order"
        raise DefinitionError(f"cannot use the check {line}", where=str(path), fix=fix)
    return replace(
        check,
        low=None if math.isnan(low) else low,
        high=None if math.isnan(high) else high,
        mostly=share,
    )


def _expand(check: Check, columns: Sequence[str]) -> list[Expectation]:
    """Spell out one check."""
    if check.kind == "unique_key":
        sets = [check.keys]
    elif "*" not in check.column:
        sets = [(check.column, check.other) if check.other else (check.column,)]
    else:
        head, tail = check.column.split("*", 1)
        pattern = re.compile(re.escape(head) + "([^_]+)" + re.escape(tail))
        matches = [match for match in map(pattern.fullmatch, columns) if match]
        stars = [match[1] for match in matches] or ["*"]
        sets = [tuple(name.replace("*", star) for name in (check.column, check.other) if name) for star in stars]
    return [
        Expectation(
            kind=check.kind,
            columns=tuple(names),
            low=check.low,
            high=check.high,
            mostly=check.mostly,
            unit=check.unit,
            why=check.why,
            values=check.values,
            pattern=check.pattern,
        )
        for names in sets
    ]
