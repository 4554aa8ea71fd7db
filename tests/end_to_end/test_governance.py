"""Evidently draws the report in its own process, and its p-values are ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from lineshaft.drift.policy import DriftPolicy
from lineshaft_governance.drift.check import Window, check_drift, draw_report, open_worker
from lineshaft_governance.worker import Worker

pytestmark = pytest.mark.heavy

FEATURES = [f"vibration__f{i:02d}" for i in range(15)]


def rows(*, seed: int, shift: float, count: int = 3000) -> Window:
    """Return rows, the first feature moved."""
    generator = np.random.default_rng(seed)
    values = {name: generator.normal(size=count) for name in FEATURES}
    values[FEATURES[0]] += shift
    times = pa.array(np.arange(count) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    return Window(table=pa.table({"asset_id": ["pump"] * count, "event_time": times, **values}))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return the process in which Evidently is loaded once."""
    with open_worker() as opened:
        yield opened


def test_the_report_shows_the_features_that_drifted_furthest(tmp_path: Path, worker: Worker) -> None:
    """One HTML file, of at most twelve columns, the drifted one among them; nothing else is left behind."""
    reference, current = rows(seed=1, shift=0), rows(seed=2, shift=1)
    check = check_drift(
        "bearing_failure", reference, current, features=FEATURES, policy=DriftPolicy(effective=False), at_us=9
    )

    drawn = draw_report(check, reference, current, folder=tmp_path, worker=worker)

    assert check.drifted == (FEATURES[0],)
    assert [path.name for path in tmp_path.iterdir()] == [drawn.report] == ["bearing_failure-9.html"]
    html = (tmp_path / drawn.report).read_text(encoding="utf-8")
    shown = [name for name in FEATURES if name in html]
    assert FEATURES[0] in shown
    assert len(shown) == 12


@pytest.mark.parametrize("count", [60, 700, 10_500])
def test_evidently_says_of_the_same_test_what_we_say(tmp_path: Path, worker: Worker, count: int) -> None:
    """KS of rows counted as rows: exact up to 10,000 of them, by the asymptotic law from there; the same to 1e-12."""
    reference, current = rows(seed=1, shift=0.0, count=count), rows(seed=2, shift=0.05, count=count)
    policy = DriftPolicy(effective=False)
    check = check_drift("m", reference, current, features=FEATURES, policy=policy, at_us=9)
    columns = FEATURES[:3]
    tables = {"reference": reference.table.select(columns), "current": current.table.select(columns)}

    request = {"columns": columns, "path": str(tmp_path / "report.html"), "threshold": 0.01}
    theirs = worker.ask(request, tables=tables)["p"]

    ours = {one["feature"]: one["ks_p"] for one in check.features}
    for name in columns:
        a, b = (np.asarray(one.table[name].to_numpy()) for one in (current, reference))
        assert ours[name] == pytest.approx(stats.ks_2samp(a, b).pvalue, abs=1e-12)
        assert theirs[name] == pytest.approx(ours[name], abs=1e-12)
