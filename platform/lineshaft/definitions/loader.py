"""Import a feature repository as Feast does, and remember where each object is declared.

Feast imports every file under its bare name with the repository first on the path; so do we, but the names are taken
out of `sys.modules` again afterwards, so that two repositories, or two states of one, can be read in one process.
"""

from __future__ import annotations

import ast
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
from feast.data_source import DataSource

from lineshaft.definitions.faults import Fault

KINDS: tuple[type[Any], ...] = (Entity, DataSource, OnDemandFeatureView, FeatureView, FeatureService)
_SKIPPED = {"__pycache__", "data"}


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A Feast object with the statement that declares it."""

    value: Any
    file: str  # relative to the repository's parent, as one would type it
    line: int
    lines: Sequence[str] = field(repr=False, default=())
    statement: ast.stmt | None = field(repr=False, default=None)
    module: ast.Module | None = field(repr=False, default=None)

    @property
    def where(self) -> str:
        """Return file:line of the declaration."""
        return f"{self.file}:{self.line}"

    def fault(self, code: str, what: str, *, fix: str = "", near: Callable[[ast.expr], bool] | None = None) -> Fault:
        """Return a fault at the first expression `near` accepts, in the statement or else in the file."""
        line = self._line(near) if near else self.line
        shown = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
        return Fault(code=code, what=what, where=f"{self.file}:{line}", shown=shown, fix=fix)

    def _line(self, near: Callable[[ast.expr], bool]) -> int:
        for scope in (self.statement, self.module):
            if scope is not None:
                lines = [n.lineno for n in ast.walk(scope) if isinstance(n, ast.expr) and near(n)]
                if lines:
                    return min(lines)
        return self.line


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Everything a repository declares, in order of file and line, each object once."""

    root: Path
    declared: tuple[Declared, ...]
    faults: tuple[Fault, ...]

    def of(self, *kinds: type[Any]) -> list[Declared]:
        """Return the objects that are one of `kinds`."""
        return [d for d in self.declared if isinstance(d.value, kinds)]

    @cached_property
    def keys(self) -> dict[str, Entity]:
        """Return the entities by name."""
        return {d.value.name: d.value for d in self.of(Entity)}


def load(root: Path) -> Repository:
    """Import every module of a repository; a module that fails becomes a fault, the others are still read."""
    root = root.resolve()
    files = sorted(f for f in root.rglob("*.py") if not _SKIPPED & set(f.relative_to(root).parts))
    files = [f for f in files if not any(part.startswith(".") for part in f.relative_to(root).parts)]
    installed = packages_distributions()
    faults = [fault for file in files if (fault := _shadow(root, file, installed))]
    declared: list[Declared] = []
    seen: set[int] = set()
    if not faults:
        with _imported_apart(root, files):
            for file in files:
                try:
                    module = _import(root, file)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything, or want to end us
                    faults.append(_import_fault(root, file, error))
                    continue
                for found in _objects(root, file, module):
                    if id(found.value) not in seen:
                        seen.add(id(found.value))
                        declared.append(found)
    return Repository(root=root, declared=tuple(declared), faults=tuple(faults))


@contextmanager
def _imported_apart(root: Path, files: Sequence[Path]) -> Iterator[None]:
    """Put the repository first on the path, with none of its module names taken; restore both afterwards."""
    names = {part for file in files for part in (_module_name(root, file), _module_name(root, file).split(".")[0])}
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Feast warns that stream views are alpha, once per view
            yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = writes
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def _module_name(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _import(root: Path, file: Path) -> ModuleType:
    return importlib.import_module(_module_name(root, file))


def _shadow(root: Path, file: Path, installed: Mapping[str, list[str]]) -> Fault | None:
    """Refuse a name that another module owns: Feast would import that one and never see the file."""
    name = _module_name(root, file).split(".")[0]
    owners = installed.get(name, [])
    if name not in sys.stdlib_module_names and not owners:
        return None
    owner = f"package {owners[0]}" if owners else "Python's own"
    return Fault(
        code="LS-DEF-002",
        what=f'module "{name}" is named like {owner}',
        where=f"{root.name}/{file.relative_to(root)}:1",
        fix="name it after what it declares, e.g. vibration.py",
    )


def _import_fault(root: Path, file: Path, error: BaseException) -> Fault:
    """Say where in the repository an import failed."""
    place, trace = f"{root.name}/{file.relative_to(root)}:1", error.__traceback__
    while trace is not None:
        frame = Path(trace.tb_frame.f_code.co_filename)
        if frame.is_relative_to(root):
            place = f"{root.name}/{frame.relative_to(root)}:{trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{root.name}/{Path(error.filename).name}:{error.lineno or 1}"
    what = f"{file.relative_to(root)} cannot be imported: {type(error).__name__}: {error}"
    return Fault(
        code="LS-DEF-001", what=what, where=place, fix="mend the module; plain Python must be able to import it"
    )


def _objects(root: Path, file: Path, module: ModuleType) -> Iterator[Declared]:
    """Return the objects that the module itself binds at its top level, with the statements that bind them."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.splitlines()
    for statement in tree.body:
        for name in _bound(statement):
            value = getattr(module, name, None)
            if isinstance(value, KINDS):
                yield Declared(
                    value=value,
                    file=f"{root.name}/{file.relative_to(root)}",
                    line=statement.lineno,
                    lines=lines,
                    statement=statement,
                    module=tree,
                )


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names a top-level statement binds, imports apart: what is imported is declared elsewhere."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return []
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
