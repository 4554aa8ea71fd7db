"""Commands about models: models."""

from __future__ import annotations

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import show
from lineshaft.registry.records import Slot
from lineshaft.wiring import connect

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
