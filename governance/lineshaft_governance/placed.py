"""YAML that knows where it stands: whoever finds a fault in it can say in which line, and of which key."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lineshaft.errors import DefinitionError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A node of a YAML file, and the keys that lead to it."""

    path: Path
    node: yaml.Node
    key: str = ""

    @staticmethod
    def read(path: Path) -> Placed:
        """Read a file; raises `DefinitionError` where it is not there or is no YAML."""
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise DefinitionError(
                f"this is no YAML: {error.problem}", where=f"{path}:{line}", fix="mend the line, or the one before"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise DefinitionError(f"cannot read a policy: {error}", where=str(path), fix="restore it") from error
        if node is None:
            raise DefinitionError(
                "a policy is a mapping, and this file is empty", where=str(path), fix="write its keys"
            )
        return Placed(path=path, node=node)

    def fault(self, what: str, fix: str) -> DefinitionError:
        """Return the error that names file, line and key."""
        key = f", {self.key}" if self.key else ""
        return DefinitionError(what, where=f"{self.path}:{self.node.start_mark.line + 1}{key}", fix=fix)

    def mapping(
        self, *, known: AbstractSet[str] | None = None, needed: AbstractSet[str] = frozenset()
    ) -> dict[str, Placed]:
        """Return what a mapping holds; refuse keys missing, twice there, or not known (any is, unless said)."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fault("here stands a mapping", f"write {', '.join(sorted(known or ('name: …',)))}")
        found: dict[str, Placed] = {}
        for name, value in self.node.value:
            inside = Placed(path=self.path, node=value, key=f"{self.key}.{name.value}".lstrip("."))
            if known is not None and name.value not in known:
                raise inside.fault(f"{name.value!r} is not known here", f"known: {', '.join(sorted(known))}")
            if name.value in found:
                raise inside.fault(f"{name.value!r} stands here twice", "leave one")
            found[name.value] = inside
        missing = sorted(needed - found.keys())
        if missing:
            raise self.fault(f"{missing[0]!r} is missing", f"write {missing[0]}: …")
        return found

    def items(self) -> list[Placed]:
        """Return what a list holds."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.fault("here stands a list", "write [a, b], or a line with a dash for each")
        return [
            Placed(path=self.path, node=node, key=f"{self.key}[{place}]") for place, node in enumerate(self.node.value)
        ]

    def plain(self, kind: type[T]) -> T:
        """Return a word, a whole number, a number or a truth."""
        value: Any = yaml.SafeLoader("").construct_object(self.node) if isinstance(self.node, yaml.ScalarNode) else None
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            words = {str: "a word", int: "a whole number", float: "a number", bool: "true or false"}
            raise self.fault(f"here stands {words[kind]}", f"write {words[kind]}")
        return value
