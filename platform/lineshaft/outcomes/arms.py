"""Which asset belongs to which arm of an experiment: by hash, so everyone who asks says the same, for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WHOLE_BP = 10_000
"""A share of everything, in basis points."""


def place(salt: str, asset: str) -> int:
    """Return an asset's place in 0 to 9,999, another with each experiment's salt.

    >>> place("spring", "pump-7"), place("autumn", "pump-7")
    (3395, 2527)
    """
    return int(hashlib.sha256(f"{salt}|{asset}".encode()).hexdigest()[:8], 16) % WHOLE_BP


def challenged(assets: Sequence[str], *, salt: str, weight_bp: int) -> NDArray[np.bool_]:
    """Tell which assets are the challenger's; a larger share keeps those it had."""
    return np.array([place(salt, asset) < weight_bp for asset in assets], dtype=bool)
