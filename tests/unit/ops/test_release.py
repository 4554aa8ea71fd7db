"""What was held and is let in after all ends in both stores with the bits of data that was never held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import CheckNotRunError, CorruptError, InputError, NotFoundError
from lineshaft.ops.jobs import COULD_NOT_RUN, Gate, Verdict
from lineshaft.ops.landing import land
from lineshaft.ops.quarantine import (
    find_held,
    held_batches,
    keep_aside,
    of_source,
    of_table,
    quarantine_folder,
    quarantined_rows,
)
from lineshaft.ops.release import Keeper, computed, decisions
from lineshaft.ops.tables import read_table
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.catalogue import SOURCES
from lineshaft.specs import Feature, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.comparison import compare_rows
from lineshaft.tiles.engine import Engine

MINUTE_US = 60_000_000
SOURCE = SOURCES["vibration_blocks"]
VIEW = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=tuple(
        Feature(name=f"{function}_{minutes}m", column="acceleration", function=function, window_us=minutes * MINUTE_US)
        for function in ("rms", "kurtosis", "coverage")
        for minutes in (1, 5)
    ),
    grace_us=5_000_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """Both stores of one plant, and who decides there about what is held."""

    offline: DeltaOfflineStore
    online: RedisOnlineStore
    keeper: Keeper
    work: Path

    def backfill(self, gate: Gate | None = None) -> None:
        """Make the rows of what is stored, as a job does, and write them to both stores."""
        rows = computed(VIEW, ["p", "q"], self.offline)
        landed = land(VIEW, rows, batch="backfill", offline=self.offline, aside=self.work, gate=gate)
        self.online.write(VIEW, landed.good)

    def rows(self) -> pa.Table:
        """Return every stored row."""
        return pa.concat_tables(self.offline.read_rows(VIEW))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one Valkey."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


def plant(folder: Path, server: str, gate: Gate | None = None) -> Plant:
    """Return an empty plant."""
    offline = DeltaOfflineStore(str(folder / "offline"))
    online = RedisOnlineStore(server, project=f"{folder.parent.name}-{folder.name}", timeout_s=5.0)
    keeper = Keeper(
        catalog=FixedCatalog(all_views=(VIEW,), all_services=()),
        offline=offline,
        online=online,
        work=folder / "work",
        tables=folder / "tables",
        clock=ManualClock(time_us=77),
        gate=gate,
    )
    return Plant(offline=offline, online=online, keeper=keeper, work=folder / "work")


def blocks() -> pa.Table:
    """Return twelve minutes of two pumps, two blocks a minute, some received late."""
    generator = np.random.default_rng(3)
    starts = np.repeat(np.arange(24) * 30_000_000, 2) + 1_700_000_040_000_000
    return blocks_table(
        asset_id=["p", "q"] * 24,
        position="de",
        starts_us=starts,
        samples=generator.normal(size=(48, 1, 64)),
        rate_hz=64.0,
        known_us=starts + 1_000_000 + np.where(np.arange(48) % 7 == 0, 4 * MINUTE_US, 0),
    )


def reasoned(table: pa.Table, reason: str = "scale_changed") -> pa.Table:
    """Return rows as quarantine keeps them."""
    return table.append_column("reason", pa.array([reason] * table.num_rows, pa.string()))


def assert_same(ours: Plant, clean: Plant) -> None:
    """Compare both stores of two plants to the bit."""
    compared = compare_rows(VIEW, ours.rows(), clean.rows())
    assert compared.equal, compared
    assert ours.online.digest(VIEW) == clean.online.digest(VIEW)


@pytest.mark.parametrize("which", ["the middle", "one pump's end", "every third", "all"])
def test_released_blocks_give_the_bits_of_blocks_that_were_never_held(tmp_path: Path, server: str, which: str) -> None:
    """Rows were made, and served, without them meanwhile; those are replaced, and the versions before are kept."""
    place = np.arange(48)
    held = {
        "the middle": (place > 12) & (place < 30),
        "one pump's end": (place % 2 == 0) & (place > 30),
        "every third": place % 3 == 0,
        "all": place >= 0,
    }[which]
    clean, ours = plant(tmp_path / "clean", server), plant(tmp_path / "ours", server)
    clean.offline.write_blocks(SOURCE, blocks(), batch="b")
    clean.backfill()
    good = blocks().filter(pa.array(~held))
    if good.num_rows:
        ours.offline.write_blocks(SOURCE, good, batch="b")
        ours.backfill()
    before = ours.offline.version(VIEW)
    was = pa.concat_tables([clean.rows().slice(0, 0), *ours.offline.read_rows(VIEW)])
    keep_aside(reasoned(blocks().filter(pa.array(held))), quarantine_folder(ours.work, of_source(SOURCE.name)), "b")
    (batch,) = held_batches(ours.work)

    done = ours.keeper.release(batch, actor="ana", reason="the gain was changed on purpose")

    assert_same(ours, clean)
    assert (done.stored, done.replayed > 0) == (int(held.sum()), True)
    assert held_batches(ours.work) == []
    then = pa.concat_tables([was.slice(0, 0), *ours.offline.read_rows(VIEW, version=before)])
    assert compare_rows(VIEW, then, was).equal


def test_a_replay_asks_the_gate_too(tmp_path: Path, server: str) -> None:
    """What follows from released blocks is judged as all rows are; what is refused is held in its turn."""

    def gate(_view: View, rows: pa.Table) -> Verdict:
        wild = pc.greater(rows["rms_1m"], 1.05)
        bad = rows.filter(wild)
        return Verdict(good=rows.filter(pc.invert(wild)), quarantined=reasoned(bad, "too wild"), outcome="failed")

    ours = plant(tmp_path / "ours", server, gate)
    keep_aside(reasoned(blocks()), quarantine_folder(ours.work, of_source(SOURCE.name)), "b")

    ours.keeper.release(held_batches(ours.work)[0], actor="ana", reason="r")

    (held,) = held_batches(ours.work)
    assert (held.kind, held.name, held.reasons) == ("view", "pumps", (("too wild", held.rows),))
    assert 0 < held.rows < ours.rows().num_rows + held.rows
    assert pc.max(ours.rows()["rms_1m"]).as_py() <= 1.05


def test_released_rows_give_the_bits_of_rows_that_were_never_held(tmp_path: Path, server: str) -> None:
    """A checkpoint that was wrong held a third of the rows, and their entities were served older ones."""

    def gate(_view: View, rows: pa.Table) -> Verdict:
        third = pa.array(np.arange(rows.num_rows) % 3 == 2)
        return Verdict(good=rows.filter(pc.invert(third)), quarantined=reasoned(rows.filter(third)), outcome="failed")

    clean, ours = plant(tmp_path / "clean", server), plant(tmp_path / "ours", server)
    for one, judge in ((clean, None), (ours, gate)):
        one.offline.write_blocks(SOURCE, blocks(), batch="b")
        one.backfill(judge)
    assert not compare_rows(VIEW, ours.rows(), clean.rows()).equal

    (batch,) = held_batches(ours.work)
    done = ours.keeper.release(batch, actor="ana", reason="the range was too narrow")

    assert_same(ours, clean)
    assert (done.stored, done.rows) == (batch.rows, batch.rows)
    assert quarantined_rows(VIEW, offline=ours.offline, work=ours.work).num_rows == 0


def test_what_was_discarded_stays_out_and_is_not_asked_about_again(tmp_path: Path, server: str) -> None:
    """The rows count as held for the proof; the same batch refused again makes no new case, another does."""
    ours = plant(tmp_path / "ours", server)
    rows = Engine(VIEW)
    rows.add(blocks())
    table = reasoned(rows.advance(2**61))
    folder = quarantine_folder(ours.work, VIEW)
    keep_aside(table, folder, "b")

    done = ours.keeper.discard(held_batches(ours.work)[0], actor="ben", reason="the sensor was loose")
    keep_aside(table, folder, "b")

    assert (done.act, done.stored) == ("discarded", 0)
    assert held_batches(ours.work) == []
    assert quarantined_rows(VIEW, offline=ours.offline, work=ours.work).num_rows == table.num_rows
    keep_aside(table.slice(1), folder, "b")
    assert len(held_batches(ours.work)) == 1


def test_a_released_table_takes_its_place(tmp_path: Path, server: str) -> None:
    """A log that was held as a whole is kept under its name, without its reasons."""
    ours = plant(tmp_path / "ours", server)
    log = pa.table({"asset_id": ["p"], "kind": ["failure"]})
    keep_aside(reasoned(log), quarantine_folder(ours.work, of_table("events")), "b")

    ours.keeper.release(held_batches(ours.work)[0], actor="ana", reason="r")

    assert read_table("events", tmp_path / "ours" / "tables").equals(log)


def test_a_batch_is_found_by_its_first_letters(tmp_path: Path) -> None:
    """None, several and no letters are told apart."""
    for number in range(40):
        keep_aside(reasoned(pa.table({"x": [number]})), quarantine_folder(tmp_path, of_table("t")), f"b{number}")
    first = held_batches(tmp_path)[0]

    assert find_held(tmp_path, first.id) == first
    with pytest.raises(NotFoundError, match="nothing in quarantine"):
        find_held(tmp_path, "")
    with pytest.raises(NotFoundError):
        find_held(tmp_path, "xyz")
    letters = {one.id[0] for one in held_batches(tmp_path)}
    shared = next(letter for letter in letters if sum(one.id[0] == letter for one in held_batches(tmp_path)) > 1)
    with pytest.raises(InputError, match="batches are called"):
        find_held(tmp_path, shared)


def test_who_decided_what_and_why_is_written_down_and_cannot_be_changed_unseen(tmp_path: Path, server: str) -> None:
    """Three decisions in order; a word changed, a line gone or two lines exchanged are found."""
    ours = plant(tmp_path / "ours", server)
    for number in range(3):
        keep_aside(reasoned(pa.table({"x": [number]})), quarantine_folder(ours.work, of_table(f"t{number}")), "b")
        ours.keeper.discard(held_batches(ours.work)[0], actor="ana", reason=f"reason {number}")
    path = ours.work / "quarantine" / "decisions.jsonl"
    whole = path.read_text()

    assert [(one.actor, one.reason, one.at_us) for one in decisions(ours.work)] == [
        ("ana", f"reason {number}", 77) for number in range(3)
    ]
    first, second, third = whole.splitlines(keepends=True)
    for altered in (whole.replace("reason 1", "reason 7"), first + third, first + third + second):
        path.write_text(altered)
        with pytest.raises(CorruptError, match="was altered"):
            decisions(ours.work)
    assert json.loads(first)["previous"] == ""


def test_a_release_whose_rows_cannot_be_checked_decides_nothing(tmp_path: Path, server: str) -> None:
    """The checkpoint is broken: the batch is held still, nothing is written down, and the next release does it all."""

    def broken(_view: View, rows: pa.Table) -> Verdict:
        held = rows.append_column("reason", pa.array(["could not run"] * rows.num_rows))
        return Verdict(good=rows.slice(0, 0), quarantined=held, outcome=COULD_NOT_RUN)

    ours, clean = plant(tmp_path / "ours", server, broken), plant(tmp_path / "clean", server)
    ours.offline.write_blocks(SOURCE, blocks().slice(0, 24), batch="first")
    ours.backfill()
    keep_aside(reasoned(blocks().slice(24)), quarantine_folder(ours.work, of_source(SOURCE.name)), "second")
    (held,) = held_batches(ours.work)

    with pytest.raises(CheckNotRunError, match="could not be checked"):
        ours.keeper.release(held, actor="ana", reason="right after all")

    assert (held_batches(ours.work), decisions(ours.work)) == ([held], [])
    replace(ours.keeper, gate=None).release(held, actor="ana", reason="right after all")
    clean.offline.write_blocks(SOURCE, blocks(), batch="all")
    clean.backfill()
    assert_same(ours, clean)
