"""What the newest rows of a view hold: the share of nulls and the distribution of each feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from lineshaft.specs import View, row_schema
from lineshaft.stores.ports import OfflineStore
from lineshaft_governance.web.svg import Axis, bars

DAY_US = 86_400_000_000
MOST_ROWS = 200_000
STEPS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one feature holds: nulls and, of numbers, how often values fall between edges; the tails beside them."""

    nulls: float
    quantiles: Mapping[str, float]
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    outside: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"nulls": self.nulls, "quantiles": dict(self.quantiles), "outside": self.outside, "steps": self.steps()}

    def steps(self) -> list[dict[str, Any]]:
        """Return one row a step of the distribution."""
        pairs = zip(self.edges, self.edges[1:], self.counts, strict=False)
        return [{"from": low, "to": high, "rows": count} for low, high, count in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the newest rows of a view hold, from when on, and when its newest row was."""

    rows: int
    from_us: int
    at_us: int
    features: Mapping[str, Held]


def profile(offline: OfflineStore, view: View, newest_us: int) -> Profile:
    """Count the rows of the last day that there are rows of, at most MOST_ROWS of them."""
    from_us, tables, rows = newest_us - DAY_US, [], 0
    for part in offline.read_rows(view, start_us=from_us):
        tables.append(part)
        rows += part.num_rows
        if rows >= MOST_ROWS:
            break
    table = pa.concat_tables(tables) if tables else row_schema(view).empty_table()
    features = {name: held(table[name]) for name in view.feature_names}
    return Profile(rows=rows, from_us=from_us, at_us=newest_us, features=features)


def held(column: pa.ChunkedArray) -> Held:
    """Count one column.

    >>> held(pa.chunked_array([[1.0, None, 2.0, 3.0]])).nulls
    0.25
    """
    nulls = column.null_count / len(column) if len(column) else 0.0
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return Held(nulls=nulls, quantiles={})
    values = np.asarray(pc.drop_null(column.cast(pa.float64())).to_numpy())
    values = values[np.isfinite(values)]
    if not len(values):
        return Held(nulls=nulls, quantiles={})
    shares = (0.005, 0.05, 0.5, 0.95, 0.995)
    low, five, middle, most, high = (float(one) for one in np.quantile(values, shares))
    counts, edges = np.histogram(values, bins=STEPS, range=(low, high) if high > low else (low - 0.5, low + 0.5))
    return Held(
        nulls=nulls,
        quantiles={"min": float(values.min()), "5%": five, "50%": middle, "95%": most, "max": float(values.max())},
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        outside=len(values) - int(counts.sum()),
    )


def histogram(found: Held, *, unit: str, name: str) -> Markup | None:
    """Draw the distribution of a feature; nothing where it has none."""
    if not found.counts:
        return None
    across = Axis.of_numbers(found.edges[0], found.edges[-1], unit or "value")
    return bars(found.counts, across=across, title=f"How the values of {name} are distributed")
