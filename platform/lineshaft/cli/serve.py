"""Commands that serve and ask: serve, features, training-set."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from lineshaft.cli.app import Json, app
from lineshaft.cli.output import console, notes, show
from lineshaft.cli.ports import http_ports
from lineshaft.errors import InputError
from lineshaft.ops.training_set import rows_at_fault, training_set
from lineshaft.serving.addresses import neighbour
from lineshaft.serving.call_log import log_lines
from lineshaft.serving.crew import Crew, Start, obeying_signals, reserved
from lineshaft.serving.server import serve as serve_grpc
from lineshaft.settings import Settings
from lineshaft.specs import Status
from lineshaft.tiles.answer import UNKNOWN_AGE_US
from lineshaft.wiring import connect, door, feature_handler, handlers, kept_up, limits

Key = Annotated[list[str], typer.Option("--key", help="name=value, once per join key; repeat values with commas.")]

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="name=value, once per join key; repeat values with commas."),
]

Data = Annotated[
    list[str] | None,
    typer.Option(help="name=value, once per number that on-demand features read from the request; empty: unknown."),
]


@app.command()
def serve(
    address: Annotated[str, typer.Option(help="host:port or unix:path.")] = "",
    workers: Annotated[int, typer.Option(help="Processes on this port; 0: as LINESHAFT_WORKERS says.")] = 0,
    lifeline: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Answer GetFeatures, GetTrainingSet and Predict over gRPC until stopped.

    Several workers: one that dies is started again; SIGHUP replaces them one by one without refusing a call.
    """
    with connect(from_memory=True) as parts, ExitStack() as stack:
        settings = parts.settings
        stack.enter_context(log_lines(sys.stderr, settings.log_format))
        where, count = address or settings.grpc_address, workers or settings.workers
        if lifeline < 0:  # of several workers the one that started them sees to it
            stack.enter_context(kept_up(parts))
        if lifeline < 0 and count > 1:
            _serve_with_crew(settings, where, count)
            return
        answering, bounds = handlers(parts), limits(parts)
        shown_at = neighbour(settings.metrics_address, settings.worker or 0, setting="LINESHAFT_METRICS_ADDRESS")
        shown = ""
        if answering.metrics is not None:
            from lineshaft.serving.metrics import exposed

            shown = stack.enter_context(exposed(answering.metrics, shown_at))
        entrance = stack.enter_context(door(parts))
        ports = stack.enter_context(http_ports(parts, answering, entrance))

        def ready(bound: str) -> None:
            also = "".join(f", {name} on {place}" for name, place in ports.items())
            notes.print(f"serving on {bound}{also}" + (f", metrics on http://{shown}/metrics" if shown else ""))

        up = lifeline if lifeline >= 0 else None
        serve_grpc(answering, where, limits=bounds, door=entrance, ready=ready, lifeline=up)


def _serve_with_crew(settings: Settings, where: str, count: int) -> None:
    with reserved(where, setting="LINESHAFT_GRPC_ADDRESS") as shared:
        command = [sys.executable, "-m", "lineshaft.cli", "serve", "--address", shared, "--lifeline"]
        start = Start(
            command=lambda _, lifeline: [*command, str(lifeline)],
            environment=lambda number: {
                "LINESHAFT_WORKER": str(number),
                "LINESHAFT_HOME": str(settings.home),
            },
        )
        crew = Crew(start, count=count)
        with obeying_signals(crew):
            crew.run(lambda: notes.print(f"{count} workers serve on {shared}"))


