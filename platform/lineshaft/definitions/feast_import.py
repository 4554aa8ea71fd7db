"""Import Feast without waiting for what a definition does not use.

Two things take most of the time that Feast takes to import. Its own `__init__` brings in stores, servers and their
vendors, of which a definition names a handful of classes: here a name is brought in from where that `__init__` takes it
when it is first asked for. And it decorates its classes with typeguard, which reads and compiles the source of each
method anew, of every class and whether or not anybody uses it: here a class is decorated when the first object of it is
made, and it is then that its arguments are checked, as ever.
"""

from __future__ import annotations

import ast
import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

import typeguard

_CORE = ("entity", "stream_feature_view", "on_demand_feature_view", "feature_service")
"""The modules that every reading of a repository needs."""


def import_feast() -> None:
    """Import what definitions are made of, unless Feast was imported before."""
    if "feast" in sys.modules:
        return
    with _checked_when_made(), _by_name("fastapi"):  # of which Feast's errors take one module of constants
        sys.modules["feast"] = _named_apart("feast")
        for name in _CORE:
            importlib.import_module(f"feast.{name}")


@contextmanager
def _by_name(package: str) -> Iterator[None]:
    """Let names be taken from a package, while this lasts, without what else its `__init__` brings in."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = _named_apart(package)
    try:
        yield
    finally:
        del sys.modules[package]


def _named_apart(package: str) -> ModuleType:
    """Return a package whose names are brought in when they are asked for; one that is not known brings in all."""
    spec = find_spec(package)
    loader = None if spec is None else spec.loader
    if spec is None or spec.origin is None or loader is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module, taken = module_from_spec(spec), _taken(spec)

    def bring(name: str) -> Any:
        if name in taken:
            vars(module)[name] = _from(*taken[name])
        elif (name.startswith("__") and name not in {"__all__", "__version__"}) or find_spec(f"{package}.{name}"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        else:
            vars(module).pop("__getattr__", None)
            loader.exec_module(module)
        return getattr(module, name)

    vars(module)["__getattr__"] = bring
    return module


def _taken(spec: ModuleSpec) -> Mapping[str, tuple[str, str]]:
    """Return the names that a package's `__init__` takes from modules, each with the module and its name there."""
    body = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")).body
    return {
        alias.asname or alias.name: (resolve_name("." * node.level + (node.module or ""), spec.name), alias.name)
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _from(module: str, name: str) -> Any:
    """Do what `from module import name` does."""
    found = importlib.import_module(module)
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")


@contextmanager
def _checked_when_made() -> Iterator[None]:
    """Let classes be decorated when they are first made, while this lasts."""
    decorate = typeguard.typechecked

    def later(target: Any = None, **options: Any) -> Any:
        if not isinstance(target, type) or options or "__init__" not in vars(target):
            return decorate(target, **options)
        _check_first(target, decorate)
        return target

    typeguard.typechecked = later
    try:
        yield
    finally:
        typeguard.typechecked = decorate


def _check_first(kind: type[Any], decorate: Callable[[Any], Any]) -> None:
    """Put in place of a class's `__init__` one that checks its arguments, made when it is first asked for."""
    plain = vars(kind)["__init__"]

    @functools.wraps(plain)
    def first(self: Any, *arguments: Any, **named: Any) -> None:
        checking = decorate(plain)
        kind.__init__ = checking
        checking(self, *arguments, **named)

    kind.__init__ = first
