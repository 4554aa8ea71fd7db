"""What Delta tables add to the promises of every offline store: compaction, pins, processes, and their failures."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lineshaft.errors import ConflictError, CorruptError, InputError, NotFoundError, UnavailableError
from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, View, row_schema
from lineshaft.stores.data_files import safe_name
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.ports import Wanted

DAY = 86_400_000_000
SOURCE = Source(name="motor", channels=("x",), units=("g",))
VIEW = View(
    name="motor", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="x"), Feature(name="y"))
)
ASSETS = ["a", "b", "c"]


def tick(number: int, *, assets: list[str] = ASSETS) -> pa.Table:
    """Return one row per asset at a tick of one hour."""
    event = [number * DAY // 24] * len(assets)
    numbers = [float(number * 10 + i) for i in range(len(assets))]
    columns = [assets, event, [e + 5 for e in event], numbers, numbers]
    schema = row_schema(VIEW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def everything(store: DeltaOfflineStore, version: int | None = None) -> pa.Table:
    """Return all rows, sorted."""
    table = pa.concat_tables([row_schema(VIEW).empty_table(), *store.read_rows(VIEW, version=version)])
    return table.sort_by([("asset_id", "ascending"), ("event_time", "ascending")]).combine_chunks()


def folder(store_root: Path) -> Path:
    """Return where the view's table lies."""
    return store_root / "rows" / safe_name(VIEW.ref)


@pytest.fixture
def store(tmp_path: Path) -> DeltaOfflineStore:
    """Return a store of two days in 12 commits."""
    store = DeltaOfflineStore(str(tmp_path))
    for number in range(0, 48, 4):
        store.write_rows(VIEW, tick(number), batch=f"t{number}")
    return store


def test_compaction_changes_files_and_not_rows(store: DeltaOfflineStore, tmp_path: Path) -> None:
    """12 files of 2 days become 2 sorted ones with the same rows; batches stay known."""
    before, pin = everything(store), store.version(VIEW)

    compacted = store.compact(VIEW)

    files = DeltaTable(str(folder(tmp_path))).file_uris()
    assert compacted > pin
    assert len(files) == 2
    assert everything(store).equals(before)
    assert everything(store, version=pin).equals(before)
    assert store.compact(VIEW) == compacted
    store.write_rows(VIEW, tick(4), batch="t4")
    assert everything(store).equals(before)
    for file in files:
        rows = pq.ParquetFile(file).read()
        assert rows.equals(rows.sort_by([("asset_id", "ascending"), ("event_time", "ascending")]))


def test_vacuum_takes_old_versions_unless_they_are_kept(store: DeltaOfflineStore) -> None:
    """A pinned version outlives vacuum when it is named; any other says that it is gone."""
    pin, before = store.version(VIEW), everything(store)
    store.compact(VIEW)

    assert store.vacuum(VIEW, retention_hours=0, keep_versions=[pin], delete=True) == []

    assert everything(store, version=pin).equals(before)
    assert store.vacuum(VIEW, retention_hours=168, keep_versions=[]) == []
    assert len(store.vacuum(VIEW, retention_hours=0, keep_versions=[], delete=True)) == 12
    assert everything(store).equals(before)
    with pytest.raises(NotFoundError, match="gone"):
        everything(store, version=pin)


def test_vacuum_looks_first_and_tells_what_would_go(store: DeltaOfflineStore, tmp_path: Path) -> None:
    """Without being told to delete it deletes nothing; what it names is what goes, to the byte."""
    pin, before = store.version(VIEW), everything(store)
    store.compact(VIEW)
    sizes = {
        str(path.relative_to(folder(tmp_path))): path.stat().st_size for path in folder(tmp_path).rglob("*.parquet")
    }

    seen = store.vacuum(VIEW, retention_hours=0, keep_versions=[])
    assert everything(store, version=pin).equals(before)
    gone = store.vacuum(VIEW, retention_hours=0, keep_versions=[], delete=True)

    left = {str(path.relative_to(folder(tmp_path))) for path in folder(tmp_path).rglob("*.parquet")}
    assert sorted(one.path for one in seen) == sorted(one.path for one in gone) == sorted(sizes.keys() - left)
    assert all(one.size == sizes[one.path] for one in seen)


