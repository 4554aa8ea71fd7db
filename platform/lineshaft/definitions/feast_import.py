"""Import Feast without waiting for what checks the types of its arguments.

Feast decorates its classes with typeguard, which reads and compiles the source of each method anew, of every class and
whether or not anybody uses it: half the time that Feast takes to import. Here a class is decorated when the first
object of it is made, and it is then that its arguments are checked, as ever.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


def import_feast() -> None:
    """Import Feast, unless that was done before."""
    if "feast" not in sys.modules:
        with _checked_when_made():
            importlib.import_module("feast")


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
