"""Labels say what is known to have happened, and nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.models.censored import life_left
from lineshaft.models.events import FATE, KINDS, SAYS_NOTHING, Finding, known_events, told_until_us
from lineshaft.models.labels import ends_of_life, fails_within, remaining_life
from lineshaft.outcomes.states import ORDER, Rule, State, judge

HOUR_US = 3_600_000_000
TIMESTAMP = pa.timestamp("us", tz="UTC")


def hours(*values: int | None) -> pa.Array:
    """Return hours after the epoch as timestamps."""
    return pa.array([None if v is None else v * HOUR_US for v in values], pa.int64()).cast(TIMESTAMP)


def entities(*times: int, asset: str = "pump") -> pa.Table:
    """Return one asset's rows at some hours."""
    return pa.table({"asset_id": [asset] * len(times), "event_time": hours(*times)})


def log(*events: tuple[int, str]) -> pa.Table:
    """Return a maintenance log of one asset."""
    return pa.table(
        {
            "asset_id": pa.array(["pump"] * len(events), pa.string()),
            "event_time": hours(*(hour for hour, _ in events)),
            "kind": pa.array([kind for _, kind in events], pa.string()),
        }
    )


def test_rows_before_a_failure_are_positive() -> None:
    """A failure within the horizon labels 1, one beyond it 0; the horizon's end belongs to it."""
    labelled = fails_within(
        entities(0, 5, 6, 9), log((10, "failure")), horizon_us=5 * HOUR_US, followed_until_us=100 * HOUR_US
    )

    assert labelled.table["label"].to_pylist() == [0, 1, 1, 1]
    assert labelled.dropped == {}


