"""What came of served vectors that were made again: counts, and the mismatches one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs import Recipe, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One value that was not served as it is made again; `feature` is a view's name where its row or age is meant."""

    service: str
    request_id: str
    place: int
    served_at: str
    entity: dict[str, Any]
    feature: str
    served: Any
    recomputed: Any


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of some served vectors: one vector is one entity of one answer."""

    vectors: int = 0
    values: int = 0  # compared
    differing: int = 0  # values, statuses and ages that differ
    missing: int = 0  # rows that were served and should be offline by now
    waiting: int = 0  # rows that are not offline yet
    quarantined: int = 0  # rows that a checkpoint took back since
    degraded: int = 0  # vectors
    behind: int = 0  # vectors of which a newer row was known, and had not reached the server
    most: int = 100  # mismatches told one by one
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Tell whether nothing differs and nothing is missing."""
        return not (self.differing or self.missing)

    def __add__(self, other: Tally) -> Tally:
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Tally(most=self.most, mismatches=[*self.mismatches, *other.mismatches][: self.most], **counts)

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}

    def tell(
        self,
        recipe: Recipe,
        rows: pa.Table,
        places: NDArray[np.intp],
        feature: str,
        served: Sequence[Any] | NDArray[Any] | Judged,
        recomputed: Sequence[Any] | NDArray[Any] | Judged,
    ) -> None:
        """List mismatches at some places of the log's rows, as many as are wanted."""
        for at in places[: self.most - len(self.mismatches)].tolist():
            row = rows.slice(at, 1)
            self.mismatches.append(
                Mismatch(
                    service=recipe.service.name,
                    request_id=row["request_id"][0].as_py(),
                    place=row["place"][0].as_py(),
                    served_at=str(row["served_at"][0].as_py()),
                    entity=row["keys"][0].as_py(),
                    feature=feature,
                    served=_plain(served[at]),
                    recomputed=_plain(recomputed[at]),
                )
            )


_COUNTS = ("vectors", "values", "differing", "missing", "waiting", "quarantined", "degraded", "behind")


class Judged:
    """Values with their statuses, as they are told."""

    def __init__(self, column: pa.ChunkedArray, status: NDArray[np.int8]) -> None:
        self._column, self._status = column, status

    def __getitem__(self, at: int) -> str:
        value, status = self._column[at].as_py(), Status(int(self._status[at]))
        return repr(value) if status == Status.PRESENT else f"{value!r} ({status.name})"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
