"""What alerts would have done is counted by asset and failure, as people meet them."""

from __future__ import annotations

import numpy as np
import pytest

from lineshaft.models.alarm_figures import alarm_figures, budget_figures, calibration_error
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.matrix import Examples

HOUR_US = 3_600_000_000


def watched(labels: dict[str, str]) -> Examples:
    """Return one row an hour of each asset, positive where its word has a 1."""
    return Examples(
        values=np.zeros((sum(map(len, labels.values())), 1), dtype=np.float32),
        labels=np.array([float(one) for word in labels.values() for one in word]),
        groups=np.array([name for name, word in labels.items() for _ in word]),
        times=np.concatenate([HOUR_US * np.arange(len(word)) for word in labels.values()]),
        places=np.arange(sum(map(len, labels.values()))),
        fingerprint="",
    )


def scores(*words: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return scores, high where a word has an x."""
    return np.array([0.9 if one == "x" else 0.1 for word in words for one in word])


def test_alerts_and_failures_are_counted_by_asset() -> None:
    """Two failures, one alerted of two hours before its end; of three alerts one is right, two are not."""
    rows = watched({"a": "0000011110", "b": "0000001111", "c": "0000000000"})
    said = scores("......xxxx", "..x.......", ".....x....")

    found = alarm_figures(AlarmRule(threshold=0.7), rows, said)

    assert found["alarm_precision"] == pytest.approx(1 / 3)
    assert found["failures_alarmed"] == 0.5
    assert found["alarm_lead_h"] == 2
    assert found["alarms_per_asset_day"] == pytest.approx(3 * 24 / 27)


def test_without_alerts_or_failures_nothing_is_claimed() -> None:
    """Neither nought nor one: the figure is not there."""
    quiet = alarm_figures(AlarmRule(threshold=0.7), watched({"a": "0000"}), scores("...."))

    assert quiet == {"alarms_per_asset_day": 0}


def test_a_budget_is_spent_as_far_as_it_finds_failures() -> None:
    """Three runs of other heights, the middle one false: a second alert would find nothing, and only a third does."""
    rows = watched({"a": "0000011110", "b": "0000000000", "c": "0000001111"})
    said = np.full(30, 0.1)
    said[6:8], said[15:17], said[27:29] = 0.9, 0.6, 0.4  # an alert each, of 27 hours watched
    one, two, three = (
        budget_figures(AlarmRule(), rows, said, budget=alerts * 100 * 24 / 27 + 1e-6) for alerts in (1, 2, 3)
    )

    assert (one["precision_at_budget"], one["failures_alarmed_at_budget"]) == (1, 0.5)
    assert two == one
    assert three["precision_at_budget"] == pytest.approx(2 / 3)
    assert three["failures_alarmed_at_budget"] == 1
    assert one["threshold_at_budget"] > 0.6 > three["threshold_at_budget"] > 0.1


def test_no_budget_and_one_that_allows_nothing_claim_nothing() -> None:
    """Not even the highest score may alert."""
    rows = watched({"a": "0011"})

    assert budget_figures(AlarmRule(), rows, scores("..xx"), budget=0) == {}
    assert budget_figures(AlarmRule(), rows, scores("..xx"), budget=1e-6) == {}


def test_probabilities_that_hold_have_no_calibration_error() -> None:
    """Next to none of rows drawn by their own probabilities; a tenth where all of them are raised by that."""
    generator = np.random.default_rng(1)
    chance = generator.uniform(0, 0.9, 100_000)
    came = (generator.random(100_000) < chance).astype(float)

    assert calibration_error(came, chance) < 0.01
    assert calibration_error(came, chance + 0.1) == pytest.approx(0.1, abs=0.01)
