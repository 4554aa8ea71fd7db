"""What lies beside a job: its file, its shards, its pinned libraries, its Java, and where a stream goes on."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_flink.block_files import SHARDS, Shard, most_blocks, runs, stage_blocks
from lineshaft_flink.jars import KAFKA, PARQUET, Jar, _fetch_one
from lineshaft_flink.java import KEEP_MEMORY, child_environment, java_home
from lineshaft_flink.job_file import NEVER_US, Feed, JobFile
from lineshaft_flink.packing import REJECTS, RowBatch
from lineshaft_flink.resume import remember_savepoint, resume_point
from lineshaft_flink.staging import finished, read_part

SOURCE = Source(name="s", channels=("x",), units=("g",))
VIEW = View(
    name="v",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a"), Feature(name="b")),
    tags=(("team", "x"),),
)
JOB = JobFile(
    name="j",
    feeds=(Feed(views=(VIEW,), history="/blocks"), Feed(views=(VIEW,), brokers="b", topic="t", group="g")),
    staging="/staging",
    checkpoints="/checkpoints",
    redis_url="redis://:secret@host",
    after_us=7,
    jars=("one.jar",),
    options={"a": "b"},
)


def test_a_job_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """Views, feeds, times and options; readable by its owner only, also where a file of that name was there before."""
    path = tmp_path / "job.json"
    path.write_text("old")
    path.chmod(0o644)

    assert JobFile.read(JOB.write(path)) == JOB
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("feeds", "bounded"),
    [
        ((Feed(views=(), history="h"),), True),
        ((Feed(views=(), live="l"),), False),
        ((Feed(views=(), topic="t"),), False),
        ((Feed(views=(), history="h", live="l"),), False),
        ((Feed(views=(), history="h"), Feed(views=(), topic="t")), False),
    ],
)
def test_a_job_ends_by_itself_if_every_feed_does(feeds: tuple[Feed, ...], bounded: bool) -> None:
    """One feed that keeps growing is enough to keep it running."""
    assert JobFile(name="j", feeds=feeds, staging="", checkpoints="").bounded == bounded


def test_a_job_without_limits_emits_everything() -> None:
    """From before any time to after any, and no row is left out for being known too early."""
    plain = JobFile(name="j", feeds=(), staging="", checkpoints="")

    assert (plain.after_us, plain.until_us) == (-NEVER_US, NEVER_US)
    assert NEVER_US > 10**6 * 86_400 * 365 * 10_000


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"feeds": [{}]}', '{"feeds": [], "jars": [], "odd": 1}'])
def test_what_is_no_job_file_is_refused(tmp_path: Path, text: str | None) -> None:
    """Absent, broken, or of other fields: the error names the file."""
    path = tmp_path / "job.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InputError, match="no job file") as caught:
        JobFile.read(path)

    assert caught.value.where == str(path)


@given(sizes=st.lists(st.integers(1, 50), max_size=SHARDS), most=st.integers(1, 60))
def test_runs_hold_every_shard_once_and_no_more_blocks_than_fit(sizes: list[int], most: int) -> None:
    """Only a shard that is too large by itself exceeds the limit, and it is alone then."""
    shards = [Shard(folder=Path(str(number)), blocks=size) for number, size in enumerate(sizes)]

    found = runs(shards, most_blocks=most)

    assert sorted(shard.folder.name for run in found for shard in run) == sorted(shard.folder.name for shard in shards)
    assert all(len(run) == 1 or sum(shard.blocks for shard in run) <= most for run in found)
    assert all(found)


def test_room_for_blocks_follows_from_the_width_of_a_tile() -> None:
    """8 bytes a number and 200 for the rest; there is always room for one."""
    assert most_blocks(100, tile_bytes=1_000_000) == 1000
    assert most_blocks(100, tile_bytes=1) == 1
    assert most_blocks(100, tile_bytes=1_000_001) == 1001


def blocks(assets: list[str], *, first: int = 0) -> pa.Table:
    """Return one block an asset."""
    starts = 1_700_000_000_000_000 + (first + np.arange(len(assets))) * 1_000_000
    samples = np.arange(len(assets), dtype=float).reshape(-1, 1, 1)
    return blocks_table(asset_id=assets, starts_us=starts, samples=samples, rate_hz=1.0, dtype="f8")


def test_blocks_are_staged_by_asset_and_none_is_lost(tmp_path: Path) -> None:
    """One asset lies in one shard; fingerprints are those of the blocks, whatever batches they came in."""
    names = [f"asset-{number}" for number in range(40)]
    one, two = MemoryOfflineStore(), MemoryOfflineStore()
    one.write_blocks(SOURCE, blocks(names), batch="all")
    two.write_blocks(SOURCE, blocks(names).slice(20), batch="late")
    two.write_blocks(SOURCE, blocks(names).slice(0, 20), batch="early")
    told: list[int] = []

    staged = stage_blocks(SOURCE, offline=one, folder=tmp_path / "one", told=told.append)
    again = stage_blocks(SOURCE, offline=two, folder=tmp_path / "two")

    assert {s.folder.name: (s.blocks, s.fingerprint) for s in staged} == {
        s.folder.name: (s.blocks, s.fingerprint) for s in again
    }
    assert sum(told) == sum(shard.blocks for shard in staged) == 40
    homes: dict[str, set[str]] = {}
    for file in (tmp_path / "one").rglob("*.parquet"):
        for name in pq.read_table(file)["asset_id"].to_pylist():
            homes.setdefault(name, set()).add(file.parent.name)
    assert set(homes) == set(names)
    assert {len(folders) for folders in homes.values()} == {1}


def test_a_changed_block_changes_the_fingerprint_of_its_shard(tmp_path: Path) -> None:
    """One sample, or one receipt, is enough; so is a block twice."""
    table = blocks(["a"])
    other = table.set_column(table.column_names.index("known_us"), table.schema.field("known_us"), pa.array([5]))
    prints = set()
    for tables in ([table], [other], [table, table], []):
        shard = Shard(folder=tmp_path)
        for part in tables:
            shard.add(part)
        prints.add(shard.fingerprint)

    assert len(prints) == 4


def part(folder: Path, name: str, elements: list[tuple[str, str, bytes]]) -> Path:
    """Write a staging part as the job's sink does."""
    columns = [list(column) for column in zip(*elements, strict=True)]
    pq.write_table(pa.table(dict(zip(("view", "entity", "payload"), columns, strict=True))), folder / name)
    return folder / name


