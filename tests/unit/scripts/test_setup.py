"""Setting up needs Python and nothing else, happens once, and says in words what is missing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what set-up reads into an empty folder."""
    for name in ("scripts/setup.py", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def load(checkout: Path) -> ModuleType:
    """Import the script of a checkout."""
    spec = importlib.util.spec_from_file_location("setup_of_checkout", checkout / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_set_up_checkout_is_left_alone_at_once(checkout: Path) -> None:
    """With a fitting stamp the script ends well under a second and touches nothing."""
    module = load(checkout)
    module.PYTHON.parent.mkdir(parents=True)
    module.PYTHON.symlink_to(sys.executable)
    module.STAMP.write_text(module.fingerprints(), encoding="utf-8")
    started = time.perf_counter()

    done = subprocess.run([sys.executable, str(checkout / "scripts" / "setup.py")], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_sets_up_again(checkout: Path, changed: str) -> None:
    """The stamp covers the lock and the project."""
    module = load(checkout)
    before = module.fingerprints()

    (checkout / changed).write_text("# changed\n", encoding="utf-8")

    assert module.fingerprints() != before


def test_an_old_python_is_told_what_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a supported Python the script names the versions and the packages to install."""
    module = load(checkout)
    monkeypatch.setattr(module, "SUPPORTED", ((2, 9), (4, 9)))

    assert module.main([]) == 1
    assert re.match(r"LS-ENV  Python 3\.11 or 3\.12 is needed; .*\n  fix: .*apt-get install", capsys.readouterr().err)


def test_a_machine_without_any_installer_is_told_what_to_do(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ensurepip, pip and uv the error names the Debian package that helps."""
    module = load(checkout)
    monkeypatch.setattr(module, "runs", lambda *_: False)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(module.SetupError, match=r"(?s)no installer.*python3\.1[12]-venv"):
        module.install_uv(LOCK)


def test_the_installer_comes_from_the_lock_with_its_hashes(checkout: Path) -> None:
    """The block of a package holds its version and all of its hashes, and nothing of its neighbours."""
    block = load(checkout).locked_block(LOCK, "uv")

    assert re.match(r"uv==\d+\.\d+\.\d+ \\\n", block)
    assert block.count("--hash=sha256:") > 1
    assert block.count("==") == 1


def test_every_package_of_the_lock_is_hashed() -> None:
    """No package of the lock goes without a hash, and none comes from an address or a folder."""
    packages = re.split(r"\n(?=[A-Za-z0-9])", LOCK[LOCK.index("\nalembic") :].strip())

    assert len(packages) > 100
    assert [package.splitlines()[0] for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in LOCK


def test_help_describes_every_target() -> None:
    """`make help` lists each target of the Makefile with a line of its own."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))

    told = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert {line.split()[1] for line in told.splitlines()} == targets
    assert all(len(line.split()) > 3 for line in told.splitlines())


def test_continuous_integration_runs_the_commands_of_the_readme() -> None:
    """The CI script is bash that fails early and calls the same targets a newcomer is told."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "set -euo pipefail" in script
    assert [line.split()[1] for line in script.splitlines() if line.startswith("make ")] == [
        "setup",
        "check",
        "demo",
        "test",
    ]
    assert script.count("--fail-on-skip") == 2
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
