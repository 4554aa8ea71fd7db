"""What a definition may write: numbers with units, lines, bands and tables, each read strictly and written one way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import DefinitionError
from lineshaft.tiles import catalogue, severity
from lineshaft.tiles.diagnosis import CLEAR, MARGIN, PARTS
from lineshaft.tiles.entry import known, quotient
from lineshaft.tiles.measures import band_of, band_text, count_of
from lineshaft.tiles.ondemand import OnDemandFunction, entries, ondemand

hertz = st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000)


@given(low=hertz, high=hertz)
def test_a_band_reads_back_as_it_was_written(low: float, high: float) -> None:
    """Every band of thousandths of a hertz; the wrong way round, or of no width, it is none."""
    text = band_text(low, high)

    if low < high:
        assert band_of(text, where="f") == (low, high)
        assert band_of(text.replace("-", " - "), where="f") == (low, high)
    else:
        with pytest.raises(DefinitionError):
            band_of(text, where="f")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5-6",
        "5-6hz",
        "5Hz-6Hz",
        "-5-6Hz",
        "5-6-7Hz",
        "5.-6Hz",
        ".5-6Hz",
        "1e3-2e3Hz",
        "5-6kHz",
        "nan-infHz",
        "6-6Hz",
    ],
)
def test_what_is_no_band_is_told_how_to_write_one(text: str) -> None:
    """Units, exponents and signs are not guessed at; the function is named."""
    with pytest.raises(DefinitionError, match="no frequency band") as caught:
        band_of(text, where="band_power")

    assert caught.value.where == "band_power"
    assert "low-highHz" in caught.value.fix


@pytest.mark.parametrize(("text", "fits"), [("1", True), ("5", True), ("0", False), ("6", False)])
def test_a_count_may_be_on_its_bounds(text: str, fits: bool) -> None:
    """From 1 to 5 means 1 and 5 too."""
    if fits:
        assert count_of(text, low=1, high=5, where="f") == int(text)
    else:
        with pytest.raises(DefinitionError, match="not a whole number from 1 to 5") as caught:
            count_of(text, low=1, high=5, where="f")
        assert (caught.value.where, caught.value.fix) == ("f", "write 1")


@pytest.mark.parametrize("text", ["", "2.0", "-2", "+2", "two", " 2", "2 ", "0x2", "²"])
def test_a_count_is_written_in_digits(text: str) -> None:
    """Nothing else is read as a whole number."""
    with pytest.raises(DefinitionError):
        count_of(text, low=1, high=5, where="f")


UNITS = {
    "count": "1",
    "mean": "{unit}",
    "variance": "{unit}^2",
    "rms": "{unit}",
    "kurtosis": "1",
    "crest_factor": "1",
    "slope_per_hour": "{unit}/h",
    "coverage": "1",
    "deviation_from_baseline[3]": "{unit}",
    "sigmas_from_baseline[3]": "1",
    "std_over_baseline[3]": "1",
    "rms_over_baseline[3]": "1",
    "band_power[10-20Hz]": "{unit}^2",
    "band_ratio[10-20Hz/20-30Hz]": "1",
    "spectral_centroid": "Hz",
    "dominant_frequency[2]": "Hz",
    "dominant_amplitude[2]": "{unit}",
    "velocity_rms[10-1000Hz]": "mm/s",
    "envelope_ratio[bpfi]": "1",
    "envelope_amplitude[bpfi]": "{unit}",
    "envelope_peak": "{unit}",
    "envelope_peak_frequency": "Hz",
    "envelope_background": "{unit}",
    "wavelet_energy[0]": "{unit}^2",
    "wavelet_share[0]": "1",
}


@pytest.mark.parametrize(("text", "unit"), list(UNITS.items()))
def test_a_function_has_the_unit_of_what_it_computes(text: str, unit: str) -> None:
    """Ratios have none, powers the square of the channel's, frequencies hertz: the table is written by hand."""
    function = catalogue.function(text)

    assert (function.name, function.unit) == (text, unit)
    assert function.formula
    assert function.source


