"""Commands about drift: drift check, report, calibrate, triggers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import pyarrow as pa
import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.experiments import trial_of
from lineshaft.cli.output import console, notes, show, underway
from lineshaft.cli.serve import moment_us
from lineshaft.cli.training import run_training
from lineshaft.cli.web import stopped_by_signal
from lineshaft.clock import moment
from lineshaft.definitions.words import duration_option
from lineshaft.drift.replay import Replayed, baselines_of, replay
from lineshaft.drift.rows import rows_of, times_of
from lineshaft.errors import InputError, LineshaftError, NotFoundError
from lineshaft.ops.account import account
from lineshaft.ops.drift_check import Checked, check
from lineshaft.ops.drift_loop import DriftLoop, Hands
from lineshaft.ops.governance import Governance
from lineshaft.ops.model_file import ModelFile, model_file
from lineshaft.ops.model_release import promote_judged
from lineshaft.registry.drifts import DriftBook, Trigger, drift_book
from lineshaft.registry.records import Slot
from lineshaft.wiring import Parts, connect, governance, policy_of
from lineshaft.wiring.drifting import champion_sketch, drift_sources, run_report

drift = typer.Typer(no_args_is_help=True, help="Drift: what models are asked with, beside what they were trained on.")
app.add_typer(drift, name="drift")
Models = Annotated[list[str] | None, typer.Argument(help="Models to look at; all that have a champion.")]
At = Annotated[str, typer.Option(help="As of this moment (ISO); now unless said.")]
EVERY = "Go on, so often (1h), until stopped (Ctrl-C or SIGTERM)."


@drift.command("check")
def check_command(
    models: Models = None,
    at: At = "",
    every: Annotated[str, typer.Option(help=EVERY)] = "",
    as_json: Json = False,
) -> None:
    """Compare the newest window of every champion with its training set; diagnose what stands, and act as policy says.

    What is found is kept for the admin page and for `lineshaft drift triggers`. Exit code 3 where an alarm stands.
    """
    every_s = _seconds(every)
    stopping = stopped_by_signal() if every_s else None
    with connect() as parts, governance(parts) as checks:
        while True:
            began = time.monotonic()
            at_us = moment_us(at) if at else parts.clock.now_us()
            found = list(check_all(parts, checks, models or [], at_us=at_us))
            show([_row(one) for one in found], title=f"drift at {moment(at_us)}", as_json=as_json)
            if stopping is None or stopping.wait(max(every_s - (time.monotonic() - began), 0.0)):
                break
    if not every_s and any(one.window.standing for one in found):
        raise typer.Exit(3)


@drift.command("triggers")
def triggers_command(
    model: Annotated[str, typer.Argument(help="Of this model only.")] = "",
    standing: Annotated[bool, typer.Option(help="Only those that stand.")] = False,
    as_json: Json = False,
) -> None:
    """Show what stands behind alarms, what was done about it, and what was not and why; newest first."""
    with connect() as parts:
        book = drift_book(parts.registry, parts.settings.project)
        rows = [line for one in book.triggers(model, standing=standing) for line in _trail(book, one)]
    show(rows, title="triggers", as_json=as_json)


@drift.command("report")
def report_command(
    model: Annotated[str, typer.Argument(help="A model that has a champion.")],
    at: At = "",
    every: Annotated[str, typer.Option(help=EVERY)] = "",
    as_json: Json = False,
) -> None:
    """Have Evidently draw what moved furthest, on a sample of rows, beside our figures; once, or as a review."""
    every_s = _seconds(every)
    stopping = stopped_by_signal() if every_s else None
    with connect() as parts, governance(parts) as checks:
        while True:
            with underway(f"drawing the drift of {model}"):
                lines, path = run_report(parts, checks, model, at_us=moment_us(at) if at else parts.clock.now_us())
            show(lines, title=f"drift of {model}", as_json=as_json)
            notes.print(f"Evidently's report: {path}")
            if stopping is None or stopping.wait(every_s):
                break


@drift.command("calibrate")
def calibrate_command(
    model: Annotated[str, typer.Argument(help="A model that is trained: its columns and its baselines are used.")],
    since: Annotated[str, typer.Option("--from", help="Of history known to be healthy, the start (ISO).")] = "",
    until: Annotated[str, typer.Option(help="And its end.")] = "",
    baseline: Annotated[float, typer.Option(help="The share of it, from its start, that is the baseline.")] = 0.5,
    every: Annotated[str, typer.Option(help="How often a check would be made.")] = "1h",
    as_json: Json = False,
) -> None:
    """Replay checks over healthy history and say how many alarms would have been raised, all of them false.

    Do this before alarms are switched on: on your own machines, with the policy as it is.
    """
    every_us = duration_option(every, option="--every", like="1h")
    with connect() as parts, governance(parts) as checks, underway(f"replaying the history of {model}"):
        found = run_calibration(
            parts,
            checks,
            model,
            stretch=(moment_us(since) if since else None, moment_us(until) if until else None),
            share=baseline,
            every_us=every_us,
        )
    row = {
        "model": model,
        "checks": found.checks,
        "with_a_finding": found.found,
        "false_alarms": len(found.alarms),
        "asset_months": found.asset_months,
        "per_asset_and_month": found.per_asset_month,
    }
    show([row], title="what would have been raised", as_json=as_json)
    if not as_json:
        for one in found.alarms[:20]:
            told = ", ".join(f"{f.column} {f.method} {f.effect:+.2g}" for f in one.findings[:3])
            console.print(f"{moment(one.at_us)}  {one.scope}: {told}")


def check_all(parts: Parts, checks: Governance, models: Sequence[str], *, at_us: int) -> Iterator[Checked]:
    """Check the champions of models, all that have one unless some are named, and take what follows a step on."""
    place = parts.settings.project
    names = list(models) or [one.name for one in parts.registry.models() if place in one.champions]
    book, sources = drift_book(parts.registry, parts.settings.project), drift_sources(parts)
    for name in names:
        version = parts.registry.champion(name, place)
        policies = checks.drift_policies(name)
        try:
            sketch = book.sketch(name, version.number)
        except NotFoundError as error:
            if models:
                raise
            notes.print(f"{name}: {error.what}; {error.fix}")
            continue
        asked = sources.asked(version, sketch, declared=declared_of(parts, name), policy=policies.check, at_us=at_us)
        found = check(book, name, version.number, sketch, asked, policy=policies.check, at_us=at_us)
        loop = DriftLoop(book=book, registry=parts.registry, policy=policies.retrain, hands=hands(parts))
        loop.step(found)
        yield found


def hands(parts: Parts) -> Hands:
    """Return what the loop acts with: the commands that a person would type."""
    place = parts.settings.project

    def promote(model: str, number: int, reason: str) -> object:
        held = parts.registry.held(model, place)
        return promote_judged(
            parts.registry,
            parts.registry.get(model, number),
            Slot.CHAMPION,
            policy_of=policy_of(parts),
            environment=place,
            actor=actor,
            reason=reason,
            expected=0 if held is None else held.id,
        )

    actor = f"drift policy, for {account()}"
    return Hands(
        train=lambda model: run_training(parts, model, challenge=True),
        standing=lambda experiment: trial_of(parts, experiment),
        promote=promote,
        environment=place,
        actor=actor,
    )


def declared_of(parts: Parts, model: str) -> ModelFile | None:
    """Return a model's declaration, None where this repository has none."""
    try:
        return model_file(parts.settings.repo, model)
    except LineshaftError:
        return None


