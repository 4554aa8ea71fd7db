"""Import a feature repository as Feast does, and remember where each object is declared.

Feast imports every file under its bare name with the repository first on the path; so do we, but the names are taken
out of `sys.modules` again afterwards, so that two repositories, or two states of one, can be read in one process.
What a file declared before is not imported again while nothing that it follows from has changed (`kept`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from lineshaft.definitions.faults import Fault
from lineshaft.definitions.import_faults import import_fault, once_each
from lineshaft.definitions.imports import Imports, Rests, read_imports, rests
from lineshaft.definitions.kept import KeptDefinitions, KeptFile
from lineshaft.definitions.written import Entity, Written

_SKIPPED = {"__pycache__", "data"}


@dataclass(frozen=True)
class Text:
    """A file of a repository, as it was read once."""

    file: str  # relative to the repository's parent, as one would type it
    raw: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the digest of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()

    @cached_property
    def content(self) -> str:
        """Return its text; what is no UTF-8 is Python's to complain of."""
        return self.raw.decode(encoding="utf-8", errors="replace")

    @cached_property
    def lines(self) -> list[str]:
        """Return its lines."""
        return self.content.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """Return what Python reads in it."""
        return ast.parse(self.content)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """An object as it is written down, with the statement that declares it."""

    value: Any
    line: int
    text: Text = field(repr=False)

    @property
    def file(self) -> str:
        """Return the file of the declaration."""
        return self.text.file

    @property
    def where(self) -> str:
        """Return file:line of the declaration."""
        return f"{self.file}:{self.line}"

    def fault(self, code: str, what: str, *, fix: str = "", near: Callable[[ast.expr], bool] | None = None) -> Fault:
        """Return a fault at the first expression `near` accepts, in the statement or else in the file."""
        line = self._line(near) if near else self.line
        lines = self.text.lines
        shown = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        return Fault(code=code, what=what, where=f"{self.file}:{line}", shown=shown, fix=fix)

    def _line(self, near: Callable[[ast.expr], bool]) -> int:
        own = [statement for statement in self.text.tree.body if statement.lineno == self.line]
        for scope in (*own, self.text.tree):
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


def load(root: Path, *, kept: KeptDefinitions | None = None) -> Repository:
    """Import the modules of a repository; a module that fails becomes a fault, the others are still read.

    With `kept`, only what changed is imported, and what rests on it.
    """
    root = root.resolve()
    files = sorted(f for f in root.rglob("*.py") if not _SKIPPED & set(f.relative_to(root).parts))
    files = [f for f in files if not any(part.startswith(".") for part in f.relative_to(root).parts)]
    faults = [fault for file in files if (fault := _shadow(root, file))]
    if faults:
        return Repository(root=root, declared=(), faults=tuple(faults))
    return _Reading(root=root, texts={str(file.relative_to(root)): _text(root, file) for file in files}).read(kept)


@dataclass(kw_only=True)
class _Imported:
    """The objects that a file bound, by line; what they said then, and what they say when all files were imported."""

    bound: list[tuple[int, Any]]
    then: list[Written]
    now: list[Written] = field(default_factory=list)