def test_a_part_is_read_back_as_rows_and_refusals(tmp_path: Path) -> None:
    """Entities, both times and values; NaN becomes null; refusals of several elements are gathered."""
    batch = RowBatch(tick_us=np.array([5, 6]), known_us=np.array([7, 8]), values=np.array([[1.0, np.nan], [2.0, 3.0]]))
    refusal = json.dumps([["p", "de", 1, 2, "bad_rate"]]).encode()
    elements = [(VIEW.ref, '["p"]', batch.to_bytes()), (REJECTS, "[]", refusal), (VIEW.ref, '["q"]', batch.to_bytes())]

    found = read_part(part(tmp_path, "part-1", [*elements, elements[1]]), [VIEW])

    rows = found.rows[VIEW.ref]
    assert rows["asset_id"].to_pylist() == ["p", "p", "q", "q"]
    assert rows["event_time"].cast(pa.int64()).to_pylist() == [5, 6, 5, 6]
    assert rows["known_at"].cast(pa.int64()).to_pylist() == [7, 8, 7, 8]
    assert (rows["a"].to_pylist(), rows["b"].to_pylist()) == ([1.0, 2.0] * 2, [None, 3.0] * 2)
    assert (
        found.rejects.to_pylist()
        == [{"asset_id": "p", "position": "de", "start_us": 1, "known_us": 2, "reason": "bad_rate"}] * 2
    )
    assert found.name == "part-1"


