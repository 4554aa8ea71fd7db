"""From checks to alarms: what is found again and again is one alarm, from its first window to its end."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from lineshaft.drift.policy import DriftPolicy


def standing(windows: Sequence[AbstractSet[str]], policy: DriftPolicy, *, open_: AbstractSet[str]) -> frozenset[str]:
    """Return of whom there is an alarm after the last of these windows.

    windows: the scopes in which each check found a drift, oldest first, the newest among them; open_: of whom there was
    an alarm before. One begins in `persist` of the last `among` windows, and ends when none of them shows it.

    >>> policy = DriftPolicy(persist=2, among=3)
    >>> standing([{"a"}, set(), {"a", "b"}], policy, open_=frozenset())
    frozenset({'a'})
    >>> standing([{"a"}, set(), set()], policy, open_=frozenset({"a"}))
    frozenset({'a'})
    >>> standing([set(), set(), set()], policy, open_=frozenset({"a"}))
    frozenset()
    """
    last = windows[-policy.among :]
    count = {scope: sum(scope in one for one in last) for scope in frozenset().union(*last, open_)}
    return frozenset(scope for scope, seen in count.items() if seen >= policy.persist or (seen and scope in open_))
