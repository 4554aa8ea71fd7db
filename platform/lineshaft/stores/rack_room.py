"""The racks of a reader: one for each set of views that is asked for together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lineshaft.stores.racks import Rack

_MOST_RACKS = 16

Of = tuple[tuple[bytes, tuple[str, ...]], ...]
"""What a rack is of: the prefix of each view and the features asked for."""


class RackRoom:
    """Racks by what they are of; where there are too many all go."""

    def __init__(self, *, most_rows: int) -> None:
        self._most_rows = most_rows
        self._racks: dict[Of, Rack] = {}

    def of(self, of: Of) -> Rack:
        """Return the rack of some views."""
        rack = self._racks.get(of)
        if rack is None:
            if len(self._racks) >= _MOST_RACKS:
                self._racks.clear()
            rack = self._racks[of] = Rack(tuple(features for _, features in of), most=self._most_rows)
        return rack

    def doubt(self, prefix: bytes, keys: Sequence[bytes]) -> None:
        """Take entities of one view as no longer fresh."""
        for of, rack in self._racks.items():
            if _holds(of, prefix):
                rack.doubt(keys)

    def doubt_all(self) -> None:
        """Take everything as no longer fresh."""
        for rack in self._racks.values():
            rack.doubt()


def _holds(of: Iterable[tuple[bytes, tuple[str, ...]]], prefix: bytes) -> bool:
    return any(prefix == own for own, _ in of)
