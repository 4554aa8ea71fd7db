"""The acts of the demo; each does one job with the parts a user has, and notes what came of it."""

from __future__ import annotations

import math
import statistics
import time
import urllib.request
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.cli.data import take_in as ingest_readings
from lineshaft.cli.demo.inputs import Cast
from lineshaft.cli.demo.pictures import paint
from lineshaft.cli.demo.story import Story
from lineshaft.cli.drift import check_model
from lineshaft.cli.materialize import run_backfill, wanted_views
from lineshaft.cli.repo import make_plan
from lineshaft.cli.training import run_training
from lineshaft.cli.verify import report, run_proof
from lineshaft.cli.web import admin_page
from lineshaft.errors import LineshaftError, NotFoundError
from lineshaft.ops.learning import lesson, moments
from lineshaft.ops.model_file import model_file
from lineshaft.ops.training_set import training_set
from lineshaft.ops.verify import set_aside, total
from lineshaft.serving.client import Client
from lineshaft.serving.server import background_server
from lineshaft.specs import Service, Status, View
from lineshaft.wiring import Parts, feature_handler, governance, handlers, limits

CALLS = 50
ASKED_MOMENTS = 2_000
SERVED_MOMENTS = 60
TOLD = 6


def declare(story: Story, parts: Parts) -> None:
    """Read the feature repository and make it current."""
    with story.act("Declare: feature_repo/ → catalogue") as facts:
        parts.catalog.apply(make_plan(parts), actor="demo")
        views = parts.catalog.views()
        teams = Counter(view.team for view in views)
        count = sum(len(view.features) for view in views)
        facts.append(
            f"{count} features in {len(views)} views of {len(teams)} teams, {len(parts.catalog.services())} services"
        )


def take_in(story: Story, parts: Parts, cast: Cast) -> None:
    """Ingest the input."""
    with story.act("Take in: raw samples → offline store") as facts:
        result = ingest_readings(parts, cast.readings(), label=cast.name)
        blocks = ", ".join(f"{count:,} blocks of {name}" for name, count in result.blocks.items())
        facts.append(f"{blocks or 'no blocks'}; {sum(result.samples.values()):,} samples")
        facts += [f"table {name}: {table.num_rows:,} rows" for name, table in result.tables.items()]
        facts += [f"rejected {count:,}: {reason}" for reason, count in result.rejected.items()]
        facts += [f"noted {count:,}: {reason}" for reason, count in result.notes.items()]


def materialize(story: Story, parts: Parts) -> None:
    """Backfill with PyFlink through the Great Expectations gate."""
    with story.act("Materialize: PyFlink → Parquet and Redis, checked by Great Expectations") as facts:
        result = run_backfill(parts, wanted_views(parts, []))
        rows = sum(result.rows.values())
        held = sum(result.quarantined.values())
        facts.append(
            f"{rows:,} feature rows stored, {held:,} quarantined, {sum(result.rejected.values()):,} blocks rejected"
        )
        facts += [f"{ref}: {count:,} rows" for ref, count in result.rows.items()]
        facts += [f"[yellow]quarantined[/] {count:,} rows of {ref}" for ref, count in result.quarantined.items()]


def serve(story: Story, parts: Parts, cast: Cast) -> None:
    """Ask for features and a training set over gRPC."""
    found = busiest_service(parts)
    if found is None:
        return
    service, view = found
    with (
        story.act("Serve: gRPC GetFeatures and GetTrainingSet") as facts,
        background_server(handlers(parts), limits=limits(parts)) as address,
    ):
        keys, at_us = newest_entities(parts, view)
        with Client(address) as client:
            took = []
            for _ in range(CALLS):
                started = time.perf_counter()
                frame = client.features(service.name, keys, at_us=at_us)
                took.append(time.perf_counter() - started)
            columns = len(frame.statuses)
            facts.append(
                f"{service.name}: {keys.num_rows} entities × {columns} features, "
                f"median {1000 * statistics.median(took):.1f} ms a call over {CALLS} calls on this machine"
            )
            facts.append(f"of one entity: {_sample(frame.table)}")
            facts.extend(_verdicts(frame.table))
            asked = moments(view, parts.offline, every_us=view.tile_us).slice(0, ASKED_MOMENTS)
            rows = client.training_set(service.name, asked).to_arrow()
            facts.append(
                f"training set: {rows.num_rows:,} rows × {rows.num_columns} columns, point in time, every row back"
            )
        if cast.planted:
            facts.append(_planted(parts, view, cast.planted))


