"""Commands about what happened after predictions: outcomes."""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, show
from lineshaft.cli.serve import moment_us
from lineshaft.cli.web import alert_book
from lineshaft.clock import moment
from lineshaft.definitions.words import duration_option
from lineshaft.ops.aftermath import Aftermath, alerting, judge_all, proxies, rule_of
from lineshaft.ops.model_file import model_file
from lineshaft.ops.predictions import read_predictions
from lineshaft.ops.tables import read_table
from lineshaft.outcomes.figures import Figures, Share, figures, over_time
from lineshaft.outcomes.findings import with_findings
from lineshaft.outcomes.states import Rule, State
from lineshaft.wiring import Parts, connect

DAY_S = 86_400.0
COLUMNS = ("prediction_id", "asset_id", "asked_at", "version", "role", "score", "status")
"""What is read of the log: of a month of it, these fit into memory."""


@app.command()
def outcomes(
    model: Annotated[str, typer.Argument(help="A binary model that was served.")],
    at: Annotated[str, typer.Option(help="As it was known at this moment (ISO); nothing is kept then.")] = "",
    by: Annotated[Literal["", "week", "month"], typer.Option(help="A row for each of these.")] = "",
    pending: Annotated[bool, typer.Option(help="What the scores alone say, while outcomes are pending.")] = False,
    lag: Annotated[str, typer.Option(help="How long reports take; that of 95 % of failures unless said.")] = "",
    as_json: Json = False,
) -> None:
    """Judge a model by what happened: alerts, misses, precision, recall and lead, and the share that may be judged."""
    with connect() as parts:
        found = run_outcomes(parts, model, at=at, lag=lag)
        if pending:
            told = predictions_of(parts, model)
            show(proxies(told, rule=found.rule, at_us=found.at_us, by=by or "week"), title="scores", as_json=as_json)
            return
    rows = over_time(found.episodes, by=by) if by else [figure_row(one) for one in figures(found.episodes)]
    rule = found.rule
    title = (
        f"{model} at {moment(found.at_us)}: horizon {rule.horizon_us / 1e6 / DAY_S:.3g} d, "
        f"reports within {rule.lag_us / 1e6 / DAY_S:.3g} d, alert at {rule.alarm.threshold:g}"
    )
    show(rows, title=title, as_json=as_json)
    if not as_json:
        for move, count in found.changed.items():
            console.print(f"{count:,} episodes: {move}")


def run_outcomes(parts: Parts, model: str, *, at: str = "", lag: str = "") -> Aftermath:
    """Judge a model's predictions as of a moment; as of now, and keep what was found."""
    rule, log, at_us = judging(parts, model, at=at, lag=lag)
    kept = None if at else parts.settings.home / "outcomes" / f"{model}.parquet"
    return judge_all(predictions_of(parts, model), log, rule=rule, at_us=at_us, kept=kept)


def judging(parts: Parts, model: str, *, at: str = "", lag: str = "") -> tuple[Rule, pa.Table, int]:
    """Return by what a model is judged: its rule, its log of what happened, and the moment."""
    declared = alerting(model_file(parts.settings.repo, model))
    at_us = moment_us(at) if at else parts.clock.now_us()
    with alert_book(parts) as book:
        log = with_findings(read_table(declared.log, parts.tables), book.findings(model=model), model=model)
    return rule_of(declared, log, at_us=at_us, lag_us=_lag_us(lag)), log, at_us


def _lag_us(lag: str) -> int | None:
    return duration_option(lag, option="--lag", like="7d") if lag else None


def predictions_of(parts: Parts, model: str) -> pa.Table:
    """Return what the log has of a model, without the inputs."""
    return read_predictions(parts.settings.home / "predictions", model, columns=COLUMNS)


def figure_row(one: Figures) -> dict[str, object]:
    """Return the figures of a version as a row to show."""
    counts = {str(state): one.counts[state] for state in State}
    return {
        "version": one.version,
        "slot": one.slot,
        "precision": told_share(one.precision),
        "if_untold_wrong": one.floor,
        "if_untold_right": one.ceiling,
        "recall": one.recall,
        "lead_days": one.lead_s / DAY_S,
        "matured": one.matured,
        **counts,
    }


def told_share(share: Share) -> str:
    """Return a share with its interval, as people read it."""
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}) of {share.of}" if share.of else "unknown"
