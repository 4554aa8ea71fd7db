"""Governance as the platform finds it: one object that keeps the platform's protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.clock import ManualClock
from lineshaft.ops.governance import Governance as Promised
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.plug import GovernanceParts
from lineshaft_governance.web.attention import attention
from lineshaft_governance.web.words import age, number

POLICIES = Path(__file__).parents[3] / "governance"
VIEW = View(
    name="turbofan_condition",
    source=Source(name="turbofan_cycles", channels=("s2",), units=("degR",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=name) for name in ("s2_mean_5h", "s4_mean_5h", "s11_mean_5h", "s2_std_5h")),
)


def test_it_gates_with_the_shipped_suites(tmp_path: Path) -> None:
    """Through the platform's own protocol: good rows go on, a temperature out of range stays behind with its reason."""
    times = pa.array(np.arange(3)).cast(pa.timestamp("us", tz="UTC"))
    columns = {"asset_id": ["a"] * 3, "event_time": times, "known_at": times, "s2_mean_5h": [642.0, 64.2, None]}
    columns |= {"s4_mean_5h": [1400.0] * 3, "s11_mean_5h": [47.0] * 3, "s2_std_5h": [0.4] * 3}
    governance: Promised = GovernanceParts.open(policies=POLICIES, folder=tmp_path, clock=ManualClock())

    verdict = governance.gate(VIEW, pa.table(columns, schema=row_schema(VIEW)))
    governance.close()

    assert verdict.good.num_rows == 2
    assert verdict.quarantined["reason"].to_pylist() == ["s2_mean_5h between 500 and 800 degR"]


def test_it_knows_the_promotion_gates(tmp_path: Path) -> None:
    """Each task has a gate, the hash of the policy goes with it, and the check of all finds it too."""
    governance = GovernanceParts.open(policies=POLICIES, folder=tmp_path, clock=ManualClock())

    policy = governance.promotion("turbofan_rul")
    assert {task: gate.metric for gate in policy.gates for task in gate.tasks} == {
        "binary": "pr_auc",
        "regression": "rmse",
        "rul": "rmse",
        "survival": "c_index",
        "anomaly": "false_alarm_share",
    }
    assert len(policy.sha256) == 64
    assert governance.promotions()["default"] == policy


def test_nothing_wrong_needs_no_attention() -> None:
    """Without lines there is nothing to do; the worst comes first when there is."""
    run = {"view": "v", "outcome": "failed", "rows": 4, "quarantined": 1, "last_quarantined": 1}
    orphan = {"name": "w", "owner": "", "rows": 1, "stale": False}

    assert attention([], [], [], [], []) == []
    assert [line["level"] for line in attention([orphan], [run], [], [], [])] == ["bad", "warn"]


def test_words_for_numbers() -> None:
    """Ages are said in the largest unit, unknown is a dash."""
    assert (age(0), age(3 * 86_400_000_000), number(float("nan")), number(0.0)) == ("0 s", "3 d", "–", "0")
