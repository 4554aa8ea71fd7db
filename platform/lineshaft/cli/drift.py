"""Commands about drift: drift check, report, calibrate, triggers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.experiments import trial_of
from lineshaft.cli.nightly import Row, nightly
from lineshaft.cli.output import console, notes, show, show_line, underway
from lineshaft.cli.owners import tell_of_drift
from lineshaft.cli.serve import moment_us
from lineshaft.cli.training import run_training
from lineshaft.cli.web import stopped_by_signal
from lineshaft.clock import SystemClock, moment
from lineshaft.definitions.words import duration_option
from lineshaft.drift.calibrate import Calibrated, Detectable, at_most, detectable, history, written
from lineshaft.drift.replay import Replayed
from lineshaft.drift.rows import rows_of
from lineshaft.errors import InputError, LineshaftError, NotFoundError
from lineshaft.ops.account import account
from lineshaft.ops.drift_check import Checked, check
from lineshaft.ops.drift_loop import DriftLoop, Hands
from lineshaft.ops.governance import Governance
from lineshaft.ops.model_file import ModelFile, model_file
from lineshaft.ops.model_release import promote_judged
from lineshaft.ops.schedule import Schedule
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

    What is found is kept for the admin page and `lineshaft drift triggers`; owners are told by the routes of alerts.
    Exit code 3 where an alarm stands, 1 where a model could not be checked. With --every it is a line for each model,
    and a check that fails is told of.
    """
    if every:
        told = Schedule.of(every)
        _again(told, lambda due_us: _checked(models or [], at_us=due_us)[0], at=at, as_json=as_json)
        return
    at_us = moment_us(at) if at else None
    rows, standing = _checked(models or [], at_us=at_us)
    show(rows, title=f"drift at {at or 'this moment'}", as_json=as_json)
    if any(row["outcome"] == "failed" for row in rows):
        raise typer.Exit(1)
    if standing:
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
    if every:
        _again(Schedule.of(every), lambda due_us: [_review(model, at_us=due_us)[1]], at=at, as_json=as_json)
        return
    lines, path = _review(model, at_us=moment_us(at) if at else None)
    show(lines, title=f"drift of {model}", as_json=as_json)
    notes.print(f"Evidently's report: {path['report']}")


@drift.command("calibrate")
def calibrate_command(
    model: Annotated[str, typer.Argument(help="A model that is trained: its columns and its baselines are used.")],
    since: Annotated[str, typer.Option("--from", help="Of history known to be healthy, the start (ISO).")] = "",
    until: Annotated[str, typer.Option(help="And its end.")] = "",
    baseline: Annotated[float, typer.Option(help="The share of it, from its start, that is the baseline.")] = 0.5,
    held_out: Annotated[float, typer.Option(help="The share, at its end, that has no say and is judged.")] = 0.25,
    every: Annotated[str, typer.Option(help="How often a check would be made.")] = "1h",
    as_json: Json = False,
) -> None:
    """Replay checks over healthy history: the alarms there would have been, all false, and what can be told at all.

    Of what was found between the baseline and the part held out, least effects are made; that part is judged without
    and with them. They are printed as a policy file has them. Do this before alarms are switched on.
    """
    every_us = duration_option(every, option="--every", like="1h")
    stretch = (moment_us(since) if since else None, moment_us(until) if until else None)
    with connect() as parts, governance(parts) as checks, underway(f"replaying the history of {model}"):
        told, found = run_calibration(
            parts, checks, model, stretch=stretch, shares=(baseline, held_out), every_us=every_us
        )
    replays = [
        _replayed(name, one)
        for name, one in (
            ("between, policy as it is", found.chosen),
            ("held out, policy as it is", found.before),
            ("held out, with these least effects", found.after),
        )
    ]
    least, tells = written(found.least), [asdict(one) for one in told]
    if as_json:
        show([{"model": model, "replays": replays, "least": least, "tells": tells}], title="", as_json=True)
        return
    show(replays, title=f"false alarms of {model}", as_json=False)
    show(
        tells, title="what one window of one asset tells with even odds: shift in sd, spread as a ratio", as_json=False
    )
    for one in found.before.alarms[:20]:
        words = ", ".join(f"{f.column} {f.method} {f.effect:+.2g}" for f in one.findings[:3])
        console.print(f"{moment(one.at_us)}  {one.scope}: {words}")
    if least:
        console.print("least:", markup=False)
        for column, methods in least.items():
            inner = ", ".join(f"{name}: {effect:g}" for name, effect in methods.items())
            console.print(f"  {column}: {{{inner}}}", markup=False)


def _replayed(part: str, one: Replayed) -> Row:
    """Return what a replay says as a row to show."""
    return {
        "part": part,
        "checks": one.checks,
        "with_a_finding": one.found,
        "false_alarms": len(one.alarms),
        "asset_months": one.asset_months,
        "per_asset_and_month": one.per_asset_month,
        "surely_less_than": at_most(len(one.alarms), one.asset_months),
    }


