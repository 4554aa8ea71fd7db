"""What a declaration alone promises of a view's rows: units, formulas and the order of statistics, as checks.

A generated suite is a file to review, not a law: a team narrows its ranges and adds what only it knows. `differences`
tells where a file says less than the declaration, or speaks of columns that are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import yaml

from lineshaft.ops.governance import Difference
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.checks.suites import Check, Suite, Suites

ZERO: dict[str, tuple[float, str]] = {
    "degC": (-273.15, "absolute zero"),
    "degF": (-459.67, "absolute zero"),
    "degR": (0.0, "absolute zero"),
    "K": (0.0, "absolute zero"),
    "psia": (0.0, "absolute pressure"),
    "%": (0.0, "a share"),
}
"""Below what no value of a unit lies, and why."""

MAGNITUDES = frozenset(
    ("count", "variance", "std", "std_sample", "rms", "peak", "peak_to_peak", "mean_abs", "band_power", "band_ratio")
) | frozenset(("spectral_centroid", "dominant_frequency", "dominant_amplitude", "velocity_rms", "wavelet_energy"))
"""Functions that are never negative, whatever they are given."""

AT_LEAST_ONE = frozenset(("kurtosis", "crest_factor", "shape_factor", "impulse_factor", "clearance_factor"))
SHARES = frozenset(("coverage", "missing_ratio", "clipped_ratio", "wavelet_share"))
LEVELS = frozenset(("mean", "min", "max", "first", "last"))

ORDER: tuple[tuple[str, str, str], ...] = (
    ("peak", "rms", "the largest of values is at least their rms"),
    ("rms", "std", "rms^2 = mean^2 + std^2"),
    ("rms", "mean_abs", "mean |x| is at most rms"),
    ("max", "mean", "order of a maximum and a mean"),
    ("mean", "min", "order of a mean and a minimum"),
    ("peak_to_peak", "std", "a spread is at most a range"),
    ("impulse_factor", "crest_factor", "mean |x| is at most rms"),
    ("clearance_factor", "impulse_factor", "(mean sqrt|x|)^2 is at most mean |x|"),
)
"""Which function of a channel and window is at least which other, and why."""


def contract_checks(view: View) -> tuple[Check, ...]:
    """Return the checks that follow from a view's declaration, windows folded into `*` where a name ends in one."""
    found = [check for feature in view.features for check in _of_feature(feature)]
    return tuple(dict.fromkeys((*found, *_orders(view.features))))


def source_checks(source: Source, *, lateness_us: int) -> tuple[Check, ...]:
    """Return the checks of blocks that follow from a source's units, and from how late its views take a block."""
    found = [
        Check(kind="between", column=f"{channel}_low", low=ZERO[unit][0], unit=unit, why=ZERO[unit][1])
        for channel, unit in zip(source.channels, source.units, strict=True)
        if unit in ZERO
    ]
    late_s = lateness_us / 1e6
    found.append(
        Check(kind="between", column="ahead_s", high=300.0, unit="s", why="a clock kept by NTP is not so far off")
    )
    found.append(
        Check(kind="between", column="delay_s", high=late_s, unit="s", why="later it corrects no row any more")
    )
    return tuple(found)


def source_yaml(source: Source, *, lateness_us: int) -> str:
    """Return the suite of a source's declaration as a file to review."""
    return f"source: {source.name}\nchecks:\n" + _lines(source_checks(source, lateness_us=lateness_us))


def contract_yaml(view: View) -> str:
    """Return the suite of a view's declaration as a file to review."""
    head = (
        f"# From the declaration of {view.ref}, owner {view.owner or 'nobody'}. Narrow the ranges to what is in use.\n"
    )
    return head + f"view: {view.name}\nchecks:\n" + _lines(contract_checks(view))


def _lines(checks: Iterable[Check]) -> str:
    """Return checks as lines of YAML."""
    said = (yaml.safe_dump(_plain(check), default_flow_style=True, width=10_000).strip() for check in checks)
    return "".join(f"  - {line}\n" for line in said)


def differences(view: View, suites: Suites) -> Iterator[Difference]:
    """Tell where the file of a view says less than its declaration, or speaks of a column that is not there."""
    suite = suites.about("view", view.name)
    columns = row_schema(view).names
    where = f"governance/suites/{suite.where}" if suite is not None else "governance/suites"
    own = list(suite.expand(columns)) if suite is not None else []
    for expectation in own:
        for name in expectation.columns:
            if name not in columns:
                yield Difference(
                    view=view.name, column=name, what="the suite names a column that is not there", fix=f"see {where}"
                )
    said = {(one.kind, one.columns): one for one in own}
    for wanted in Suite(name=view.name, checks=contract_checks(view)).expand(columns):
        there = said.get((wanted.kind, wanted.columns))
        fix = f"lineshaft checks generate {view.name}, and add the line to {where}"
        if there is None:
            yield Difference(view=view.name, column=wanted.columns[0], what=f"not in the suite: {wanted.text}", fix=fix)
        elif _looser(there.low, wanted.low, lower=True) or _looser(there.high, wanted.high, lower=False):
            what = f"the suite allows more than the declaration: {there.text}, not {wanted.text}"
            yield Difference(view=view.name, column=wanted.columns[0], what=what, fix=fix)


def _looser(said: float | None, wanted: float | None, *, lower: bool) -> bool:
    """Say whether a limit leaves more room than another."""
    if wanted is None:
        return False
    return said is None or (said < wanted if lower else said > wanted)


def _of_feature(feature: Feature) -> Iterator[Check]:
    function, column = _name(feature.function), _starred(feature.name)
    unit = feature.unit
    if function in SHARES:
        yield Check(kind="between", column=column, low=0.0, high=1.0, unit="1", why="a share")
    elif function in AT_LEAST_ONE:
        yield Check(kind="between", column=column, low=1.0, unit="1", why=f"{function} is at least 1 for any signal")
    elif function in MAGNITUDES:
        yield Check(kind="between", column=column, low=0.0, unit=unit, why="a magnitude")
    elif function in LEVELS and unit in ZERO:
        low, why = ZERO[unit]
        high = 100.0 if unit == "%" else None
        yield Check(kind="between", column=column, low=low, high=high, unit=unit, why=why)


def _orders(features: Sequence[Feature]) -> Iterator[Check]:
    there = {(one.column, one.window_us, one.function): one.name for one in features}
    for one in features:
        for more, less, why in ORDER:
            other = there.get((one.column, one.window_us, less))
            if one.function == more and other is not None:
                yield Check(kind="pair_ge", column=_starred(one.name), other=_starred(other), why=why)


def _name(function: str) -> str:
    """Return a function's name without what stands in its brackets."""
    return function.partition("[")[0]


def _starred(name: str) -> str:
    """Return a feature's name with its window, the last word of it, as a star.

    >>> _starred("acceleration_rms_1m"), _starred("temperature_last")
    ('acceleration_rms_*', 'temperature_last')
    """
    return re.sub(r"_\d+(ms|s|m|h|d)$", "_*", name)


def _plain(check: Check) -> dict[str, object]:
    """Return what a line of a suite says, without what it leaves unsaid."""
    fields: Iterable[tuple[str, object]] = (
        (name, getattr(check, name)) for name in ("kind", "column", "other", "low", "high", "unit", "why")
    )
    return {name: value for name, value in fields if value not in ("", None)}
