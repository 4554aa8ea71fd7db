"""What people found of alerts is judged as any entry of a maintenance log is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.models.events import known_events
from lineshaft.outcomes.episodes import MOMENT
from lineshaft.outcomes.findings import with_findings
from lineshaft.outcomes.states import ORDER, Rule, judge
from lineshaft.registry.alerts import AlertFinding, Answer

DAY = 86_400_000_000
TOLD: dict[str, Any] = {"alert": "a", "model": "m", "asset_id": "pump", "said_by": "ana"}
BARE = pa.table(
    {
        "asset_id": pa.array(["other"]),
        "event_time": pa.array([3 * DAY]).cast(pa.timestamp("us")),
        "kind": pa.array(["failure"]),
    }
)
FULL = BARE.append_column("known_at", pa.array([4 * DAY]).cast(MOMENT)).append_column("work_order", pa.array(["7"]))


def said(answer: Answer, *, looked: int, at: int, alert: str = "a", model: str = "m") -> AlertFinding:
    """Return a finding, in days."""
    return AlertFinding(
        **{**TOLD, "alert": alert, "model": model}, answer=answer, looked_us=looked * DAY, said_us=at * DAY
    )


def state_of(log: pa.Table, *, at: int) -> str:
    """Judge an alert on the pump at day 1, with a horizon of 5 days, as of a day."""
    events = known_events(log, at_us=at * DAY)
    rule = Rule(horizon_us=5 * DAY)
    assets = pa.chunked_array([["pump"]])
    found = judge(assets, np.array([DAY]), np.array([True]), events=events, rule=rule, at_us=at * DAY)
    return str(ORDER[int(found.states[0])])


@pytest.mark.parametrize("log", [BARE, FULL])
@pytest.mark.parametrize(
    ("answer", "state"),
    [(Answer.CONFIRMED, "prevented"), (Answer.FALSE, "false_positive"), (Answer.UNKNOWN, "false_positive")],
)
def test_an_answer_decides_what_an_alert_was(log: pa.Table, answer: Answer, state: str) -> None:
    """Damage makes it right, soundness wrong; of what cannot be told only the horizon says something."""
    found = with_findings(log, [said(answer, looked=2, at=3)], model="m")

    assert state_of(found, at=10) == state
    assert len(found) == 2


def test_the_last_answer_counts_from_when_it_was_said() -> None:
    """Until somebody says otherwise the first one holds, and a look back sees what was known then."""
    told = [said(Answer.CONFIRMED, looked=2, at=3), said(Answer.UNKNOWN, looked=2, at=20)]
    found = with_findings(FULL, told, model="m")

    assert state_of(found, at=10) == "prevented"
    assert state_of(found, at=21) == "false_positive"


def test_a_finding_is_of_its_own_model_and_a_log_without_any_stays_as_it_is() -> None:
    """What was said of another model's alert is no entry here."""
    assert with_findings(BARE, [said(Answer.CONFIRMED, looked=2, at=3, model="n")], model="m") is BARE
    assert with_findings(BARE, [], model="m") is BARE