def check_model(parts: Parts, checks: Governance, model: str, *, at_us: int) -> Checked:
    """Check the champion of a model, and take what follows a step on.

    Raises `NotFoundError` where there is no champion, or no sketch of what it was trained on.
    """
    book, place = drift_book(parts.registry, parts.settings.project), parts.settings.project
    version = parts.registry.champion(model, place)
    policies = checks.drift_policies(model)
    sketch = book.sketch(model, version.number)
    declared = declared_of(parts, model)
    asked = drift_sources(parts).asked(version, sketch, declared=declared, policy=policies.check, at_us=at_us)
    found = check(book, model, version.number, sketch, asked, policy=policies.check, at_us=at_us)
    DriftLoop(book=book, registry=parts.registry, policy=policies.retrain, hands=hands(parts)).step(found)
    return found


def _checked(models: Sequence[str], *, at_us: int | None) -> tuple[list[Row], bool]:
    """Check models, all that have a champion unless some are named; return a row of each, and if an alarm stands.

    One that cannot be checked stops no other; where it alone is named its error is the answer.
    """
    with connect() as parts, governance(parts) as checks:
        place, rows, standing = parts.settings.project, list[Row](), False
        for name in models or [one.name for one in parts.registry.models() if place in one.champions]:
            try:
                found = check_model(parts, checks, name, at_us=parts.clock.now_us() if at_us is None else at_us)
            except LineshaftError as error:
                if len(models) == 1:
                    raise
                unknown = isinstance(error, NotFoundError)
                rows.append(_unchecked(name, error, outcome="unknown" if unknown else "failed"))
            else:
                rows.append(_row(found))
                standing |= bool(found.window.standing)
    return rows, standing


def _review(model: str, *, at_us: int | None) -> tuple[list[dict[str, object]], Row]:
    """Draw the report of a model; return its figures, and what to say of it in a line."""
    with connect() as parts, governance(parts) as checks, underway(f"drawing the drift of {model}"):
        moment_ = parts.clock.now_us() if at_us is None else at_us
        lines, path = run_report(parts, checks, model, at_us=moment_)
    drifts = [str(line["feature"]) for line in lines if line["outcome"] == "drift"]
    return lines, {"model": model, "outcome": "drawn", "found": ", ".join(drifts[:5]), "report": str(path)}


def _again(schedule: Schedule, look: Callable[[int], Sequence[Row]], *, at: str, as_json: bool) -> None:
    """Look each time the schedule wants, until stopped."""
    if at:
        raise InputError("a schedule has no one moment", where="--at", fix="leave out --at, or --every")
    stopping, clock = stopped_by_signal(), SystemClock()
    tell = partial(show_line, as_json=as_json)
    nightly(look, schedule, last_us=None, clock=clock, stopping=stopping, tell=tell)


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
        tell=lambda one, detail: tell_of_drift(parts, one, detail),
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
    shares: tuple[float, float],
    every_us: int,
) -> tuple[list[Detectable], Calibrated]:
    """Replay checks over a healthy stretch: its first share is the baseline, its last is held out."""
    if not (min(shares) > 0 and sum(shares) < 1):
        what = f"a baseline of {shares[0]:g} and {shares[1]:g} held out of the history leave nothing to check"
        raise InputError(what, where="--baseline", fix="write --baseline 0.5 --held-out 0.25")
    version, sketch = champion_sketch(parts, model)
    policy = checks.drift_policies(model).check
    since_us, until_us = stretch[0] or 0, stretch[1] or parts.clock.now_us()
    table = drift_sources(parts).stored(version, sketch, since_us=since_us, until_us=until_us)
    if not table.num_rows:
        raise InputError(f"no rows of {model!r} lie in this stretch", fix="name one with --from and --until")
    policy = replace(
        policy, regimes=policy.regimes if policy.regimes.column in ("", *sketch.columns) else sketch.regimes
    )
    rows = rows_of(table, sketch.columns, step_us=sketch.step_us, regimes=policy.regimes, keys=sketch.keys)
    told = {"step_us": sketch.step_us, "every_us": every_us}
    baselines, found = history(rows, policy, share=shares[0], held_out=shares[1], **told)
    return detectable(baselines, policy, step_us=sketch.step_us), found


def _row(one: Checked) -> Row:
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


def _unchecked(name: str, why: LineshaftError, *, outcome: str) -> Row:
    """Return why a model could not be checked, as a row beside those that were."""
    nothing = {"rows": 0, "assets": 0, "compared": 0, "found": 0, "alarms": "", "cause": ""}
    return {"model": name, "outcome": outcome, **nothing, "furthest": f"{why.what}; {why.fix}"}


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
