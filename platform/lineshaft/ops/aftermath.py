"""What became of a model's predictions: its log joined with the maintenance log, kept, and compared with last time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.events import known_events, usual_delay_us
from lineshaft.ops.model_file import ModelFile
from lineshaft.outcomes.episodes import EPISODE_SCHEMA, MOMENT, episodes
from lineshaft.outcomes.figures import changes
from lineshaft.outcomes.states import Rule
from lineshaft.stores.whole_files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """Every episode of a model's predictions as of a moment, the rule they were judged by, and what is new since."""

    episodes: pa.Table
    rule: Rule
    at_us: int
    changed: dict[str, int]


def alerting(declared: ModelFile) -> ModelFile:
    """Return the declaration of a model that says whether a failure comes.

    Raises
    ------
    InputError
        If this one does not: there is no alert to judge.
    """
    if not declared.log or not declared.horizon_us:
        what = f"model {declared.name!r} raises no alerts of failures in a maintenance log"
        raise InputError(what, fix="judge a binary model, whose label names `log` and `horizon`")
    return declared


def rule_of(declared: ModelFile, log: pa.Table, *, at_us: int, lag_us: int | None = None) -> Rule:
    """Return the rule by which a model is judged; the lag is that of 95 % of failures known, unless given."""
    rule = Rule(horizon_us=declared.horizon_us, alarm=declared.alert or AlarmRule())
    return replace(rule, lag_us=usual_delay_us(log, at_us=at_us) if lag_us is None else lag_us)


def judge_all(predictions: pa.Table, log: pa.Table, *, rule: Rule, at_us: int, kept: Path | None = None) -> Aftermath:
    """Judge what may be judged at a moment.

    kept: the file of the last time, with which this is compared and which it then replaces; None looks only. The same
    predictions and entries make the same file, and nothing has changed.
    """
    table = episodes(predictions, known_events(log, at_us=at_us), rule=rule, at_us=at_us)
    changed: dict[str, int] = {}
    if kept is not None:
        before = pq.read_table(kept) if kept.is_file() else EPISODE_SCHEMA.empty_table()
        changed = changes(before, table)
        write_whole(table, kept)
    return Aftermath(episodes=table, rule=rule, at_us=at_us, changed=changed)


def proxies(predictions: pa.Table, *, rule: Rule, at_us: int, by: str) -> list[dict[str, object]]:
    """Return what can be said of predictions before anything is known of them, by period, version and role.

    Levels of scores, the share that passes the threshold, the share with an input that was stale or missing, and the
    share that may be judged: a shift here says that something changed, not that the model is wrong.
    """
    if not len(predictions):
        return []
    asked = predictions["asked_at"].cast(MOMENT)
    score, threshold = predictions["score"], rule.alarm.threshold
    passes = pc.less_equal(score, threshold) if rule.alarm.below else pc.greater_equal(score, threshold)
    table = pa.table(
        {
            by: pc.strftime(pc.floor_temporal(asked, unit=by), format="%Y-%m-%d"),
            "version": predictions["version"],
            "role": pc.fill_null(predictions["role"], "champion")
            if "role" in predictions.column_names
            else pa.array(["champion"] * len(predictions)),
            "score": score,
            "alerting": pc.cast(passes, pa.float64()),
            "unwell": pc.cast(pc.not_equal(predictions["status"], 0), pa.float64()),
            "matured": pc.cast(pc.less_equal(asked.cast(pa.int64()), at_us - rule.matures_us), pa.float64()),
        }
    )
    spread = pc.TDigestOptions([0.5, 0.95])
    means = [(name, "mean") for name in ("score", "alerting", "unwell", "matured")]
    told = table.group_by([by, "version", "role"], use_threads=False)
    told = told.aggregate([("score", "count"), ("score", "tdigest", spread), *means])
    rows = []
    for row in told.sort_by([(by, "ascending"), ("version", "ascending"), ("role", "ascending")]).to_pylist():
        middle, high = row["score_tdigest"]
        shares = {"alerting": row["alerting_mean"], "inputs_amiss": row["unwell_mean"], "matured": row["matured_mean"]}
        levels = {"scored": row["score_count"], "mean": row["score_mean"], "median": middle, "high": high}
        rows.append({by: row[by], "version": row["version"], "slot": row["role"], **levels, **shares})
    return rows
