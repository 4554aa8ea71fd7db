"""Where kernel numbers become Arrow rows: NaN turns into null here, and only here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.specs import View, row_schema
from lineshaft.tiles.timeline import Emitted


def rows_table(view: View, keys: Mapping[str, Any], emitted: Emitted) -> pa.Table:
    """Return emitted row versions of one entity as feature rows (`row_schema(view)`)."""
    schema = row_schema(view)
    count = len(emitted.tick_us)
    columns: list[pa.Array] = [pa.array([keys[name]] * count, schema.field(name).type) for name, _ in view.entity_keys]
    columns += [pa.array(times).cast(schema.field("event_time").type) for times in (emitted.tick_us, emitted.known_us)]
    for i in range(len(view.features)):
        column = np.ascontiguousarray(emitted.values[:, i])
        columns.append(pa.array(column, mask=np.isnan(column)))
    return pa.Table.from_arrays(columns, schema=schema)