def test_only_finished_parts_are_seen_in_order_of_name(tmp_path: Path) -> None:
    """Hidden ones are open, folders are none, and a folder that is not there yet holds none."""
    for name in ("part-2", "part-1", ".part-3.inprogress", "_SUCCESS"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()

    assert [path.name for path in finished(tmp_path)] == ["part-1", "part-2"]
    assert finished(tmp_path / "absent") == []


def checkpoint(work: Path, name: str, *, at: int, whole: bool = True) -> Path:
    """Make a checkpoint's folder, whole at a time."""
    folder = work / "checkpoints" / "job" / name
    folder.mkdir(parents=True)
    if whole:
        (folder / "_metadata").touch()
        os.utime(folder / "_metadata", (at, at))
    return folder


@pytest.mark.parametrize(("saved_at", "goes_on_from"), [(50, "chk-9"), (99, "chk-9"), (100, "saved"), (200, "saved")])
def test_a_stream_goes_on_from_the_newest_whole_point(tmp_path: Path, saved_at: int, goes_on_from: str) -> None:
    """The newest checkpoint that is whole, unless a savepoint is as new; open checkpoints are passed over."""
    checkpoint(tmp_path, "chk-8", at=90)
    newest = checkpoint(tmp_path, "chk-9", at=100)
    checkpoint(tmp_path, "chk-10", at=110, whole=False)
    remember_savepoint(tmp_path, "file:/saved")
    os.utime(tmp_path / "resume.json", (saved_at, saved_at))

    assert resume_point(tmp_path) == {"chk-9": str(newest), "saved": "file:/saved"}[goes_on_from]


class Maven:
    """A Maven cache with one file, whatever is asked for."""

    def __init__(self, path: Path | None) -> None:
        self.asked: list[str] = []
        self._path = path

    def project(self, group: str, name: str) -> Any:
        """Return the project, its version and its artifact in one."""

        def at_version(version: str) -> Any:
            self.asked.append(f"{group}:{name}:{version}")
            return SimpleNamespace(artifact=lambda: SimpleNamespace(cached_path=self._path, resolve=self._resolve))

        return SimpleNamespace(at_version=at_version)

    def _resolve(self) -> Path:
        if self._path is None:
            raise OSError("no route to host")
        return self._path


def test_a_library_is_used_only_if_it_is_the_one_pinned(tmp_path: Path) -> None:
    """Its SHA-256 is compared; another file under its name is refused with what to do."""
    (tmp_path / "a.jar").write_bytes(b"java")
    jar = Jar(group="g", name="n", version="1", sha256=hashlib.sha256(b"java").hexdigest())
    maven = Maven(tmp_path / "a.jar")

    assert _fetch_one(maven, jar) == tmp_path / "a.jar"
    assert maven.asked == ["g:n:1"] == [jar.coordinate]
    (tmp_path / "a.jar").write_bytes(b"jave")
    with pytest.raises(EnvironmentFault, match="not the pinned") as caught:
        _fetch_one(maven, jar)
    assert (caught.value.where, "delete that file" in caught.value.fix) == (str(tmp_path / "a.jar"), True)


def test_a_library_that_cannot_be_had_says_how_to_get_it() -> None:
    """Whatever goes wrong on the way, the coordinate is told."""
    with pytest.raises(EnvironmentFault, match="g:n:1 cannot be fetched: no route to host") as caught:
        _fetch_one(Maven(None), Jar(group="g", name="n", version="1", sha256=""))

    assert "M2_REPO" in caught.value.fix


def test_every_pin_is_a_sha256_of_its_own() -> None:
    """Five libraries, none of them pinned twice."""
    jars = (*PARQUET, *KAFKA)

    assert len({jar.sha256 for jar in jars}) == len({jar.coordinate for jar in jars}) == 5
    assert all(len(jar.sha256) == 64 and set(jar.sha256) <= set("0123456789abcdef") for jar in jars)


def test_a_java_that_was_named_is_used_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME goes first; one without a java in it is passed over."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    passed_over = java_home()
    (tmp_path / "bin" / "java").touch()

    assert java_home() == tmp_path != passed_over


@pytest.mark.parametrize(
    ("heap", "arguments"),
    [
        ("512m", "-Xmx512m -Xmn128m -XX:SurvivorRatio=2 -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
        ("2G", "-Xmx2G -Xmn512m -XX:SurvivorRatio=2 -XX:+UseSerialGC -XX:TieredStopAtLevel=1"),
        ("", None),
    ],
)
def test_a_jobs_process_is_given_its_heap_its_logs_and_our_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heap: str, arguments: str | None
) -> None:
    """One thread for each numeric library, memory kept between batches, and whatever else there was."""
    for name in ("JVM_ARGS", "OMP_NUM_THREADS", *KEEP_MEMORY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.setenv("KEPT", "yes")

    environment = child_environment(heap=heap, logs=tmp_path)

    assert environment.get("JVM_ARGS") == arguments
    assert environment["FLINK_LOG_DIR"] == str(tmp_path)
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert (environment["OPENBLAS_NUM_THREADS"], environment["OMP_NUM_THREADS"], environment["KEPT"]) == (
        "3",
        "1",
        "yes",
    )
    assert {name: environment[name] for name in KEEP_MEMORY} == KEEP_MEMORY
