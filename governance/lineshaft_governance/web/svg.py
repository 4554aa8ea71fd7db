"""Pictures as SVG, drawn here: classes for colours, so that they follow the sheet in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 900, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 26, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line across a picture: where, what it is called, and what it is like."""

    at: float
    name: str
    kind: str = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One direction of a picture."""

    low: float
    high: float
    name: str
    ticks: Sequence[tuple[float, str]]

    @staticmethod
    def of_numbers(low: float, high: float, name: str) -> Axis:
        """Return an axis of numbers with short ones at its ticks.

        >>> [text for _, text in Axis.of_numbers(0, 9.3, "g").ticks]
        ['0', '2', '4', '6', '8']
        """
        if not math.isfinite(low) or not math.isfinite(high) or high <= low:
            low, high = (low - 1, low + 1) if math.isfinite(low) else (0.0, 1.0)
        raw = (high - low) / 5
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(one * size for one in (1, 2, 2.5, 5, 10) if raw <= one * size * (1 + 1e-9))
        first = math.ceil(low / step - 1e-9)
        values = [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]
        return Axis(low=low, high=high, name=name, ticks=[(value, f"{value:.6g}") for value in values])

    def share(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high."""
        return (value - self.low) / (self.high - self.low)


def curve(x: Floats, y: Floats, *, across: Axis, up: Axis, title: str, marks: Sequence[Mark] = ()) -> Markup:
    r"""Draw points joined by a line, broken where a value is missing, with marks down the picture.

    >>> picture = curve(np.array([0.0, 1.0]), np.array([1.0, 2.0]), across=Axis.of_numbers(0, 1, "s"),
    ...                 up=Axis.of_numbers(0, 2, "g"), title="<b>", marks=[Mark(at=0.5, name="BPFO")])
    >>> "<b>" in picture, picture.count('class="curve"'), "BPFO" in picture
    (False, 1, True)
    """
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    px = LEFT + wide * (np.asarray(x) - across.low) / (across.high - across.low)
    py = TOP + tall * (1 - (np.asarray(y) - up.low) / (up.high - up.low))
    parts, pen = [_frame(across, up)], "M"
    drawn = []
    for a, b in zip(px.tolist(), py.tolist(), strict=True):
        if math.isfinite(a) and math.isfinite(b):
            drawn.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    parts.append(_marks(marks, across))
    parts.append(f'<path class="curve" d="{"".join(drawn)}"/>')
    return _picture(title, HEIGHT, parts)


def sparkline(points: Sequence[tuple[float, float]], name: str) -> Markup | None:
    """Draw how a value went, as large as a word; nothing of fewer than two points.

    >>> "from 0.1 to 0.8" in sparkline([(0, 0.1), (5, 0.8)], "pump")
    True
    """
    if len(points) < 2:
        return None
    (first, *_), (last, *_) = points[0], points[-1]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    tall, flat = high - low or 1.0, 0.5 if high == low else 0.0
    places = [
        (96 * (at - first) / (last - first or 1) + 2, 20 - 16 * ((value - low) / tall + flat)) for at, value in points
    ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    told = f"{name} from {values[0]:.3g} to {values[-1]:.3g}"
    head = f'<svg class="spark" viewBox="0 0 100 24" role="img" aria-label="{escape(told)}">'
    end = f'<circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.2"/>'
    return Markup(f'{head}<path d="M{path}"/>{end}</svg>')  # noqa: S704 - the one text of others was escaped above


def bars(counts: Sequence[int], *, across: Axis, title: str) -> Markup:
    """Draw how often values fall into equal steps of an axis.

    >>> bars([1, 4], across=Axis.of_numbers(0, 1, "g"), title="values").count("<rect")
    2
    """
    wide, tall, most = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, max([*counts, 1])
    each = wide / max(1, len(counts))
    parts = [_frame(across, Axis.of_numbers(0, most, "rows"))]
    for place, count in enumerate(counts):
        high = tall * count / most
        parts.append(
            f'<rect class="bar" x="{LEFT + each * place + 1:.1f}" y="{TOP + tall - high:.1f}" '
            f'width="{each - 2:.1f}" height="{high:.1f}"/>'
        )
    return _picture(title, HEIGHT, parts)


def thinned(x: Floats, y: Floats, *, most: int = 700) -> tuple[Floats, Floats]:
    """Return a curve of many points by the lowest and the highest of each stretch, in the order they came.

    >>> x, y = thinned(np.arange(10_000.0), np.sin(np.arange(10_000.0)), most=100)
    >>> len(x) <= 100, bool(y.max() > 0.99)
    (True, True)
    """
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most // 2 + 1).astype(np.int64)
    kept: list[int] = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = y[start:stop]
        if np.isfinite(part).any():
            kept += sorted({start + int(np.nanargmin(part)), start + int(np.nanargmax(part))})
    return x[kept], y[kept]


def _frame(across: Axis, up: Axis) -> str:
    """Return grid, numbers and names of both axes."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = []
    for value, text in up.ticks:
        y = TOP + tall * (1 - up.share(value))
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in across.ticks:
        x = LEFT + wide * across.share(value)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<text x="{LEFT}" y="14">{escape(up.name)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="14" text-anchor="end">{escape(across.name)}</text>')
    return "".join(parts)


def _marks(marks: Sequence[Mark], across: Axis) -> str:
    """Return lines down the picture, their names on two levels so that neighbours do not cover each other."""
    wide, parts, last = WIDTH - LEFT - RIGHT, [], [-1e9, -1e9]
    for mark in sorted(marks, key=lambda one: one.at):
        if not across.low <= mark.at <= across.high:
            continue
        x = LEFT + wide * across.share(mark.at)
        parts.append(f'<path class="{escape(mark.kind)}" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        room = 7.0 * len(mark.name) + 8
        level = next((place for place in (0, 1) if x - last[place] >= room), None)
        if level is not None and mark.name:
            last[level] = x
            place = f'x="{x + 3:.1f}"' if x + room < WIDTH else f'x="{x - 3:.1f}" text-anchor="end"'
            parts.append(f'<text class="name" {place} y="{TOP + 12 + 14 * level}">{escape(mark.name)}</text>')
    return "".join(parts)


def _picture(title: str, height: float, parts: Sequence[str]) -> Markup:
    head = f'<svg class="picture" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every text of others was escaped above
