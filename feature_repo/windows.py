"""Rolling features, written short: every function of every column over every window."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from feast import Aggregation, Field
from feast.types import Float64

MINUTE = timedelta(minutes=1)
ROLLING = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1))


def rolling(
    columns: Sequence[str],
    functions: Sequence[str],
    *,
    windows: Iterable[timedelta] = ROLLING,
    slide: timedelta = MINUTE,
) -> list[Aggregation]:
    """Return one aggregation per window, column and function, named `column_function_window`."""
    return [
        Aggregation(
            column=column,
            function=function,
            time_window=window,
            slide_interval=slide,
            name=f"{column}_{slug(function)}_{short(window)}",
        )
        for window in windows
        for column in columns
        for function in functions
    ]


def fields(aggregations: Iterable[Aggregation]) -> list[Field]:
    """Return the schema that aggregations make. Computed features are always float64, null where undefined."""
    return [Field(name=aggregation.name, dtype=Float64) for aggregation in aggregations]


def slug(function: str) -> str:
    """Write a function as part of a name: `band_power[0-2000Hz]` is band_power_0_2000hz."""
    return function.lower().replace("[", "_").replace("]", "").replace("-", "_").replace(":", "_").replace(",", "_")


def short(window: timedelta) -> str:
    """Write a window the short way: 1m, 5h, 10s."""
    seconds = int(window.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
