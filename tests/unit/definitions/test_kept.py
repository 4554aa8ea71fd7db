"""What was kept of a repository gives the answer that importing everything gives, whatever was changed meanwhile."""

from __future__ import annotations

import importlib
import platform
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("feast")
from lineshaft.definitions import kept as kept_module
from lineshaft.definitions.kept import KeptDefinitions
from lineshaft.definitions.loader import load
from lineshaft.definitions.reader import Definitions, compile_repository

GENERATED: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "generated_repository.py"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository of four teams with two engineers each."""
    GENERATED["write"](tmp_path / "repo", engineers=2, views=2)
    return tmp_path / "repo"


@pytest.fixture
def kept(tmp_path: Path) -> KeptDefinitions:
    """Return a folder where nothing is kept yet."""
    return KeptDefinitions(tmp_path / "kept")


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the repository's modules that were imported, as they are."""
    names: list[str] = []
    real = importlib.import_module

    def told(name: str) -> Any:
        names.append(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", told)
    return names


def both(root: Path, kept: KeptDefinitions) -> tuple[Definitions, Definitions]:
    """Return what is declared by what is kept, and by importing all of it."""
    by_kept, by_import = (compile_repository(load(root, kept=one)) for one in (kept, None))
    return by_kept, by_import


def said(definitions: Definitions) -> tuple[Any, ...]:
    """Return everything that definitions say."""
    places = {key: (one.where, one.value) for key, one in definitions.places.items()}
    return definitions.views, definitions.on_demand, definitions.services, definitions.faults, places


def append(path: Path, text: str) -> None:
    """Write at the end of a file."""
    path.write_text((path.read_text() if path.exists() else "") + text)


def circle(root: Path) -> None:
    """Write two files that import each other."""
    append(root / "left.py", "import right\n" + FAN.format(name="left"))
    append(root / "right.py", "import left\n" + FAN.format(name="right"))


FAN = 'from feast import Entity, ValueType\n{name} = Entity(name="{name}", value_type=ValueType.STRING, owner="a@x")\n'
EDITS: dict[str, Callable[[Path], object]] = {
    "a view": lambda root: GENERATED["change"](root, "process", "e01", 1),
    "what many import": lambda root: append(root / "entities.py", "\n"),
    "a team's source": lambda root: (root / "process/sources.py").write_text(
        (root / "process/sources.py").read_text().replace("[bar]", "[kPa]")
    ),
    "a line more above": lambda root: (root / "process/e00.py").write_text(
        "\n" + (root / "process/e00.py").read_text()
    ),
    "a file more": lambda root: append(root / "fans.py", FAN.format(name="fan")),
    "a file less": lambda root: (root / "turbofan/e01.py").unlink(),
    "a file renamed": lambda root: (root / "turbofan/e01.py").rename(root / "turbofan/e02.py"),
    "a name bound again elsewhere": lambda root: append(
        root / "zed.py", "from process.e00 import process_e00_0\nagain = process_e00_0\n"
    ),
    "bound again in a file that is read first": lambda root: append(
        root / "aaa.py", "from process.e00 import process_e00_0\nagain = process_e00_0\n"
    ),
    "another file's object altered": lambda root: append(
        root / "zed.py", "from process.e00 import process_e00_0\nprocess_e00_0.tags['team'] = 'zed'\n"
    ),
    "altered by a file that is read first": lambda root: append(
        root / "aaa.py", "from process.e00 import process_e00_0\nprocess_e00_0.owner = 'aaa'\n"
    ),
    "altered without an import": lambda root: append(
        root / "zed.py", "import sys\nsys.modules['process.e00'].process_e00_0.owner = 'zed'\n"
    ),
    "a fault": lambda root: append(root / "process/e00.py", "1 / 0\n"),
    "no Python": lambda root: append(root / "process/e00.py", "b = (\n"),
    "a circle": circle,
    "a package": lambda root: append(root / "process/__init__.py", FAN.format(name="whole")),
    "relative": lambda root: append(
        root / "process/near.py", "from .sources import readings as near\n" + FAN.format(name="near_fan")
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_kept_says_what_an_import_says(root: Path, kept: KeptDefinitions, edit: str) -> None:
    """After each edit, at once and again, and when it is taken back."""
    before = {path: path.read_bytes() for path in root.rglob("*.py")}
    compile_repository(load(root, kept=kept))

    EDITS[edit](root)
    for _ in range(2):
        by_kept, by_import = both(root, kept)
        assert said(by_kept) == said(by_import)

    for path in [path for path in root.rglob("*.py") if path not in before]:
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    by_kept, by_import = both(root, kept)
    assert said(by_kept) == said(by_import)
    assert by_kept.faults == ()


def test_what_did_not_change_is_not_imported(root: Path, kept: KeptDefinitions, imported: list[str]) -> None:
    """Nothing changed: nothing is imported; one view: its file, and what that imports; a shared file: all on it."""
    load(root, kept=kept)
    imported.clear()

    load(root, kept=kept)
    assert imported == []

    GENERATED["change"](root, "process", "e01", 1)
    load(root, kept=kept)
    assert sorted(imported) == ["entities", "process.e01", "process.sources"]

    imported.clear()
    append(root / "process" / "sources.py", "\n")
    load(root, kept=kept)
    assert sorted(imported) == ["entities", "process.e00", "process.e01", "process.sources"]


@pytest.mark.parametrize(
    "text",
    [
        "import os\nname = os.sep\n",
        "from pathlib import Path\nnames = Path(__file__)\n",
        "names = open('/dev/null').read()\n",
        "from datetime import datetime\nnow = datetime.now()\n",
        "import yaml\n",
        "from feast import FeatureStore\n",
    ],
)
def test_what_may_read_more_than_texts_is_imported_each_time(
    root: Path, kept: KeptDefinitions, imported: list[str], text: str
) -> None:
    """Files, clocks, the environment and other packages may say another thing tomorrow; so may all that rests on it."""
    append(root / "far.py", text + FAN.format(name="fan"))
    append(root / "rests.py", "import far\n" + FAN.format(name="rest"))
    load(root, kept=kept)
    imported.clear()

    load(root, kept=kept)

    assert sorted(imported) == ["far", "rests"]


def test_what_gets_at_modules_unnamed_keeps_nothing(root: Path, kept: KeptDefinitions, imported: list[str]) -> None:
    """It may have changed any of them."""
    append(root / "wild.py", "import importlib\n")
    load(root, kept=kept)
    count = len(imported)
    imported.clear()

    load(root, kept=kept)

    assert len(imported) == count


def test_what_is_torn_altered_or_of_another_reader_is_not_used(
    root: Path, kept: KeptDefinitions, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cut off, one digit turned, and another version of Feast or of ours: all is imported again."""
    load(root, kept=kept)
    (path,) = kept.folder.iterdir()
    whole, count = path.read_text(), len(imported)
    for spoilt in (whole[:-9], whole.replace("hours", "days", 1) + " ", "", "\n{}", "[]\n[]"):
        path.write_text(spoilt)
        imported.clear()
        load(root, kept=kept)
        assert len(imported) == count

    imported.clear()
    load(root, kept=kept)
    assert imported == []
    monkeypatch.setattr(kept_module, "reader_versions", lambda: "another Feast")
    load(root, kept=kept)
    assert len(imported) == count


def of_python(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    """Run another Python."""
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")


def of_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install another version of something."""
    (tmp_path / "site" / "feast-99.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Change a reader of ours."""
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "loader.py").write_text("another")
    monkeypatch.setattr(kept_module, "_READERS", tmp_path / "readers")


@pytest.mark.parametrize("another", [of_python, of_a_package, of_ours])
def test_what_another_reader_kept_is_not_used(
    root: Path,
    kept: KeptDefinitions,
    imported: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    another: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    """Another Python, package or reader of ours: all is imported once more, and then known."""
    kept_module.reader_versions.cache_clear()
    load(root, kept=kept)
    count = len(imported)
    imported.clear()

    another(monkeypatch, tmp_path)
    kept_module.reader_versions.cache_clear()
    load(root, kept=kept)
    assert len(imported) == count
    load(root, kept=kept)
    assert len(imported) == count
    kept_module.reader_versions.cache_clear()


def test_a_folder_that_cannot_be_written_costs_no_answer(root: Path, tmp_path: Path) -> None:
    """Nothing is kept, and everything is imported."""
    (tmp_path / "full").write_text("")

    found = load(root, kept=KeptDefinitions(tmp_path / "full" / "kept"))

    assert len(found.declared) == len(load(root).declared)
    assert "process.e00" not in sys.modules
