"""Commands about experiments: start, status, stop."""

from __future__ import annotations

import hashlib
from typing import Annotated

import typer

from lineshaft.cli.actor import acting
from lineshaft.cli.app import Json, app
from lineshaft.cli.outcomes import judging, predictions_of
from lineshaft.cli.output import show
from lineshaft.cli.promotion import unknown_model
from lineshaft.clock import moment
from lineshaft.errors import NotFoundError
from lineshaft.ops.trial import Trial, check_metric, standing_of
from lineshaft.outcomes.trials import TrialRule
from lineshaft.registry.records import Experiment, Slot
from lineshaft.wiring import Parts, connect

experiments = typer.Typer(
    no_args_is_help=True, help="Experiments: a challenger answers for some assets, and is judged."
)
app.add_typer(experiments, name="experiments")
Why = Annotated[str, typer.Option("--reason", help="Why, for whoever reads the history.")]


@experiments.command("start")
def start(
    model: str,
    reason: Why,
    share: Annotated[float, typer.Option(help="Of the assets, which the challenger answers for.")] = 0.1,
    metric: Annotated[str, typer.Option(help="brier, false_alarms or misses; lower is better.")] = "brier",
    effect: Annotated[float, typer.Option(help="A difference worth finding, in the metric's unit.")] = 0.02,
    alpha: Annotated[float, typer.Option(help="How often alike models may be told apart.")] = 0.05,
    min_assets: Annotated[int, typer.Option(help="In each arm, with outcomes, before anything is said.")] = 20,
    as_json: Json = False,
) -> None:
    """Let the challenger answer for a share of the assets, the same ones until the end; servers follow in a second."""
    TrialRule(effect=effect, alpha=alpha, min_assets=min_assets)
    with connect() as parts:
        place, now = parts.settings.project, parts.clock.now_us()
        held = {slot: parts.registry.held(model, place, slot) for slot in (Slot.CHAMPION, Slot.CHALLENGER)}
        numbers = {slot: one.number for slot, one in held.items() if one is not None}
        missing = next((slot for slot in held if slot not in numbers), None)
        if missing is not None:
            what = f"{model!r} has no {missing} in {place!r}"
            raise NotFoundError(what, fix=f"`lineshaft models promote {model}@N --slot {missing}`")
        wanted = Experiment(
            model=model,
            environment=place,
            champion=numbers[Slot.CHAMPION],
            challenger=numbers[Slot.CHALLENGER],
            unit="asset",
            salt=hashlib.sha256(f"{model}|{place}|{now}".encode()).hexdigest()[:16],
            weight_bp=round(share * 10_000),
            metric=check_metric(metric),
            effect=effect,
            alpha=alpha,
            min_assets=min_assets,
            started_us=now,
        )
        parts.registry.experiments.start(wanted, actor=acting(reason), reason=reason)
    show([_named(wanted)], title=f"experiment on {model}", as_json=as_json)


@experiments.command("status")
def status(model: str, as_json: Json = False) -> None:
    """Show every experiment on a model; of one that runs, what may be said of it now. Look as often as you like."""
    with connect() as parts:
        rows = []
        for one, ended in parts.registry.experiments.all_of(model):
            row = _named(one)
            if ended is None:
                row |= told_trial(trial_of(parts, one))
            else:
                row |= {"verdict": ended.verdict, "detail": ended.detail}
            rows.append({**row, "until": None if ended is None else moment(ended.ended_us)})
        if not rows and not parts.registry.versions(model):
            raise unknown_model(model)
    show(rows, title=f"experiments on {model}", as_json=as_json)


@experiments.command("stop")
def stop(model: str, reason: Why, as_json: Json = False) -> None:
    """Let the champion answer for all assets again, and keep the verdict as it stands."""
    with connect() as parts:
        running = parts.registry.experiments.running(model, parts.settings.project)
        if running is None:
            raise NotFoundError(f"no experiment on {model!r} runs", fix="`lineshaft experiments start`")
        told = told_trial(trial_of(parts, running))
        kept = {"verdict": str(told["verdict"]), "detail": str(told["detail"])}
        parts.registry.experiments.end(model, parts.settings.project, **kept, actor=acting(reason), reason=reason)
    show([{"experiment": running.salt, **told}], title=f"experiment on {model}", as_json=as_json)


def told_trial(trial: Trial) -> dict[str, object]:
    """Return how an experiment stands, in words."""
    one = trial.comparison
    assets = f"{one.champion_assets} and {one.challenger_assets} assets, {trial.matured:.0%} of predictions matured"
    if one.outcome == "too_few_assets":
        return {"verdict": one.outcome, "detail": assets}
    figures = f"difference {one.difference:+.4g} ({one.low:+.4g} to {one.high:+.4g}), evidence {one.evidence:.3g}"
    return {"verdict": one.outcome, "detail": f"{figures}; {assets}"}


def _named(one: Experiment) -> dict[str, object]:
    """Return what an experiment is, as `start` and `status` say it."""
    row: dict[str, object] = {"experiment": one.salt, "versions": f"{one.champion} and {one.challenger}"}
    return row | {"share": one.weight_bp / 10_000, "metric": one.metric, "since": moment(one.started_us)}


def trial_of(parts: Parts, one: Experiment) -> Trial:
    """Compare the arms by what is known now."""
    rule, log, at_us = judging(parts, one.model)
    return standing_of(one, predictions_of(parts, one.model), log, rule=rule, at_us=at_us)
