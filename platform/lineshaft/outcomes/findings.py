"""What people found of alerts, as entries of a maintenance log: so feedback is judged like any other record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from lineshaft.outcomes.episodes import MOMENT
from lineshaft.registry.alerts import AlertFinding, Answer

KINDS: Mapping[Answer, str] = {
    Answer.CONFIRMED: "inspection_damage",
    Answer.FALSE: "inspection_ok",
    Answer.UNKNOWN: "inspection",
}
"""The kind of a maintenance log's entry that says the same."""


def entries(found: Sequence[AlertFinding]) -> pa.Table:
    """Return findings as entries of a maintenance log: those of one alert are versions of one record.

    >>> told = {"alert": "a1", "model": "m", "asset_id": "p", "looked_us": 5, "said_us": 9, "said_by": "ana"}
    >>> one = AlertFinding(answer=Answer.FALSE, **told)
    >>> entries([one])["kind"].to_pylist(), entries([one])["work_order"].to_pylist()
    (['inspection_ok'], ['alert a1'])
    """
    return pa.table(
        {
            "asset_id": pa.array([one.asset_id for one in found], pa.string()),
            "event_time": pa.array([one.looked_us for one in found], pa.int64()).cast(MOMENT),
            "known_at": pa.array([one.said_us for one in found], pa.int64()).cast(MOMENT),
            "kind": pa.array([KINDS[one.answer] for one in found], pa.string()),
            "work_order": pa.array([f"alert {one.alert}" for one in found], pa.string()),
        }
    )


def with_findings(log: pa.Table, found: Sequence[AlertFinding], *, model: str) -> pa.Table:
    """Return a maintenance log with what was found of a model's alerts beside it."""
    found = [one for one in found if one.model == model]
    if not found:
        return log
    names = [name for name in ("asset_id", "event_time", "known_at", "kind", "work_order") if name in log.column_names]
    kept = log.select(names)
    if "known_at" not in names:
        kept = kept.append_column("known_at", log["event_time"])
    for name in ("event_time", "known_at"):
        kept = kept.set_column(kept.column_names.index(name), name, kept[name].cast(MOMENT))
    plain = {"asset_id": pa.string(), "kind": pa.string(), "work_order": pa.string()}
    for name, kind in plain.items():
        if name in kept.column_names:
            kept = kept.set_column(kept.column_names.index(name), name, kept[name].cast(kind))
    return pa.concat_tables([kept, entries(found)], promote_options="default")
