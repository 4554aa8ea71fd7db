"""What a Feast call asks for, as an ad-hoc service: views, on-demand features and the names they get in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.definitions.compiler import compile_on_demand, compile_view
from lineshaft.definitions.feast_objects import read_on_demand, read_view
from lineshaft.ops.training_set import answer
from lineshaft.specs import OnDemandView, Service, ServiceView, View
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.stores.ports import Found, Wanted
from lineshaft.tiles.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One view of a request, under the name it is asked by (an alias, or a pinned version `view@v2`)."""

    name: str
    view: View
    features: tuple[str, ...]
    key_names: Mapping[str, str]  # join key of the view -> column of the request

    def wanted(self, columns: Mapping[str, Sequence[Any]], key_table: Any) -> Wanted:
        """Return what to look up, given the request's key columns."""
        named = {
            name: columns[self.key_names.get(name, name)]
            for name, _ in self.view.entity_keys
            if self._has(columns, name)
        }
        return Wanted(view=self.view, features=self.features, keys=key_table(self.view, named))

    def _has(self, columns: Mapping[str, Sequence[Any]], name: str) -> bool:
        return self.key_names.get(name, name) in columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the answer: the name inside ("view__feature"), the name outside, its type and its view."""

    inner: str
    outer: str
    dtype: str
    part: str  # the view whose age it has; "" for on-demand features


@dataclass(frozen=True, slots=True, kw_only=True)
class FeastRequest:
    """A request, resolved."""

    parts: tuple[Part, ...]
    on_demand: tuple[OnDemandView, ...]
    columns: tuple[Column, ...]

    def answer(self, found: Sequence[Found], at_us: NDArray[np.int64], rows: pa.Table | None = None) -> Answer:
        """Judge what a store found for `parts`, in order, by the code that answers serving and training.

        rows: the entity rows, of which on-demand features read what they need of the request itself.
        """
        views = tuple(ServiceView(view=p.name, version=p.view.version, features=p.features) for p in self.parts)
        service = Service(name="feast", views=views, on_demand=self.on_demand)
        return answer(service, [part.view for part in self.parts], found, at_us, rows)

    def key_names(self) -> tuple[str, ...]:
        """Return the request columns that are join keys, each once."""
        names = [part.key_names.get(name, name) for part in self.parts for name, _ in part.view.entity_keys]
        return tuple(dict.fromkeys(names))

    def request_fields(self) -> tuple[str, ...]:
        """Return the request columns that on-demand features read."""
        return tuple(dict.fromkeys(name for view in self.on_demand for name, _ in view.request_fields))


def resolve(
    grouped: Sequence[tuple[Any, Sequence[str]]],
    demands: Sequence[Any],
    refs: Sequence[str],
    *,
    full_names: bool,
) -> FeastRequest:
    """Resolve a request.

    grouped: (feature view, features) with what on-demand views read included; demands: on-demand views of Feast;
    refs: what was asked for, as "view:feature".
    """
    parts = tuple(
        Part(
            name=table.projection.name_to_use(),
            view=view_of(table),
            features=tuple(dict.fromkeys(features)),
            key_names=dict(table.projection.join_key_map),
        )
        for table, features in grouped
        if features
    )
    compiled = {(d.projection.name_alias or d.name): compile_on_demand(read_on_demand(d), units={}) for d in demands}
    asked = [_split(ref) for ref in refs]
    dtypes = {f"{p.name}__{f.name}": f.dtype for p in parts for f in p.view.features}
    dtypes |= {f"{name}__{f.name}": f.dtype for name, view in compiled.items() for f in view.features}
    columns = tuple(
        Column(
            inner=f"{view}__{feature}",
            outer=f"{view}__{feature}" if full_names else feature,
            dtype=dtypes[f"{view}__{feature}"],
            part="" if view in compiled else view,
        )
        for view, feature in asked
    )
    wanted = {column.inner for column in columns}
    on_demand = tuple(
        replace(view, name=name).only([f.name for f in view.features if f"{name}__{f.name}" in wanted])
        for name, view in compiled.items()
    )
    return FeastRequest(parts=parts, on_demand=on_demand, columns=columns)


_COMPILED: dict[tuple[object, ...], View] = {}


def view_of(table: Any) -> View:
    """Return the spec of a Feast feature view as its registry holds it; compiled once per state of the registry."""
    state = (table.last_updated_timestamp, table.current_version_number, table.projection.version_tag)
    key = (table.name, *state, len(table.features), table.ttl)
    if table.last_updated_timestamp is None or key not in _COMPILED:
        _COMPILED[key] = compile_view(read_view(table))
    return _COMPILED[key]


def gather(found: Sequence[Found], part: Part) -> Found:
    """Put consecutive chunks of one view's rows together."""
    if not found:
        kinds = {f.name: ARROW_TYPES[f.dtype] for f in part.view.features}
        times = [("event_time", ARROW_TYPES["timestamp"]), ("known_at", ARROW_TYPES["timestamp"])]
        schema = pa.schema([*times, *((name, kinds[name]) for name in part.features)])
        return Found(rows=schema.empty_table(), status=np.zeros(0, np.int8))
    return Found(
        rows=pa.concat_tables([part.rows for part in found]).combine_chunks(),
        status=np.concatenate([part.status for part in found]),
    )


def _split(ref: str) -> tuple[str, str]:
    view, _, feature = ref.partition(":")
    return view, feature
