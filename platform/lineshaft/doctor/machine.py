"""This machine: Python, packages, settings, disk, ports."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from pydantic import SecretStr

from lineshaft import __version__
from lineshaft.doctor.checks import Finding
from lineshaft.serving.addresses import host_and_port
from lineshaft.settings import Settings, misspelt

_VERSIONS = ((3, 11), (3, 12))
_SHOWN = ("numpy", "pyarrow", "grpcio", "deltalake", "redis")
_LITTLE_BYTES, _LEAST_BYTES = 2 << 30, 200 << 20
_CONNECT_S = 1.0


def python() -> Finding:
    """Tell whether this Python is one that is tested."""
    says = f"Python {sys.version.split()[0]}"
    if sys.version_info[:2] in _VERSIONS:
        return Finding(says=says)
    return Finding(state="fail", says=f"{says} is not tested", fix="use Python 3.11 or 3.12")


def packages(distribution: str = "lineshaft") -> Finding:
    """Tell whether what is required is installed, and in which versions."""
    wanted = [text for text in metadata.requires(distribution) or () if "extra ==" not in text]
    lacking = [name for text in wanted if not _installed(name := re.split(r"[^\w.-]", text, maxsplit=1)[0])]
    if lacking:
        return Finding(
            state="fail", says=f"not installed: {', '.join(lacking)}", fix=f"pip install {' '.join(lacking)}"
        )
    listed = ", ".join(f"{name} {metadata.version(name)}" for name in _SHOWN)
    return Finding(says=f"lineshaft {__version__}, {listed}")


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def configured(settings: Settings) -> Finding:
    """Tell which settings are set, secrets hidden, and which names in the environment are none."""
    unknown = misspelt()
    if unknown:
        says = f"no settings of ours: {', '.join(unknown)}"
        return Finding(state="warn", says=says, fix="see docs/reference/settings.md for how they are spelt")
    texts = [f"{name.upper()}={_plain(getattr(settings, name))}" for name in sorted(settings.model_fields_set)]
    return Finding(says=", ".join(texts) or "all as they come")


def _plain(value: object) -> str:
    return "…" if isinstance(value, SecretStr) else re.sub(r"//[^/@]*@", "//…@", str(value))


def disk(home: Path) -> Finding:
    """Tell whether there is room in the home, and whether it can be written."""
    place = next((folder for folder in (home, *home.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    says = f"{free / 1e9:.1f} GB free in {home}"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"lineshaft")
    except OSError as error:
        return Finding(state="fail", says=f"{home} cannot be written: {error.strerror}", fix="set LINESHAFT_HOME")
    if free < _LITTLE_BYTES:
        return Finding(state="fail" if free < _LEAST_BYTES else "warn", says=says, fix="make room")
    return Finding(says=says)


def ports(settings: Settings) -> Finding:
    """Tell which of the addresses to listen on are free, and which somebody listens on."""
    addresses = {"gRPC": settings.grpc_address, "admin page": settings.web_address}
    addresses |= {"Feast's HTTP": settings.http_address, "metrics": settings.metrics_address}
    taken = {name: listened_on(address) for name, address in addresses.items() if address}
    says = ", ".join(f"{name} {addresses[name]} {'in use' if used else 'free'}" for name, used in taken.items())
    if any(taken.values()) and not taken["gRPC"]:
        others = [name for name, used in taken.items() if used]
        fix = f"if no server of yours listens there, stop what does or name another address: {', '.join(others)}"
        return Finding(state="warn", says=says, fix=fix)
    return Finding(says=says)


def listened_on(address: str) -> bool:
    """Tell whether somebody listens on an address, `host:port` or `unix:path`."""
    if address.startswith("unix:"):
        return Path(address.removeprefix("unix:")).exists()
    host, port = host_and_port(address, setting="")
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S):
            return True
    except OSError:
        return False
