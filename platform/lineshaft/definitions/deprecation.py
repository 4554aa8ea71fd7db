"""Views that are going away: their readers are told, and after the date nobody begins to read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lineshaft.definitions.compiler import DEPRECATED_TAG, INSTEAD_TAG
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.reader import Definitions
from lineshaft.definitions.tags import deprecated_us
from lineshaft.specs import Service


def leavings(definitions: Definitions, present: Sequence[Service], *, now_us: int) -> Iterator[Fault]:
    """Return a fault for every service that reads a deprecated view: a warning, unless it begins to after the date."""
    dated = {view.name: dict(view.tags) for view in definitions.views if DEPRECATED_TAG in dict(view.tags)}
    if not dated:
        return
    reading = {(service.name, used.view) for service in present for used in service.views}
    for service in definitions.services:
        for used in service.views:
            tags = dated.get(used.view)
            if tags is None:
                continue
            from_us, day = deprecated_us(tags) or 0, tags[DEPRECATED_TAG]
            instead = tags.get(INSTEAD_TAG, "")
            fix = f"read {instead} instead" if instead else "ask its owner what to read instead"
            late = now_us >= from_us and (service.name, used.view) not in reading
            what = f'service "{service.name}" {"begins to read" if late else "reads"} view "{used.view}"'
            what += f", which is deprecated from {day} on"
            code = "LS-DEF-043" if late else "LS-DEF-042"
            yield definitions.fault(code, "service", service.name, what, fix=fix, near=used.view)
