"""Episodes and their states: equal to what a reader of the log would say, one prediction and one entry at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.events import KINDS, SAYS_NOTHING, Finding, known_events, usual_delay_us
from lineshaft.outcomes.episodes import EPISODE_SCHEMA, MOMENT, episodes
from lineshaft.outcomes.states import Rule, State

RULE = Rule(horizon_us=5, lag_us=2, alarm=AlarmRule(threshold=0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of a maintenance log."""

    at: int
    kind: str
    asset: str = "pump"
    delay: int = 0
    order: str | None = None


def log_of(*entries: Entry) -> pa.Table:
    """Return entries as a log."""
    return pa.table(
        {
            "asset_id": pa.array([one.asset for one in entries], pa.string()),
            "event_time": pa.array([one.at for one in entries], pa.int64()).cast(MOMENT),
            "known_at": pa.array([one.at + one.delay for one in entries], pa.int64()).cast(MOMENT),
            "kind": pa.array([one.kind for one in entries], pa.string()),
            "work_order": pa.array([one.order for one in entries], pa.string()),
        }
    )


def asked(*rows: tuple[int, float], asset: str = "pump", version: str = "m@1") -> pa.Table:
    """Return predictions of one asset."""
    times, scores = zip(*rows, strict=True) if rows else ((), ())
    return pa.table(
        {
            "asset_id": pa.array([asset] * len(rows), pa.string()),
            "asked_at": pa.array(times, pa.int64()).cast(MOMENT),
            "version": pa.array([version] * len(rows), pa.string()),
            "score": pa.array(scores, pa.float64()),
        }
    )


def told(predictions: pa.Table, log: pa.Table, *, at: int, rule: Rule = RULE) -> list[tuple[str, int, str]]:
    """Return kind, start and state of each episode."""
    table = episodes(predictions, known_events(log, at_us=at), rule=rule, at_us=at)
    assert table.schema == EPISODE_SCHEMA
    starts = table["start"].cast(pa.int64()).to_pylist()
    return sorted(zip(table["kind"].to_pylist(), starts, table["state"].to_pylist(), strict=True))


def last_versions(seen: list[Entry]) -> list[Entry]:
    """Return the entries without a work order, and of each work order the one that was written last."""
    orders = {one.order for one in seen if one.order is not None}
    last = [max((one for one in seen if one.order == name), key=lambda one: one.at + one.delay) for name in orders]
    return [*(one for one in seen if one.order is None), *last]


def first_of_each(times: list[int], apart: int) -> list[int]:
    """Return the times that open something."""
    opened: list[int] = []
    for when in times:
        if not opened or when >= opened[-1] + apart:
            opened.append(when)
    return opened


def alarms_by_hand(rows: list[tuple[int, float]], rule: AlarmRule) -> tuple[list[int], list[int]]:
    """Return when alerts began and when any was on, for a rule of single scores."""
    raised: list[int] = []
    on: list[int] = []
    is_on, peace_until = False, -1
    for when, score in rows:
        passes = score >= rule.threshold
        if is_on and not passes:
            peace_until = when + rule.cool_down_us
        elif passes and not is_on and when >= peace_until:
            raised.append(when)
        is_on = passes and (is_on or when >= peace_until)
        on += [when] if is_on else []
    return raised, on


def read_by_hand(
    rows: list[tuple[int, float]], entries: list[Entry], *, at: int, rule: Rule
) -> list[tuple[str, int, str]]:
    """Judge one asset the slow way: every claim looks through every entry."""
    seen = [one for one in entries if one.at + one.delay <= at and one.at <= at]
    seen = [one for one in last_versions(seen) if one.kind not in SAYS_NOTHING]
    found = sorted((one.at, KINDS.get(one.kind, Finding.PLANNED)) for one in seen)
    fate = [(when, what) for when, what in found if what is not Finding.SOUND]
    rows = sorted(row for row in rows if row[0] <= at)
    raised, alarms = alarms_by_hand(rows, rule.alarm)
    silent = [when for when, _ in rows if when not in alarms]

    def state(start: int, *, alert: bool) -> State:
        if start + rule.horizon_us + rule.lag_us > at:
            return State.PENDING
        first = next(((when, what) for when, what in fate if start < when <= start + rule.horizon_us), None)
        if first is not None and first[1] in (Finding.FAILED, Finding.DAMAGED):
            if not alert:
                return State.FALSE_NEGATIVE
            return State.TRUE_POSITIVE if first[1] is Finding.FAILED else State.PREVENTED
        end = first[0] if first else start + rule.horizon_us
        if first is None or any(what is Finding.SOUND and start < when <= end for when, what in found):
            return State.FALSE_POSITIVE if alert else State.TRUE_NEGATIVE
        return State.ACTED_UNKNOWN if alert and first[1] is Finding.ACTED else State.CENSORED

    said = [("alert", when, state(when, alert=True)) for when in first_of_each(raised, rule.horizon_us)]
    for when in first_of_each(silent, rule.horizon_us):
        calm = not any(when <= alarm < when + rule.horizon_us for alarm in alarms)
        if calm and state(when, alert=False) is not State.FALSE_NEGATIVE:
            said.append(("quiet", when, state(when, alert=False)))
    for when in sorted({when for when, what in fate if what in (Finding.FAILED, Finding.DAMAGED)}):
        since = max([when - rule.horizon_us, *(turn for turn, _ in fate if turn < when)])
        if not any(since <= row < when for row, _ in rows):
            continue
        warned = any(since <= alarm < when for alarm in alarms)
        ripe = when + rule.lag_us <= at
        verdict = State.TRUE_POSITIVE if warned else State.FALSE_NEGATIVE
        said.append(("event", when, verdict if ripe else State.PENDING))
    return sorted(said)


