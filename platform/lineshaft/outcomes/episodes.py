"""Predictions as what people meet: alerts, failures without one, and stretches of quiet; each judged once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule, Watch
from lineshaft.models.events import FAR, FATE, Events, Finding, Ints
from lineshaft.outcomes.states import ORDER, Rule, State, judge

MOMENT = pa.timestamp("us", tz="UTC")
EPISODE_SCHEMA = pa.schema(
    [
        pa.field("episode_id", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # model@number
        pa.field("slot", pa.string(), nullable=False),
        pa.field("asset_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # "alert", "event" (a failure, or damage found), "quiet"
        pa.field("start", MOMENT, nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("after_s", pa.float64()),  # from the start to what decided it: of a true positive, the lead
        pa.field("matures", MOMENT, nullable=False),  # from when on it may be judged
    ]
)
NEEDED = ("asset_id", "asked_at", "version", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The predictions of one asset by one version in one slot, in order of time."""

    version: str
    slot: str
    asset: str
    times: Ints
    raised: Ints  # when an alert began
    warned: Ints  # when one was on

    @property
    def silent(self) -> Ints:
        """Return the times of predictions without an alert."""
        return np.setdiff1d(self.times, self.warned, assume_unique=True)


def tracks(predictions: pa.Table, *, rule: AlarmRule) -> Iterator[Track]:
    """Split predictions (`asset_id`, `asked_at`, `version`, `score`, perhaps `role`) by version, slot and asset.

    Raises
    ------
    InputError
        If a column is missing: what is not of an asset cannot be judged by what happened to one.
    """
    missing = [name for name in NEEDED if name not in predictions.column_names]
    if missing:
        raise InputError(f"the predictions have no column {missing[0]!r}", fix="judge a model of assets")
    if "role" not in predictions.column_names:  # of before there were others
        predictions = predictions.append_column("role", pa.array(["champion"] * len(predictions)))
    scored = predictions.filter(pc.is_valid(predictions["score"])).select([*NEEDED, "role"])
    scored = scored.set_column(4, "role", pc.fill_null(scored["role"], "champion"))
    names = scored.group_by(["version", "role", "asset_id"]).aggregate([])
    names = names.sort_by([("version", "ascending"), ("role", "ascending"), ("asset_id", "ascending")])
    codes = {tuple(row.values()): number for number, row in enumerate(names.to_pylist())}
    keys = zip(*(scored[name].to_pylist() for name in ("version", "role", "asset_id")), strict=True)
    code = np.array([codes[key] for key in keys], dtype=np.int64)
    times = np.asarray(scored["asked_at"].cast(MOMENT).cast(pa.int64()).to_numpy(), dtype=np.int64)
    scores = np.asarray(scored["score"].to_numpy())
    order = np.lexsort((times, code))
    ends = np.searchsorted(code[order], np.arange(len(names)), side="right")
    for (version, slot, asset), begin, end in zip(codes, [0, *ends[:-1]], ends, strict=False):
        mine = order[begin:end]
        watch = Watch(rule=rule)
        told = [watch.offer(at, score) for at, score in zip(times[mine].tolist(), scores[mine].tolist(), strict=True)]
        is_on = np.isin(told, ("raised", "open"))
        yield Track(
            version=version,
            slot=slot,
            asset=str(asset),
            times=np.unique(times[mine]),
            raised=times[mine][np.array(told) == "raised"],
            warned=times[mine][is_on],
        )


def openings(times: Ints, *, apart_us: int) -> Ints:
    """Return the times that open an episode: the first, and each first one this far after the last opening.

    >>> openings(np.array([0, 1, 5, 6, 30]), apart_us=5).tolist()
    [0, 5, 30]
    """
    found, place = [], 0
    while place < len(times):
        found.append(times[place])
        place = int(np.searchsorted(times, times[place] + apart_us))
    return np.array(found, dtype=np.int64)


