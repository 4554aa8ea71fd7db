"""Answers written out as the bytes of their messages, by the encoding that Protocol Buffers document.

Building a message in memory and writing it afterwards copies every value three times. Here values are copied once, and
what is the same in every answer of a service is written once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lineshaft.rpc.v1 import features_pb2, types_pb2
from lineshaft.serving import convert
from lineshaft.serving.features import Served
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.packed_keys import varint

_RESPONSE = features_pb2.GetFeaturesResponse
_COLUMNS, _VIEWS, _BLOCKS, _CELLS = (
    _RESPONSE.DESCRIPTOR.fields_by_name[name].number for name in ("columns", "views", "blocks", "value_statuses")
)
_AGES = types_pb2.ServedView.DESCRIPTOR.fields_by_name["ages_us"].number
_VALUES, _VALIDITY = (features_pb2.Block.DESCRIPTOR.fields_by_name[name].number for name in ("values", "validity"))
_ANSWER = features_pb2.StreamFeaturesResponse.DESCRIPTOR.fields_by_name["response"].number
_WATCHED = features_pb2.WatchFeaturesResponse.DESCRIPTOR.fields_by_name["response"].number
_ALSO = features_pb2.StreamFeaturesResponse.DESCRIPTOR.fields_by_name["also"].number

Part: TypeAlias = bytes | memoryview


def features(served: Served, encoding: int) -> bytes:
    """Return a GetFeaturesResponse."""
    if encoding != features_pb2.ENCODING_BLOCKS:
        raw: bytes = convert.features_to(served, encoding=encoding).SerializeToString()
        return raw
    answer = served.answer
    sheet = answer.sheet
    head = _RESPONSE(rows=sheet.rows, served_at_us=served.at_us, degraded=served.degraded)
    parts: list[Part] = [head.SerializeToString(), _names(sheet.names)]
    for used in served.plan.service.views:
        ages = _field(_AGES, _raw(answer.age_us[used.view]))
        parts += _field(_VIEWS, _view(used.view, used.version), *ages)
    for block in sheet.parts.blocks:
        bits: tuple[Part, ...] = ()
        if block.valid is not None:  # what it withholds is blank already
            bits = _field(_VALIDITY, _raw(np.packbits(block.valid, axis=1, bitorder="little")))
        parts += _field(_BLOCKS, _block(block.dtype, block.places), *_field(_VALUES, _raw(block.values)), *bits)
    for place, array in sheet.parts.loose.items():
        parts += _field(_COLUMNS, convert.column_to(sheet.names[place], array, None).SerializeToString())
    if not answer.whole and (answer.status != PRESENT).any():
        parts += _field(_CELLS, _raw(answer.status.T))
    return b"".join(parts)


def on_stream(number: int, answer: bytes) -> bytes:
    """Return a StreamFeaturesResponse that holds an answer."""
    head = features_pb2.StreamFeaturesResponse(number=number).SerializeToString()
    return b"".join((head, *_field(_ANSWER, answer)))


def with_others(first: bytes, others: Sequence[bytes]) -> bytes:
    """Return a StreamFeaturesResponse that others come with."""
    return b"".join((first, *(part for other in others for part in _field(_ALSO, other)))) if others else first


def on_watch(answer: bytes) -> bytes:
    """Return a WatchFeaturesResponse that holds an answer."""
    return b"".join(_field(_WATCHED, answer))


def _field(number: int, *parts: Part) -> tuple[Part, ...]:
    r"""Return a field of bytes: its tag and its length, then the parts.

    >>> _field(1, b"ab", b"c")
    (b'\n\x03', b'ab', b'c')
    """
    size = 0
    for part in parts:
        size += len(part) if isinstance(part, bytes) else part.nbytes
    return varint(number << 3 | 2) + varint(size), *parts


def _raw(numbers: NDArray[Any]) -> memoryview:
    """Return the bytes of an array, row after row, without copying them where they lie so; little-endian as we are."""
    return np.ascontiguousarray(numbers).data


@lru_cache(maxsize=1024)
def _names(names: tuple[str, ...]) -> bytes:
    raw: bytes = _RESPONSE(names=names).SerializeToString()
    return raw


@lru_cache(maxsize=1024)
def _view(name: str, version: str) -> bytes:
    raw: bytes = types_pb2.ServedView(name=name, version=version).SerializeToString()
    return raw


@lru_cache(maxsize=1024)
def _block(dtype: str, places: tuple[int, ...]) -> bytes:
    raw: bytes = features_pb2.Block(type=convert.CODES[dtype], places=places).SerializeToString()
    return raw
