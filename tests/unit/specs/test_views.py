"""Declarations are values: written down and read back equal, and versioned by what they mean and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    View,
    format_duration,
)

SOURCE = Source(name="readings", channels=("temperature", "current"), units=("degC", "A"))
FEATURE = Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC")
HEAT = View(
    name="heat",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("line", "int64")),
    features=(FEATURE, replace(FEATURE, name="max_1m", function="max")),
    grace_us=5_000_000,
    ttl_us=600_000_000,
    team="process",
    owner="process@x",
    description="How hot it is.",
    where="process.py:9",
    code_versions=(("mean", 1), ("moments", 2)),
    tags=(("team", "process"),),
)
EXCESS = OnDemandView(
    name="excess",
    features=(OnDemandFeature(name="over", function="difference", inputs=("heat__max_1m", "heat__mean_1m")),),
)
HEALTH = Service(
    name="health", views=(ServiceView(view="heat", version=HEAT.version, features=("mean_1m",)),), on_demand=(EXCESS,)
)

Change = Callable[[View], View]
MEANING: dict[str, Change] = {
    "the source's name": lambda v: replace(v, source=replace(v.source, name="others")),
    "its channels": lambda v: replace(v, source=replace(v.source, channels=("current", "temperature"))),
    "its units": lambda v: replace(v, source=replace(v.source, units=("K", "A"))),
    "its kind": lambda v: replace(v, source=replace(v.source, kind="rows")),
    "a key's name": lambda v: replace(v, entity_keys=(("asset", "string"), ("line", "int64"))),
    "a key's type": lambda v: replace(v, entity_keys=(("asset_id", "string"), ("line", "int32"))),
    "the order of keys": lambda v: replace(v, entity_keys=v.entity_keys[::-1]),
    "the order of features": lambda v: replace(v, features=v.features[::-1]),
    "one feature less": lambda v: replace(v, features=v.features[:1]),
    "the slide": lambda v: replace(v, tile_us=120_000_000),
    "the grace": lambda v: replace(v, grace_us=5_000_001),
    "the lateness": lambda v: replace(v, lateness_us=1),
    "the version of a function": lambda v: replace(v, code_versions=(("mean", 2), ("moments", 2))),
} | {
    f"a feature's {name}": lambda v, name=name, value=value: replace(
        v, features=(replace(v.features[0], **{name: value}), *v.features[1:])
    )
    for name, value in {
        "name": "mean_60s",
        "column": "current",
        "function": "median",
        "window_us": 120_000_000,
        "dtype": "float32",
        "unit": "K",
    }.items()
}
WORDS: dict[str, Change] = {
    "the view's own name": lambda v: replace(v, name="warmth"),
    "the time to live": lambda v: replace(v, ttl_us=0),
    "the team": lambda v: replace(v, team="vibration"),
    "the owner": lambda v: replace(v, owner="someone"),
    "the prose": lambda v: replace(v, description="Warm."),
    "the place": lambda v: replace(v, where="other.py:1"),
    "a tag": lambda v: replace(v, tags=()),
    "whether it is served": lambda v: replace(v, online=False),
    "a feature's prose": lambda v: replace(v, features=(replace(FEATURE, description="mean"), v.features[1])),
}


@pytest.mark.parametrize("what", MEANING)
def test_another_meaning_is_another_version(what: str) -> None:
    """Whatever changes the numbers, or how they are found, makes a new table and new keys."""
    assert MEANING[what](HEAT).version != HEAT.version


@pytest.mark.parametrize("what", WORDS)
def test_other_words_are_the_same_version(what: str) -> None:
    """People, prose and limits of age change without computing anything again."""
    changed = WORDS[what](HEAT)

    assert changed != HEAT
    assert changed.version == HEAT.version


def test_the_version_of_a_view_is_the_same_for_ever() -> None:
    """Tables and keys are named by it: a release that hashes otherwise would lose what is stored."""
    assert re.fullmatch("[0-9a-f]{12}", HEAT.version)
    assert (HEAT.version, EXCESS.version, HEALTH.version) == ("89c3417bee26", "ef35073287f4", "64453eb70cf0")
    assert HEAT.ref == f"heat@{HEAT.version}"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "under"},
        {"function": "ratio"},
        {"inputs": ("heat__mean_1m", "heat__max_1m")},
        {"dtype": "float32"},
        {"unit": "K"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_on_demand_view_is_versioned_by_what_it_computes(changes: dict[str, Any]) -> None:
    """Function, inputs and their order, type and unit count; its own name and owner do not."""
    changed = replace(EXCESS, features=(replace(EXCESS.features[0], **changes),))

    assert changed.version != EXCESS.version
    assert replace(EXCESS, request_fields=(("load", "float64"),)).version != EXCESS.version
    assert (
        replace(EXCESS, request_fields=(("load", "int64"),)).version
        != replace(EXCESS, request_fields=(("load", "float64"),)).version
    )
    assert replace(EXCESS, name="more", team="a", owner="b", description="c").version == EXCESS.version


def test_a_service_is_versioned_by_what_it_answers() -> None:
    """Another view version, choice or order of features, or on-demand function is another contract; prose is not."""
    (used,) = HEALTH.views
    others = [
        replace(HEALTH, views=(replace(used, version="0" * 12),)),
        replace(HEALTH, views=(replace(used, features=("mean_1m", "max_1m")),)),
        replace(HEALTH, views=(replace(used, features=("max_1m",)),)),
        replace(HEALTH, views=(replace(used, view="heet"),)),
        replace(HEALTH, views=(used, replace(used, view="lab"))),
        replace(HEALTH, on_demand=()),
        replace(HEALTH, on_demand=(replace(EXCESS, features=()),)),
        replace(HEALTH, on_demand=(replace(EXCESS, name="other"),)),
        replace(HEALTH, max_age_us=1),
        replace(HEALTH, required=("heat__max_1m",)),
    ]

    assert len({service.version for service in (HEALTH, *others)}) == len(others) + 1
    assert replace(HEALTH, name="n", team="t", owner="o", description="d").version == HEALTH.version


names = st.text(min_size=1, max_size=8)
pairs = st.tuples(names, names)
microseconds = st.integers(min_value=0, max_value=2**53)
features = st.builds(
    Feature,
    name=names,
    column=names,
    function=names,
    window_us=microseconds,
    dtype=names,
    unit=names,
    description=names,
)
sources = st.builds(
    Source,
    name=names,
    channels=st.lists(names).map(tuple),
    units=st.lists(names).map(tuple),
    kind=names,
    path=names,
    timestamp_field=names,
    created_field=names,
)
views = st.builds(
    View,
    name=names,
    source=sources,
    entity_keys=st.lists(pairs, max_size=3).map(tuple),
    features=st.lists(features, max_size=3).map(tuple),
    tile_us=microseconds,
    grace_us=microseconds,
    lateness_us=microseconds,
    ttl_us=microseconds,
    team=names,
    owner=names,
    description=names,
    where=names,
    code_versions=st.lists(st.tuples(names, microseconds), max_size=3).map(tuple),
    online=st.booleans(),
    tags=st.lists(pairs, max_size=3).map(tuple),
)
on_demand = st.builds(
    OnDemandView,
    name=names,
    features=st.lists(
        st.builds(
            OnDemandFeature, name=names, function=names, inputs=st.lists(names).map(tuple), dtype=names, unit=names
        ),
        max_size=3,
    ).map(tuple),
    team=names,
    owner=names,
    description=names,
    request_fields=st.lists(pairs, max_size=2).map(tuple),
)
services = st.builds(
    Service,
    name=names,
    views=st.lists(
        st.builds(ServiceView, view=names, version=names, features=st.lists(names).map(tuple)), max_size=3
    ).map(tuple),
    on_demand=st.lists(on_demand, max_size=2).map(tuple),
    team=names,
    owner=names,
    description=names,
)


def test_an_on_demand_view_written_before_there_were_request_fields_is_read() -> None:
    """It has none, and the version that it had then."""
    written = json.loads(EXCESS.to_json())
    assert written.pop("request_fields") == []

    again = OnDemandView.from_json(json.dumps(written))

    assert (again, again.version) == (EXCESS, "ef35073287f4")


@given(views)
def test_a_view_survives_being_written_down(view: View) -> None:
    """Every field, whatever stands in it, comes back equal and of the same version."""
    again = View.from_json(view.to_json())

    assert again == view
    assert (again.version, hash(again)) == (view.version, hash(view))


@given(on_demand, services)
def test_services_survive_being_written_down(view: OnDemandView, service: Service) -> None:
    """So do on-demand views, alone and within a service."""
    assert OnDemandView.from_json(view.to_json()) == view
    assert Service.from_json(service.to_json()) == service
    assert Service.from_json(service.to_json()).version == service.version


@pytest.mark.parametrize("value", [HEAT, EXCESS, HEALTH], ids=["view", "on demand", "service"])
def test_what_is_written_is_the_same_text_each_time(value: View | OnDemandView | Service) -> None:
    """Every field is there by name, in alphabetic order: texts can be compared."""
    written = value.to_json()

    assert list(json.loads(written)) == sorted(field.name for field in fields(value))
    assert written == type(value).from_json(written).to_json()


@pytest.mark.parametrize("value", [HEAT, SOURCE, FEATURE, EXCESS, EXCESS.features[0], HEALTH, HEALTH.views[0]])
def test_a_declaration_cannot_be_changed(value: Any) -> None:
    """It is shared by threads and used as a key."""
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, "other")


def test_what_is_not_said_has_a_meaning() -> None:
    """A view slides by the minute, waits for nobody, corrects for a week, ages for ever, and is served."""
    view = View(name="v", source=SOURCE, entity_keys=(), features=())

    assert (view.tile_us, view.grace_us, view.lateness_us, view.ttl_us) == (60_000_000, 0, 604_800_000_000, 0)
    assert view.online
    assert (SOURCE.kind, SOURCE.timestamp_field, SOURCE.created_field) == ("blocks", "event_time", "")
    assert Feature(name="f").dtype == OnDemandFeature(name="f", function="g", inputs=()).dtype == "float64"


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0us"),
        (1, "1us"),
        (999_999, "999999us"),
        (1_000_000, "1s"),
        (1_500_000, "1500000us"),
        (60_000_000, "1m"),
        (90_000_000, "90s"),
        (3_600_000_000, "1h"),
        (5_400_000_000, "90m"),
        (86_400_000_000, "1d"),
        (90_000_000_000, "25h"),
        (604_800_000_000, "7d"),
    ],
)
def test_a_duration_is_written_in_the_largest_whole_unit(us: int, text: str) -> None:
    """Nothing is rounded away."""
    assert format_duration(us) == text


@given(st.integers(min_value=1, max_value=10**15))
def test_a_written_duration_is_exact(us: int) -> None:
    """Read by its unit it is the same number of microseconds."""
    sizes = {"us": 1, "s": 10**6, "m": 60 * 10**6, "h": 3_600 * 10**6, "d": 86_400 * 10**6}
    count, unit = re.fullmatch(r"(\d+)(us|s|m|h|d)", format_duration(us)).groups()  # type: ignore[union-attr]

    assert int(count) * sizes[unit] == us


def test_who_may_read_a_service_is_kept_and_makes_no_version() -> None:
    """Services that were stored before anybody could be named have no readers; views never have."""
    alone = Service(name="s", views=(), team="a")
    shared = replace(alone, readers=("b", "c"))
    before = json.loads(alone.to_json())
    del before["readers"]

    assert Service.from_json(shared.to_json()) == shared
    assert shared.version == alone.version
    assert Service.from_json(json.dumps(before)) == alone
