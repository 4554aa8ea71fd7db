"""Bearing geometry and the defect frequencies that follow from it.

Fixed outer race, turning inner race, no slip (Harris, "Rolling Bearing Analysis", 4th ed., ch. 8; the same
formulas are printed by MATLAB's `bearingFaultBands`). With n rolling elements of diameter d on the pitch diameter D
under contact angle b, and r = d/D cos b, in orders (multiples of the shaft's speed):

BPFO = n/2 (1 - r)   BPFI = n/2 (1 + r)   FTF = 1/2 (1 - r)   BSF = D/(2d) (1 - r^2)

BSF is the spin of an element: a defect on it strikes both races, so look at 2 x BSF too. Real lines lie 1-2 % off
because elements slip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lineshaft.errors import InputError

_FIX = 'write "elements,element diameter,pitch diameter,contact angle in degrees", e.g. "9,0.3126,1.537,0"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """A rolling bearing: its defect frequencies in orders of the shaft.

    `diameter` and `pitch` are in one unit, whichever; `angle_deg` is the contact angle.

    >>> skf_6205 = Bearing.parse("9,0.3126,1.537,0")
    >>> [round(x, 4) for x in (skf_6205.bpfo, skf_6205.bpfi, skf_6205.ftf, skf_6205.bsf)]
    [3.5848, 5.4152, 0.3983, 2.3567]
    >>> matlab = Bearing(elements=8, diameter=2, pitch=12, angle_deg=15)
    >>> [round(25 * x, 4) for x in (matlab.bpfo, matlab.bpfi, matlab.ftf, matlab.bsf)]
    [83.9012, 116.0988, 10.4877, 73.0562]
    """

    elements: int
    diameter: float
    pitch: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a geometry that cannot turn.

        Raises
        ------
        InputError
            If an element does not fit on the pitch circle, or a number is not finite.
        """
        numbers = (self.diameter, self.pitch, self.angle_deg)
        turns = self.elements > 0 and all(map(math.isfinite, numbers)) and 0 < self.diameter < self.pitch
        if not turns or abs(self.angle_deg) >= 90:
            raise InputError(f"no bearing has the geometry {self.text!r}", fix=_FIX)

    @staticmethod
    def parse(text: str) -> Bearing:
        """Read "n,d,D,angle_deg".

        >>> Bearing.parse("13,3.5,25.6,0").elements
        13

        Raises
        ------
        InputError
            If the text holds anything but four numbers, the first a count, or the geometry is impossible.
        """
        try:
            elements, diameter, pitch, angle = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InputError(f"cannot read the bearing geometry {text!r}", fix=_FIX) from error
        if not elements.is_integer():
            raise InputError(f"a bearing has a whole number of elements, not {elements}", fix=_FIX)
        return Bearing(elements=int(elements), diameter=diameter, pitch=pitch, angle_deg=angle)

    @property
    def text(self) -> str:
        """Write the geometry as `parse` reads it.

        >>> Bearing.parse("9,0.3126,1.537,0").text
        '9,0.3126,1.537,0'
        """
        return f"{self.elements},{self.diameter:.12g},{self.pitch:.12g},{self.angle_deg:.12g}"

    @property
    def ratio(self) -> float:
        """Return r = d/D cos b."""
        return self.diameter / self.pitch * math.cos(math.radians(self.angle_deg))

    @property
    def bpfo(self) -> float:
        """Return the ball-pass order of the outer race.

        >>> round(29.95 * Bearing.parse("9,0.3126,1.537,0").bpfo, 2)  # SKF 6205 at 1797 rpm
        107.36
        """
        return self.elements / 2 * (1 - self.ratio)

    @property
    def bpfi(self) -> float:
        """Return the ball-pass order of the inner race.

        >>> round(25 * Bearing.parse("8,0.235,1.245,0").bpfi, 4)  # MFPT, NICE bearing
        118.8755
        """
        return self.elements / 2 * (1 + self.ratio)

    @property
    def ftf(self) -> float:
        """Return the order of the cage.

        >>> round(25 * Bearing.parse("8,0.235,1.245,0").ftf, 4)  # the MFPT files store 14.8375, which is wrong
        10.1406
        """
        return (1 - self.ratio) / 2

    @property
    def bsf(self) -> float:
        """Return the order of a rolling element's spin (half of what CWRU prints).

        >>> round(30 * Bearing.parse("13,3.5,25.6,0").bsf, 2)  # FEMTO at 1800 rpm
        107.66
        """
        return self.pitch / (2 * self.diameter) * (1 - self.ratio**2)
