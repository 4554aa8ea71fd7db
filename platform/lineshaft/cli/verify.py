"""The proof as a command, on the user's own data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from typer.core import TyperGroup

from lineshaft.cli.app import Json, app
from lineshaft.cli.materialize import Names, wanted_views
from lineshaft.cli.output import console, show, underway
from lineshaft.cli.serve import moment_us
from lineshaft.errors import InputError
from lineshaft.ops.jobs import Target
from lineshaft.ops.proof import entities_of, prove_rebuild, prove_stored, run_stream
from lineshaft.ops.quarantine import quarantined_rows
from lineshaft.ops.served import PATIENCE_US, Audit
from lineshaft.ops.served_tally import Tally
from lineshaft.ops.training_set import AT_COLUMN
from lineshaft.ops.truth import oracles_of
from lineshaft.ops.verify import Check, check_served, set_aside, total
from lineshaft.specs import Recipe, View
from lineshaft.stores.served_log import ServedLog
from lineshaft.wiring import Parts, connect, feature_handler, jobs, scratch


class ViewsUnlessNamed(TyperGroup):
    """A group whose command `views` need not be named: names of views may follow `lineshaft verify` at once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command where it is not."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["views", *args])


verify_app = typer.Typer(
    cls=ViewsUnlessNamed,
    help="Proofs on the user's own data: of `views` unless told otherwise, or of what was `served`.",
)
app.add_typer(verify_app, name="verify")


