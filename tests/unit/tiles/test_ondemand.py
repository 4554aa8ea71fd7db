"""On-demand functions: plain arithmetic, named tables, and a diagnosis that may decline."""

from __future__ import annotations

import numpy as np
import pytest

from lineshaft.errors import DefinitionError
from lineshaft.tiles import severity
from lineshaft.tiles.ondemand import entries, ondemand


def test_ratio_and_difference() -> None:
    """Ratio and difference are IEEE division and subtraction, NaN where not finite."""
    a, b = np.array([1.0, 1.0, np.nan, 5e-324, 1e308]), np.array([3.0, 0.0, 1.0, 2.0, 1e-308])

    np.testing.assert_array_equal(ondemand("ratio").compute([a, b]), [1 / 3, np.nan, np.nan, 0.0, np.nan])
    np.testing.assert_array_equal(ondemand("difference").compute([a, b])[:3], [-2.0, 1.0, np.nan])


@pytest.mark.parametrize("name", severity.TABLES)
def test_zones(name: str) -> None:
    """Zones rise with the limits of the named table; a limit belongs to the zone below; unknown stays unknown."""
    function = ondemand(f"severity_zone[{name}]")
    limits = severity.table(name).limits
    velocity = np.array([0.0, *limits, *(limit + 0.01 for limit in limits), np.nan])

    assert function.compute([velocity]).tolist() == ["A", "A", "B", "C", "B", "C", "D", None]
    assert function.dtype == "string"
    assert "CONFIRMED" in function.source or "agree" in function.source


def test_unconfirmed_limits_say_so() -> None:
    """A table not compared with the printed standard carries that in its source."""
    assert "NOT CONFIRMED" in ondemand("severity_zone[iso10816-3:group2:rigid]").source


@pytest.mark.parametrize(
    ("ratios", "part"),
    [
        ((617, 5, 24, 14, 54), "outer race"),
        ((5, 269, 11, 13, 14), "inner race"),
        ((2, 2, 3, 40, 3), "rolling element"),
        ((2, 2, 3, 4, 40), "cage"),
        ((11, 12, 16, 6, 12), "not determined"),
        ((9.9, 1, 1, 1, 1), "not determined"),
        ((29, 10, 1, 1, 1), "not determined"),
        ((np.nan, 50, 1, 1, 1), None),
        ((50, 1, 1, np.nan, np.nan), "outer race"),
    ],
)
def test_diagnosis(ratios: tuple[float, ...], part: str | None) -> None:
    """A part is named when its line is clear of the background and of every other part's."""
    inputs = [np.array([float(r)]) for r in ratios]

    assert ondemand("bearing_diagnosis").compute(inputs).tolist() == [part]


@pytest.mark.parametrize("text", ["", "rati", "ratio[2]", "severity_zone", "severity_zone[iso]", "eval(1)"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """An unknown name or table is a definition error."""
    with pytest.raises(DefinitionError):
        ondemand(text)


def test_every_entry_has_an_example() -> None:
    """Each on-demand entry's example reads back as itself."""
    for entry in entries():
        assert ondemand(entry.example).name == entry.example
