"""Check sources and views: what cannot be computed or served right is refused while it is still a line of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from lineshaft.definitions.compiler import CHANNELS_TAG, DTYPES, GRACE_TAG, LATENESS_TAG
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.loader import Declared, Repository
from lineshaft.definitions.places import mentions, spells
from lineshaft.definitions.words import UNITS, parse_channels, parse_duration
from lineshaft.definitions.written import FeatureView, KafkaSource, PushSource, StreamFeatureView
from lineshaft.errors import LineshaftError, nearest
from lineshaft.specs import format_duration
from lineshaft.tiles import catalogue

RATE_TAG = "lineshaft.rate_hz"
_BAND = re.compile(r"\[(?P<low>[\d.]+)-(?P<high>[\d.]+)Hz\]")
_CARRIES_CODE = (
    "a stream view computes named functions; register a function of your own instead (`lineshaft functions`)"
)


def feature_names(view: FeatureView) -> list[str]:
    """Return the features a view makes."""
    if isinstance(view, StreamFeatureView):
        return [aggregation.name for aggregation in view.aggregations]
    return [field.name for field in view.features]


def check_channels(declared: Declared) -> Iterator[Fault]:
    """Check a stream source: channels with units that are known."""
    source = declared.value
    if not isinstance(source, (PushSource, KafkaSource)):
        return
    try:
        channels = parse_channels(source.tags.get(CHANNELS_TAG, ""))
    except ValueError as error:
        yield declared.fault(
            "LS-DEF-009",
            f'source "{source.name}" does not say its channels: {error}',
            fix=f'add tags={{"{CHANNELS_TAG}": "temperature [degC], current [A]"}}',
            near=mentions(CHANNELS_TAG),
        )
        return
    for name, unit in channels:
        if unit not in UNITS:
            what = f'unit "{unit}" of channel "{name}" is not known'
            yield declared.fault("LS-DEF-010", what, fix=nearest(unit, UNITS), near=mentions(f"[{unit}]"))


def check_batch_view(repository: Repository, declared: Declared) -> Iterator[Fault]:
    """Check a plain view, whose features were computed elsewhere."""
    view = declared.value
    yield from _keys(repository, declared)
    source = view.batch_source
    if source is None or not source.timestamp_field or not source.place:
        yield declared.fault(
            "LS-DEF-031",
            f'source of view "{view.name}" has no path or no timestamp field',
            fix='use FileSource(path="….parquet", timestamp_field="event_time")',
        )
    for field in view.features:
        yield from _feature_name(declared, field.name)
        if field.dtype not in DTYPES:
            yield declared.fault(
                "LS-DEF-025",
                f'type {field.dtype} of feature "{field.name}" is not supported',
                fix=f"use {', '.join(DTYPES)}",
                near=mentions(field.name),
            )
        if field.tags.get("unit", "1") not in UNITS:
            what = f'unit "{field.tags["unit"]}" of feature "{field.name}" is not known'
            yield declared.fault("LS-DEF-010", what, fix=nearest(field.tags["unit"], UNITS), near=mentions(field.name))


def check_stream_view(repository: Repository, declared: Declared) -> Iterator[Fault]:
    """Check a view of computed features."""
    view = declared.value
    yield from _keys(repository, declared)
    if view.carries_code:
        yield declared.fault("LS-DEF-024", f'view "{view.name}" carries code', fix=_CARRIES_CODE)
    if not view.aggregations:
        yield declared.fault("LS-DEF-026", f'stream view "{view.name}" has no aggregations', fix="add one Aggregation")
        return
    yield from _schema(declared)
    yield from _times(declared)
    channels = _channels(view)
    for aggregation in view.aggregations:
        yield from _window(declared, aggregation)
        yield from _function(declared, aggregation)
        if channels is not None and aggregation.column not in channels:
            yield declared.fault(
                "LS-DEF-012",
                f'column "{aggregation.column}" is not a channel of source "{view.source.name}"',
                fix=nearest(aggregation.column, channels),
                near=mentions(aggregation.column),
            )


def _channels(view: Any) -> list[str] | None:
    """Return the source's channels, or None where the source itself is at fault (and says so)."""
    try:
        return [name for name, _ in parse_channels(view.source.tags.get(CHANNELS_TAG, ""))]
    except ValueError:
        return None


