"""Whom a model can be asked about: the entities that rows are online of."""

from __future__ import annotations

import pyarrow as pa

from lineshaft.serving.features import Plan
from lineshaft.specs import View
from lineshaft.stores.ports import OnlineStore


def widest(plan: Plan) -> View:
    """Return the view with most join keys: of whom it has rows, all others can be asked."""
    return max(plan.views, key=lambda view: len(view.entity_keys))


def known_entities(plan: Plan, online: OnlineStore) -> pa.Table:
    """Return the keys of all rows of a plan's widest view that are online, each once, in order."""
    view = widest(plan)
    names = [name for name, _ in view.entity_keys]
    parts = [batch.select(names) for batch in online.scan(view)]
    if not parts:
        return pa.table({})
    return pa.concat_tables(parts).group_by(names).aggregate([]).sort_by([(name, "ascending") for name in names])