kinds = st.sampled_from([*KINDS, "error", "void", "overhaul"])
entry = st.builds(
    Entry,
    at=st.integers(0, 40),
    kind=kinds,
    delay=st.integers(0, 8),
    order=st.sampled_from([None, None, "W1", "W2"]),
)
predicted = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([0.1, 0.5, 0.9])), max_size=25, unique_by=lambda row: row[0]
)
rules = st.builds(
    Rule,
    horizon_us=st.integers(1, 12),
    lag_us=st.integers(0, 6),
    alarm=st.builds(AlarmRule, threshold=st.just(0.5), cool_down_us=st.integers(0, 12)),
)


@settings(max_examples=400, deadline=None)
@given(
    rows=predicted,
    entries=st.lists(entry, max_size=8, unique_by=lambda one: one.at + one.delay),
    at=st.integers(0, 60),
    rule=rules,
)
def test_episodes_are_what_a_reader_would_say(
    rows: list[tuple[int, float]], entries: list[Entry], at: int, rule: Rule
) -> None:
    """Every alert, event and stretch of quiet, with its state, equals the slow reading, whatever is known when."""
    assert told(asked(*rows), log_of(*entries), at=at, rule=rule) == read_by_hand(rows, entries, at=at, rule=rule)


@settings(max_examples=100, deadline=None)
@given(
    rows=predicted, entries=st.lists(entry, max_size=8, unique_by=lambda one: one.at + one.delay), at=st.integers(0, 60)
)
def test_what_was_not_known_yet_changes_nothing(rows: list[tuple[int, float]], entries: list[Entry], at: int) -> None:
    """Judged as of a moment, the log of that moment and the log of today say the same."""
    then = [one for one in entries if one.at + one.delay <= at]

    assert told(asked(*rows), log_of(*then), at=at) == told(asked(*rows), log_of(*entries), at=at)


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([], State.FALSE_POSITIVE),
        ([Entry(at=4, kind="failure")], State.TRUE_POSITIVE),
        ([Entry(at=6, kind="failure")], State.FALSE_POSITIVE),
        ([Entry(at=2, kind="intervention_damage"), Entry(at=4, kind="failure")], State.PREVENTED),
        ([Entry(at=2, kind="intervention_ok"), Entry(at=3, kind="planned")], State.FALSE_POSITIVE),
        ([Entry(at=2, kind="intervention_ok"), Entry(at=4, kind="failure")], State.TRUE_POSITIVE),
        ([Entry(at=2, kind="intervention")], State.ACTED_UNKNOWN),
        ([Entry(at=2, kind="planned")], State.CENSORED),
        ([Entry(at=2, kind="a word of theirs")], State.CENSORED),
        ([Entry(at=2, kind="error")], State.FALSE_POSITIVE),
        ([Entry(at=4, kind="failure", delay=90)], State.FALSE_POSITIVE),
        ([Entry(at=4, kind="failure"), Entry(at=4, kind="preventive")], State.TRUE_POSITIVE),
    ],
)
def test_an_alert_comes_to_one_state(entries: list[Entry], state: State) -> None:
    """An alert at 0, judged when the horizon (5) and the lag (2) are over."""
    assert [one for one in told(asked((0, 0.9)), log_of(*entries), at=7) if one[0] == "alert"] == [("alert", 0, state)]


def test_nothing_is_judged_before_its_time() -> None:
    """A failure that is known already does not make an alert mature: false ones could not be known yet."""
    log = log_of(Entry(at=1, kind="failure"))

    assert ("alert", 0, "pending") in told(asked((0, 0.9)), log, at=6)
    assert ("alert", 0, "true_positive") in told(asked((0, 0.9)), log, at=7)


