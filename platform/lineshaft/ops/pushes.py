"""Readings that services push: validated, counted, and put where the stream job finds them, as any feed's are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.clock import Clock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.ingest import content_name, keep_rejects
from lineshaft.registry.catalog_values import Catalog
from lineshaft.sources.pushed import Columns, pushed_reading
from lineshaft.specs import BLOCK_SCHEMA, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of a push: readings accepted, rows rejected by reason; `repeat` where all of it was here before."""

    source: str
    accepted: int
    rejected: Mapping[str, int]
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """Take readings into the inbox of the stream job, which writes their features to both stores through its gate.

    `inbox` has a folder for each source; `rejects` keeps what was refused, with its reason.
    """

    catalog: Catalog
    clock: Clock
    inbox: Path
    rejects: Path

    def push(self, name: str, columns: Columns, *, caller: Caller = LOCAL) -> Pushed:
        """Take one push, if the caller may write for each team with a view of the source; again, it changes nothing.

        Raises `NotFoundError` for a source that no view computes from, `InputError` for columns that do not fit, and
        where every row is rejected.
        """
        fed = self._fed(name)
        caller.must_write(name, {view.team for view in fed})
        source = fed[0].source
        reading = pushed_reading(columns, source, received_us=self.clock.now_us())
        keep_rejects(reading.rejects, self.rejects)
        rejected = dict(Counter(reading.rejects["reason"].to_pylist()))
        blocks = reading.blocks.get(name, BLOCK_SCHEMA.empty_table())
        if not blocks.num_rows:
            refuse_all(name, rejected)
        folder = self.inbox / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"push-{content_name(blocks.drop_columns(['known_us']))}.parquet"
        repeat = path.exists() or not write_blocks_file(blocks, path, once=True)
        return Pushed(source=name, accepted=blocks.num_rows, rejected=rejected, repeat=repeat)

    def _fed(self, name: str) -> list[View]:
        """Return the views that compute from a source."""
        views = [view for view in self.catalog.views() if view.source.kind == "blocks"]
        fed = [view for view in views if view.source.name == name]
        if not fed:
            listed = ", ".join(sorted({view.source.name for view in views})) or "none is declared"
            raise NotFoundError(f"there is no push source {name!r}", fix=f"there are: {listed}")
        return fed


def refuse_all(name: str, rejected: Mapping[str, int]) -> NoReturn:
    """Raise `InputError` for a push of which every row is rejected, by reason."""
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items()))
    raise InputError(f"every row is rejected: {said}", where=name, fix="see `lineshaft rejects`")
