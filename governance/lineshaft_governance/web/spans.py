"""Stretches of time as a picture: a row each slot, a bar each time somebody held it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from lineshaft_governance.web.words import moment

WIDTH, LEFT, RIGHT, EACH, BOTTOM = 900, 150, 12, 34, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A bar: in which row, what is written on it, from when to when; open where it goes on."""

    row: str
    name: str
    from_us: int
    to_us: int | None
    place: int = 0


def spans(held: Sequence[Span], *, now_us: int, title: str) -> Markup | None:
    """Draw bars over time; nothing where there are none.

    >>> picture = spans([Span(row="dev", name="<1>", from_us=0, to_us=None)], now_us=60_000_000, title="slots")
    >>> str(picture).count("<rect"), "<1>" in str(picture)
    (1, False)
    """
    if not held:
        return None
    rows = sorted({(one.place, one.row) for one in held})
    low = min(one.from_us for one in held)
    high = max(now_us, *(one.to_us or one.from_us for one in held), low + 1)
    wide, height = WIDTH - LEFT - RIGHT, EACH * len(rows) + BOTTOM
    parts = []
    for number, (_, row) in enumerate(rows):
        y = EACH * number
        parts.append(f'<text x="{LEFT - 10}" y="{y + 20}" text-anchor="end">{escape(row)}</text>')
        parts.append(f'<path class="grid" d="M{LEFT} {y + EACH - 2}H{WIDTH - RIGHT}"/>')
        for one in held:
            if one.row != row:
                continue
            left = LEFT + wide * (one.from_us - low) / (high - low)
            width = max(3.0, LEFT + wide * ((one.to_us or high) - low) / (high - low) - left)
            kind = "now" if one.to_us is None else "past"
            until = "now" if one.to_us is None else moment(one.to_us)
            told = f"{one.name}: {moment(one.from_us)} to {until}"
            parts.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{y + 5}" width="{width:.1f}" height="22" rx="4">'
                f"<title>{escape(told)}</title></rect>"
            )
            if width > 7.5 * len(one.name) + 12:
                parts.append(f'<text class="{kind}" x="{left + 7:.1f}" y="{y + 20}">{escape(one.name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{height - 6}">{moment(low)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">now</text>')
    head = f'<svg class="picture spans" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every text of others was escaped above
