"""The checkpoint before the raw store: blocks are held to what is known of their sensor, and to their source's suite.

First come the rules of `lineshaft.sources.history`, which need no library; then the source's own suite. What breaks
either is kept aside whole, with the reason, and can be released. A side table is kept or held as a whole: labels with
holes in them would teach that nothing failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.ops.ingest import Admitted, content_name
from lineshaft.ops.jobs import FAILED, PASSED, Verdict
from lineshaft.ops.quarantine import REASON, keep_aside, of_source, of_table, quarantine_folder
from lineshaft.ops.training_set import fingerprint
from lineshaft.sources.facts import block_facts
from lineshaft.sources.history import REASONS, by_entity, history_reasons
from lineshaft.sources.reading import EVENT_SCHEMA
from lineshaft.specs import Source
from lineshaft.stores.whole_files import write_whole

REMEMBERED = 8
"""Blocks of each entity whose facts are kept, for the next batch to be compared with."""

DAY_US = 86_400_000_000
LATER = "received_after_now: it says that it was received more than a day from now, which no clock error explains"

Judge = Callable[[str, str, pa.Table, pa.Table], Verdict | None]
"""Judge a table by a suite over facts, one row for each of its own: (kind, name, table, facts); None: no suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Judges what is ingested, and keeps aside what fails. `work` is the jobs' own folder."""

    work: Path
    judge: Judge
    now_us: int

    def blocks(self, source: Source, blocks: pa.Table) -> Admitted:
        """Divide blocks that have passed `validate_blocks`."""
        if not blocks.num_rows:
            return Admitted(good=blocks, held=_reasoned(blocks, []))
        facts = block_facts(blocks, source)
        said = [f"{reason}: {REASONS[reason]}" if reason else "" for reason in self._changes(source, facts)]
        later = blocks["known_us"].to_numpy() > self.now_us + DAY_US
        said = [LATER if ahead else text for text, ahead in zip(said, later.tolist(), strict=True)]
        verdict = self.judge("source", source.name, blocks, facts)
        if verdict is not None:
            said = _joined(said, _reasons_by_row(blocks, verdict))
        aside = np.array([bool(text) for text in said], dtype=bool)
        held = _reasoned(blocks.filter(pa.array(aside)), [text for text in said if text])
        good = blocks.filter(pa.array(~aside))
        keep_aside(held, quarantine_folder(self.work, of_source(source.name)), content_name(blocks))
        self._remember(source, facts.filter(pa.array(~aside)))
        outcome = verdict.outcome if verdict is not None else PASSED
        return Admitted(good=good, held=held, outcome=FAILED if held.num_rows and outcome == PASSED else outcome)

    def table(self, name: str, table: pa.Table) -> Admitted:
        """Return a side table whole, as good or as held."""
        verdict = self.judge("table", name, table, table_facts(table, now_us=self.now_us))
        if verdict is None or verdict.outcome == PASSED:
            return Admitted(good=table, held=_reasoned(table.slice(0, 0), []))
        said = _reasons_by_row(table, verdict)
        held = _reasoned(table, [text or "its table is held as a whole" for text in said])
        keep_aside(held, quarantine_folder(self.work, of_table(name)), fingerprint(table))
        return Admitted(good=table.slice(0, 0), held=held, outcome=verdict.outcome)

    def _changes(self, source: Source, facts: pa.Table) -> list[str]:
        """Compare blocks with those before them, in this batch and in earlier ones."""
        earlier = self._earlier(source, facts)
        known = pa.concat_tables([earlier.select(facts.column_names), facts]) if earlier.num_rows else facts
        return history_reasons(known, source.channels, earlier=earlier.num_rows)[earlier.num_rows :]

    def _earlier(self, source: Source, facts: pa.Table) -> pa.Table:
        """Return the facts remembered of blocks that began before an entity's first one here."""
        path = self._memory(source)
        if not path.exists():
            return facts.slice(0, 0)
        kept = pq.read_table(path, partitioning=None)
        if kept.schema != facts.schema:
            return facts.slice(0, 0)  # another version wrote it: the first block stands for what was before
        keys = ["asset_id", "position"]
        firsts = facts.group_by(keys).aggregate([("start_us", "min")])
        there = kept.append_column("place", pa.array(np.arange(kept.num_rows))).join(firsts, keys=keys)
        before = there.filter(pc.less(there["start_us"], there["start_us_min"]))
        return kept.take(before["place"].combine_chunks().sort())

    def _remember(self, source: Source, facts: pa.Table) -> None:
        """Keep the facts of the newest good blocks of each entity."""
        path = self._memory(source)
        kept = pq.read_table(path, partitioning=None) if path.exists() else facts.slice(0, 0)
        every = pa.concat_tables([kept, facts]) if kept.schema == facts.schema else facts
        starts = every["start_us"].to_numpy()
        newest = [rows[np.argsort(starts[rows], kind="stable")[-REMEMBERED:]] for rows in by_entity(every)]
        if newest:
            write_whole(every.take(pa.array(np.sort(np.concatenate(newest)))), path)

    def _memory(self, source: Source) -> Path:
        return self.work / "facts" / f"{source.name}.parquet"


def table_facts(table: pa.Table, *, now_us: int) -> pa.Table:
    """Return a side table with what can be said of its rows beside what they hold.

    Of events: `age_s`, seconds until now, and `repaired`, of failures only: 1 where a replacement bears its machine,
    time and code.
    """
    if not set(EVENT_SCHEMA.names) <= set(table.column_names):
        return table
    times = table["event_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    what = pc.binary_join_element_wise(table["asset_id"], times.cast(pa.string()), table["code"], "|")
    replaced = what.filter(pc.equal(table["kind"], "corrective"))
    repaired = pc.is_in(what, value_set=replaced.combine_chunks()).cast(pa.float64())
    failures = pc.if_else(pc.equal(table["kind"], "failure"), repaired, pa.scalar(None, pa.float64()))
    age_s = (now_us - np.asarray(times.to_numpy())) / 1e6
    return table.append_column("age_s", pa.array(age_s)).append_column("repaired", failures)


def _reasons_by_row(table: pa.Table, verdict: Verdict) -> list[str]:
    """Return the reason of each row of a table, "" for a good one, from a verdict that names places."""
    said = [""] * table.num_rows
    for place, reason in zip(verdict.places, verdict.quarantined[REASON].to_pylist(), strict=True):
        said[place] = reason
    return said


def _joined(first: list[str], second: list[str]) -> list[str]:
    return ["; ".join(text for text in pair if text) for pair in zip(first, second, strict=True)]


def _reasoned(table: pa.Table, reasons: list[str]) -> pa.Table:
    return table.append_column(REASON, pa.array(reasons, pa.string()))
