"""The bounded Flink job computes the oracle's rows, in both stores, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineshaft.ops.jobs import JobResult, Target, Verdict
from lineshaft.ops.verify import check_offline, check_online, stored_rows
from lineshaft.sources.checks import validate_blocks
from lineshaft.specs import View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.launch import FlinkJobs
from lineshaft_flink.rehearsal import EPOCH_US, MINUTE_US, SOURCE, Rehearsal, rehearsal_view

pytestmark = pytest.mark.heavy

JOBS = FlinkJobs(heap="768m")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Valkey of our own."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey.url


def prepared(folder: Path, blocks: pa.Table) -> DeltaOfflineStore:
    """Return an offline store that holds these blocks, broken ones too: the job has to bear them."""
    store = DeltaOfflineStore(str(folder / "offline"))
    store.write_blocks(SOURCE, blocks, batch="rehearsal")
    return store


def test_two_views_come_out_like_the_oracle_in_both_stores_and_a_second_run_adds_nothing(
    tmp_path: Path, server: str
) -> None:
    """A view keyed by asset and one keyed by asset and position run in one job."""
    blocks = Rehearsal().blocks()
    by_position = rehearsal_view("by_position")
    by_asset = replace(rehearsal_view("by_asset", grace_us=0), entity_keys=(("asset_id", "string"),))
    offline = prepared(tmp_path, blocks)
    target = Target(offline=offline, redis_url=server, project="backfill", work=tmp_path / "work")
    done = JOBS.backfill([by_position, by_asset], target=target)
    good, broken = validate_blocks(blocks, SOURCE)
    assert broken.num_rows > 0
    for view in (by_position, by_asset):
        truth = oracle_rows(view, good)
        agree(view, truth, target)
        assert done.rows[view.ref] == truth.num_rows > 4 * 12
    late = late_blocks(good, by_position)
    assert done.rejected == {"bad_payload": 2 * broken.num_rows, "too_late": 2 * late}
    kept = pa.concat_tables(pq.read_table(path) for path in (tmp_path / "work" / "rejects").glob("*.parquet"))
    assert kept.num_rows == sum(done.rejected.values())
    again = JOBS.backfill([by_position, by_asset], target=target)
    assert again.rows == {by_position.ref: 0, by_asset.ref: 0}
    assert again.repeats == done.rows


def test_a_cut_in_receipt_time_leaves_the_rest_to_the_next_run_and_a_gate_sees_every_row(
    tmp_path: Path, server: str
) -> None:
    """Runs up to a time and then to the end make the same rows as one run; a gate takes some away, counted."""
    view = rehearsal_view("cut")
    blocks = validate_blocks(Rehearsal(assets=2).blocks(), SOURCE)[0]
    offline = prepared(tmp_path, blocks)
    judged: list[int] = []

    def gate(_view: View, rows: pa.Table) -> Verdict:
        judged.append(rows.num_rows)
        bad = pc.equal(rows["asset_id"], "machine-1")
        quarantined = rows.filter(bad)
        reason = pa.array(["machine-1 is under repair"] * quarantined.num_rows)
        return Verdict(good=rows.filter(pc.invert(bad)), quarantined=quarantined.append_column("reason", reason))

    target = Target(offline=offline, redis_url=server, project="cut", work=tmp_path / "work", gate=gate)
    first = JOBS.backfill([view], target=target, until_us=EPOCH_US + 6 * MINUTE_US + 2_000_000)
    truth = oracle_rows(view, blocks).filter(pc.equal(oracle_rows(view, blocks)["asset_id"], "machine-0"))
    early = truth.filter(pc.less_equal(truth["known_at"].cast(pa.int64()), EPOCH_US + 6 * MINUTE_US + 2_000_000))
    assert first.rows[view.ref] == early.num_rows == stored_rows(view, offline).num_rows
    second = JOBS.backfill([view], target=target)
    assert check_offline(view, offline, truth, path="backfill").result.equal
    both: JobResult = first + second
    assert both.rows[view.ref] + both.quarantined[view.ref] <= sum(judged)
    assert list((tmp_path / "work" / "quarantine" / view.ref).glob("*.parquet"))


def agree(view: View, truth: pa.Table, target: Target) -> None:
    """Fail unless both stores hold exactly the oracle's rows."""
    offline = check_offline(view, target.offline, truth, path="backfill")
    assert offline.result.equal, offline
    online = check_online(
        view, RedisOnlineStore(target.redis_url, project=target.project, timeout_s=5.0), truth, path="online"
    )
    assert online.result.equal, online


def late_blocks(blocks: pa.Table, view: View) -> int:
    """Count the blocks that come later than the view allows."""
    delay = pc.subtract(blocks["known_us"], pc.add(blocks["start_us"], 1_000_000))
    return int(pc.sum(pc.greater(delay, view.lateness_us)).as_py())
