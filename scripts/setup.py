"""Make `.venv` hold exactly what `requirements.lock` names, and this project, editable.

Standard library only: it runs on a machine that has nothing but Python, and on an interpreter too old for the
product it still says so in words. A stamp in the environment makes the second run take well under a second.

    python3 scripts/setup.py            # what every make target calls first
    python3 scripts/setup.py --force    # install again although the stamp fits
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
LOCK = ROOT / "requirements.lock"
MADE_FROM = ("requirements.lock", "pyproject.toml")
STAMP = VENV / ".lineshaft-stamp"
QUIET_S = 10
SUPPORTED = ((3, 11), (3, 12))


class SetupError(Exception):
    """Say what this machine lacks and how to mend it."""

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(f"LS-ENV  {what}\n  fix: {fix}")


def main(arguments: list[str]) -> int:
    """Set the environment up unless its stamp fits; return the exit code."""
    try:
        use_supported_interpreter()
        if "--force" not in arguments and stamped(STAMP) == fingerprints():
            return 0
        install()
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        fix = "read the lines above; `make clean && make setup` starts afresh"
        sys.stderr.write(f"LS-ENV  exit code {error.returncode} from: {command}\n  fix: {fix}\n")
        return 1
    return 0


def install() -> None:
    """Create the environment, fill it from the lock, stamp it and say what it cost."""
    started, received = time.perf_counter(), received_bytes()
    locked = LOCK.read_text(encoding="utf-8")
    say(f"setting up {VENV.name} with Python {sys.version.split()[0]}: once, some minutes, then never again")
    STAMP.unlink(missing_ok=True)
    if not runs(PYTHON, "-c", f"import sys; sys.exit(sys.version_info[:2] not in {SUPPORTED})"):
        create_environment()
    if not UV.exists() or version_of_uv() != locked_version(locked, "uv"):
        say("1/3 the installer")
        install_uv(locked)
    count = len(re.findall(r"^[A-Za-z0-9][\w.-]*==", locked, flags=re.MULTILINE))
    say(f"2/3 up to {count} packages from {LOCK.name}, each checked by its hash")
    # Always with --python: without it uv fills whatever environment it finds first.
    uv_install = [str(UV), "pip", "install", "--quiet", "--python", str(PYTHON)]
    run([*uv_install, "--require-hashes", "--no-deps", "--compile-bytecode", "-r", str(LOCK)])
    say("3/3 lineshaft itself, editable")
    run([*uv_install, "--no-deps", "--editable", str(ROOT)])
    STAMP.write_text(fingerprints(), encoding="utf-8")
    seconds, downloaded = time.perf_counter() - started, (received_bytes() - received) / 1e6
    say(f"ready in {seconds:.0f} s, {downloaded:,.0f} MB received, {folder_megabytes(VENV):,.0f} MB on disk")


def use_supported_interpreter() -> None:
    """Go on in a Python this product supports, or say that there is none."""
    if sys.version_info[:2] in SUPPORTED:
        return
    for major, minor in SUPPORTED:
        other = shutil.which(f"python{major}.{minor}")
        if other and runs(Path(other)):
            os.execv(other, [other, *sys.argv])  # noqa: S606  the same script, no shell
    raise SetupError(
        f"Python 3.11 or 3.12 is needed; this is {sys.version.split()[0]} and no other was found on PATH",
        fix="install one (Debian: sudo apt-get install python3 python3-venv) or name it: make setup PYTHON=…",
    )


def create_environment() -> None:
    """Create the virtual environment; without its own pip where Debian left `ensurepip` out."""
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("venv") is None:
        raise SetupError("this Python has no `venv` module", fix=apt_fix())
    pip = [] if importlib.util.find_spec("ensurepip") else ["--without-pip"]
    run([sys.executable, "-m", "venv", *pip, str(VENV)])


def install_uv(locked: str) -> None:
    """Put the locked uv into the environment with whichever installer this machine has."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "uv.txt"
        wanted.write_text(locked_block(locked, "uv"), encoding="utf-8")
        options = ["--require-hashes", "--no-deps", "-r", str(wanted)]
        if runs(PYTHON, "-m", "pip", "--version"):
            run([str(PYTHON), "-m", "pip", "install", "--quiet", *options])
        elif runs(Path(sys.executable), "-m", "pip", "--version"):
            run([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", *options])
        elif shutil.which("uv"):
            run(["uv", "pip", "install", "--python", str(PYTHON), *options])
        else:
            raise SetupError("no installer: this Python has neither `ensurepip` nor `pip`", fix=apt_fix())


def apt_fix() -> str:
    """Name the Debian packages that complete this interpreter."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"sudo apt-get install python{version}-venv (or python3-pip), then run make again"


def locked_block(locked: str, name: str) -> str:
    """Return the lines of the lock that pin one package with its hashes."""
    block = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*", locked, flags=re.MULTILINE)
    if block is None:
        raise SetupError(f"{LOCK.name} does not pin {name}", fix="make lock")
    return f"{block.group()}\n"


def locked_version(locked: str, name: str) -> str:
    """Return the version the lock pins."""
    return locked_block(locked, name).split("==")[1].split()[0]


def version_of_uv() -> str:
    """Return the version of the environment's uv, empty when it does not run."""
    answer = subprocess.run([str(UV), "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.split()[1] if answer.returncode == 0 else ""


def fingerprints() -> str:
    """Return what the environment is made from: the lock and the project."""
    return "".join(f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in MADE_FROM)


def stamped(stamp: Path) -> str:
    """Return what the environment says it was made from, empty when it says nothing."""
    return stamp.read_text(encoding="utf-8") if stamp.exists() and PYTHON.exists() else ""


def received_bytes() -> int:
    """Return the bytes this machine has received from outside, 0 where the kernel does not say."""
    table = Path("/proc/net/dev")
    lines = table.read_text(encoding="utf-8").splitlines()[2:] if table.exists() else []
    return sum(int(line.split(":")[1].split()[0]) for line in lines if not line.lstrip().startswith("lo:"))


def folder_megabytes(folder: Path) -> float:
    """Return the size of a folder's files."""
    return sum(entry.lstat().st_size for entry in folder.rglob("*")) / 1e6


def runs(program: Path, *arguments: str) -> bool:
    """Tell whether a program starts and is content."""
    command = [str(program), *(arguments or ("--version",))]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str]) -> None:
    """Run a command, showing what it prints and, while it is quiet, how far the download has come."""
    received = received_bytes()
    process = subprocess.Popen(command, cwd=ROOT)
    while True:
        try:
            code = process.wait(timeout=QUIET_S)
        except subprocess.TimeoutExpired:
            say(f"    {(received_bytes() - received) / 1e6:,.0f} MB received")
        else:
            break
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
