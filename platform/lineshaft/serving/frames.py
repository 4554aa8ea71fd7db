"""What a caller gets back: columns with their statuses and ages, as Arrow, pandas or Polars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.rpc.v1 import features_pb2
from lineshaft.serving import convert

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFrame:
    """Entity rows with their features, as one table; beside it what each value is worth and how old it is."""

    table: pa.Table
    statuses: Mapping[str, NDArray[np.int8]]
    """`Status` of each value, by feature column."""
    ages: Mapping[str, NDArray[np.int64]]
    """Age of each row's features in microseconds, by view; -1 where there is no row."""
    view_versions: Mapping[str, str]
    served_at_us: int = 0
    degraded: bool = False

    def to_arrow(self) -> pa.Table:
        """Return the table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as pandas (needs pandas)."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return the table as Polars (needs polars)."""
        return _polars(self.table)


class FeatureStream:
    """A training set on its way: iterate over its parts while they come, or gather all of it. It can be read once."""

    def __init__(self, parts: Iterator[FeatureFrame]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[FeatureFrame]:
        return self._parts

    def to_arrow(self) -> pa.Table:
        """Return the whole table."""
        return pa.concat_tables([part.table for part in self._parts])

    def to_pandas(self) -> pd.DataFrame:
        """Return the whole table as pandas (needs pandas)."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return the whole table as Polars (needs polars)."""
        return _polars(self.to_arrow())


def frame_from(entities: pa.Table, reply: features_pb2.GetFeaturesResponse) -> FeatureFrame:
    """Return an answer, in any encoding, beside the entities it was asked for."""
    rows = reply.rows
    if reply.names:
        names, arrays, statuses = list(reply.names), convert.blocks_from(reply), convert.cells_from(reply)
    elif reply.batch:
        answered = convert.arrow_from(reply.batch)
        names, arrays = answered.column_names, answered.columns
        statuses = convert.statuses_from(names, reply.statuses, rows)
    else:
        names = [column.name for column in reply.columns]
        arrays = [convert.column_from(column, rows) for column in reply.columns]
        statuses = convert.statuses_from(names, reply.columns, rows)
    return FeatureFrame(
        table=pa.Table.from_arrays([*entities.columns, *arrays], [*entities.column_names, *names]),
        statuses=statuses,
        ages=convert.ages_from(reply.views),
        view_versions={view.name: view.version for view in reply.views},
        served_at_us=reply.served_at_us,
        degraded=reply.degraded,
    )


def part_from(reply: features_pb2.GetTrainingSetResponse) -> FeatureFrame:
    """Return one part of a training set."""
    part = convert.arrow_from(reply.batch)
    return FeatureFrame(
        table=part,
        statuses=convert.statuses_from(reply.columns, reply.statuses, part.num_rows),
        ages=convert.ages_from(reply.views),
        view_versions={view.name: view.version for view in reply.views},
    )


def _polars(table: pa.Table) -> pl.DataFrame:
    import polars as pl  # an optional part, needed by nobody else here

    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()
