"""Tags of ours on Feast objects: nobody reads a misspelt one, or one on another kind of object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lineshaft.definitions.compiler import (
    CHANNELS_TAG,
    DEPRECATED_TAG,
    GRACE_TAG,
    IMPUTE_TAG,
    INSTEAD_TAG,
    LATENESS_TAG,
    MAX_AGE_TAG,
    REQUIRED_TAG,
)
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.loader import Declared
from lineshaft.definitions.places import mentions
from lineshaft.definitions.views import RATE_TAG
from lineshaft.definitions.written import FeatureService, FeatureView, KafkaSource, PushSource, StreamFeatureView
from lineshaft.errors import close_to, nearest

_PREFIX = "lineshaft."
_READ: tuple[tuple[str, tuple[type[Any], ...], tuple[str, ...]], ...] = (
    ("a stream's source", (PushSource, KafkaSource), (CHANNELS_TAG, RATE_TAG)),
    ("a stream view", (StreamFeatureView,), (GRACE_TAG, LATENESS_TAG)),
    ("a view", (FeatureView,), (DEPRECATED_TAG, INSTEAD_TAG)),
    ("a feature service", (FeatureService,), (MAX_AGE_TAG, REQUIRED_TAG, IMPUTE_TAG)),
)


def check_tags(declared: Declared, kind: str) -> Iterator[Fault]:
    """Check that every tag named like ours is one that is read of this kind of object, and a date is one."""
    try:
        deprecated_us(declared.value.tags)
    except ValueError:
        what = f'tag {DEPRECATED_TAG} of {kind} "{declared.value.name}" is no date'
        yield declared.fault("LS-DEF-044", what, fix="write 2027-03-31", near=mentions(DEPRECATED_TAG))
    own = [tag for _, kinds, tags in _READ if isinstance(declared.value, kinds) for tag in tags]
    places = {tag: place for place, _, tags in _READ for tag in tags}
    for tag in declared.value.tags:
        if not tag.casefold().startswith(_PREFIX) or tag in own:
            continue
        fix = f"it belongs to {places[tag]}" if tag in places else _meant(tag, own or list(places))
        what = f'nobody reads tag "{tag}" of {kind} "{declared.value.name}"'
        yield declared.fault("LS-DEF-035", what, fix=fix, near=mentions(tag))


def deprecated_us(tags: Mapping[str, str]) -> int | None:
    """Return the moment from which on a view gets no new readers; None where it is not deprecated.

    >>> deprecated_us({"lineshaft.deprecated": "1970-01-02"}), deprecated_us({})
    (86400000000, None)
    """
    text = tags.get(DEPRECATED_TAG, "")
    if not text:
        return None
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return round(day.timestamp()) * 1_000_000


def _meant(tag: str, choices: Sequence[str]) -> str:
    """Return the nearest of our tags; what all of them begin with makes none of them near."""
    close = close_to(tag[len(_PREFIX) :], [choice.removeprefix(_PREFIX) for choice in choices], most=1)
    return nearest(tag, [_PREFIX + name for name in close] or choices)