@verify_app.command("views")
def verify(
    names: Names = None,
    asset: Annotated[list[str] | None, typer.Option(help="Only these assets.")] = None,
    stream: Annotated[bool, typer.Option(help="Also run the blocks through the stream job.")] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the oracle; all processors unless given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that oracle, backfill, stream, online and training agree to the last bit; exit code 1 when they do not."""
    with connect() as parts:
        views = wanted_views(parts, names or [])
        if not views:
            raise InputError("there is nothing to prove: no view has raw blocks", fix="ingest or simulate data first")
        checks = run_proof(parts, views, assets=asset or [], stream=stream, workers=workers)
    report(checks, as_json=as_json)
    if not total(checks).equal:
        raise typer.Exit(1)


@verify_app.command("served")
def verify_served(
    since: Annotated[str, typer.Option(help="Only answers given from this moment on (ISO).")] = "",
    patience_s: Annotated[
        float, typer.Option(min=0.0, help="How long a served row may be on its way to the offline store.")
    ] = PATIENCE_US / 1e6,
    most: Annotated[int, typer.Option(min=0, help="Mismatches of a service to list; all are counted.")] = 20,
    as_json: Json = False,
) -> None:
    """Make every logged answer again, point in time, and compare its bits; exit code 1 when any differs."""
    with connect() as parts, underway("served answers, made again from the offline store"):
        audit = Audit(
            offline=parts.offline,
            held=lambda view: quarantined_rows(view, offline=parts.offline, work=parts.work),
            now_us=parts.clock.now_us(),
            patience_us=round(patience_s * 1e6),
            most=most,
        )
        log = ServedLog(parts.settings.offline_root(), clock=parts.clock)
        tallies = list(audit.check(log, since_us=moment_us(since) if since else None))
    if not tallies:
        raise InputError(
            "no served answers are logged" + (f" since {since}" if since else ""),
            where=parts.settings.offline_root(),
            fix="serve with LINESHAFT_LOG_SERVED=1, ask for features, and try again",
        )
    report_served(tallies, as_json=as_json)
    if not all(tally.equal for _, tally in tallies):
        raise typer.Exit(1)


def report_served(tallies: Sequence[tuple[Recipe, Tally]], *, as_json: bool) -> None:
    """Print what came of served answers."""
    rows = [{"service": recipe.service.name, "recipe": recipe.name, **tally.counts()} for recipe, tally in tallies]
    mismatches = [asdict(one) for _, tally in tallies for one in tally.mismatches]
    if as_json:
        console.print_json(json.dumps({"services": rows, "mismatches": mismatches}, default=str))
        return
    show(rows, title="served answers, made again from the offline store", as_json=False)
    if mismatches:
        show(mismatches, title="mismatches", as_json=False)
    every = sum((tally for _, tally in tallies), Tally())
    verdict = "[bold green]EQUAL[/]" if every.equal else "[bold red]NOT EQUAL[/]"
    console.print(
        f"{verdict}  {every.values:,} values in {every.vectors:,} served vectors compared: {every.differing:,} differ, "
        f"{every.missing:,} rows missing; {every.waiting:,} rows not offline yet"
    )


def run_proof(
    parts: Parts,
    views: Sequence[View],
    *,
    assets: Sequence[str] = (),
    stream: bool = True,
    workers: int | None = None,
) -> list[Check]:
    """Hold every path against the oracle, over all views."""
    checks: list[Check] = []
    with underway("oracle") as told:
        oracles = oracles_of(views, parts.offline, assets=assets, workers=workers or os.cpu_count() or 1, told=told)
        held = {
            view.name: quarantined_rows(view, offline=parts.offline, work=parts.work, assets=assets) for view in views
        }
        told("backfill, online and training against the oracle")
        checks += prove_stored(
            views, oracles, offline=parts.offline, online=parts.online, path="backfill", assets=assets, held=held
        )
        told("served answers against training sets")
        fed = [view for view in views if oracles[view.name].num_rows]  # some of the assets may have no such sensor
        checks += served_checks(parts, fed, oracles)
        folder = parts.settings.home / "verify"
        shutil.rmtree(folder, ignore_errors=True)
        with scratch(parts, folder) as other:
            if stream and fed:
                checks += stream_checks(parts, other, fed, oracles, assets=assets, told=told)
            if not assets:
                told("filling another online store from offline")
                checks += prove_rebuild(views, offline=parts.offline, online=parts.online, scratch=other.online)
    return checks


def stream_checks(
    parts: Parts,
    other: Parts,
    views: Sequence[View],
    oracles: dict[str, pa.Table],
    *,
    assets: Sequence[str],
    told: Callable[[str], None],
) -> list[Check]:
    """Stream the blocks into the stores of `other` and hold these against the oracle; no row of it stays online."""
    target = Target(offline=other.offline, redis_url=parts.redis_url, project=other.settings.project, work=other.work)
    for view in views:
        other.online.clear(view)
    try:
        told("stream: starting")
        run_stream(views, oracles, raw=parts.offline, jobs=jobs(), target=target, assets=assets, told=told)
        return list(
            prove_stored(views, oracles, offline=other.offline, online=other.online, path="stream", assets=assets)
        )
    finally:
        for view in views:
            other.online.clear(view)


def served_checks(parts: Parts, views: Sequence[View], oracles: dict[str, pa.Table]) -> list[Check]:
    """Ask every service whose views are all there about its newest moment, and compare with its training set."""
    there = {view.name: view for view in views}
    features = feature_handler(parts)
    checks = []
    for service in parts.catalog.services():
        if not all(used.view in there for used in service.views):
            continue
        widest = max((there[used.view] for used in service.views), key=lambda view: len(view.entity_keys))
        entities = entities_of(widest, oracles[widest.name]).slice(0, features.max_rows)
        at_us = max(_newest(oracles[used.view]) for used in service.views)
        served = features.get(service.name, entities, at_us=at_us, budget_s=10.0)
        moments = pa.array(np.full(entities.num_rows, at_us)).cast(pa.timestamp("us", tz="UTC"))
        asked = entities.append_column(AT_COLUMN, moments)
        checks.append(check_served(parts.catalog, parts.offline, service.name, entities=asked, served=served.answer))
    return checks


def report(checks: Sequence[Check], *, as_json: bool) -> None:
    """Print the proof."""
    rows = [
        {
            "path": check.path,
            "of": check.view,
            "rows": check.result.rows,
            "values": check.result.values,
            "missing": check.result.missing,
            "extra": check.result.extra,
            "differing": check.result.differing,
        }
        for check in checks
    ]
    show(rows, title="every path against the oracle, bit for bit", as_json=as_json)
    if not as_json:
        sum_up = total(checks)
        verdict = "[bold green]EQUAL[/]" if sum_up.equal else "[bold red]NOT EQUAL[/]"
        console.print(
            f"{verdict}  {sum_up.values:,} values in {sum_up.rows:,} rows compared: {sum_up.differing:,} differ, "
            f"{sum_up.missing:,} rows missing, {sum_up.extra:,} extra"
        )
        aside = set_aside(checks)
        if aside:
            console.print(
                f"[yellow]quarantined[/]  {aside:,} rows: held to the oracle, but neither served nor trained on"
            )


def _newest(rows: pa.Table) -> int:
    if not rows.num_rows:
        return 0
    return int(np.asarray(rows["known_at"].cast(pa.int64()).to_numpy()).max())
