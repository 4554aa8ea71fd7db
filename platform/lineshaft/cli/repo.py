"""Commands about declarations: functions, views, services, plan, apply."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, notes, show, underway
from lineshaft.errors import InputError
from lineshaft.ops.account import account
from lineshaft.ops.pace import Costs
from lineshaft.ops.planning import planned
from lineshaft.settings import Settings
from lineshaft.specs import View, format_duration
from lineshaft.tiles.catalogue import entries
from lineshaft.wiring import Parts, connect, governance

if TYPE_CHECKING:
    from lineshaft.definitions.diff import Plan


@app.command()
def functions(as_json: Json = False) -> None:
    """List every feature function with its formula, unit and source."""
    rows = [{"function": e.pattern, "unit": e.unit, "formula": e.formula, "source": e.source} for e in entries()]
    show(rows, title="feature functions", as_json=as_json)


@app.command()
def views(as_json: Json = False) -> None:
    """List the current feature views."""
    with connect() as parts:
        rows = [view_row(parts, view) for view in parts.catalog.views()]
    show(rows, title="feature views", as_json=as_json)


@app.command()
def services(as_json: Json = False) -> None:
    """List the feature services and the view versions they pin."""
    with connect() as parts:
        rows = [
            {
                "service": service.name,
                "team": service.team,
                "views": ", ".join(f"{used.view}@{used.version}" for used in service.views),
                "features": sum(len(used.features) for used in service.views)
                + sum(len(view.features) for view in service.on_demand),
                "description": service.description,
            }
            for service in parts.catalog.services()
        ]
    show(rows, title="feature services", as_json=as_json)
    if not rows:
        notes.print("`lineshaft apply` puts those of the feature repository into the catalogue")


class Format(StrEnum):
    """How a plan is written: for a terminal, a pull request, or a program."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


Empty = Annotated[bool, typer.Option("--allow-empty", help="Let a repository without definitions remove all there is.")]
Transfer = Annotated[
    list[str] | None, typer.Option(help="Hand this object to the team that declares it now; repeat for more.")
]


@app.command()
def plan(
    allow_empty: Empty = False,
    transfer: Transfer = None,
    form: Annotated[
        Format, typer.Option("--format", help="text, markdown (for a pull request) or json.")
    ] = Format.TEXT,
    checks: Annotated[
        bool, typer.Option("--checks", help="Tell too where suites say less than the views that change.")
    ] = False,
    post: Annotated[
        str, typer.Option(help="Write it as a comment too: …/issues/NUMBER/comments of a forge, or GitLab's …/notes.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show what an apply would change, break and cost; exit code 2 with something to apply, 1 with faults."""
    with connect() as parts:
        changes = make_plan(parts, allow_empty=allow_empty, transfers=transfer or ())
        if checks:
            changes = beside_suites(parts, changes)
    if post:
        comment_on(post, changes, parts.settings)
    if as_json or form is Format.JSON:
        console.print_json(changes.to_json())
    elif form is Format.MARKDOWN:
        from lineshaft.definitions.markdown import markdown

        sys.stdout.write(markdown(changes))
    else:
        console.print(changes.text(), markup=False, highlight=False, soft_wrap=True)
    if changes.exit_code:
        raise typer.Exit(changes.exit_code)


@app.command()
def apply(
    actor: Annotated[
        str, typer.Option(help="For whom, if not for you; what you may do is asked of your account.")
    ] = "",
    allow_empty: Empty = False,
    transfer: Transfer = None,
    as_json: Json = False,
) -> None:
    """Read the feature repository, check it, and make it current in one transaction."""
    who = account()
    with connect() as parts:
        changes = make_plan(parts, allow_empty=allow_empty, transfers=transfer or (), who=who)
        told = f"{actor} (by {who})" if actor and actor != who else who
        generation = parts.catalog.apply(changes, actor=told)
        rows = [view_row(parts, view) for view in parts.catalog.views()]
    notes.print(changes.text(), markup=False, highlight=False, soft_wrap=True)
    show(rows, title=f"current views, generation {generation}", as_json=as_json)


def view_row(parts: Parts, view: View) -> dict[str, object]:
    """Return one line about a view."""
    return {
        "view": view.name,
        "version": view.version,
        "team": view.team,
        "source": view.source.name,
        "features": len(view.features),
        "every": format_duration(view.tile_us),
        "ttl": format_duration(view.ttl_us) if view.ttl_us else "none",
        "table version": table_version(parts, view),
    }


def table_version(parts: Parts, view: View) -> int | None:
    """Return the version of a view's offline table, or None where nothing was written yet."""
    version = parts.offline.version(view)
    return version if version >= 0 else None


def make_plan(parts: Parts, *, allow_empty: bool = False, transfers: Sequence[str] = (), who: str = "") -> Plan:
    """Plan the repository against the catalogue, and say what its backfills cost."""
    settings: Settings = parts.settings
    with underway(f"reading {settings.repo}"):
        made = planned(
            settings.repo,
            parts.catalog,
            settings=settings,
            clock=parts.clock,
            who=who,
            transfers=transfers,
            allow_empty=allow_empty,
        )
    views, costs = {view.name: view for view in made.views}, Costs(offline=parts.offline, folder=parts.work)
    priced = [replace(one, costs=costs.of(views[one.name])) if one.recomputes else one for one in made.changes]
    return replace(made, changes=tuple(priced))


def comment_on(url: str, made: Plan, settings: Settings) -> None:
    """Write a plan on a pull request, over the one that was there."""
    from lineshaft.definitions.markdown import MARK, markdown
    from lineshaft.ops.plan_comment import PullRequest

    if settings.forge_token is None:
        fix = "set it to a token that may write comments on the pull request"
        raise InputError("nothing lets us write there", where="LINESHAFT_FORGE_TOKEN", fix=fix)
    pull = PullRequest(url=url, token=settings.forge_token.get_secret_value())
    notes.print(f"the comment is {pull.put(markdown(made), mark=MARK)}: {url}", markup=False, soft_wrap=True)


def beside_suites(parts: Parts, made: Plan) -> Plan:
    """Say of each view that changes where its suite says less than it declares: what `lineshaft checks diff` says."""
    changing = {one.name for one in made.changes if one.kind == "view"}
    told: dict[str, list[str]] = {}
    with governance(parts) as checks:
        for gap in checks.differences([view for view in made.views if view.name in changing]):
            told.setdefault(gap.view, []).append(f"{gap.column}: {gap.what} ({gap.fix})")
    return replace(made, changes=tuple(replace(one, checks=tuple(told.get(one.name, ()))) for one in made.changes))