def test_alerts_within_a_horizon_are_one() -> None:
    """They claim the same, counted from the first; an alarm that stays on begins once, one that needs more waits."""
    flapping = asked(*((when, 0.1 if when % 2 else 0.9) for when in range(10)))
    lasting = asked(*((when, 0.9) for when in range(10)))
    patient = replace(RULE, alarm=AlarmRule(threshold=0.5, persist=2, among=2))

    def starts(predictions: pa.Table, rule: Rule = RULE) -> list[int]:
        return [start for kind, start, _ in told(predictions, log_of(), at=90, rule=rule) if kind == "alert"]

    assert starts(flapping) == [0, 6]
    assert starts(lasting) == [0]
    assert starts(lasting, patient) == [1]
    assert starts(flapping, patient) == []


def test_an_alert_before_the_repair_warns_of_nothing_after_it() -> None:
    """The machine that failed at 4 is not the one that was warned of at 0."""
    log = log_of(Entry(at=2, kind="failure"), Entry(at=4, kind="failure"))

    events = [one for one in told(asked((0, 0.9), (3, 0.1)), log, at=90) if one[0] == "event"]

    assert events == [("event", 2, "true_positive"), ("event", 4, "false_negative")]


def test_a_failure_nobody_watched_is_no_miss() -> None:
    """Without a prediction in the horizon before it the model was not asked."""
    assert told(asked((0, 0.1)), log_of(Entry(at=20, kind="failure")), at=90) == [("quiet", 0, "true_negative")]


def test_the_last_known_version_of_a_work_order_counts() -> None:
    """A planned repair that turns out to have been a failure is one once that is written; one taken back is none."""
    log = log_of(
        Entry(at=3, kind="planned", order="W7"),
        Entry(at=3, kind="failure", order="W7", delay=10),
        Entry(at=3, kind="void", order="W7", delay=20),
    )
    alerts = [
        next(state for kind, _, state in told(asked((0, 0.9)), log, at=at) if kind == "alert") for at in (12, 13, 23)
    ]

    assert alerts == ["censored", "true_positive", "false_positive"]


def test_versions_slots_and_assets_are_judged_apart() -> None:
    """Each version in each slot has its own alerts of each asset; ids differ, and are the same when made again."""
    both = pa.concat_tables([asked((0, 0.9)), asked((1, 0.9), version="m@2"), asked((2, 0.9), asset="fan")])
    both = both.append_column("role", pa.array(["champion", "shadow", "champion"]))

    first, again = (episodes(both, known_events(log_of(), at_us=90), rule=RULE, at_us=90) for _ in range(2))

    rows = first.select(["version", "slot", "asset_id"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("m@1", "champion", "pump"),
        ("m@2", "shadow", "pump"),
        ("m@1", "champion", "fan"),
    ]
    assert len(set(first["episode_id"].to_pylist())) == 3
    assert first.equals(again)


def test_a_lead_is_from_the_alert_to_the_failure() -> None:
    """In seconds; where nothing failed there is none."""
    rule = replace(RULE, horizon_us=5_000_000)
    log = log_of(Entry(at=2_500_000, kind="failure"))

    table = episodes(asked((0, 0.9)), known_events(log, at_us=9_000_000), rule=rule, at_us=9_000_000)

    assert table["after_s"].to_pylist() == [2.5, None]


def test_predictions_without_a_score_claim_nothing() -> None:
    """A refused prediction is neither an alert nor quiet, and watches nothing."""
    empty = asked((0, 0.9)).set_column(3, "score", pa.array([None], pa.float64()))

    assert told(empty, log_of(Entry(at=3, kind="failure")), at=90) == []
    assert told(asked(), log_of(), at=90) == []


def test_predictions_of_no_asset_are_refused() -> None:
    """The error names the column."""
    with pytest.raises(InputError, match="asset_id"):
        told(asked((0, 0.9)).drop_columns(["asset_id"]), log_of(), at=9)


@pytest.mark.parametrize("change", [{"horizon_us": 0}, {"lag_us": -1}])
def test_a_rule_that_judges_nothing_is_refused(change: dict[str, int]) -> None:
    """No horizon, or time that runs backwards."""
    with pytest.raises(InputError, match="horizon"):
        replace(RULE, **change)  # type: ignore[arg-type]


def test_the_usual_delay_is_of_failures_known_by_then() -> None:
    """95 % of nineteen quick reports and one slow one; nothing is usual where nothing failed."""
    log = log_of(*(Entry(at=n, kind="failure", delay=2) for n in range(19)), Entry(at=3, kind="failure", delay=60))

    assert usual_delay_us(log, at_us=90) == 2
    assert usual_delay_us(log, at_us=90, share=1.0) == 60
    assert usual_delay_us(log, at_us=30, share=1.0) == 2
    assert usual_delay_us(log_of(), at_us=90) == 0