def test_every_family_has_its_unit_in_the_table_above() -> None:
    """A function added to the catalogue is added here, or shares the unit of the channel or none."""
    named = {text.partition("[")[0] for text in UNITS}
    others = {entry.name: entry.unit for entry in catalogue.entries() if entry.name not in named}

    assert set(others.values()) <= {"1", "{unit}"}
    assert {name for name, unit in others.items() if unit == "1"} == {
        *("skewness", "shape_factor", "impulse_factor", "clearance_factor", "missing_ratio", "clipped_ratio")
    }


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("band_power[10-20Hz@8]", ["band[10-20Hz@8]"]),
        ("band_power[10-20Hz@1048576]", ["band[10-20Hz@1048576]"]),
        ("band_ratio[10-20Hz/5-7Hz]", ["band[10-20Hz]", "band[5-7Hz]"]),
        ("velocity_rms[10-1000Hz@m/s2]", ["squared_velocity[10-1000Hz]"]),
        ("envelope_ratio[bpfo@full~1%/10-20Hz]", ["envelope[full~1%/10-20Hz]"]),
        ("envelope_peak[@1000-2000Hz]", ["envelope[1000-2000Hz~2%/5-500Hz]"]),
        ("wavelet_energy[7]", ["wavelet_packets"]),
        ("dominant_frequency[3]", ["peaks[3]"]),
    ],
)
def test_what_is_written_reaches_the_aggregator(text: str, needs: list[str]) -> None:
    """Every parameter is in the key of what is stored, so that tiles of other parameters are never mixed up."""
    assert [aggregator.key for aggregator in catalogue.function(text).needs] == needs


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("band_power[10-20Hz@7]", "'7' is not a whole number from 8 to 1048576", "write 8"),
        ("band_power[10-20Hz@1048577]", "whole number", "write 8"),
        ("band_ratio[10-20Hz@512/5-7Hz]", "no segment length", ""),
        ("band_ratio[10-20Hz/5-7Hz@512]", "no segment length", ""),
        ("velocity_rms[0-10Hz]", "cannot read '0-10Hz'", "low above 0"),
        ("velocity_rms[10-1000Hz@mm/s2]", "cannot read", "@m/s2"),
        ("envelope_ratio[outer]", "cannot read 'outer'", "bpfo | bpfi | bsf | 2bsf | ftf | 1x"),
        ("envelope_ratio[bpfo~2]", "cannot read", "~tolerance%"),
        ("envelope_peak[@fast]", "no frequency band", "low-highHz"),
        ("dominant_frequency[4]", "whole number from 1 to 3", "write 1"),
        ("wavelet_share[8]", "whole number from 0 to 7", "write 0"),
        ("deviation_from_baseline[10001]", "whole number from 1 to 10000", "write 1"),
        ("mean[3]", "mean takes no parameter, not '3'", "write mean"),
        ("rsm", "no function is called 'rsm'", "did you mean"),
        ("kurtosis[", "no function is called", "did you mean kurtosis?"),
        ("qqqq", "no function is called", "`lineshaft functions` lists all"),
    ],
)
def test_a_text_that_cannot_be_read_says_what_would_be(text: str, what: str, fix: str) -> None:
    """The part that is wrong, and how it is written right."""
    with pytest.raises(DefinitionError) as caught:
        catalogue.function(text)

    assert what in caught.value.what
    assert fix in caught.value.fix


def test_a_quotient_is_undefined_where_it_is_not_finite() -> None:
    """Zero divisors, nothing over nothing, overflow and NaN are NaN without a warning; the rest is division."""
    above = np.array([1.0, 0.0, 1e300, np.nan, -3.0, 5e-324, np.inf])
    below = np.array([0.0, 0.0, 1e-300, 2.0, 4.0, 2.0, 1.0])

    np.testing.assert_array_equal(quotient(above, below), [np.nan, np.nan, np.nan, np.nan, -0.75, 0.0, np.nan])
    np.testing.assert_array_equal(known(np.array([np.inf, -np.inf, np.nan, -0.0])), [np.nan, np.nan, np.nan, 0.0])


@pytest.mark.parametrize(
    ("text", "name", "unit", "dtype", "inputs"),
    [
        ("ratio", "ratio", "1", "float64", ("a", "b")),
        ("difference", "difference", "{unit}", "float64", ("a", "b")),
        (
            "severity_zone[iso10816-1:class2]",
            "severity_zone[iso10816-1:class2]",
            "zone",
            "string",
            ("velocity_rms[10-1000Hz]",),
        ),
        (
            "bearing_diagnosis",
            "bearing_diagnosis",
            "part",
            "string",
            tuple(f"envelope_ratio[{line}]" for line in ("bpfo", "bpfi", "bsf", "2bsf", "ftf")),
        ),
    ],
)
def test_an_on_demand_function_says_what_it_reads_and_gives(
    text: str, name: str, unit: str, dtype: str, inputs: tuple[str, ...]
) -> None:
    """Its inputs stand in the order in which it computes with them, and each names a function of the catalogue."""
    found: OnDemandFunction = ondemand(f" {text} ")

    assert (found.name, found.unit, found.dtype, found.inputs) == (name, unit, dtype, inputs)
    for wanted in inputs:
        assert wanted in ("a", "b") or catalogue.function(wanted).name == wanted


