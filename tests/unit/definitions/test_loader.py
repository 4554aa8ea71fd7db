"""Importing a repository: once, apart, and with the line of every object."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.loader import load

ENTITY = 'from feast import Entity, ValueType\nmachine = Entity(name="{name}", value_type=ValueType.STRING)\n'


def write(root: Path, **modules: str) -> Path:
    """Write modules into a repository."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
    return root


def test_an_object_stands_where_it_is_bound(tmp_path: Path) -> None:
    """File and line, not the line of an import elsewhere."""
    root = write(
        tmp_path / "repo", things=ENTITY.format(name="pump"), users="from things import machine\nagain = machine\n"
    )

    (found,) = load(root).declared

    assert (found.value.name, found.where) == ("pump", "repo/things.py:2")


def test_objects_bound_in_loops_and_branches_are_found(tmp_path: Path) -> None:
    """Whatever stands in the module at the end counts, as for Feast."""
    text = (
        "from feast import Entity, ValueType\nif True:\n    pump = Entity(name='pump', value_type=ValueType.STRING)\n"
    )
    root = write(tmp_path / "repo", things=text)

    assert [d.value.name for d in load(root).declared] == ["pump"]


def test_two_states_of_one_repository_can_be_read(tmp_path: Path) -> None:
    """A second reading sees the file as it is then."""
    root = write(tmp_path / "repo", things=ENTITY.format(name="pump"))
    first = load(root)
    write(root, things=ENTITY.format(name="fan") + "# longer\n")

    second = load(root)

    assert [d.value.name for d in (*first.declared, *second.declared)] == ["pump", "fan"]


def test_a_module_of_that_name_is_given_back(tmp_path: Path) -> None:
    """What somebody else imported under a repository's module name is there again afterwards."""
    root = write(tmp_path / "repo", shared_name_of_two=ENTITY.format(name="pump"))
    mine = sys.modules["shared_name_of_two"] = type(sys)("shared_name_of_two")
    path = list(sys.path)

    load(root)

    assert sys.modules.pop("shared_name_of_two") is mine
    assert sys.path == path


def test_hidden_folders_and_data_are_left_alone(tmp_path: Path) -> None:
    """A virtual environment or notebook checkpoints inside a repository are no definitions."""
    root = write(tmp_path / "repo", things=ENTITY.format(name="pump"))
    write(root / ".venv", broken="raise ValueError")
    write(root / "data", broken="raise ValueError")

    assert load(root).faults == ()


def test_a_module_that_wants_to_end_the_program_is_a_fault(tmp_path: Path) -> None:
    """`sys.exit(0)` in a definition must not pass for a plan without faults."""
    root = write(tmp_path / "repo", things="import sys\nsys.exit(0)\n", others=ENTITY.format(name="pump"))

    loaded = load(root)

    assert [fault.code for fault in loaded.faults] == ["LS-DEF-001"]
    assert len(loaded.declared) == 1


def test_a_syntax_error_is_shown_at_its_line(tmp_path: Path) -> None:
    """Not at the import that met it."""
    root = write(tmp_path / "repo", things="a = 1\nb = (\n")

    (fault,) = load(root).faults

    assert fault.code == "LS-DEF-001"
    assert fault.where.startswith("repo/things.py:2")


def test_an_error_deep_in_a_module_is_shown_where_it_happened(tmp_path: Path) -> None:
    """The innermost line of the repository, not of Feast."""
    text = "from feast import Entity\n\n\ndef make():\n    return Entity(name=5)\n\n\nmachine = make()\n"

    (fault,) = load(write(tmp_path / "repo", things=text)).faults

    assert fault.where == "repo/things.py:5"


@pytest.mark.parametrize(("name", "owner"), [("platform", "Python's own"), ("numpy", "package numpy")])
def test_names_of_others_are_refused(tmp_path: Path, name: str, owner: str) -> None:
    """Feast would import the other module and never see the file."""
    (fault,) = load(write(tmp_path / "repo", **{name: ENTITY.format(name="pump")})).faults

    assert fault.code == "LS-DEF-002"
    assert owner in fault.what
