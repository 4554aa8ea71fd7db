"""What a declaration alone promises: generated, reviewed as a file, and held against the file from then on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lineshaft.specs import Feature, Source, View
from lineshaft_governance.checks.contract import (
    MAGNITUDES,
    ORDER,
    contract_checks,
    contract_yaml,
    differences,
    source_checks,
    source_yaml,
)
from lineshaft_governance.checks.suites import Suites

MINUTE_US = 60_000_000


def view(*declared: str, unit: str = "g") -> View:
    """Return a view of these functions of one channel over a minute and an hour."""
    features = tuple(
        Feature(name=f"x_{function}_{name}", column="x", function=function, window_us=us, unit=unit)
        for function in declared
        for name, us in (("1m", MINUTE_US), ("1h", 60 * MINUTE_US))
    )
    source = Source(name="s", channels=("x",), units=(unit,))
    return View(
        name="v", source=source, entity_keys=(("asset_id", "string"),), features=features, owner="ana@x.example"
    )


def lines(declared: View) -> list[tuple[str, str, str, float | None, float | None]]:
    """Return what the generated checks say, in short."""
    return [(one.kind, one.column, one.other, one.low, one.high) for one in contract_checks(declared)]


@pytest.mark.parametrize(
    ("function", "unit", "low", "high"),
    [
        ("coverage", "1", 0.0, 1.0),
        ("kurtosis", "1", 1.0, None),
        ("rms", "g", 0.0, None),
        ("mean", "degC", -273.15, None),
        ("max", "%", 0.0, 100.0),
    ],
)
def test_formulas_and_units_give_ranges(function: str, unit: str, low: float, high: float | None) -> None:
    """One line for all windows: what no signal, or no value of the unit, can be."""
    assert lines(view(function, unit=unit)) == [("between", f"x_{function}_*", "", low, high)]


def test_what_may_be_anything_gives_none() -> None:
    """A skewness, a slope and a mean acceleration have no end that a formula or a unit sets."""
    assert lines(view("skewness", "slope_per_hour", "mean")) == []


def test_physical_relations_hold_between_features_of_one_window() -> None:
    """Peak and rms of a window are related, of two windows they are not; a lone one has nobody to be related to."""
    assert ("pair_ge", "x_peak_*", "x_rms_*", None, None) in lines(view("peak", "rms"))
    apart = view("peak", "rms")
    only = tuple(f for f in apart.features if f.name in ("x_peak_1m", "x_rms_1h"))
    assert [line[0] for line in lines(replace(apart, features=only))] == ["between", "between"]


def test_the_generated_file_is_a_suite_without_differences(tmp_path: Path) -> None:
    """What is printed can be put into the folder as it is; then file and declaration say the same."""
    declared = view(*sorted(MAGNITUDES | {name for pair in ORDER for name in pair[:2]} | {"coverage", "kurtosis"}))
    text = contract_yaml(declared)
    (tmp_path / "v.yaml").write_text(text)

    suites = Suites.load(tmp_path)

    assert "owner ana@x.example" in text
    assert suites.found["view", "v"].checks == contract_checks(declared)
    assert list(differences(declared, suites)) == []


def test_a_source_is_held_to_its_units_and_to_how_late_its_views_take_a_block(tmp_path: Path) -> None:
    """Nothing is colder than absolute zero; what comes after the lateness corrects nothing."""
    source = Source(name="s", channels=("x", "heat"), units=("g", "degC"))
    (tmp_path / "s.yaml").write_text(source_yaml(source, lateness_us=60_000_000))

    suite = Suites.load(tmp_path).found["source", "s"]

    assert suite.checks == source_checks(source, lateness_us=60_000_000)
    assert [(one.column, one.low, one.high) for one in suite.checks] == [
        ("heat_low", -273.15, None),
        ("ahead_s", None, 300.0),
        ("delay_s", None, 60.0),
    ]


def test_a_file_that_says_less_or_speaks_of_what_is_gone_is_told(tmp_path: Path) -> None:
    """A line left out, a range made wider, a feature that was renamed: each with the column and what to do."""
    declared = view("rms", "coverage")
    text = "view: v\nchecks:\n  - {kind: between, column: 'x_coverage_*', low: 0, high: 2}\n"
    (tmp_path / "v.yaml").write_text(text + "  - {kind: not_null, column: x_peak_1m}\n")

    found = {(one.column, one.what.partition(":")[0]) for one in differences(declared, Suites.load(tmp_path))}

    assert found == {
        ("x_peak_1m", "the suite names a column that is not there"),
        ("x_rms_1m", "not in the suite"),
        ("x_rms_1h", "not in the suite"),
        ("x_coverage_1m", "the suite allows more than the declaration"),
        ("x_coverage_1h", "the suite allows more than the declaration"),
    }


def test_a_narrower_range_is_no_gap_and_a_view_without_a_file_is_one(tmp_path: Path) -> None:
    """A team may know more than the formula; a team that wrote nothing is told what there is to write."""
    declared = view("rms")
    (tmp_path / "v.yaml").write_text("view: v\nchecks:\n  - {kind: between, column: 'x_rms_*', low: 0.1, high: 9}\n")

    assert list(differences(declared, Suites.load(tmp_path))) == []
    assert len(list(differences(declared, Suites()))) == 2
