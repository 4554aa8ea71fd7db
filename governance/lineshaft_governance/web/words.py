"""How numbers and times are said on the page."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from lineshaft.specs import format_duration

SECOND_US = 1_000_000


def age(us: int | None) -> str:
    """Say how long ago something was, in the largest unit that fits.

    >>> age(90 * 60 * SECOND_US), age(None), age(-5 * SECOND_US)
    ('1.5 h', 'never', 'in 5 s')
    """
    if us is None:
        return "never"
    if us < 0:
        return f"in {age(-us)}"
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if us >= size * SECOND_US:
            return f"{us / (size * SECOND_US):.3g} {name}"
    return f"{us / SECOND_US:.3g} s"


def moment(us: int | None) -> str:
    """Write a time in UTC.

    >>> moment(0)
    '1970-01-01 00:00:00 UTC'
    """
    if us is None:
        return "never"
    return datetime.fromtimestamp(us // SECOND_US, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_moment(us: int) -> str:
    """Write a time as the ticks of a picture do.

    >>> short_moment(0)
    '1 Jan 00:00'
    """
    at = datetime.fromtimestamp(us // SECOND_US, tz=UTC)
    return f"{at.day} {at.strftime('%b %H:%M')}"


def percent(share: float | None) -> str:
    """Write a share.

    >>> percent(0.1234), percent(0.0), percent(1.0), percent(None), percent(0.0001)
    ('12.3 %', '0 %', '100 %', '–', '0.01 %')
    """
    if share is None or share != share:  # noqa: PLR0124 - NaN
        return "–"
    return f"{share * 100:.3g} %"


def segment(name: object) -> str:
    """Write a name as one segment of an address: what people call things may hold slashes and question marks.

    >>> segment("a/b?c")
    'a%2Fb%3Fc'
    """
    return quote(str(name), safe="@")


def duration(us: int) -> str:
    """Write a length of time; none is "no limit".

    >>> duration(300_000_000), duration(0)
    ('5m', 'no limit')
    """
    return format_duration(us) if us else "no limit"


def number(value: float | None) -> str:
    """Write a number with as many digits as help.

    >>> number(1234567), number(0.123456), number(None), number(1e-9)
    ('1,234,567', '0.123', '–', '1.0e-09')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def short(digest: str) -> str:
    """Cut a hash to what a person compares."""
    return digest[:12]