def run_calibration(
    parts: Parts,
    checks: Governance,
    model: str,
    *,
    stretch: tuple[int | None, int | None],
    share: float,
    every_us: int,
) -> Replayed:
    """Replay checks over a healthy stretch: its first share is the baseline, the rest is checked."""
    if not 0 < share < 1:
        raise InputError(f"a baseline of {share:g} of the history leaves nothing to check", where="--baseline")
    version, sketch = champion_sketch(parts, model)
    policy = checks.drift_policies(model).check
    since_us, until_us = stretch[0] or 0, stretch[1] or parts.clock.now_us()
    table = drift_sources(parts).stored(version, sketch, since_us=since_us, until_us=until_us)
    if not table.num_rows:
        raise InputError(f"no rows of {model!r} lie in this stretch", fix="name one with --from and --until")
    times = times_of(table, "event_time")
    split = int(times.min() + share * (times.max() - times.min()))
    regimes = policy.regimes if policy.regimes.column in ("", *sketch.columns) else sketch.regimes
    policy = replace(policy, regimes=regimes)
    parts_of = [
        rows_of(
            table.filter(pa.array(chosen)), sketch.columns, step_us=sketch.step_us, regimes=regimes, keys=sketch.keys
        )
        for chosen in (times <= split, times > split)
    ]
    baselines = baselines_of(parts_of[0], policy, step_us=sketch.step_us)
    return replay(baselines, parts_of[1], policy, step_us=sketch.step_us, every_us=every_us)


def _seconds(every: str) -> float:
    return duration_option(every, option="--every", like="1h") / 1e6 if every else 0.0


def _row(one: Checked) -> dict[str, object]:
    """Return a check as a row to show."""
    drifts = [point.finding for point in one.points if point.finding.verdict == "drift"]
    furthest = ", ".join(f"{f.scope} {f.column} {f.method} {f.effect:+.2g}" for f in drifts[:3])
    return {
        "model": f"{one.window.model}@{one.window.number}",
        "outcome": one.window.outcome,
        "rows": one.window.rows,
        "assets": one.window.assets,
        "compared": len(one.points),
        "found": len(drifts),
        "alarms": ", ".join(one.window.standing),
        "cause": ", ".join(diagnosis.cause for diagnosis in one.diagnoses),
        "furthest": furthest,
    }


def _trail(book: DriftBook, one: Trigger) -> list[dict[str, object]]:
    """Return a trigger as rows to show, a line of its trail each."""
    about = {
        "trigger": one.id,
        "model": f"{one.model}@{one.number}",
        "cause": one.cause,
        "assets": ", ".join(one.assets[:5]) + (f" and {len(one.assets) - 5} more" if one.assets[5:] else ""),
        "columns": ", ".join(one.columns[:3]),
    }
    return [{**about, "at": moment(act.at_us), "state": act.state, "detail": act.detail} for act in book.trail(one.id)]