@dataclass(kw_only=True)
class _Reading:
    """One reading of a repository: which files must be imported, and what all of them declare."""

    root: Path
    texts: Mapping[str, Text]
    known: dict[str, KeptFile] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def read(self, kept: KeptDefinitions | None) -> Repository:
        before = kept.load(self.root) if kept else {}
        self.known = {name: _known(text, before.get(name)) for name, text in self.texts.items()}
        modules = {_module_name(name): name for name in self.texts}
        order, found = rests(modules, {name: file.imports for name, file in self.known.items()})
        wanted = {name: self._rests_on(found[name]) for name in order}
        fresh = {name for name in order if not wanted[name] or self.known[name].rests_on != wanted[name]}
        needed = fresh.union(*(found[name].files for name in fresh))
        objects = self._import([name for name in order if name in needed])
        if kept and fresh:
            self._keep(kept, wanted, needed, objects)
        declared = tuple(self._declared(needed, objects))
        return Repository(root=self.root, declared=declared, faults=tuple(self.faults))

    def _rests_on(self, found: Rests) -> str:
        """Return the digest of all that a file's objects follow from; nothing where more than texts decide them."""
        if not found.plain or any(file.imports.wild for file in self.known.values()):
            return ""
        parts = "\n".join(f"{name} {self.known[name].sha256}" for name in sorted(found.files))
        return hashlib.sha256(parts.encode()).hexdigest()

    def _import(self, names: Sequence[str]) -> dict[str, _Imported]:
        """Import files, each after what it imports; say what each bound, at once and when all were imported."""
        objects: dict[str, _Imported] = {}
        if not names:
            return objects
        from lineshaft.definitions.feast_import import import_feast

        import_feast()
        from lineshaft.definitions.feast_objects import KINDS, read_object

        modules = sorted(map(_module_name, self.texts))
        with _imported_apart(self.root, self.texts):
            for name in names:
                try:
                    module = importlib.import_module(_module_name(name))
                except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything, or end us
                    self.faults.append(import_fault(self.root, name, error, modules=modules))
                    continue
                bound = [one for one in _bound_objects(self.texts[name], module) if isinstance(one[1], KINDS)]
                objects[name] = _Imported(bound=bound, then=[read_object(value) for _, value in bound])
        self.faults = once_each(self.faults)
        for one in objects.values():
            one.now = [read_object(value) for _, value in one.bound]
        return objects

    def _keep(
        self,
        kept: KeptDefinitions,
        wanted: Mapping[str, str],
        needed: Collection[str],
        objects: Mapping[str, _Imported],
    ) -> None:
        """Keep what files declared, unless a fault, another file or a change meanwhile had a hand in it."""
        if any(one.then != one.now for one in objects.values()):  # a file altered another's objects
            return
        if any(_text(self.root, self.root / name).raw != text.raw for name, text in self.texts.items()):
            return
        homes: dict[int, set[str]] = {}
        for name, one in objects.items():
            for _, value in one.bound:
                homes.setdefault(id(value), set()).add(name)
        shared = {name for names in homes.values() if len(names) > 1 for name in names}
        for name in needed:
            file = replace(self.known[name], rests_on="", declared=())
            if name in objects and name not in shared:
                one = objects[name]
                lines = [line for line, _ in one.bound]
                file = replace(file, rests_on=wanted[name], declared=tuple(zip(lines, one.now, strict=True)))
            self.known[name] = file
        kept.save(self.root, self.known)

    def _declared(self, needed: Collection[str], objects: Mapping[str, _Imported]) -> Iterator[Declared]:
        """Return every object once, in order of file and line: as just imported, or as kept."""
        seen: set[int] = set()
        for name, text in self.texts.items():
            if name not in needed:
                yield from (Declared(value=value, line=line, text=text) for line, value in self.known[name].declared)
            elif name in objects:
                one = objects[name]
                for (line, value), said in zip(one.bound, one.now, strict=True):
                    if id(value) not in seen:
                        seen.add(id(value))
                        yield Declared(value=said, line=line, text=text)


def _text(root: Path, file: Path) -> Text:
    return Text(file=f"{root.name}/{file.relative_to(root)}", raw=file.read_bytes())


def _known(text: Text, before: KeptFile | None) -> KeptFile:
    """Return what is known of a text: as kept, or else what it imports."""
    if before is not None and before.sha256 == text.sha256:
        return before
    try:
        imports = read_imports(text.tree)
    except (SyntaxError, ValueError):  # whoever imports it will say so
        imports = Imports(modules=(), plain=False)
    return KeptFile(sha256=text.sha256, imports=imports)


@contextmanager
def _imported_apart(root: Path, files: Iterable[str]) -> Iterator[None]:
    """Put the repository first on the path, with none of its module names taken; restore both afterwards."""
    modules = {_module_name(file) for file in files}
    names = {
        ".".join(parts[:end]) for parts in (name.split(".") for name in modules) for end in range(1, len(parts) + 1)
    }
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


def _module_name(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


def _shadow(root: Path, file: Path) -> Fault | None:
    """Refuse a name that another module owns: Feast would import that one and never see the file."""
    name = _module_name(str(file.relative_to(root))).split(".")[0]
    owner = "Python's own" if name in sys.stdlib_module_names else _package(name)
    if not owner:
        return None
    return Fault(
        code="LS-DEF-002",
        what=f'module "{name}" is named like {owner}',
        where=f"{root.name}/{file.relative_to(root)}:1",
        fix="name it after what it declares, e.g. vibration.py",
    )


@cache
def _package(name: str) -> str:
    """Return which installed package owns a module's name; nothing where none does."""
    if PathFinder.find_spec(name) is None:  # asking every package what it owns takes a second
        return ""
    owners = packages_distributions().get(name, [])
    return f"package {owners[0]}" if owners else ""


def _bound_objects(text: Text, module: ModuleType) -> Iterator[tuple[int, Any]]:
    """Return what a module itself binds at its top level, each value once, with the lines of the statements."""
    seen: set[int] = set()
    for statement in text.tree.body:
        for name in _bound(statement):
            value = getattr(module, name, None)
            if id(value) not in seen:
                seen.add(id(value))
                yield statement.lineno, value


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names a top-level statement binds, imports apart: what is imported is declared elsewhere."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return []
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
