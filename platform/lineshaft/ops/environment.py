"""What this process computes with: versions of the libraries that decide bits, and one digest of all packages."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import distributions

DECIDING = ("lineshaft", "numpy", "scipy", "pyarrow", "xgboost-cpu", "xgboost")
"""Packages whose version may change a training set or an artifact."""


def environment() -> dict[str, str]:
    """Return the versions that decide bits: Python's, the machine's kind, and the packages'."""
    there = packages()
    told = {name: there[name] for name in DECIDING if name in there}
    return {"python": platform.python_version(), "machine": platform.machine(), **told}


def packages_sha256() -> str:
    """Return the SHA-256 of every installed package with its version: the lock as it was installed."""
    lines = [f"{name}=={version}" for name, version in sorted(packages().items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def packages() -> dict[str, str]:
    """Return installed packages and their versions."""
    return {one.metadata["Name"].lower(): one.version for one in distributions() if one.metadata["Name"]}
