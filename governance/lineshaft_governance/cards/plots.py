"""Plots as SVG, drawn by hand: a card is one file that needs no library and no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 540, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 44
_STEPS = 5
_AREA = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure with its interval, and what it is measured against."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def line(points: Sequence[tuple[float, float]], *, x: str, y: str, level: float | None, level_name: str) -> str:
    """Draw points joined by a line over axes from zero, with a dashed level across.

    >>> line([(0.0, 1.0), (1.0, 0.5)], x="recall", y="precision", level=0.1, level_name="prevalence").count("<polyline")
    1
    """
    widest = _top(max(px for px, _ in points))
    highest = _top(max([py for _, py in points] + ([level] if level is not None else [])))

    def at(px: float, py: float) -> tuple[float, float]:
        return LEFT + _AREA[0] * px / widest, TOP + _AREA[1] * (1 - py / highest)

    parts = [_axes(widest, highest, x=x, y=y)]
    label = ""
    if level is not None:
        _, height = at(0, level)
        parts.append(f'<path class="level" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>')
        label = _text(WIDTH - RIGHT, height - 6, f"{level_name} {level:.3g}", anchor="end")
    told = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(*point) for point in points))
    parts.append(f'<polyline class="curve" points="{told}"/>')
    parts.append(label)  # over the line, with a rim of paper about its letters
    return _figure(f"{y} by {x}", HEIGHT, parts)


def intervals(bars: Sequence[Bar]) -> str:
    """Draw each figure as a dot with its interval, one below the other, on one scale from zero.

    >>> intervals([Bar(name="pr_auc", value=0.9, low=0.8, high=0.95)]).count("<circle")
    1
    """
    left, each = 150, 34
    height = TOP + each * len(bars) + BOTTOM
    widest = _top(max([bar.value for bar in bars] + [bar.high or 0.0 for bar in bars]))
    scale = (WIDTH - left - RIGHT - 40) / widest
    parts = []
    for step in range(_STEPS + 1):
        value = widest * step / _STEPS
        parts.append(f'<path class="grid" d="M{left + scale * value:.1f} {TOP}V{height - BOTTOM}"/>')
        parts.append(_text(left + scale * value, height - BOTTOM + 18, f"{value:.3g}", anchor="middle"))
    for place, bar in enumerate(bars):
        y = TOP + each * (place + 0.5)
        parts.append(_text(left - 12, y + 4, bar.name, anchor="end"))
        if bar.low is not None and bar.high is not None:
            parts.append(f'<path class="span" d="M{left + scale * bar.low:.1f} {y}H{left + scale * bar.high:.1f}"/>')
        parts.append(f'<circle cx="{left + scale * bar.value:.1f}" cy="{y}" r="5"/>')
        end = bar.value if bar.high is None else max(bar.high, bar.value)
        parts.append(_text(left + scale * end + 10, y + 4, f"{bar.value:.3g}"))
    return _figure("figures with their intervals", height, parts)


def _axes(widest: float, highest: float, *, x: str, y: str) -> str:
    parts = []
    for step in range(_STEPS + 1):
        across, up = LEFT + _AREA[0] * step / _STEPS, TOP + _AREA[1] * (1 - step / _STEPS)
        parts.append(f'<path class="grid" d="M{LEFT} {up:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(across, HEIGHT - BOTTOM + 18, f"{widest * step / _STEPS:.3g}", anchor="middle"))
        parts.append(_text(LEFT - 8, up + 4, f"{highest * step / _STEPS:.3g}", anchor="end"))
    parts.append(_text(LEFT + _AREA[0] / 2, HEIGHT - 6, x, anchor="middle"))
    middle = TOP + _AREA[1] / 2
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y)}</text>'
    )
    return "".join(parts)


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(title: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


def _top(value: float) -> float:
    """Return the end of an axis: the next number whose fifths are short.

    >>> _top(0.93), _top(17.0), _top(0.0)
    (1.0, 20.0, 1.0)
    """
    if not value > 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if value <= step * size * (1 + 1e-9))
