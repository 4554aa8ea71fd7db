"""Why a file of a repository could not be imported: where, and what to write instead, as far as the error tells."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from lineshaft.definitions.faults import Fault
from lineshaft.errors import nearest

_CANNOT = " cannot be imported: "
_OTHERWISE = "mend the module; plain Python must be able to import it"
_ARGUMENT = re.compile(r'argument "(?P<name>\w+)" \((?P<given>[\w.]+)\) (?P<rest>.*)', re.DOTALL)
_NOT_THERE = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")
_UNEXPECTED = re.compile(r"(?P<kind>\w+)\.__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'")
_MISSING = re.compile(r"missing \d+ required [\w -]*arguments?: (?P<names>.+)")
_WRITE = {
    "timedelta": "{name}=timedelta(minutes=…)",
    "FeastType": "{name}=Float64, imported from feast.types",
    "Entity": "{name}=[machine]: the entity itself, imported, not its name in quotes",
    "DataSource": "{name}=readings: the source itself, imported, not its name in quotes",
    "ValueType": "{name}=ValueType.STRING",
    "str": '{name}="…"',
}


def import_fault(root: Path, file: str, error: BaseException, *, modules: Iterable[str]) -> Fault:
    """Return the fault of a file, at the last line of the repository that was run; `modules` are those there are."""
    place, frame = _last_frame(root, error)
    if isinstance(error, SyntaxError) and error.filename:
        place = (Path(error.filename), error.lineno or 1)
    path, line = place or (root / file, 1)
    named = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return Fault(
        code="LS-DEF-001",
        what=f"{file}{_CANNOT}{type(error).__name__}: {_said(error)}",
        where=f"{root.name}/{named}:{line}",
        shown=lines[line - 1].strip() if 0 < line <= len(lines) else "",
        fix=_way_out(error, frame, modules),
    )


def once_each(faults: Iterable[Fault]) -> list[Fault]:
    """Tell one mistake once, however many files import the one it stands in; the first fault counts the others."""
    found: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        found.setdefault((fault.where, fault.what.partition(_CANNOT)[2]), []).append(fault)
    return [
        replace(first, what=f"{first.what} ({len(others)} more that import it cannot either)") if others else first
        for first, *others in found.values()
    ]


def _last_frame(root: Path, error: BaseException) -> tuple[tuple[Path, int] | None, FrameType | None]:
    place, frame, trace = None, None, error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(root):
            place, frame = (path, trace.tb_lineno), trace.tb_frame
        trace = trace.tb_next
    return place, frame


def _said(error: BaseException) -> str:
    """Return what an error says in one line, without where files lie on this machine."""
    if isinstance(error, SyntaxError):
        return error.msg
    text = re.sub(r" \((/|unknown location)[^)]*\)$", "", str(error))
    first, *others = (line.strip() for line in text.splitlines() or [""])
    if not others:
        return first
    kinds = [one.partition(":")[0].split("[")[-1].rstrip("]").rpartition(".")[2] for one in others]
    return f"{first.removesuffix(' did not match any element in the union:')} is none of {', '.join(kinds)}"


def _way_out(error: BaseException, frame: FrameType | None, modules: Iterable[str]) -> str:
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return nearest(error.name, modules, otherwise=f"install {error.name.partition('.')[0]}, or mend the name")
    if isinstance(error, ImportError) and (match := _NOT_THERE.search(text)):
        module = sys.modules.get(match["module"])
        there = [name for name in vars(module) if not name.startswith("_")] if module else []
        return nearest(match["name"], there, otherwise=f"declare {match['name']} in {match['module']}")
    if isinstance(error, NameError) and frame is not None and error.name:
        known = {*frame.f_globals, *frame.f_locals}
        return nearest(error.name, known, otherwise=f"import or declare {error.name} before this line")
    if match := _UNEXPECTED.search(text):
        return nearest(match["name"], _parameters(match["kind"], frame), otherwise=f"leave {match['name']} out")
    if match := _MISSING.search(text):
        return f"add {match['names']}"
    if match := _ARGUMENT.match(text):
        for kind, write in _WRITE.items():
            if kind in match["rest"]:
                return f"write {write.format(name=match['name'])}"
    return _OTHERWISE


def _parameters(kind: str, frame: FrameType | None) -> list[str]:
    """Return the arguments that a class takes, as the file that made an object of it knows it."""
    found: Any = frame.f_globals.get(kind) if frame is not None else None
    return [name for name in inspect.signature(found).parameters if name != "self"] if isinstance(found, type) else []
