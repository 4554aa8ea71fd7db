"""Take back rows that were served before a checkpoint refused them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.specs import View
from lineshaft.stores.ports import OfflineStore, OnlineStore


def retract(view: View, refused: pa.Table, *, offline: OfflineStore, online: OnlineStore) -> int:
    """Put the newest good row of each refused row's entity back online, or nothing where there is none.

    refused: rows with the view's join keys. Returns how many entities were put right.
    """
    names = [name for name, _ in view.entity_keys]
    keys = refused.group_by(names).aggregate([])
    if not keys.num_rows:
        return 0
    online.remove(view, keys.select(names))
    for table in offline.latest(view):
        ours = table.join(keys.select(names), keys=names, join_type="left semi") if names else table
        if ours.num_rows:
            online.write(view, ours.select(table.column_names).cast(table.schema))
    return int(pc.count(keys[names[0]]).as_py())
