"""A long list, a piece at a time: what was searched for, which piece, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lineshaft_governance.web.parts import Asked

T = TypeVar("T")
PIECE = 100


def piece(rows: Sequence[T], asked: Asked, *, text: Callable[[T], str] | None = None) -> tuple[list[T], dict[str, Any]]:
    """Return the rows that hold every word searched for, those of the piece asked for, and where they stand.

    >>> piece(["pump 1", "fan 2"], Asked(query={"q": "PUMP"}), text=str)[0]
    ['pump 1']
    """
    words = asked.word("q").casefold().split()
    found = list(rows)
    if words and text is not None:
        found = [row for row in found if all(word in text(row).casefold() for word in words)]
    last = max(0, (len(found) - 1) // PIECE)
    number = min(asked.number("piece", 0), last)
    every = asked.word("format") == "csv"  # a file has room for all of them
    shown = found if every else found[number * PIECE : (number + 1) * PIECE]
    about = {"q": asked.word("q"), "piece": number, "last": last, "found": len(found), "of": len(rows)}
    return shown, about
