"""The proof, on the user's own data: oracle = backfill = stream = online = training, bit for bit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.ops.training_set import training_set
from lineshaft.registry.catalog_values import Catalog
from lineshaft.specs import BLOCK_SCHEMA, Status, View, row_schema
from lineshaft.stores.ports import OfflineStore, OnlineStore, Wanted
from lineshaft.tiles.answer import Answer, answer_view
from lineshaft.tiles.comparison import Comparison, compare_rows, differing_values

PATIENT_S = 30.0
"""A proof reads every entity at once; it is in no hurry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One path held against the oracle for one view."""

    path: str
    view: str
    result: Comparison
    quarantined: bool = False  # rows that a checkpoint held back: equal, but neither served nor trained on


def stored_blocks(view: View, offline: OfflineStore, *, assets: Sequence[str] = ()) -> pa.Table:
    """Return the raw blocks a view is computed from."""
    return pa.concat_tables([BLOCK_SCHEMA.empty_table(), *offline.read_blocks(view.source, assets=assets)])


def stored_rows(view: View, offline: OfflineStore, *, assets: Sequence[str] = ()) -> pa.Table:
    """Return every row version of a view."""
    tables = list(offline.read_rows(view, assets=assets))
    return pa.concat_tables([row_schema(view).empty_table(), *tables])


def check_offline(
    view: View, offline: OfflineStore, oracle: pa.Table, *, path: str, assets: Sequence[str] = ()
) -> Check:
    """Compare all stored row versions with the oracle's."""
    ours = stored_rows(view, offline, assets=assets)
    return Check(path=path, view=view.name, result=compare_rows(view, ours, oracle))


def check_online(view: View, online: OnlineStore, oracle: pa.Table, *, path: str) -> Check:
    """Compare what an online read returns for every entity with the oracle's newest rows."""
    expected = newest(view, oracle)
    keys = expected.select([name for name, _ in view.entity_keys])
    wanted = Wanted(view=view, features=view.feature_names, keys=keys)
    (found,) = online.read([wanted], timeout_s=PATIENT_S)
    ours = keys
    for name in row_schema(view).names[len(view.entity_keys) :]:
        ours = ours.append_column(name, found.rows[name])
    ours = ours.filter(pa.array(found.status == Status.PRESENT))  # who is not there is missing, not null
    return Check(path=path, view=view.name, result=compare_rows(view, ours.cast(row_schema(view)), expected))


def check_training(view: View, offline: OfflineStore, oracle: pa.Table) -> Check:
    """Ask point in time at every moment something became known, and compare with what the oracle knew then."""
    keys = [name for name, _ in view.entity_keys]
    asked, expected = known_then(view, oracle)
    at_us = np.asarray(asked["known_at"].cast(pa.int64()).to_numpy(), dtype=np.int64)
    wanted = Wanted(view=view, features=view.feature_names, keys=asked.select(keys))
    start, differing, missing = 0, 0, 0
    for part in offline.as_of(wanted, at_us):
        stop = start + part.rows.num_rows
        ours = answer_view(view, view.feature_names, part.rows, part.status, at_us[start:stop])
        truth_part = expected.slice(start, stop - start)
        everything = np.full(stop - start, fill_value=1, dtype=np.int8)
        judged = answer_view(view, view.feature_names, truth_part, everything, at_us[start:stop])
        missing += int((part.status != 1).sum())
        differing += int((ours.status != judged.status).sum())
        differing += sum(differing_values(ours.columns[n], judged.columns[n]) for n in view.feature_names)
        start = stop
    result = Comparison(
        rows=asked.num_rows,
        values=start * len(view.features),
        missing=missing + asked.num_rows - start,
        extra=0,
        differing=differing,
    )
    return Check(path="training", view=view.name, result=result)


def check_served(catalog: Catalog, offline: OfflineStore, service: str, *, entities: pa.Table, served: Answer) -> Check:
    """Compare an answer that was served with the training set's answer for the same entities and moment."""
    chunks = list(training_set(catalog, offline, service, entities))
    start, differing = 0, 0
    for chunk in chunks:
        stop = start + chunk.entities.num_rows
        differing += int((chunk.answer.status != served.status[start:stop]).sum())
        for name in chunk.answer.columns.column_names:
            theirs = served.columns[name].slice(start, stop - start)
            differing += differing_values(chunk.answer.columns[name], theirs)
        start = stop
    result = Comparison(
        rows=entities.num_rows,
        values=start * len(served.columns.column_names),
        missing=entities.num_rows - start,
        extra=0,
        differing=differing,
    )
    return Check(path="served", view=service, result=result)


def newest(view: View, rows: pa.Table) -> pa.Table:
    """Return the newest row of each entity by (event_time, known_at)."""
    best: dict[tuple[Any, ...], tuple[tuple[int, int], int]] = {}
    for place, (key, times) in enumerate(_identities(view, rows)):
        if key not in best or times > best[key][0]:
            best[key] = (times, place)
    return rows.take(pa.array([place for _, place in best.values()], pa.int64()))


def known_then(view: View, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return (entity rows that ask at each known time, the row that was newest then), place by place."""
    by_entity: dict[tuple[Any, ...], list[tuple[int, int, int]]] = defaultdict(list)
    for place, (key, (event, known)) in enumerate(_identities(view, rows)):
        by_entity[key].append((known, event, place))
    asked: list[int] = []
    answers: list[int] = []
    for versions in by_entity.values():
        versions.sort()
        best = (-1, -1, -1)
        for i, (known, event, place) in enumerate(versions):
            best = max(best, (event, known, place))
            if i + 1 == len(versions) or versions[i + 1][0] > known:
                asked.append(place)
                answers.append(best[2])
    take = pa.array(asked, pa.int64()), pa.array(answers, pa.int64())
    return rows.take(take[0]), rows.take(take[1])


def total(checks: Iterable[Check]) -> Comparison:
    """Add up the counts of checks."""
    result = Comparison(rows=0, values=0, missing=0, extra=0, differing=0)
    for check in checks:
        result = result + check.result
    return result


def set_aside(checks: Iterable[Check]) -> int:
    """Count the quarantined rows that were held to the oracle by themselves."""
    return sum(check.result.rows for check in checks if check.quarantined)


def _identities(view: View, rows: pa.Table) -> list[tuple[tuple[Any, ...], tuple[int, int]]]:
    keys = zip(*(rows[name].to_pylist() for name, _ in view.entity_keys), strict=True)
    times = zip(*(rows[name].cast(pa.int64()).to_pylist() for name in ("event_time", "known_at")), strict=True)
    return list(zip(keys, times, strict=True))
