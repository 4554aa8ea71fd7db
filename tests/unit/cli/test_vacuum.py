"""Sweeping on the command line: told first, deleted when said, and never what is young."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Lineshaft = Callable[..., Any]


@pytest.mark.parametrize("words", [(), ("--delete",)], ids=["looked at", "deleted"])
def test_what_is_young_stays(lineshaft: Lineshaft, words: tuple[str, ...]) -> None:
    """Nothing in this home is a week old: there is nothing to tell, and nothing goes."""
    told = lineshaft("vacuum", *words)

    assert (told.code, "nothing is older and unneeded" in told.out) == (0, True)
    assert lineshaft("vacuum", *words, "--json").rows == []


@pytest.mark.parametrize(("kept", "what"), [("59m", "files that no table names yet"), ("soon", "is not a duration")])
def test_a_time_that_writers_need_is_not_cut(lineshaft: Lineshaft, kept: str, what: str) -> None:
    """Less than an hour could take the file of a job that writes now."""
    told = lineshaft("vacuum", "--older-than", kept)

    assert told.code == 1
    assert what in told.err