def test_a_failure_now_is_not_a_prediction() -> None:
    """A row at the moment of a failure looks only beyond it."""
    labelled = fails_within(entities(10), log((10, "failure")), horizon_us=HOUR_US, followed_until_us=100 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [0]


def test_preventive_replacement_is_censored_not_healthy() -> None:
    """Rows whose part was replaced within the horizon are dropped: nobody knows if it would have failed."""
    events = log((10, "preventive"), (12, "failure"))

    labelled = fails_within(entities(2, 8, 11), events, horizon_us=5 * HOUR_US, followed_until_us=100 * HOUR_US)

    assert labelled.table["event_time"].cast(pa.int64()).to_pylist() == [2 * HOUR_US, 11 * HOUR_US]
    assert labelled.table["label"].to_pylist() == [0, 1]
    assert labelled.dropped == {"replaced_in_time": 1}


@pytest.mark.parametrize("kind", [*KINDS, *SAYS_NOTHING, "word nobody knows"])
def test_labels_and_outcomes_read_a_log_by_one_rule(kind: str) -> None:
    """What ends an alert as right, as wrong or untold labels its row 1, 0 or not at all; a look alone does nothing."""
    events, horizon = log((10, kind)), 5 * HOUR_US
    rows, rule, at_us = entities(8), Rule(horizon_us=horizon), 99 * HOUR_US
    claim = np.array([8 * HOUR_US])

    labels = fails_within(rows, events, horizon_us=horizon, followed_until_us=at_us).table["label"].to_pylist()
    life = life_left(rows, events, unit_us=HOUR_US, followed_until_us=at_us).table["label"].to_pylist()
    judged = judge(
        rows["asset_id"], claim, np.array([True]), events=known_events(events, at_us=at_us), rule=rule, at_us=at_us
    )

    finding = Finding.SOUND if kind in SAYS_NOTHING else KINDS.get(kind, Finding.PLANNED)
    state = ORDER[int(judged.states[0])]
    assert labels == {State.TRUE_POSITIVE: [1], State.FALSE_POSITIVE: [0]}.get(state, [])
    assert (labels == [0]) == (finding not in FATE)
    assert life == [2 if kind == "failure" else -2 if finding in FATE else -91]


def test_a_record_that_was_taken_back_labels_nothing() -> None:
    """Of the versions of one work order the last counts, and an entry without a time of writing was known at once."""
    events = log((10, "failure"), (10, "void"), (20, "failure"))
    events = events.append_column("known_at", hours(11, 30, None))
    events = events.append_column("work_order", pa.array(["w1", "w1", None]))

    labelled = fails_within(entities(8, 18), events, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [0, 1]


def test_a_horizon_not_over_has_no_label() -> None:
    """Without a failure yet, rows near the end of the follow-up are dropped, not called healthy."""
    labelled = fails_within(entities(2, 8), log(), horizon_us=5 * HOUR_US, followed_until_us=10 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [0]
    assert labelled.dropped == {"horizon_not_over": 1}


def test_a_log_tells_as_far_as_reports_have_had_their_time() -> None:
    """What failed lately may be unreported; a log that was kept on for long enough tells of it; plans prove nothing."""
    reported = log((10, "failure"), (20, "failure")).append_column("known_at", hours(13, 26))
    kept_on = log((10, "failure"), (20, "failure"), (91, "error")).append_column("known_at", hours(13, 26, 90))
    planned = log((10, "failure"), (99, "planned"))

    assert told_until_us(log((10, "failure")), last_us=40 * HOUR_US) == 40 * HOUR_US
    assert told_until_us(log(), last_us=40 * HOUR_US) == 40 * HOUR_US
    assert told_until_us(reported, last_us=40 * HOUR_US) == 34 * HOUR_US
    assert told_until_us(kept_on, last_us=40 * HOUR_US) == 40 * HOUR_US
    assert told_until_us(kept_on, last_us=93 * HOUR_US) == 87 * HOUR_US
    assert told_until_us(planned, last_us=40 * HOUR_US) == 40 * HOUR_US


def test_labels_as_they_were_known_then() -> None:
    """A log entry written later does not change a training set made as of before."""
    late = log((4, "failure")).append_column("known_at", hours(50))

    then = fails_within(
        entities(1), late, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US, known_us=20 * HOUR_US
    )
    now = fails_within(entities(1), late, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US, known_us=60 * HOUR_US)

    assert (then.table["label"].to_pylist(), now.table["label"].to_pylist()) == ([0], [1])


def test_a_horizon_is_positive() -> None:
    """A horizon of nothing is refused."""
    with pytest.raises(InputError, match="horizon"):
        fails_within(entities(1), log(), horizon_us=0, followed_until_us=0)


def test_remaining_life_counts_to_the_known_end() -> None:
    """Cycles left are counted to the engine's true end and clipped; engines with unknown ends are dropped."""
    truth = pa.table({"asset_id": ["pump", "fan"], "cycles": [90, 10], "rul": pa.array([110.0, None])})
    ends = ends_of_life(truth, epoch_us=0, unit_us=HOUR_US)
    rows = pa.concat_tables([entities(1, 100, 200, 201), entities(5, asset="fan")])

    labelled = remaining_life(rows, ends, unit_us=HOUR_US, clip=125)

    np.testing.assert_array_equal(labelled.table["label"].to_numpy(), [125, 100, 0])
    assert labelled.dropped == {"end_unknown": 1, "after_end": 1}


@pytest.mark.parametrize(("until", "labels"), [(10, [0]), (9, [])])
def test_a_horizon_that_ends_with_the_follow_up_is_over(until: int, labels: list[int]) -> None:
    """Followed to its last moment is followed; a moment less is not."""
    labelled = fails_within(entities(5), log(), horizon_us=5 * HOUR_US, followed_until_us=until * HOUR_US)

    assert labelled.table["label"].to_pylist() == labels


def test_what_was_known_ends_the_follow_up() -> None:
    """As of an earlier moment nothing is known of what came after it, however long the record is by now."""
    labelled = fails_within(
        entities(5, 15), log(), horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US, known_us=12 * HOUR_US
    )

    assert labelled.table["label"].to_pylist() == [0]
    assert labelled.dropped == {"horizon_not_over": 1}


def test_a_failure_at_the_moment_of_a_replacement_is_a_failure() -> None:
    """Two entries of one moment, in either order."""
    for events in ((("preventive"), ("failure")), (("failure"), ("preventive"))):
        both = log(*((10, kind) for kind in events))

        labelled = fails_within(entities(8), both, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US)

        assert labelled.table["label"].to_pylist() == [1]


def test_one_machines_log_says_nothing_of_another() -> None:
    """Rows are labelled by the events of their own asset; order and further columns are kept."""
    rows = pa.concat_tables([entities(8), entities(8, asset="fan"), entities(2)])
    rows = rows.append_column("position", pa.array(["x", "y", "z"]))

    labelled = fails_within(rows, log((10, "failure")), horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [1, 0, 0]
    assert labelled.table["position"].to_pylist() == ["x", "y", "z"]


def test_an_event_without_a_time_is_no_event() -> None:
    """A log with holes labels by what it does say."""
    holes = pa.concat_tables([log((10, "failure")), log((0, "preventive")).set_column(1, "event_time", hours(None))])

    labelled = fails_within(entities(8), holes, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [1]


@pytest.mark.parametrize("horizon_us", [0, -1])
def test_no_horizon_is_told_with_its_unit(horizon_us: int) -> None:
    """The error says what to give."""
    with pytest.raises(InputError, match=f"a horizon of {horizon_us} us is none") as refused:
        fails_within(entities(1), log(), horizon_us=horizon_us, followed_until_us=0)
    assert "microseconds" in refused.value.fix


def test_one_microsecond_is_a_horizon() -> None:
    """The shortest there is."""
    assert fails_within(entities(1), log(), horizon_us=1, followed_until_us=99 * HOUR_US).table.num_rows == 1


def test_remaining_life_is_not_clipped_unless_asked() -> None:
    """Units are the caller's, fractions are kept, and the end itself has 0 left."""
    ends = pa.table({"asset_id": ["pump"], "end_time": hours(300)})

    labelled = remaining_life(entities(0, 299, 300), ends, unit_us=2 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [150.0, 0.5, 0.0]
    assert labelled.dropped == {}


def test_times_of_another_zone_are_the_same_moments() -> None:
    """A log in local time is read as the moments it means."""
    local = log((10, "failure"))
    local = local.set_column(1, "event_time", local["event_time"].cast(pa.timestamp("ns", tz="Europe/Berlin")))

    labelled = fails_within(entities(5, 4), local, horizon_us=5 * HOUR_US, followed_until_us=99 * HOUR_US)

    assert labelled.table["label"].to_pylist() == [1, 0]