def test_vacuum_refuses_where_a_kept_version_is_not_whole(store: DeltaOfflineStore, tmp_path: Path) -> None:
    """A file of the pin is gone already, or the table never had it: nothing more is deleted."""
    pin = store.version(VIEW)
    store.compact(VIEW)
    with pytest.raises(ConflictError, match="version 999 is pinned, and the table has none"):
        store.vacuum(VIEW, retention_hours=0, keep_versions=[999], delete=True)
    store._table(VIEW).filesystem.delete_file(store._table(VIEW).files(pin)[0].path)  # noqa: SLF001 - by accident
    left = sorted(folder(tmp_path).rglob("*.parquet"))

    with pytest.raises(ConflictError, match=f"version {pin} is pinned, and has files that are gone"):
        store.vacuum(VIEW, retention_hours=0, keep_versions=[pin], delete=True)

    assert sorted(folder(tmp_path).rglob("*.parquet")) == left


def test_the_second_of_two_compactions_is_refused(store: DeltaOfflineStore) -> None:
    """Two compactions of the same files would double every row; the loser is told to run again."""
    before = everything(store)
    rival = DeltaOfflineStore(store._root)  # noqa: SLF001 - the same folder
    loser = store._table(VIEW)  # noqa: SLF001 - the point where it would commit
    opened = loser.open()
    assert opened is not None
    files = loser.files_of(opened)
    rival.compact(VIEW)

    with pytest.raises(ConflictError, match="compacted"):
        loser.rearrange(opened, remove=files, add=[])

    assert everything(store).equals(before)


@pytest.mark.usefixtures("store")
def test_other_readers_see_plain_parquet(tmp_path: Path) -> None:
    """Files are zstd, one folder per day, with statistics of keys and times, and Delta's own reader agrees."""
    table = DeltaTable(str(folder(tmp_path)))

    parquet = pq.ParquetFile(table.file_uris()[0])
    column = parquet.metadata.row_group(0).column(1)

    assert table.to_pyarrow_table().num_rows == 12 * 3
    assert {Path(uri).parent.name for uri in table.file_uris()} == {"event_date=1970-01-01", "event_date=1970-01-02"}
    assert column.compression == "ZSTD"
    assert column.statistics.has_min_max


def test_a_log_of_many_commits_is_folded_into_checkpoints(tmp_path: Path) -> None:
    """After 100 commits the log has a checkpoint, and a batch of before it is still known."""
    store = DeltaOfflineStore(str(tmp_path))
    for number in range(105):
        store.write_rows(VIEW, tick(number, assets=["a"]), batch=f"t{number}")

    store.write_rows(VIEW, tick(0, assets=["a"]), batch="t0")

    assert list((folder(tmp_path) / "_delta_log").glob("*.checkpoint.parquet"))
    assert everything(store).num_rows == 105


APPEND = """
import sys
sys.path.insert(0, sys.argv[2])
from test_delta_offline import VIEW, tick
from lineshaft.stores.delta import DeltaOfflineStore
store = DeltaOfflineStore(sys.argv[1])
for number in range(5):
    store.write_rows(VIEW, tick(number, assets=["w" + sys.argv[3]]), batch=f"w{sys.argv[3]}-{number}")
store.write_rows(VIEW, tick(9, assets=["shared"]), batch="shared")
"""


def test_processes_append_at_once(tmp_path: Path) -> None:
    """4 processes x 5 commits, and one batch all of them write: every row is there once, every exit is clean."""
    command = [sys.executable, "-c", APPEND, str(tmp_path), str(Path(__file__).parent)]
    workers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    errors = [worker.communicate(timeout=120)[1] for worker in workers]

    table = everything(DeltaOfflineStore(str(tmp_path)))

    assert [(worker.returncode, error) for worker, error in zip(workers, errors, strict=True)] == [(0, "")] * 4
    assert table["asset_id"].to_pylist() == ["shared", *[f"w{w}" for w in range(4) for _ in range(5)]]


