"""Commands about models: train, predict, models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

from lineshaft.cli.actor import account
from lineshaft.cli.app import Json, app
from lineshaft.cli.lineage_runs import told_of
from lineshaft.cli.output import show, underway
from lineshaft.cli.serve import Data, Keys, moment_us, parse_keys
from lineshaft.errors import InputError
from lineshaft.interop.openlineage import Dataset, rows_of
from lineshaft.ops.environment import packages_sha256
from lineshaft.ops.learning import Lesson, lesson
from lineshaft.ops.model_file import model_file
from lineshaft.ops.model_release import Origin, Release, release
from lineshaft.ops.reproduce import keep_provenance
from lineshaft.registry.records import Slot
from lineshaft.serving.fleet import Fleet
from lineshaft.serving.predict import Predictor, Question
from lineshaft.specs import Status
from lineshaft.wiring import Parts, connect, governance, handlers


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="A model that `models/NAME.yaml` in the feature repository declares.")],
    as_json: Json = False,
) -> None:
    """Train a model on a point-in-time training set, register it with its pins, judge it; its policy may promote it."""
    with connect() as parts, underway(f"training {name}"):
        outcome = run_training(parts, name)
    show(release_rows(outcome), title=f"{outcome.version.ref}: {outcome.judgement.outcome}", as_json=as_json)


models = typer.Typer(invoke_without_command=True, help="Models: which there are, who may answer, and who decided it.")
app.add_typer(models, name="models")


@models.callback()
def models_command(context: typer.Context, as_json: Json = False) -> None:
    """List models with their versions and the slots they hold; the commands below change and prove who holds them."""
    if context.invoked_subcommand is not None:
        return
    with connect() as parts:
        registry = parts.registry
        rows = []
        for model in registry.models():
            held = {slot: registry.held(model.name, parts.settings.project, slot) for slot in Slot}
            for version in registry.versions(model.name):
                judged = {one.figures.get("metric") for one in registry.verdicts(model.name, version.number)}
                names = sorted(version.metrics, key=lambda name: name not in judged)[:3]
                figures = ", ".join(f"{name} {version.metrics[name]:.4g}" for name in names)
                role = ", ".join(slot for slot, one in held.items() if one is not None and one.number == version.number)
                about = {"model": version.ref, "task": version.task, "state": str(version.state), "role": role}
                rows.append({**about, "metrics": figures})
    show(rows, title="models", as_json=as_json)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="A model; none with --all.")] = "",
    key: Keys = None,
    data: Data = None,
    fleet: Annotated[bool, typer.Option("--fleet", help="Score every machine that is known online.")] = False,
    every_model: Annotated[bool, typer.Option("--all", help="The fleet, by every model that has a champion.")] = False,
    at: Annotated[str, typer.Option(help="Count ages to this moment (ISO), not to now: for recorded data.")] = "",
    as_json: Json = False,
) -> None:
    """Ask a model's champion about entities: score, version, and what moved it; or have it score the whole fleet.

    Scores of a fleet go into the log of predictions; exit code 1 where a model failed or scored none.
    """
    if fleet or every_model:
        if bool(model) == every_model or key:
            raise InputError("a fleet is scored by one model, or by --all", where="--fleet", fix="name no key")
        predict_fleet(model, at_us=moment_us(at) if at else None, as_json=as_json)
        return
    if not model or not key:
        raise InputError("a model and a key are asked for", where="predict", fix="write MODEL --key asset_id=pump-001")
    entities = parse_keys(key, data or ())
    with connect() as parts:
        served = handlers(parts)
        if served.predictor is None or served.close is None:
            return
        times = np.full(entities.num_rows, moment_us(at), dtype=np.int64) if at else None
        found = served.predictor.predict(Question(model=model, keys=entities, at_us=times))
        served.close()
    rows = [
        {
            **{name: entities[name][row].as_py() for name in entities.column_names},
            "score": float(found.scores[row]),
            "model": found.version,
            "status": Status(int(found.statuses[row])).name,
            "because": ", ".join(f"{n}={v:.4g} ({c:+.3f})" for n, v, c in found.top(row, count=3))
            or "no score: no input is present, or one that is required is not",
        }
        for row in range(entities.num_rows)
    ]
    show(rows, title=f"{found.version}", as_json=as_json)


def predict_fleet(model: str, *, at_us: int | None, as_json: bool) -> None:
    """Score every machine by one model, or by all that have a champion where none is named."""
    with connect() as parts:
        served = handlers(parts)
        try:
            predictor = served.predictor
            if not isinstance(predictor, Predictor):
                return
            environment = parts.settings.project
            names = [model] if model else [m.name for m in parts.registry.models() if environment in m.champions]
            scoring = Fleet(predictor=predictor, features=served.features, clock=parts.clock)
            rows = [asdict(one) for one in scoring.score(names, at_us=at_us)]
        finally:
            if served.close is not None:
                served.close()
    show(rows, title="the fleet, scored", as_json=as_json)
    if any(row["fault"] for row in rows):
        raise typer.Exit(1)


def run_training(parts: Parts, name: str) -> Release:
    """Train, register and judge a model; the training set is kept, for whoever makes it again."""
    with told_of(parts, f"train/{name}") as run:
        outcome, work = _trained(parts, name)
        made = outcome.version
        pinned = {used.view: used.version for used in work.service.views}
        views = [parts.catalog.view(view, version) for view, version in pinned.items()]
        run.inputs = [rows_of(view, work.table_versions.get(view.name, -1)) for view in views]
        run.outputs = [Dataset(name=f"models/{made.model}", version=str(made.number))]
    return outcome


def _trained(parts: Parts, name: str) -> tuple[Release, Lesson]:
    declared = model_file(parts.settings.repo, name)
    catalog = parts.catalog.at(parts.catalog.generation())
    work = lesson(declared, catalog=catalog, offline=parts.offline, tables=parts.tables)
    provenance = keep_provenance(declared, work, generation=catalog.generation, tables=parts.tables)
    origin = Origin(
        service=work.service,
        table_versions=work.table_versions,
        actor=account(),
        lock_sha256=packages_sha256(),
        provenance=provenance,
    )
    with governance(parts) as checks:
        policy = checks.promotion(work.spec.name)
    released = release(
        parts.registry, work.spec, work.table, origin=origin, policy=policy, environment=parts.settings.project
    )
    return released, work


def release_rows(outcome: Release) -> list[dict[str, object]]:
    """Return what came of a training as rows to show."""
    rows: list[dict[str, object]] = [
        {"figure": name, "value": value} for name, value in outcome.version.metrics.items()
    ]
    rows += [{"figure": f"gate {one.gate}", "value": f"{one.outcome}: {one.detail}"} for one in outcome.judgement.gates]
    rows.append({"figure": "verdict", "value": outcome.judgement.outcome})
    champion = "yes, by itself" if outcome.assignment else f"no, it waits for {outcome.waits_for}"
    rows.append({"figure": "champion", "value": champion})
    return rows