def _keys(repository: Repository, declared: Declared) -> Iterator[Fault]:
    view = declared.value
    if not [name for name in view.entities if name != "__dummy"]:
        yield declared.fault("LS-DEF-007", f'view "{view.name}" has no entity', fix="add entities=[machine]")
    for name in view.entities:
        if name not in repository.keys and name != "__dummy":
            yield declared.fault(
                "LS-DEF-007",
                f'entity "{name}" of view "{view.name}" is not declared in the repository',
                fix=nearest(name, repository.keys),
            )


def _schema(declared: Declared) -> Iterator[Fault]:
    """Check names: each once, usable, and the same in schema and aggregations."""
    view = declared.value
    names = feature_names(view)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield declared.fault(
            "LS-DEF-013",
            f'{names.count(name)} features of view "{view.name}" are named "{name}"',
            fix="name each apart",
        )
    for name in names:
        yield from _feature_name(declared, name)
    stated = {field.name for field in view.features}
    if stated != set(names):
        missing = sorted(set(names) - stated) + sorted(stated - set(names))
        yield declared.fault(
            "LS-DEF-019",
            f'schema and aggregations of view "{view.name}" differ in {", ".join(missing[:5])}',
            fix="write schema=[Field(name=one.name, dtype=Float64) for one in aggregations]",
            near=mentions(missing[0]),
        )


def _feature_name(declared: Declared, name: str) -> Iterator[Fault]:
    if "__" in name or not name.isidentifier():
        yield declared.fault(
            "LS-DEF-027",
            f'feature name "{name}" cannot be part of `view__feature`',
            fix="use letters, digits and single underscores",
            near=mentions(name),
        )


def _times(declared: Declared) -> Iterator[Fault]:
    """Check slide, grace, lateness and ttl of the view as a whole."""
    view = declared.value
    slides = sorted({a.slide_interval for a in view.aggregations if a.slide_interval})
    if len(slides) > 1:
        texts = ", ".join(_text(slide) for slide in slides)
        yield declared.fault(
            "LS-DEF-015", f'view "{view.name}" has slides {texts}; a row has one tick', fix="make one view per slide"
        )
    grace_us = 0
    for tag in (GRACE_TAG, LATENESS_TAG):
        try:
            read_us = parse_duration(view.tags.get(tag, "0s"))
            grace_us = read_us if tag == GRACE_TAG else grace_us
        except ValueError as error:
            yield declared.fault(
                "LS-DEF-018", f'tag {tag} of view "{view.name}": {error}', fix="write 30s", near=mentions(tag)
            )
    least = (slides[0] if slides else timedelta()) + timedelta(microseconds=grace_us)
    if view.ttl and view.ttl < least:
        yield declared.fault(
            "LS-DEF-017",
            f'ttl {_text(view.ttl)} of view "{view.name}" is shorter than slide and grace, {_text(least)}',
            fix=f"use {_text(2 * least)} or more: a row is due every slide and known after the grace",
            near=spells(view.ttl),
        )


def _window(declared: Declared, aggregation: Any) -> Iterator[Fault]:
    window, slide = aggregation.time_window, aggregation.slide_interval
    name = declared.value.name
    if not window or not slide or window <= timedelta() or slide <= timedelta():
        yield declared.fault(
            "LS-DEF-016",
            f'feature "{aggregation.name}" of view "{name}" has no window or slide above 0',
            fix="add time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1)",
            near=mentions(aggregation.name),
        )
    elif window % slide:
        low = window // slide * slide
        choices = [_text(low)] if low else []
        yield declared.fault(
            "LS-DEF-014",
            f'window {_text(window)} of view "{name}" is not a multiple of its {_text(slide)} slide',
            fix=f"use {' or '.join([*choices, _text(low + slide)])}, or a slide that divides {_text(window)}",
            near=spells(window),
        )


def _function(declared: Declared, aggregation: Any) -> Iterator[Fault]:
    near = mentions(aggregation.function)
    try:
        catalogue.function(aggregation.function)
    except LineshaftError as error:
        yield declared.fault("LS-DEF-011", error.what, fix=error.fix, near=near)
        return
    band = _BAND.search(aggregation.function)
    rate = declared.value.source.tags.get(RATE_TAG, "")
    if band and rate.replace(".", "", 1).isdigit() and float(band["high"]) > float(rate) / 2:
        yield declared.fault(
            "LS-DEF-030",
            f"{aggregation.function} reaches above {float(rate) / 2:g} Hz, half the rate of its source",
            fix="the part above half the rate is not measured; lower the band's end",
            near=near,
        )


def _text(duration: timedelta) -> str:
    return format_duration(duration // timedelta(microseconds=1))
