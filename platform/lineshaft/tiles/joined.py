"""What a store found of several views for the same entities, side by side: judged together, not view by view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.sheet import Sheet, beside


class Joined:
    """Rows of m views for n entities.

    `sheet` holds the features of all views in order, `status` (int8, m x n) and `event_us` (int64, m x n) what stands
    behind each row. `whole` says that every row is PRESENT; who asks it need not look at the statuses.
    """

    __slots__ = ("event_us", "sheet", "status", "whole")

    def __init__(
        self, *, sheet: Sheet, status: NDArray[np.int8], event_us: NDArray[np.int64], whole: bool | None = None
    ) -> None:
        self.sheet = sheet
        self.status = status
        self.event_us = event_us
        self.whole = bool((status == PRESENT).all()) if whole is None else whole


def join(parts: Sequence[tuple[Sheet, NDArray[np.int8], Sequence[str]]]) -> Joined:
    """Put side by side what was found of each view.

    parts: rows with `event_time` and the features, one row an entity and null where nothing was found; the status of
    each row; the features asked for. One part at least.
    """
    sheets = [(features, rows.pick(features)) for rows, _, features in parts]
    events = [rows.integers("event_time") for rows, _, _ in parts]
    return Joined(sheet=beside(sheets), status=np.stack([status for _, status, _ in parts]), event_us=np.stack(events))
