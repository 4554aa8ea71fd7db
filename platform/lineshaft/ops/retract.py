"""Take back rows that were served before a checkpoint refused them."""

from __future__ import annotations

import pyarrow as pa

from lineshaft.specs import Status, View, row_identity
from lineshaft.stores.ports import OfflineStore, OnlineStore, Wanted

READ_S = 10.0
"""Patience of the one online read: a checkpoint is no request, and must not give up where a request would."""


def retract(view: View, refused: pa.Table, *, good: pa.Table, offline: OfflineStore, online: OnlineStore) -> int:
    """Where a refused row is served, serve the newest good row instead, or nothing where there is none.

    refused: rows with the view's join keys, `event_time` and `known_at`. good: the rows of the same batch that passed,
    which are not stored offline yet. An entity that is served another row by now (the stream runs ahead of the
    checkpoint) is left alone. Returns how many entities were put right.
    """
    names = [name for name, _ in view.entity_keys]
    keys = _served(view, refused, online).select(names)
    if not keys.num_rows:
        return 0
    online.remove(view, keys)
    for table in (*offline.latest(view), good):
        ours = table.join(keys, keys=names, join_type="left semi")
        if ours.num_rows:
            online.write(view, ours.select(table.column_names).cast(table.schema))
    return int(keys.num_rows)


def _served(view: View, refused: pa.Table, online: OnlineStore) -> pa.Table:
    """Return the identities (join keys, times) of the refused rows that lie online."""
    names = [name for name, _ in view.entity_keys]
    identity = row_identity(view)
    keys = refused.group_by(names).aggregate([]).select(names)
    if not keys.num_rows:
        return refused.select(identity)
    (found,) = online.read([Wanted(view=view, features=(), keys=keys)], timeout_s=READ_S)
    for name in ("event_time", "known_at"):
        keys = keys.append_column(name, found.rows[name])
    there = keys.filter(pa.array(found.status == Status.PRESENT))
    return there.join(refused.select(identity), keys=identity, join_type="left semi")