def test_on_demand_functions_read_their_inputs_in_order() -> None:
    """a/b is not b/a, and a-b is not b-a."""
    a, b = np.array([6.0]), np.array([3.0])

    assert ondemand("ratio").compute([a, b]).tolist() == [2.0]
    assert ondemand("difference").compute([a, b]).tolist() == [3.0]
    assert np.isnan(ondemand("difference").compute([np.array([1e308]), np.array([-1e308])])).all()


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("ratoi", "did you mean ratio?"),
        ("severity", "severity_zone[standard:class]"),
        ("bearing_diagnosi", "bearing_diagnosis"),
        ("qqq", "use ratio, difference, severity_zone, bearing_diagnosis"),
        ("Ratio[", "did you mean ratio?"),
        ("severity_zone[iso10816-3]", "iso10816-3:group1:rigid"),
    ],
)
def test_an_unknown_on_demand_function_is_answered_with_the_nearest(text: str, fix: str) -> None:
    """Misspelt, or a table that is not known: what there is is told."""
    with pytest.raises(DefinitionError) as caught:
        ondemand(text)

    assert fix in caught.value.fix
    assert {entry.name for entry in entries()} == {"ratio", "difference", "severity_zone", "bearing_diagnosis"}


PRINTED = {
    "iso10816-3:group1:rigid": (2.3, 4.5, 7.1),
    "iso10816-3:group1:flexible": (3.5, 7.1, 11.0),
    "iso10816-3:group2:rigid": (1.4, 2.8, 4.5),
    "iso10816-3:group2:flexible": (2.3, 4.5, 7.1),
    "iso10816-1:class1": (0.71, 1.8, 4.5),
    "iso10816-1:class2": (1.12, 2.8, 7.1),
    "iso10816-1:class3": (1.8, 4.5, 11.2),
    "iso10816-1:class4": (2.8, 7.1, 18.0),
}


def test_severity_limits_are_written_down_twice() -> None:
    """A digit changed in one place is noticed: the limits of every table, by hand, rising from zone to zone."""
    assert {name: table.limits for name, table in severity.TABLES.items()} == PRINTED
    for a, b, c in PRINTED.values():
        assert 0 < a < b < c


@pytest.mark.parametrize(("index", "part"), list(enumerate(PARTS)))
def test_a_part_is_named_exactly_from_its_two_limits_on(index: int, part: str) -> None:
    """At CLEAR times the background and MARGIN times the next it is named; a hair below either it is not."""
    lines = [1.0, 1.0, 1.0, np.nan, 1.0]
    place = (0, 1, 2, 4)[index]
    other = (1, 0, 0, 0)[index]

    def told(strongest: float, next_one: float) -> object:
        ratios = list(lines)
        ratios[place], ratios[other] = strongest, next_one
        return ondemand("bearing_diagnosis").compute([np.array([r]) for r in ratios]).tolist()[0]

    assert told(CLEAR, CLEAR / MARGIN) == part
    assert told(np.nextafter(CLEAR, 0), 1.0) == "not determined"
    assert told(3 * CLEAR, np.nextafter(CLEAR, 99)) == "not determined"


def test_a_rolling_element_is_judged_by_the_larger_of_its_two_lines() -> None:
    """Its spin or twice its spin, whichever is stronger; with the second unknown the first decides."""
    compute = ondemand("bearing_diagnosis").compute

    def told(bsf: float, double: float) -> object:
        return compute([np.array([x]) for x in (1.0, 1.0, bsf, double, 1.0)]).tolist()[0]

    assert [told(20.0, 1.0), told(1.0, 20.0), told(20.0, np.nan), told(1.0, np.nan)] == [
        *("rolling element", "rolling element", "rolling element", "not determined")
    ]


def test_a_diagnosis_goes_row_by_row() -> None:
    """Three machines at once: each by its own lines, the undefined one None, whatever its neighbours."""
    columns = [
        np.array(column) for column in zip((30, 1, 1, 1, 1), (1, 30, 1, 1, 1), (1, np.nan, 90, 1, 1), strict=True)
    ]

    assert ondemand("bearing_diagnosis").compute(columns).tolist() == ["outer race", "inner race", None]
