"""What the modules of a repository import, read from their text: which files one rests on, and whether it is plain.

A module is plain if its text, and the texts of what it imports, decide what it declares: it reads no file, no clock,
no environment, and nothing that is installed but Feast. Anything that may do so makes it not plain; the list of what
may be used is closed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PLAIN = frozenset(
    (
        *("__future__", "collections", "collections.abc", "dataclasses", "datetime", "enum", "fractions", "functools"),
        *("itertools", "math", "operator", "re", "string", "textwrap", "typing"),
        *("feast", "feast.aggregation", "feast.data_format", "feast.data_source", "feast.entity", "feast.feature_view"),
        *("feast.feature_service", "feast.field", "feast.on_demand_feature_view", "feast.stream_feature_view"),
        *("feast.types", "feast.value_type", "feast.infra.offline_stores.file_source"),
    )
)
_READS = frozenset(
    (
        *("open", "exec", "eval", "compile", "globals", "locals", "vars", "input", "breakpoint", "print", "id", "hash"),
        *(
            "setattr",
            "delattr",
            "getattr",
            "now",
            "today",
            "utcnow",
            "fromtimestamp",
            "FeatureStore",
            "RepoConfig",
            "load_repo_config",
        ),
    )
)
_WILD = frozenset(("builtins", "exec", "eval", "gc", "importlib", "inspect", "pkgutil", "runpy", "sys", "__import__"))
_HARMLESS = frozenset({"__all__", "__name__", "__doc__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """The modules that a text names, each with the names taken from it, and whether the rest of it is plain.

    A wild one gets at modules without naming them: while there is one, nothing of the repository is known from before.
    """

    modules: tuple[tuple[str, tuple[str, ...]], ...]  # with leading dots where they are relative
    plain: bool
    wild: bool = False


def read_imports(tree: ast.Module) -> Imports:
    """Read what a module imports, wherever in it.

    >>> read_imports(ast.parse("from feast import Entity, Field"))
    Imports(modules=(('feast', ('Entity', 'Field')),), plain=True, wild=False)
    >>> read_imports(ast.parse("from datetime import datetime; at = datetime.now()")).plain
    False
    """
    modules: dict[str, dict[str, None]] = {}
    plain, wild = True, False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules.setdefault(alias.name, {})
        elif isinstance(node, ast.ImportFrom):
            taken = modules.setdefault("." * node.level + (node.module or ""), {})
            taken.update(dict.fromkeys(alias.name for alias in node.names))
        for name in _said(node):
            plain = plain and name not in _READS and not _hidden(name)
            wild = wild or name in _WILD
    wild = wild or any(name.partition(".")[0] in _WILD for name in modules)
    named = tuple((name, tuple(taken)) for name, taken in modules.items())
    return Imports(modules=named, plain=plain, wild=wild)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rests:
    """Which files a file rests on, itself among them, and whether what all of them declare follows from their texts."""

    files: frozenset[str]
    plain: bool


def rests(modules: Mapping[str, str], imports: Mapping[str, Imports]) -> tuple[list[str], dict[str, Rests]]:
    """Return the files in an order in which each comes after what it imports, and what each rests on.

    `modules` are the repository's files by the names they are imported by. Files that import one another in a circle
    are not plain: which of them is run first would matter.
    """
    direct = {file: _direct(name, imports[file], modules) for name, file in modules.items()}
    order: list[str] = []
    found: dict[str, Rests] = {}
    under_way: list[str] = []
    circular: set[str] = set()

    def visit(file: str) -> None:
        if file in found:
            return
        if file in under_way:
            circular.update(under_way[under_way.index(file) :])
            return
        under_way.append(file)
        needed, plain = direct[file]
        for other in sorted(needed):
            visit(other)
        under_way.pop()
        below = [found[other] for other in needed if other in found]
        files = frozenset({file}).union(*(one.files for one in below))
        whole = plain and file not in circular and len(below) == len(needed) and all(one.plain for one in below)
        found[file] = Rests(files=files, plain=whole)
        order.append(file)

    for file in sorted(direct):
        visit(file)
    return order, found


def _direct(name: str, imports: Imports, modules: Mapping[str, str]) -> tuple[set[str], bool]:
    """Return the files that a module imports itself, and whether it is plain but for those."""
    needed: set[str] = set()
    plain = imports.plain
    tops = {module.partition(".")[0] for module in modules}
    for written, taken in imports.modules:
        module = _absolute(written, name, package=modules[name].endswith("__init__.py"))
        if module.partition(".")[0] not in tops:
            plain = plain and module in _PLAIN
            continue
        parts = module.split(".")
        candidates = [".".join(parts[: end + 1]) for end in range(len(parts))]
        candidates += [f"{module}.{one}" for one in taken]
        needed |= {modules[one] for one in candidates if one in modules}
    own = name.split(".")
    packages = (".".join(own[:end]) for end in range(1, len(own)))
    return (needed | {modules[one] for one in packages if one in modules}) - {modules[name]}, plain


def _absolute(written: str, name: str, *, package: bool) -> str:
    """Return a module's full name, as it is imported from within another.

    >>> _absolute("..windows", "teams.vibration.ana", package=False), _absolute("feast", "x", package=False)
    ('teams.windows', 'feast')
    """
    dots = len(written) - len(written.lstrip("."))
    if not dots:
        return written
    parts = name.split(".")
    base = parts[: len(parts) - dots + (1 if package else 0)]
    return ".".join([*base, *filter(None, [written[dots:]])])


def _said(node: Any) -> Iterator[str]:
    """Return the names that a node of a tree says."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name.rpartition(".")[2]


def _hidden(name: str) -> bool:
    return name.startswith("__") and name not in _HARMLESS and name != "__future__"