def test_appends_go_on_during_compaction(store: DeltaOfflineStore) -> None:
    """A batch committed while a merge was under way is kept beside the merged files."""
    merging = store._table(VIEW)  # noqa: SLF001 - the middle of a compaction
    opened = merging.open()
    assert opened is not None
    late = tick(50)
    store.write_rows(VIEW, late, batch="late")

    merging.rearrange(opened, remove=[], add=[])

    assert everything(store).num_rows == 13 * 3


def test_a_damaged_file_is_named(store: DeltaOfflineStore, tmp_path: Path) -> None:
    """A file that does not decode is an error that says which, not a wrong answer."""
    path = Path(DeltaTable(str(folder(tmp_path))).file_uris()[0])
    path.write_bytes(b"PAR1" + b"\0" * 200 + b"PAR1")

    with pytest.raises(CorruptError, match=path.name):
        everything(store)


def test_a_root_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    """Where nothing can be written the error says where and what to do."""
    (tmp_path / "file").write_text("in the way")
    store = DeltaOfflineStore(str(tmp_path / "file" / "offline"))

    with pytest.raises(UnavailableError, match="LINESHAFT_OFFLINE_URL"):
        store.write_rows(VIEW, tick(1), batch="b")


FULL = """
import sys
sys.path.insert(0, sys.argv[2])
from test_delta_offline import VIEW, tick, everything, limit
from lineshaft.errors import UnavailableError
from lineshaft.stores.delta import DeltaOfflineStore
store = DeltaOfflineStore(sys.argv[1])
store.write_rows(VIEW, tick(1), batch="b1")
limit(200)
try:
    store.write_rows(VIEW, tick(2), batch="b2")
except UnavailableError as error:
    print(error)
assert everything(store).num_rows == 3
limit(-1)
store.write_rows(VIEW, tick(2), batch="b2")
assert everything(store).num_rows == 6
"""


def limit(size: int) -> None:
    """Let no file of this process grow beyond a size; -1 lifts the limit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A write that does not fit is an error with a fix; what was there stays, and the batch can be written again."""
    here = str(Path(__file__).parent)

    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), here], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert "LS-UNA" in ran.stdout
    assert "fix: " in ran.stdout


def test_names_that_are_no_paths_are_refused(tmp_path: Path) -> None:
    """A view's name becomes a folder, so it must be able to."""
    bad = View(name="../up", source=SOURCE, entity_keys=VIEW.entity_keys, features=VIEW.features)

    with pytest.raises(InputError, match="cannot name a table"):
        DeltaOfflineStore(str(tmp_path)).version(bad)


def test_large_blocks_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """Row groups are cut by bytes, so that 100 MB of payload is not decoded at once."""
    store = DeltaOfflineStore(str(tmp_path))
    payload = np.random.default_rng(0).bytes(2**20)
    blocks = [
        {
            "asset_id": "a",
            "position": "",
            "start_us": n,
            "known_us": n,
            "sequence": 0,
            "rate_hz": 1.0,
            "dtype": "f4",
            "payload": payload,
        }
        for n in range(100)
    ]
    store.write_blocks(SOURCE, pa.Table.from_pylist(blocks, schema=BLOCK_SCHEMA), batch="b1")

    parts = [part.num_rows for part in store.read_blocks(SOURCE)]

    assert sum(parts) == 100
    assert max(parts) <= 32


def test_old_row_groups_are_not_decoded(tmp_path: Path) -> None:
    """Where newer days hold every answer, the files of older ones need not even be there."""
    store = DeltaOfflineStore(str(tmp_path))
    store.write_rows(VIEW, pa.concat_tables([tick(24 * day) for day in range(9)]), batch="b")
    (first,) = (folder(tmp_path) / "event_date=1970-01-01").glob("*.parquet")
    first.unlink()

    wanted = Wanted(view=VIEW, features=("x",), keys=pa.table({"asset_id": ASSETS}))
    (found,) = store.as_of(wanted, np.full(3, 9 * DAY))

    assert found.rows["x"].to_pylist() == [1920.0, 1921.0, 1922.0]
