"""Between the wire and the domain: messages of `lineshaft.rpc` on one side, Arrow and NumPy on the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.rpc.v1 import features_pb2, predictions_pb2, types_pb2
from lineshaft.serving.features import Plan, Served
from lineshaft.serving.predictions import Predictions
from lineshaft.specs.rows import ARROW_TYPES, PRESENT
from lineshaft.tiles.buffers import blank, is_valid, one_piece, truths
from lineshaft.tiles.keys import Column, Keys

CODES = {dtype: types_pb2.DataType.Value(f"DATA_TYPE_{dtype.upper()}") for dtype in ARROW_TYPES}
_WIRE = {kind.id: CODES[dtype] for dtype, kind in ARROW_TYPES.items()}  # by id: hashing a type costs more than a copy
_ARROW = {CODES[dtype]: kind for dtype, kind in ARROW_TYPES.items()}
_WIDTHS = {
    kind.id: kind.bit_width // 8
    for kind in ARROW_TYPES.values()
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
}


# --- requests


def entities_from(columns: Iterable[types_pb2.EntityColumn], request_data: Sequence[types_pb2.Column] = ()) -> Keys:
    """Return the entity rows of a request; raises `InputError` when the columns do not fit together."""
    given: dict[str, Column] = {}
    for column in columns:
        kind = column.WhichOneof("values")
        if kind is None:
            raise InputError(f"entity column {column.name!r} has no values", fix="set strings or int64s")
        if column.name in given:
            raise InputError(f"entity column {column.name!r} is given twice", fix="send each join key once")
        given[column.name] = column.strings.values[:] if kind == "strings" else np.array(column.int64s.values, np.int64)
    return Keys(given, _numbers_from(request_data)) if request_data else Keys(given)


def _numbers_from(columns: Iterable[types_pb2.Column]) -> dict[str, pa.Array]:
    """Return the data of a request: numbers as they are, of lengths that are what they say."""
    given: dict[str, pa.Array] = {}
    for column in columns:
        kind = _ARROW.get(column.type)
        if kind is None or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(f"request data {column.name!r} is no column of numbers", fix="send FLOAT64 or INT64")
        rows, rest = divmod(len(column.values), _WIDTHS[kind.id])
        if rest or len(column.validity) not in (0, (rows + 7) // 8):
            what = f"request data {column.name!r} is cut off"
            raise InputError(what, fix="send whole values, and one bit of validity for each or none")
        if column.name in given:
            raise InputError(f"request data {column.name!r} is given twice", fix="send each column once")
        given[column.name] = column_from(column, rows)
    return given


def entities_to(entities: pa.Table | Keys) -> list[types_pb2.EntityColumn]:
    """Return entity rows as a request holds them; raises `InputError` for keys that are neither text nor whole."""
    if isinstance(entities, Keys):
        return [_column_to(name, values) for name, values in entities.columns.items()]
    keys, data = request_to(entities)
    for column in data:
        kind = entities[column.name].type
        raise InputError(f"entity key {column.name!r} is {kind}, or has nulls", fix="send texts or whole numbers")
    return keys


def request_to(table: pa.Table) -> tuple[list[types_pb2.EntityColumn], list[types_pb2.Column]]:
    """Return entity rows as a request holds them: keys, and the numbers beside them that can be none.

    Those have fractions or nulls; other whole numbers go as keys, and a server takes them as either.
    """
    keys: list[types_pb2.EntityColumn] = []
    data: list[types_pb2.Column] = []
    for name in table.column_names:
        column = table[name]
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            keys.append(_column_to(name, column.to_pylist()))
        elif pa.types.is_integer(kind) and not column.null_count:
            keys.append(_column_to(name, np.array(column.to_pylist(), np.int64)))
        elif pa.types.is_integer(kind):
            data.append(column_to(name, one_piece(column.cast(pa.int64())), None))
        elif pa.types.is_floating(kind) or pa.types.is_null(kind):
            data.append(column_to(name, one_piece(column.cast(pa.float64())), None))
        else:
            raise InputError(f"entity key {name!r} is {kind}", fix="send texts or whole numbers")
    return keys, data


def _column_to(name: str, values: Column) -> types_pb2.EntityColumn:
    if isinstance(values, np.ndarray):
        return types_pb2.EntityColumn(name=name, int64s=types_pb2.Int64List(values=values.tolist()))
    return types_pb2.EntityColumn(name=name, strings=types_pb2.StringList(values=values))


# --- columns


def column_to(name: str, column: pa.Array, statuses: NDArray[np.int8] | None) -> types_pb2.Column:
    """Return a column as it goes over the wire; `statuses` None means that every value is PRESENT."""
    kind = column.type
    message = types_pb2.Column(name=name, type=_WIRE[kind.id])
    if column.null_count:
        valid = is_valid(column)
        message.validity = np.packbits(valid, bitorder="little").tobytes()
        column = column.fill_null(blank(kind))  # what is withheld does not leave under a null
    width = _WIDTHS.get(kind.id)
    if width is not None:
        raw = column.buffers()[1]
        message.values = raw.slice(column.offset * width, len(column) * width).to_pybytes() if raw is not None else b""
    elif pa.types.is_boolean(kind):
        message.values = np.packbits(truths(column), bitorder="little").tobytes()
    else:
        message.values, message.offsets = _text_to(column)
    if statuses is not None:
        message.statuses = statuses.tobytes()
    return message


def column_from(message: types_pb2.Column, rows: int) -> pa.Array:
    """Return a column of the wire as Arrow, without copying its values."""
    kind = _ARROW.get(message.type)
    if kind is None:
        raise InputError(f"column {message.name!r} has an unknown type", fix="use a client of the server's version")
    validity = pa.py_buffer(message.validity) if message.validity else None
    if kind.id in _WIDTHS or pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(message.values)])
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(message.offsets), pa.py_buffer(message.values)])


def statuses_from(
    names: Iterable[str], given: Iterable[features_pb2.ColumnStatuses | types_pb2.Column], rows: int
) -> dict[str, NDArray[np.int8]]:
    """Return one status a row for each named column; a column of which nothing is said is PRESENT throughout."""
    present = np.full(rows, PRESENT, np.int8)
    present.flags.writeable = False  # shared by all columns that are whole
    statuses = dict.fromkeys(names, present)
    statuses.update({one.name: np.frombuffer(one.statuses, np.int8) for one in given if one.statuses})
    return statuses


def views_to(versions: Mapping[str, str], ages: Mapping[str, NDArray[np.int64]]) -> list[types_pb2.ServedView]:
    """Return the views of an answer with the ages of their rows."""
    return [
        types_pb2.ServedView(name=name, version=version, ages_us=ages[name].astype("<i8", copy=False).tobytes())
        for name, version in versions.items()
    ]


def ages_from(views: Iterable[types_pb2.ServedView]) -> dict[str, NDArray[np.int64]]:
    """Return the ages by view name, in microseconds."""
    return {view.name: np.frombuffer(view.ages_us, "<i8") for view in views}


# --- answers


def features_to(served: Served, *, encoding: int = features_pb2.ENCODING_COLUMNS) -> features_pb2.GetFeaturesResponse:
    """Return an answer in columns or as Arrow; answers in blocks are `lineshaft.serving.written`."""
    answer = served.answer
    names = answer.sheet.names
    reply = features_pb2.GetFeaturesResponse(
        rows=answer.sheet.rows,
        views=views_to(versions_of(served.plan), answer.age_us),
        served_at_us=served.at_us,
        degraded=served.degraded,
    )
    if encoding == features_pb2.ENCODING_ARROW:
        reply.batch = arrow_to(withheld(answer.columns))
        reply.statuses.extend(statuses_to(names, answer.status))
    else:
        cells = zip(names, answer.columns.columns, _by_column(answer.status), strict=True)
        reply.columns.extend([column_to(name, one_piece(column), statuses) for name, column, statuses in cells])
    return reply


def blocks_from(reply: features_pb2.GetFeaturesResponse) -> list[pa.Array]:
    """Return the columns of an answer in blocks, in the order of its names, without copying values."""
    rows = reply.rows
    columns = {column.name: column_from(column, rows) for column in reply.columns}
    for message in reply.blocks:
        kind = _ARROW.get(message.type)
        width = _WIDTHS.get(kind.id) if kind is not None else None
        if width is None:
            raise InputError("an answer holds a block of an unknown type", fix="use a client of the server's version")
        k, values = len(message.places), pa.py_buffer(message.values)
        if not message.validity:
            every = pa.Array.from_buffers(kind, k * rows, [None, values])
            arrays = [every.slice(j * rows, rows) for j in range(k)]
        else:
            bits, each = pa.py_buffer(message.validity), (rows + 7) // 8
            parts = [[bits.slice(j * each, each), values.slice(j * rows * width, rows * width)] for j in range(k)]
            arrays = [pa.Array.from_buffers(kind, rows, part) for part in parts]
        columns.update(zip((reply.names[place] for place in message.places), arrays, strict=True))
    return [columns[name] for name in reply.names]


def cells_from(reply: features_pb2.GetFeaturesResponse) -> dict[str, NDArray[np.int8]]:
    """Return one status a row for each column of an answer in blocks."""
    given, shape = reply.value_statuses, (len(reply.names), reply.rows)
    cells = np.frombuffer(given, np.int8).reshape(shape) if given else np.broadcast_to(np.int8(PRESENT), shape)
    return dict(zip(reply.names, cells, strict=True))


def withheld(table: pa.Table) -> pa.Table:
    """Return the same table with nothing but NaN, zero or nothing under its nulls: what is withheld does not leave."""
    if table.drop_null().num_rows == table.num_rows:  # no nulls at all: one look instead of one a column
        return table
    for i, column in enumerate(table.columns):
        if column.null_count:
            whole = column.combine_chunks()
            filled = whole.fill_null(blank(whole.type))
            valid = np.packbits(is_valid(whole), bitorder="little")
            buffers = [pa.py_buffer(valid), *filled.buffers()[1:]]
            bare = pa.Array.from_buffers(whole.type, len(whole), buffers, offset=filled.offset)
            table = table.set_column(i, table.column_names[i], bare)
    return table


def summary_to(plan: Plan) -> features_pb2.FeatureServiceSummary:
    """Return what a service offers."""
    service = plan.service
    return features_pb2.FeatureServiceSummary(
        name=service.name,
        team=service.team,
        owner=service.owner,
        description=service.description,
        join_keys=[features_pb2.JoinKey(name=name, type=CODES[dtype]) for name, dtype in plan.join_keys.items()],
        columns=plan.columns,
        view_versions=versions_of(plan),
        request_fields=[
            features_pb2.RequestField(name=name, type=CODES[dtype]) for name, dtype in service.request_fields.items()
        ],
    )


def statuses_to(names: Sequence[str], status: NDArray[np.int8]) -> list[features_pb2.ColumnStatuses]:
    """Return the statuses of every column that is not all PRESENT."""
    return [
        features_pb2.ColumnStatuses(name=name, statuses=column.tobytes())
        for name, column in zip(names, _by_column(status), strict=True)
        if column is not None
    ]


def predictions_to(predictions: Predictions, *, most: int) -> predictions_pb2.PredictResponse:
    """Return predictions as they go over the wire, each with its `most` largest contributions (negative: all)."""
    reply = predictions_pb2.PredictResponse(
        model=predictions.model,
        model_version=predictions.version,
        views=views_to({pin.view: pin.version for pin in predictions.pins}, predictions.ages_us),
        served_at_us=int(predictions.at_us[0]),
        degraded=predictions.degraded,
        stands_in_for=predictions.stands_in_for,
    )
    scores, half_width = predictions.scores.tolist(), predictions.half_width
    for score, status in zip(scores, predictions.statuses.tolist(), strict=True):
        row = reply.predictions.add(
            score=score, status=status, base=predictions.base if math.isfinite(score) else math.nan
        )
        if math.isfinite(half_width) and math.isfinite(score):
            row.interval.low, row.interval.high = max(score - half_width, 0.0), score + half_width
            row.interval.coverage = 0.9
    if predictions.contributions is not None and most:
        names, values, parts = predictions.features, predictions.values, predictions.contributions
        for i, columns in enumerate(strongest(parts, most=most).tolist()):
            for j in columns if math.isfinite(scores[i]) else ():
                reply.predictions[i].contributions.add(feature=names[j], value=values[i, j], contribution=parts[i, j])
    for part in predictions.parts:
        theirs = predictions_to(part.predictions, most=most)
        for i, row in zip(np.flatnonzero(part.rows).tolist(), theirs.predictions, strict=True):
            reply.predictions[i].CopyFrom(row)
            reply.predictions[i].model_version = row.model_version or theirs.model_version
    return reply


def strongest(contributions: NDArray[np.float64], *, most: int) -> NDArray[np.intp]:
    """Return the columns of the largest contributions of each row (n x k), largest first; ties by column.

    >>> strongest(np.array([[0.1, -3.0, 2.0]]), most=2).tolist()
    [[1, 2]]
    """
    order: NDArray[np.intp] = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    return order if most < 0 else order[:, :most]


def versions_of(plan: Plan) -> dict[str, str]:
    """Return the versions of a plan's views, by name."""
    return {used.view: used.version for used in plan.service.views}


def arrow_to(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def arrow_from(raw: bytes) -> pa.Table:
    """Return the table of an Arrow IPC stream; raises `InputError` when it is none."""
    try:
        table = pa.ipc.open_stream(raw).read_all()
        table.validate()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"these bytes are no Arrow IPC stream: {error}", fix="write them with pyarrow.ipc.new_stream"
        ) from error
    return table


def _by_column(status: NDArray[np.int8]) -> list[NDArray[np.int8] | None]:
    """Return one contiguous run of statuses a column, None where all are PRESENT."""
    present = status == PRESENT
    if present.all():
        return [None] * status.shape[1]
    whole = present.all(axis=0).tolist()
    columns = np.ascontiguousarray(status.T)
    return [None if done else column for done, column in zip(whole, columns, strict=True)]


def _text_to(column: pa.Array) -> tuple[bytes, bytes]:
    if not len(column):
        return b"", np.zeros(1, "<i4").tobytes()
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, "<i4")[column.offset : column.offset + len(column) + 1]
    values = bytes(memoryview(data)[offsets[0] : offsets[-1]]) if data is not None else b""
    return values, (offsets - offsets[0]).tobytes()
