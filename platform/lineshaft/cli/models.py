"""Commands about models: train, models."""

from __future__ import annotations

from typing import Annotated

import typer

from lineshaft.cli.actor import account
from lineshaft.cli.app import Json, app
from lineshaft.cli.lineage_runs import told_of
from lineshaft.cli.output import show, underway
from lineshaft.interop.openlineage import Dataset, rows_of
from lineshaft.ops.environment import packages_sha256
from lineshaft.ops.learning import Lesson, lesson
from lineshaft.ops.model_file import model_file
from lineshaft.ops.model_release import Origin, Release, release
from lineshaft.ops.reproduce import keep_provenance
from lineshaft.ops.training_check import accept
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.records import Slot
from lineshaft.specs import View
from lineshaft.wiring import Parts, connect, governance


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
            held = [one for one in registry.assignments(model.name) if one.environment == parts.settings.project]
            for version in registry.versions(model.name):
                judged = {one.figures.get("metric") for one in registry.verdicts(model.name, version.number)}
                names = sorted(version.metrics, key=lambda name: name not in judged)[:3]
                figures = ", ".join(f"{name} {version.metrics[name]:.4g}" for name in names)
                own = [one for one in held if one.valid_to_us is None and one.number == version.number]
                roles = sorted((list(Slot).index(one.slot), one.site, one.slot) for one in own)
                role = ", ".join(f"{slot} of {site}" if site else slot for _, site, slot in roles)
                about = {"model": version.ref, "task": version.task, "state": str(version.state), "role": role}
                rows.append({**about, "metrics": figures})
    show(rows, title="models", as_json=as_json)


def run_training(parts: Parts, name: str) -> Release:
    """Train, register and judge a model; the training set is kept, for whoever makes it again."""
    with told_of(parts, f"train/{name}") as run:
        outcome, work = _trained(parts, name)
        made = outcome.version
        views = pinned_views(parts.catalog, work)
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
        accept(work.spec.name, work.table, views=pinned_views(catalog, work), judge=checks.training, work=parts.work)
    released = release(
        parts.registry, work.spec, work.table, origin=origin, policy=policy, environment=parts.settings.project
    )
    return released, work


def pinned_views(catalog: Catalog, work: Lesson) -> list[View]:
    """Return the views that a training set was made from."""
    return [catalog.view(used.view, used.version) for used in work.service.views]


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
