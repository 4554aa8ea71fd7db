"""What is asked of a model and what it answers: scores, by whom each was given, and all it takes to explain them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.registry.records import Slot, ViewPin
from lineshaft.specs import Status
from lineshaft.tiles.keys import Keys, table_of

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a model: about whom, as of when (now unless said), and whether to say why.

    `vectors` (n x features, in the model's order) stand in the place of features that would be looked up. Whose they
    are is not known, so they are not remembered.
    """

    model: str
    keys: pa.Table | Keys
    at_us: NDArray[np.int64] | None = None
    why: bool = True
    vectors: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Scores of n entities in the order asked, and everything needed to explain them later.

    `scores` is NaN where the model refused: no input of the entity was present, or one that its service requires was
    not; so are its `contributions`. `statuses` is PRESENT where every input was, otherwise the worst status among the
    inputs (the model took those as missing). For a probability, `contributions` and `base` are log-odds; base +
    contributions sum to the score before the logistic function. `half_width` says how far the truth of an asset is from
    a score at most, nine times in ten; NaN where nobody knows. `stands_in_for` says which version should have answered,
    and why it did not. `parts` are rows that others answered for: their scores and statuses are here too, all else of
    them is in their part alone.
    """

    model: str
    number: int
    task: str
    service: str
    pins: tuple[ViewPin, ...]
    entities: pa.Table | Keys
    at_us: NDArray[np.int64]
    scores: NDArray[np.float64]
    statuses: NDArray[np.int8]
    features: tuple[str, ...]
    values: NDArray[np.float32]  # n x features, NaN where missing
    input_statuses: NDArray[np.int8]  # n x features
    ages_us: Mapping[str, NDArray[np.int64]]  # by view, -1 unknown
    contributions: NDArray[np.float64] | None = None  # n x features, where asked for
    base: float = math.nan
    half_width: float = math.nan
    degraded: bool = False
    stands_in_for: str = ""
    slot: Slot = Slot.CHAMPION
    parts: tuple[Part, ...] = ()

    @property
    def version(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"

    @property
    def keys(self) -> pa.Table:
        """Return the entities as an Arrow table."""
        return table_of(self.entities)

    @property
    def oldest_input_us(self) -> NDArray[np.int64]:
        """Return the age of each entity's oldest input, -1 where none is known."""
        ages = np.stack([np.asarray(age, dtype=np.int64) for age in self.ages_us.values()])
        oldest: NDArray[np.int64] = ages.max(axis=0)
        return oldest

    def top(self, row: int, *, count: int = 5) -> list[tuple[str, float, float]]:
        """Return the features that moved a score most: (name, value, contribution); none where it was not asked why."""
        if self.contributions is None or np.isnan(self.scores[row]):
            return []
        order = np.argsort(-np.abs(self.contributions[row]), kind="stable")[:count]
        return [(self.features[i], float(self.values[row, i]), float(self.contributions[row, i])) for i in order]

    def by_row(self) -> list[tuple[Predictions, int]]:
        """Return for each row who answered for it, and the row's place in that answer."""
        found = [(self, row) for row in range(len(self.scores))]
        for part in self.parts:
            for row, theirs in zip(np.flatnonzero(part.rows).tolist(), part.predictions.by_row(), strict=True):
                found[row] = theirs
        return found

    def newest_us(self, row: int) -> int:
        """Return the time of a row's newest input, or when it was asked about where none is known."""
        ages = [int(age[row]) for age in self.ages_us.values() if age[row] >= 0]
        return int(self.at_us[row]) - min(ages, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some rows of a question that another version than the first answered for, and its answer about them."""

    rows: NDArray[np.bool_]
    predictions: Predictions


def put_together(question: Question, answered: Sequence[Part]) -> Predictions:
    """Return answers about different rows of one question as one, in the order asked."""
    first, own = answered[0].predictions, answered[0].rows

    def wide(values: NDArray[Number], missing: float) -> NDArray[Number]:
        spread = np.full((len(own), *values.shape[1:]), missing, dtype=values.dtype)
        spread[own] = values
        return spread

    at_us, scores, statuses = wide(first.at_us, 0), wide(first.scores, math.nan), wide(first.statuses, 0)
    for part in answered[1:]:
        theirs = part.predictions
        at_us[part.rows], scores[part.rows], statuses[part.rows] = theirs.at_us, theirs.scores, theirs.statuses
    inner = [Part(rows=wide(part.rows, 0), predictions=part.predictions) for part in first.parts]
    return replace(
        first,
        entities=question.keys,
        at_us=at_us,
        scores=scores,
        statuses=statuses,
        values=wide(first.values, math.nan),
        input_statuses=wide(first.input_statuses, Status.NOT_FOUND),
        ages_us={view: wide(np.asarray(age), -1) for view, age in first.ages_us.items()},
        contributions=None if first.contributions is None else wide(first.contributions, math.nan),
        degraded=any(part.predictions.degraded for part in answered),
        stands_in_for=next((told for part in answered if (told := part.predictions.stands_in_for)), ""),
        parts=(*inner, *answered[1:]),
    )