def learn(story: Story, parts: Parts, cast: Cast) -> None:
    """Train, register, promote, predict."""
    if not cast.model:
        return
    with story.act("Learn: training set → XGBoost → registry → Predict") as facts:
        outcome = run_training(parts, cast.model)
        figures = outcome.version.metrics
        facts.append(f"{outcome.version.ref} {outcome.judgement.outcome}: {outcome.judgement.detail}")
        facts.append(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        pins = ", ".join(
            f"{pin.view}@{pin.version} (table version {pin.table_version})" for pin in outcome.version.pins
        )
        facts.append(f"pinned: {pins}")
        if outcome.assignment is None:
            facts.append(f"not promoted, it waits for {outcome.waits_for}")
            return
        _, view = service_of(parts, outcome.version.service)
        with background_server(handlers(parts), limits=limits(parts)) as address, Client(address) as client:
            keys, at_us = newest_entities(parts, view)
            reply = client.predict(cast.model, keys, at_us=at_us)
            pairs = zip(reply.predictions, keys.to_pylist(), strict=True)
            scored = sorted((pair for pair in pairs if not math.isnan(pair[0].score)), key=lambda pair: -pair[0].score)
            if len(scored) < keys.num_rows:
                facts.append(f"{len(scored)} of {keys.num_rows} scored; of the others no input is fresh at that moment")
            for prediction, key in scored[:2]:
                because = ", ".join(
                    f"{c.feature} = {c.value:.4g} ({c.contribution:+.2f})" for c in prediction.contributions[:3]
                )
                facts.append(f"{key['asset_id']}: {prediction.score:.3f} because {because}")


def watch(story: Story, parts: Parts, cast: Cast) -> None:
    """Compare served rows with training rows; draw the report."""
    if not cast.model:
        return
    with story.act("Watch: served rows against training rows, with an Evidently report") as facts:
        try:
            champion = parts.registry.champion(cast.model, parts.settings.project)
        except NotFoundError:
            facts.append("no champion to watch")
            return
        declared = model_file(parts.settings.repo, cast.model)
        learned = lesson(declared, catalog=parts.catalog, offline=parts.offline, tables=parts.tables)
        _, view = service_of(parts, champion.service)
        asked = moments(view, parts.offline, every_us=view.tile_us)
        newest = asked.sort_by([("event_time", "descending")]).slice(0, max(asked.num_rows // 5, SERVED_MOMENTS))
        served = pa.concat_tables(
            chunk.table() for chunk in training_set(parts.catalog, parts.offline, champion.service, newest)
        )
        with governance(parts) as checks:
            lines, page = checks.drift(
                name=champion.ref, model=cast.model, reference=learned.table, current=served, features=champion.features
            )
            newest_us = pc.max(asked["event_time"]).cast(pa.int64()).as_py()
            try:
                found = check_model(parts, checks, cast.model, at_us=newest_us)
                facts.append(f"as `lineshaft drift check` says, of the newest day: {found.window.outcome}")
            except LineshaftError as error:  # a model of before, or rows too few to be told apart
                facts.append(f"no check of drift: {error.what}")
        drifted = [line["feature"] for line in lines if line["outcome"] == "drift"]
        facts.append(f"{len(drifted)} of {len(lines)} features drifted: {', '.join(drifted[:3]) or 'none'}")
        facts.append(f"report: {page}")


def draw(story: Story, parts: Parts, cast: Cast) -> None:
    """Paint what people look at rather than read."""
    with story.act("Draw: pictures worth looking at") as facts:
        facts += [f"picture: {path}" for path in paint(parts, cast, story.home / "pictures")]


def prove(story: Story, parts: Parts, cast: Cast, *, stream: bool) -> bool:
    """Hold every path against the oracle."""
    views = wanted_views(parts, [])
    if not views:
        with story.act("Prove: nothing to prove") as facts:
            facts.append("this set holds tables of events, no samples to compute features from")
        return True
    by_view = rows_by_asset(parts, views)
    assets = chosen_assets(by_view, cast.proved_rows)
    rows = sum(by_view, Counter[str]())
    with story.act("Prove: oracle = backfill = stream = online = training") as facts:
        checks = run_proof(parts, views, assets=assets, stream=stream)
        summed = total(checks)
        verdict = "[bold green]EQUAL[/]" if summed.equal else "[bold red]NOT EQUAL[/]"
        whole = f"{len(assets) or len(rows)} of {len(rows)} assets"
        facts.append(
            f"{verdict}: {summed.values:,} values in {summed.rows:,} rows of {whole}, {summed.differing:,} differ"
        )
        aside = set_aside(checks)
        if aside:
            facts.append(f"{aside:,} quarantined rows held to the oracle by themselves: neither served nor trained on")
        if assets:
            left = rows.total() - sum(rows[name] for name in assets)
            facts.append(f"[yellow]left out[/] {left:,} rows of {len(rows) - len(assets)} assets: `lineshaft verify`")
    report(checks, as_json=False)
    return summed.equal


def show_page(story: Story, parts: Parts) -> None:
    """Start the admin page, fetch every page once, stop it."""
    with story.act("Show: the admin page") as facts, admin_page(parts, address="127.0.0.1:0") as address:
        for page in ("/", "/views", "/services", "/checkpoints", "/drift", "/models"):
            with urllib.request.urlopen(f"http://{address}{page}") as reply:
                facts.append(f"{page}: {reply.status}, {len(reply.read()):,} bytes")


def rows_by_asset(parts: Parts, views: list[View]) -> list[Counter[str]]:
    """Count the stored rows of each asset, view by view."""
    counts = []
    for view in views:
        rows: Counter[str] = Counter()
        for part in parts.offline.read_rows(view, features=()):
            rows.update(part["asset_id"].to_pylist())
        counts.append(rows)
    return counts


def chosen_assets(by_view: list[Counter[str]], most: int) -> list[str]:
    """Return the assets to prove where all would take too long; none means all.

    Of each view the asset with fewest rows, so that every view is proven; then those with fewest rows, while they fit.

    >>> [chosen_assets([Counter(a=5, b=3, c=4), Counter(d=9)], most) for most in (1, 16, 21)]
    [['b', 'd'], ['b', 'd', 'c'], []]
    """
    rows = sum(by_view, Counter[str]())
    if rows.total() <= most:
        return []
    order = sorted(rows, key=lambda name: (rows[name], name))
    chosen = list(dict.fromkeys(next(name for name in order if name in counts) for counts in by_view if counts))
    for asset in order:
        if asset not in chosen and sum(rows[name] for name in [*chosen, asset]) <= most:
            chosen.append(asset)
    return chosen


def busiest_service(parts: Parts) -> tuple[Service, View] | None:
    """Return the service with most features whose views all hold rows, and its view with most keys."""
    ready = [
        s
        for s in parts.catalog.services()
        if all(parts.offline.version(parts.catalog.view(v.view)) >= 0 for v in s.views)
    ]
    if not ready:
        return None
    return service_of(parts, max(ready, key=lambda s: sum(len(v.features) for v in s.views)).name)


def service_of(parts: Parts, name: str) -> tuple[Service, View]:
    """Return a service and its view with most keys: the one whose entities it is asked about."""
    service = parts.catalog.service(name)
    views = [parts.catalog.view(used.view, used.version) for used in service.views]
    return service, max(views, key=lambda view: len(view.entity_keys))


def newest_entities(parts: Parts, view: View) -> tuple[pa.Table, int]:
    """Return a view's entities, and the moment of its newest row: recorded data is asked about at its end."""
    rows = pa.concat_tables(list(parts.offline.latest(view)))
    at_us = int(np.asarray(rows["known_at"].cast(pa.int64()).to_numpy()).max())
    return rows.select([name for name, _ in view.entity_keys]), at_us


def _planted(parts: Parts, view: View, asset: str) -> str:
    rows = sum(table.num_rows for table in parts.offline.read_rows(view, features=(), assets=[asset]))
    keys = pa.table({name: [asset if name == "asset_id" else "drive_end"] for name, _ in view.entity_keys})
    service = next(s for s in parts.catalog.services() if any(used.view == view.name for used in s.views))
    served = feature_handler(parts).get(service.name, keys, budget_s=1.0)
    place = next(i for i, name in enumerate(served.answer.columns.column_names) if name.startswith(f"{view.name}__"))
    status = Status(int(served.answer.status[0, place])).name
    return f"planted fault ({asset}): {rows} rows of {view.name} stored, and it is served as {status}"


def _verdicts(table: pa.Table) -> list[str]:
    """Tell what on-demand views say in words (a severity zone, a diagnosis) of the first machines."""
    said = []
    for field in table.schema:
        if "__" in field.name and pa.types.is_string(field.type):
            pairs = zip(table["asset_id"].to_pylist(), table[field.name].to_pylist(), strict=True)
            told = [f"{asset}: {word}" for asset, word in pairs if word is not None][:TOLD]
            said += [f"{field.name}: {', '.join(told)}"] if told else []
    return said


def _sample(table: pa.Table) -> str:
    there = np.sum([np.asarray(column.is_valid()) for column in table.columns], axis=0)
    row = table.slice(int(np.argmax(there)), 1).to_pylist()[0]
    shown = [(name, value) for name, value in row.items() if value is not None][:6]
    return ", ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in shown)