@app.command()
def features(
    service: str,
    key: Key,
    data: Data = None,
    at: Annotated[str, typer.Option(help="Count ages to this moment (ISO), not to now: for recorded data.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for the newest values of a service: what a model would be given now."""
    entities = parse_keys(key, data or ())
    with connect() as parts:
        served = feature_handler(parts).get(service, entities, at_us=moment_us(at) if at else None, budget_s=1.0)
    answer = served.answer
    statuses = dict(zip(answer.sheet.names, answer.status.T, strict=True))
    rows = value_rows(entities, answer.columns, statuses, answer.age_us)
    show(rows, title=f"{service}, as served now", as_json=as_json)
    if rows and all(row["status"] == Status.NOT_FOUND.name for row in rows):
        notes.print("no row of these: check the keys, or fill the stores with `lineshaft backfill`")


def value_rows(
    entities: pa.Table,
    columns: pa.Table,
    statuses: Mapping[str, NDArray[np.int8]],
    ages_us: Mapping[str, NDArray[np.int64]],
) -> list[dict[str, Any]]:
    """Return an answer as rows to show, one a value; the features are those that have statuses."""
    rows = []
    for column, status in statuses.items():
        age = ages_us.get(column.partition("__")[0])
        for row in range(entities.num_rows):
            known = age is not None and age[row] != UNKNOWN_AGE_US
            rows.append(
                {
                    **{name: entities[name][row].as_py() for name in entities.column_names},
                    "feature": column,
                    "value": columns[column][row].as_py(),
                    "status": Status(int(status[row])).name,
                    "age_s": float(age[row]) / 1e6 if known and age is not None else None,
                }
            )
    return rows


@app.command("training-set")
def training_set_command(
    service: str,
    entities: Annotated[Path, typer.Argument(help="CSV or Parquet: join keys, event_time, labels.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    as_json: Json = False,
) -> None:
    """Answer a service at each row's own time and write the training set, streamed."""
    counts: dict[str, int] = {}
    rows = 0
    with connect() as parts:
        writer: pq.ParquetWriter | None = None
        for chunk in training_set(parts.catalog, parts.offline, service, read_entities(entities)):
            table = chunk.table()
            writer = writer or pq.ParquetWriter(out, table.schema)
            writer.write_table(table)
            rows += table.num_rows
            for status, count in chunk.answer.counts().items():
                counts[status] = counts.get(status, 0) + count
        if writer is not None:
            writer.close()
    if as_json:
        console.print_json(json.dumps({"rows": rows, "statuses": counts, "file": str(out)}))
    else:
        show([{"rows": rows, **counts, "file": str(out)}], title=f"training set of {service}", as_json=False)


def read_entities(path: Path) -> pa.Table:
    """Return entity rows from CSV or Parquet; `event_time` in ISO form or as a timestamp."""
    if not path.is_file():
        raise InputError(f"no file {path}", fix="give a CSV or Parquet file with join keys and event_time")
    try:
        table = pacsv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} cannot be read: {error}", fix="give a CSV with a head, or a Parquet file") from error
    if "event_time" in table.column_names and pa.types.is_string(table.schema.field("event_time").type):
        place = table.column_names.index("event_time")
        table = table.set_column(place, "event_time", _moments(table["event_time"], column="event_time"))
    return table


def moment_us(text: str) -> int:
    """Return microseconds UTC of a moment in ISO form; a naive one is UTC.

    >>> moment_us("1970-01-01T00:00:01"), moment_us("1970-01-01T01:00:01+01:00")
    (1000000, 1000000)
    """
    return int(_moments(pa.chunked_array([[text]])).cast(pa.int64())[0].as_py())


def _moments(texts: pa.ChunkedArray, *, column: str = "") -> pa.ChunkedArray:
    """Return moments written in ISO form, all with a zone or all without."""
    kinds = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))
    for kind in kinds:
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            continue
    bad = min((_no_moments(texts, kind) for kind in kinds), key=np.count_nonzero)
    raise InputError(
        f"{texts[int(bad.argmax())].as_py()!r} is no moment",
        where=f"{column}, {rows_at_fault(bad)}" if column else "",
        fix="write it like 2024-01-31T12:00:00 or 2024-01-31T12:00:00Z, all with a zone or all without",
    )


def _no_moments(texts: pa.ChunkedArray, kind: pa.DataType) -> NDArray[np.bool_]:
    """Tell which texts are no moments, halving them until each piece is all good or one text."""
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        half = len(texts) // 2
        if not half:
            return np.array([True])
        return np.concatenate([_no_moments(part, kind) for part in (texts.slice(0, half), texts.slice(half))])
    return np.zeros(len(texts), dtype=np.bool_)


def parse_keys(pairs: Sequence[str], data: Sequence[str] = ()) -> pa.Table:
    """Return entity rows from `name=value[,value…]` arguments: keys are texts, data of the request are numbers.

    >>> parse_keys(["asset_id=pump-1,pump-2", "position=de,de"]).to_pylist()[1]
    {'asset_id': 'pump-2', 'position': 'de'}
    """
    columns: dict[str, list[Any]] = {}
    for pair in (*pairs, *data):
        name, equals, values = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} is no key", fix="write name=value, e.g. --key asset_id=pump-001")
        columns[name] = values.split(",")
    for name in (pair.partition("=")[0] for pair in data):
        try:
            columns[name] = [float(text) if text else None for text in columns[name]]
        except ValueError as error:
            raise InputError(f"data {name!r}: {error}", fix="write numbers, e.g. --data load=0.7") from error
    if len({len(values) for values in columns.values()}) > 1:
        raise InputError("the keys have different numbers of values", fix="give every key one value per entity")
    return pa.table(columns)
