"""Which rows the offline store does not hold yet: what makes a batch that is sent again change nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.specs import View, row_identity
from lineshaft.stores.ports import OfflineStore


def unstored(view: View, rows: pa.Table, offline: OfflineStore) -> pa.Table:
    """Return the rows that are not stored, each version once, in the order given."""
    if not rows.num_rows:
        return rows
    identity = row_identity(view)
    places = rows.select(identity).append_column("place", pa.array(np.arange(rows.num_rows)))
    firsts = places.group_by(identity).aggregate([("place", "min")])
    span = pc.min_max(rows["event_time"].cast(pa.int64())).as_py()
    stored = list(
        offline.read_rows(
            view,
            features=(),
            start_us=span["min"] - 1,
            end_us=span["max"],
            assets=pc.unique(rows[identity[0]]).to_pylist(),
        )
    )
    if stored:
        known = pa.concat_tables(stored).select(identity)
        firsts = firsts.join(known, keys=identity, join_type="left anti")
    return rows.take(firsts["place_min"].combine_chunks().sort())
