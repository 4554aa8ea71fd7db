"""Bearing defect orders agree with published numbers."""

from __future__ import annotations

import pytest

from lineshaft.errors import InputError
from lineshaft.specs.bearings import Bearing

ANCHORS = [
    # geometry, shaft Hz, BPFO, BPFI, FTF, BSF (Hz)
    ("9,0.3126,1.537,0", 1.0, 3.5848, 5.4152, 0.3983, 2.3567),  # SKF 6205, per revolution
    ("8,2,12,15", 25.0, 83.9012, 116.0988, 10.4877, 73.0562),  # MATLAB bearingFaultBands
    ("8,0.235,1.245,0", 25.0, 81.1245, 118.8755, 10.1406, 63.864),  # MFPT, NICE
    ("16,0.331,2.815,15.17", 100 / 3, 236.40, 296.93, 14.775, 139.92),  # IMS, ZA-2115
    ("13,3.5,25.6,0", 30.0, 168.34, 221.66, 12.949, 107.66),  # FEMTO
]


@pytest.mark.parametrize(("text", "shaft_hz", "bpfo", "bpfi", "ftf", "bsf"), ANCHORS)
def test_defect_lines_match_the_published_anchor(
    text: str, shaft_hz: float, bpfo: float, bpfi: float, ftf: float, bsf: float
) -> None:
    """Five published bearings come out to the digits printed."""
    bearing = Bearing.parse(text)

    found = [shaft_hz * order for order in (bearing.bpfo, bearing.bpfi, bearing.ftf, bearing.bsf)]

    assert found == pytest.approx([bpfo, bpfi, ftf, bsf], rel=5e-5)
    assert bearing.bpfo + bearing.bpfi == pytest.approx(bearing.elements)
    assert Bearing.parse(bearing.text) == bearing


@pytest.mark.parametrize(
    "text", ["", "9,1,2", "9,1,2,0,5", "nine,1,2,0", "9.5,1,2,0", "0,1,2,0", "9,3,2,0", "9,nan,2,0", "9,1,2,90"]
)
def test_impossible_geometry_is_refused_with_a_fix(text: str) -> None:
    """A geometry that cannot turn says so and shows how to write one."""
    with pytest.raises(InputError) as caught:
        Bearing.parse(text)

    assert "9,0.3126,1.537,0" in caught.value.fix
