"""When a run of scores becomes an alert: the one rule, for scores as they come and for a history of them.

A single high score is a spike; an alert needs `persist` of the last `among` scores. It opens an episode, which ends
when none of the last `among` passes. A score that is not there (the machine was off, an input is required and missing)
is neither high nor low: it counts for nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import InputError

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """What a model's team wants to be told of: declared with the model, kept with each of its versions.

    `below`: low scores are the bad ones (a remaining life). `cool_down_us`: how long an asset is left in peace after
    an episode. `per_day`: most alerts a day of all assets together, 0 for as many as there are; more are kept, and not
    sent.
    """

    threshold: float = 0.7
    persist: int = 1
    among: int = 1
    below: bool = False
    cool_down_us: int = 0
    per_day: int = 0

    def __post_init__(self) -> None:
        """Refuse a rule that could never, or would always, alert.

        Raises
        ------
        InputError
            If the threshold is no number, `persist` of `among` cannot be, or a time or budget is negative.
        """
        if not math.isfinite(self.threshold):
            raise InputError(f"a threshold of {self.threshold} is none", fix="write a number")
        if not 1 <= self.persist <= self.among <= 10_000:
            raise InputError(f"{self.persist} of the last {self.among} scores cannot be", fix="write persist: 3/5")
        if self.cool_down_us < 0 or self.per_day < 0:
            raise InputError("a time to cool down and a budget are not negative", fix="write 0 for none")

    def check_reach(self, task: str) -> None:
        """Refuse a threshold that no score of the task reaches, or every score; raises `InputError`."""
        if task == "binary" and not 0 < self.threshold < 1:
            what = f"a threshold of {self.threshold:g} never alerts, or always: a probability lies between 0 and 1"
            raise InputError(what, fix="write a number between 0 and 1, as 0.7")

    def passes(self, score: float) -> bool:
        """Tell whether a score is one to be told of."""
        return score <= self.threshold if self.below else score >= self.threshold

    def passed(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell of each of many scores whether it passes."""
        return scores <= self.threshold if self.below else scores >= self.threshold

    def to_params(self) -> dict[str, Any]:
        """Return what is kept with a version."""
        return asdict(self)

    @staticmethod
    def of(params: Mapping[str, Any], *, task: str) -> AlarmRule | None:
        """Return the rule that a version declares; of a probability 0.7 unless it says otherwise, of others none."""
        told = params.get("alert")
        if told:
            return AlarmRule(**told)
        return AlarmRule() if task == "binary" else None


@dataclass(slots=True, kw_only=True)
class Watch:
    """One asset under a rule: its last scores, and whether an episode is open."""

    rule: AlarmRule
    open: bool = False
    ended_us: int | None = None
    _passed: deque[bool] = field(default_factory=deque)
    _last_us: int | None = None

    @staticmethod
    def resumed(rule: AlarmRule, *, ended_us: int | None) -> Watch:
        """Take up an asset whose last episode is known: it ended then, or goes on."""
        watch = Watch(rule=rule, open=ended_us is None, ended_us=ended_us)
        if watch.open:
            watch._passed.extend([True] * rule.among)
        return watch

    def under(self, rule: AlarmRule) -> Watch:
        """Return where the asset stands by a rule; by another one than this its run of scores begins anew."""
        if rule == self.rule:
            return self
        if not self.open and self.ended_us is None:
            return Watch(rule=rule)
        return Watch.resumed(rule, ended_us=None if self.open else self.ended_us)

    def offer(self, at_us: int, score: float) -> str:
        """Take a score; return "raised", "open" (of an episode that goes on), "ended", or "" for nothing.

        A score of the same moment as the last one stands in its place, of an older one says nothing.
        """
        if math.isnan(score) or (self._last_us is not None and at_us < self._last_us):
            return ""
        if at_us == self._last_us:
            self._passed.pop()
        self._last_us = at_us
        self._passed.append(self.rule.passes(score))
        if len(self._passed) > self.rule.among:
            self._passed.popleft()
        if self.open:
            if any(self._passed):
                return "open"
            self.open, self.ended_us = False, at_us
            return "ended"
        cool = self.ended_us is None or at_us >= self.ended_us + self.rule.cool_down_us
        if cool and sum(self._passed) >= self.rule.persist:
            self.open = True
            return "raised"
        return ""


def alarms(rule: AlarmRule, scores: Iterable[tuple[int, float]]) -> Iterator[int]:
    """Yield the moments at which a history of one asset's scores, oldest first, would have raised an alert.

    >>> list(alarms(AlarmRule(threshold=6, persist=2, among=2), enumerate([1, 7, 1, 7, 8, 9, 1, 1, 7, 7])))
    [4, 9]
    """
    watch = Watch(rule=rule)
    for at_us, score in scores:
        if watch.offer(at_us, score) == "raised":
            yield at_us
