"""What became of a claim "this asset fails within the horizon", as far as it may be judged at a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.events import FAR, FATE, Events, Finding, Ints


class State(StrEnum):
    """What became of an alert, or of there being none."""

    TRUE_POSITIVE = "true_positive"  # alert, and it failed within the horizon
    FALSE_POSITIVE = "false_positive"  # alert, and nothing was wrong: the horizon passed, or somebody looked
    FALSE_NEGATIVE = "false_negative"  # no alert, and it failed, or damage was found
    TRUE_NEGATIVE = "true_negative"  # no alert, and nothing was wrong
    PREVENTED = "prevented"  # alert, and whoever acted on it found damage
    ACTED_UNKNOWN = "acted_unknown"  # alert, somebody acted, and what they found is not written down
    CENSORED = "censored"  # renewed for another reason before it could be told
    PENDING = "pending"  # its horizon, and the time that reports take, are not over


ORDER = tuple(State)
"""The states by their number."""
_CODE = {state: number for number, state in enumerate(ORDER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What counts as an alert, and when it is judged."""

    horizon_us: int
    lag_us: int = 0  # how long reports take: nothing is judged before its horizon and this are over
    alarm: AlarmRule = field(default_factory=AlarmRule)

    def __post_init__(self) -> None:
        """Refuse what judges nothing.

        Raises
        ------
        InputError
            If the horizon is not positive, or a time is negative.
        """
        if self.horizon_us <= 0 or self.lag_us < 0:
            what = f"a horizon of {self.horizon_us} us and a lag of {self.lag_us} us judge nothing"
            raise InputError(what, fix="the horizon is more than 0, the lag not less")

    @property
    def matures_us(self) -> int:
        """Return how long after a claim it may be judged."""
        return self.horizon_us + self.lag_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The state of each claim (its place in ORDER), and when the event that decided it happened (FAR: none did)."""

    states: NDArray[np.int8]
    decided_us: Ints


def judge(
    assets: pa.ChunkedArray, times: Ints, alert: NDArray[np.bool_], *, events: Events, rule: Rule, at_us: int
) -> Judged:
    """Return what became of claims, from what was known at a moment.

    The first event after a claim that changes an asset's fate decides. Only if it decides nothing a look that found the
    asset sound does. Nothing is judged before its time, though a failure may be known sooner: failures are known early
    and their absence late, so whoever counts early counts too many of them.
    """
    first_us, first = np.full(len(times), FAR), np.full(len(times), -1, dtype=np.int8)
    for finding in reversed(FATE):
        found = events.next_of(finding, assets, times)
        sooner = (found <= first_us) & (found < FAR)
        first_us, first = np.where(sooner, found, first_us), np.where(sooner, np.int8(finding), first)
    end_us = times + rule.horizon_us
    within = first_us <= end_us
    sound_us = events.next_of(Finding.SOUND, assets, times)
    is_sound = sound_us <= np.minimum(end_us, first_us)
    bad = within & np.isin(first, (Finding.FAILED, Finding.DAMAGED))
    untold = within & ~bad & ~is_sound
    states = np.where(alert, _CODE[State.FALSE_POSITIVE], _CODE[State.TRUE_NEGATIVE])
    states[untold] = _CODE[State.CENSORED]
    states[untold & alert & (first == Finding.ACTED)] = _CODE[State.ACTED_UNKNOWN]
    states[bad & ~alert] = _CODE[State.FALSE_NEGATIVE]
    states[bad & alert] = _CODE[State.PREVENTED]
    states[bad & alert & (first == Finding.FAILED)] = _CODE[State.TRUE_POSITIVE]
    states[times + rule.matures_us > at_us] = _CODE[State.PENDING]
    decided = np.where(bad | untold, first_us, np.where(is_sound, sound_us, FAR))
    return Judged(states=states.astype(np.int8), decided_us=decided)