def episodes(predictions: pa.Table, events: Events, *, rule: Rule, at_us: int) -> pa.Table:
    """Return every episode of the predictions known at a moment, judged, in `EPISODE_SCHEMA`.

    Alerts of an asset within a horizon of one are that one. A failure (or damage found) is an event: a true positive if
    any alert was on before it, within the horizon and since the asset's fate last changed, a false negative if it was
    watched without one; not the model's business if no prediction precedes it. A horizon without alert is quiet.
    """
    asked = predictions["asked_at"].cast(MOMENT).cast(pa.int64()) if len(predictions) else pa.array([], pa.int64())
    known = predictions.filter(pc.less_equal(asked, at_us))
    of = list(tracks(known, rule=rule.alarm)) if len(known) else []
    alerts, quiet = [], []
    for track in of:
        alerts.append(openings(track.raised, apart_us=rule.horizon_us))
        calm = openings(track.silent, apart_us=rule.horizon_us)
        disturbed = np.searchsorted(track.warned, calm) < np.searchsorted(track.warned, calm + rule.horizon_us)
        quiet.append(calm[~disturbed])
    parts = [
        EPISODE_SCHEMA.empty_table(),
        _claims(of, "alert", alerts, events, rule=rule, at_us=at_us),
        # A failure in a quiet stretch is counted once, as the event that it is.
        _claims(of, "quiet", quiet, events, rule=rule, at_us=at_us, without=State.FALSE_NEGATIVE),
        _found(of, events, rule=rule, at_us=at_us),
    ]
    return pa.concat_tables(parts).sort_by([("start", "ascending"), ("episode_id", "ascending")])


def _claims(
    of: list[Track],
    kind: str,
    starts: list[Ints],
    events: Events,
    *,
    rule: Rule,
    at_us: int,
    without: State | None = None,
) -> pa.Table:
    """Return alerts or quiet stretches, judged."""
    owners, times = _flat(starts)
    assets = pa.chunked_array([[of[owner].asset for owner in owners]], pa.string())
    judged = judge(assets, times, np.full(len(times), kind == "alert"), events=events, rule=rule, at_us=at_us)
    states = [ORDER[code] for code in judged.states]
    is_told = (judged.decided_us < FAR) & (judged.states != ORDER.index(State.PENDING))
    after = np.where(is_told, (judged.decided_us - times) / 1e6, np.nan)
    table = _table(of, kind, owners, times, states, matures=times + rule.matures_us, after=after)
    return table if without is None else table.filter(pc.not_equal(table["state"], str(without)))


def _found(of: list[Track], events: Events, *, rule: Rule, at_us: int) -> pa.Table:
    """Return the failures and the damage found of watched assets, each warned of or missed."""
    turns_of, bad_of = events.times_by_asset(FATE), events.times_by_asset((Finding.FAILED, Finding.DAMAGED))
    parts, states = [], []
    for track in of:
        starts = bad_of.get(track.asset, np.empty(0, dtype=np.int64))
        turns = turns_of.get(track.asset, starts)
        last = np.append(-FAR, turns)[np.searchsorted(turns, starts)]
        since = np.maximum(starts - rule.horizon_us, last)
        preceded = np.searchsorted(track.times, since) < np.searchsorted(track.times, starts)
        warned = np.searchsorted(track.warned, since) < np.searchsorted(track.warned, starts)
        parts.append(starts[preceded])
        states += [State.TRUE_POSITIVE if one else State.FALSE_NEGATIVE for one in warned[preceded].tolist()]
    owners, times = _flat(parts)
    ripe = (times + rule.lag_us <= at_us).tolist()
    told = [state if is_ripe else State.PENDING for state, is_ripe in zip(states, ripe, strict=True)]
    return _table(of, "event", owners, times, told, matures=times + rule.lag_us, after=np.full(len(times), np.nan))


def _flat(parts: list[Ints]) -> tuple[list[int], Ints]:
    """Return the times of all, and whose each is."""
    owners = [owner for owner, part in enumerate(parts) for _ in range(len(part))]
    return owners, np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _table(
    of: list[Track],
    kind: str,
    owners: list[int],
    starts: Ints,
    states: list[State],
    *,
    matures: Ints,
    after: NDArray[np.float64],
) -> pa.Table:
    """Return episodes as rows; the id is of what they are, so a repetition makes the same."""
    mine = [of[owner] for owner in owners]
    names = [f"{one.version}|{one.slot}|{one.asset}|{kind}" for one in mine]
    ids = [
        hashlib.sha256(f"{name}|{at}".encode()).hexdigest()[:32]
        for name, at in zip(names, starts.tolist(), strict=True)
    ]
    columns = [
        pa.array(ids, pa.string()),
        pa.array([one.version for one in mine], pa.string()),
        pa.array([one.slot for one in mine], pa.string()),
        pa.array([one.asset for one in mine], pa.string()),
        pa.array([kind] * len(starts), pa.string()),
        pa.array(starts).cast(MOMENT),
        pa.array([str(state) for state in states], pa.string()),
        pa.array(after, mask=np.isnan(after)),
        pa.array(matures).cast(MOMENT),
    ]
    return pa.Table.from_arrays(columns, schema=EPISODE_SCHEMA)
