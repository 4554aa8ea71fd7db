"""An alert needs persistence, and one episode alerts once."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule, Watch, alarms


def raised(rule: AlarmRule, scores: str) -> list[int]:
    """Return where a run of scores alerts; x passes, a dot does not, a question mark is unknown."""
    values = {"x": 9.0, ".": 1.0, "?": math.nan}
    return list(alarms(rule, ((at, values[score]) for at, score in enumerate(scores))))


@pytest.mark.parametrize(
    ("scores", "persist", "among", "expected"),
    [
        ("..x..x", 1, 1, [2, 5]),
        ("xxxx.xx", 1, 1, [0, 5]),
        (".x.x.x.", 2, 2, []),
        (".xx.xx", 2, 2, [2]),
        (".xx..xx", 2, 2, [2, 6]),
        ("x.x.x....", 3, 5, [4]),
        ("x????x", 2, 2, [5]),
        ("xx?.?x", 2, 3, [1]),
    ],
)
def test_an_alert_is_raised_once_for_each_run(scores: str, persist: int, among: int, expected: list[int]) -> None:
    """So many of the last n raise it; it ends when none of the last n passes; what is unknown counts for nothing."""
    assert raised(AlarmRule(threshold=5, persist=persist, among=among), scores) == expected


def test_an_asset_is_left_in_peace_after_an_episode() -> None:
    """Counted from its end; a run that goes on beyond the cool-down is told then."""
    assert raised(AlarmRule(threshold=5, cool_down_us=4), "x.x..xxx") == [0, 5]


def test_low_scores_can_be_the_bad_ones() -> None:
    """Of a remaining life, what falls below the threshold is told."""
    assert raised(AlarmRule(threshold=5, below=True), "xx.x") == [2]


def test_a_score_that_came_before_is_not_taken_twice() -> None:
    """The same moment again, or an older one, says nothing."""
    watch = Watch(rule=AlarmRule(threshold=5, persist=2, among=2))

    assert [watch.offer(at, 9.0) for at in (10, 10, 9, 11, 12)] == ["", "", "", "raised", "open"]


def test_a_probability_alerts_at_seven_tenths_unless_its_model_says_otherwise() -> None:
    """Other tasks have no threshold that means the same everywhere: none is assumed."""
    told = AlarmRule(threshold=0.4, persist=2, among=3, per_day=5).to_params()

    assert AlarmRule.of({}, task="binary") == AlarmRule(threshold=0.7)
    assert AlarmRule.of({}, task="rul") is None
    assert AlarmRule.of({"alert": told}, task="binary") == AlarmRule(threshold=0.4, persist=2, among=3, per_day=5)


@pytest.mark.parametrize(
    "fault",
    [{"threshold": math.nan}, {"persist": 3, "among": 2}, {"persist": 0}, {"cool_down_us": -1}, {"per_day": -1}],
)
def test_a_rule_that_could_not_alert_is_refused(fault: dict[str, Any]) -> None:
    """Before any model is trained under it."""
    with pytest.raises(InputError):
        AlarmRule(**fault)
