"""The mistakes of a day: each is told once, with file, line and what to write, and no fault that follows from it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.reader import read_repo

GENERATED: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "generated_repository.py"))
MINE, SOURCES, SERVICES = "vibration/e00.py", "vibration/sources.py", "vibration/services.py"
FIELD = 'Field(name=f"{column}_{function}", dtype=Float64)'
ANYHOW = "mend the module; plain Python must be able to import it"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository of four teams with an engineer each, of two views."""
    GENERATED["write"](tmp_path / "repo", engineers=1, views=2)
    return tmp_path / "repo"


VIEW = "vibration_e00_0"
MISTAKES = {
    "a bracket": (MINE, "[machine]", "[machine", "SyntaxError: closing parenthesis", ")", ANYHOW),
    "a name of another file": (MINE, "import readings", "import reading", "'reading' from", "from", "did you mean r"),
    "a file's name": (MINE, "n.sources", "n.source", "vibration.source'", "from", "did you mean vibration.sources"),
    "a name": (MINE, "source=readings", "source=reading", "'reading' is not", "source", "did you mean readings?"),
    "an argument": (MINE, "aggregations=", "aggregation=", "'aggregation'", VIEW, "did you mean aggregations?"),
    "an argument left out": (MINE, "    source=readings,\n", "", "missing", VIEW, "add 'source'"),
    "a number for a time": (MINE, "ttl=timedelta(hours=2)", "ttl=2", '"ttl" (int)', VIEW, "write ttl=timedelta("),
    "a text for a type": (MINE, FIELD, FIELD.replace("Float64", '"F"'), '"dtype" (str)', "schema", "write dtype=F"),
    "a text for an entity": (MINE, "[machine]", '["machine"]', "none of Entity", VIEW, "write entities=[machine]"),
    "what Python refuses": (MINE, "minutes=2)", "minutes=2 / 0)", "ZeroDivisionError: division", "time_w", ANYHOW),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_file_that_cannot_be_imported_is_told_once_with_a_way_out(root: Path, mistake: str) -> None:
    """A service that reads its views is not blamed; nothing says where files lie on this machine."""
    file, old, new, what, shown, fix = MISTAKES[mistake]
    path = root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))

    (fault,) = read_repo(root).faults

    assert (fault.code, fault.where.partition(":")[0]) == ("LS-DEF-001", f"repo/{file}")
    assert what in fault.what
    assert fault.shown.startswith(shown)
    assert fault.fix.startswith(fix)
    assert str(root.parent) not in str(fault)
    assert "\n" not in fault.what


def test_what_many_import_is_told_once(root: Path) -> None:
    """By its own name and line; that others cannot be imported either is a number."""
    (root / SOURCES).write_text((root / SOURCES).read_text() + "\n1 / 0\n")

    (fault,) = read_repo(root).faults

    assert fault.what == (
        "vibration/sources.py cannot be imported: ZeroDivisionError: division by zero "
        "(1 more that import it cannot either)"
    )
    assert fault.shown == "1 / 0"


def test_a_view_that_is_copied_and_not_renamed_is_told_where_its_name_stands(root: Path) -> None:
    """And the service that reads one of the two is not told that it asks for what is not there."""
    path = root / MINE
    path.write_text(path.read_text().replace('name="vibration_e00_1"', 'name="vibration_e00_0"'))

    (fault,) = read_repo(root).faults

    assert (fault.code, fault.shown) == ("LS-DEF-004", 'name="vibration_e00_0",')


def test_a_service_is_still_held_to_what_could_be_read(root: Path) -> None:
    """Another team's broken file silences nothing but services of what it may declare."""
    (root / "process" / "e00.py").write_text("1 / 0\n")
    services = root / SERVICES
    services.write_text(services.read_text().replace("acceleration_mean", "acceleration_meen"))

    found = {fault.code: fault for fault in read_repo(root).faults}

    assert set(found) == {"LS-DEF-001", "LS-DEF-023"}
    assert found["LS-DEF-023"].fix.startswith("did you mean acceleration_mean")
