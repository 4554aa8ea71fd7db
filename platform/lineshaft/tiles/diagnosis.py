"""Which part of a bearing the envelope spectrum points at, if any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.algebra import Floats

CLEAR = 10.0
"""A line counts from this many times the background on. The healthy CWRU record stays below 5."""

MARGIN = 3.0
"""It must also be this many times the strongest line of any other part; else several parts are equally suspect."""

PARTS = ("outer race", "inner race", "rolling element", "cage")
NOT_DETERMINED = "not determined"


def diagnose(ratios: list[Floats]) -> NDArray[np.object_]:
    """Name the part whose defect line stands out: ratios to background at bpfo, bpfi, bsf, then 2bsf, ftf if given.

    The part with the largest line (a rolling element strikes at its spin or at twice its spin) is named if that line is
    at least CLEAR times the background and MARGIN times the largest line of every other part. Otherwise "not
    determined", which covers healthy bearings too: no line is no proof of health. None where bpfo, bpfi or bsf is
    undefined.

    >>> bpfo, bpfi, bsf = np.array([617.0, 5.0, 11.0]), np.array([5.0, 269.0, 12.0]), np.array([24.0, 11.0, 16.0])
    >>> diagnose([bpfo, bpfi, bsf]).tolist()
    ['outer race', 'inner race', 'not determined']
    """
    bpfo, bpfi, bsf, *rest = ratios
    lines = np.zeros((len(PARTS), len(bpfo)))
    lines[0], lines[1] = bpfo, bpfi
    lines[2] = np.fmax(bsf, rest[0]) if rest else bsf
    if len(rest) > 1:
        lines[3] = np.fmax(rest[1], 0.0)
    undefined = np.isnan(bpfo) | np.isnan(bpfi) | np.isnan(bsf)
    ranked = np.sort(np.where(undefined, 0.0, lines), axis=0)
    clear = (ranked[-1] >= CLEAR) & (ranked[-1] >= MARGIN * ranked[-2])
    names = np.array([*PARTS, NOT_DETERMINED, None], dtype=object)
    strongest = np.where(undefined, 0.0, lines).argmax(axis=0)
    return np.asarray(names[np.where(undefined, len(PARTS) + 1, np.where(clear, strongest, len(PARTS)))])
