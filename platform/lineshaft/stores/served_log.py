"""The log of served answers: one row for each entity of each answer, with all that it takes to make it again.

`<root>/served/<service>.<recipe>` is a Delta table for each service as it was declared (`lineshaft.specs.recipes`),
by the UTC day of serving; its description is the recipe as JSON, so that the log can be read without a catalogue.
Columns that belong together are structs, so that no name of a feature can be taken for another:
`keys.<join key>`, `views.<view>.{version, found, event_time, known_at, age_us}`, `features.<view>__<feature>` and
`statuses.<view>__<feature>`. `found` is a `Status`: PRESENT where the store had a row, whose two times follow.
Services whose on-demand features read the request have `request.<field>` too: what the caller gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from lineshaft.clock import Clock, SystemClock
from lineshaft.specs import Recipe
from lineshaft.specs.rows import ARROW_TYPES, TIMESTAMP
from lineshaft.stores.data_files import Layout, safe_name
from lineshaft.stores.parquet_read import Snapshot
from lineshaft.stores.parquet_write import write_files
from lineshaft.stores.scan import scan

if TYPE_CHECKING:
    from lineshaft.stores.delta_log import DeltaFolder

FOUND = pa.struct(
    [
        pa.field("version", pa.string()),
        pa.field("found", pa.int8()),
        pa.field("event_time", TIMESTAMP),
        pa.field("known_at", TIMESTAMP),
        pa.field("age_us", pa.int64()),
    ]
)
"""What a served row says of one view: what the store had, and the age that was answered (-1 where there is no row)."""


def served_schema(recipe: Recipe) -> pa.Schema:
    """Return the columns of a recipe's log."""
    keys = {name: ARROW_TYPES[dtype] for view in recipe.views for name, dtype in view.entity_keys}
    features = {}
    for used, view in zip(recipe.service.views, recipe.views, strict=True):
        types = {feature.name: ARROW_TYPES[feature.dtype] for feature in view.features}
        features.update({f"{used.view}__{name}": types[name] for name in used.features})
    for demand in recipe.service.on_demand:
        features.update({f"{demand.name}__{feature.name}": ARROW_TYPES[feature.dtype] for feature in demand.features})
    fields = [(name, ARROW_TYPES[dtype]) for name, dtype in recipe.service.request_fields.items()]
    return pa.schema(
        [
            pa.field("served_at", TIMESTAMP, nullable=False),
            pa.field("request_id", pa.string(), nullable=False),
            pa.field("place", pa.int32(), nullable=False),  # of the entity in its request, from 0
            pa.field("asked_at", TIMESTAMP, nullable=False),  # the moment asked about: ages count to it
            pa.field("degraded", pa.bool_(), nullable=False),
            pa.field("keys", pa.struct(list(keys.items()))),
            *([pa.field("request", pa.struct(fields))] if fields else ()),
            pa.field("views", pa.struct([(used.view, FOUND) for used in recipe.service.views])),
            pa.field("features", pa.struct(list(features.items()))),
            pa.field("statuses", pa.struct([(name, pa.int8()) for name in features])),
        ]
    )


class ServedLog:
    """The logs of all services under one root, a folder or URL. Several processes may write at once."""

    def __init__(
        self, root: str, *, storage_options: Mapping[str, str] | None = None, clock: Clock | None = None
    ) -> None:
        self._root = f"{root.rstrip('/')}/served"
        self._options = storage_options
        self._clock: Clock = clock or SystemClock()

    def append(self, recipe: Recipe, rows: pa.Table, *, writer: str, turn: int) -> None:
        """Add rows (`served_schema`) once for each turn of a writer, which counts its turns upward."""
        folder = self._folder(safe_name(recipe.name), served_schema(recipe), recipe.to_json())
        opened = folder.ensured()
        if (opened.transaction_version(writer) or 0) < turn:
            folder.append(opened, write_files(folder, rows), batch=writer, turn=turn)

    def recipes(self) -> list[Recipe]:
        """Return the recipes of which answers were logged, by name."""
        from lineshaft.stores.delta_log import tables_below

        names = tables_below(self._root, self._options)
        opened = [self._folder(name, pa.schema([])).open() for name in names]
        return [Recipe.from_json(table.metadata().description) for table in opened if table is not None]

    def read(self, recipe: Recipe, *, since_us: int | None = None) -> Iterator[pa.Table]:
        """Return what was served from a moment on, a row group at a time, the newest file first."""
        folder = self._folder(safe_name(recipe.name), served_schema(recipe))
        files = tuple(folder.files())
        if files:
            snapshot = Snapshot(source=folder.filesystem, where=folder.uri, files=files)
            after_us = None if since_us is None else since_us - 1
            schema = folder.layout.schema
            yield from scan(snapshot, folder.layout, columns=schema, after_us=after_us, until_us=None, first_key=())

    def _folder(self, name: str, schema: pa.Schema, text: str = "") -> DeltaFolder:
        from lineshaft.stores.delta_log import DeltaFolder

        order = ("served_at", "request_id", "place")
        layout = Layout(schema=schema, sort_by=order, time="served_at", day="served_date", text=text, versions=False)
        return DeltaFolder(f"{self._root}/{name}", layout=layout, clock=self._clock, options=self._options)
