"""Features asked for one by one, as `view:feature` or `view@version:feature`: made into a service like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lineshaft.errors import InputError, NotFoundError, close_to
from lineshaft.registry.catalog_values import Catalog
from lineshaft.specs import Service, ServiceView, View

NAME = "by_reference"
"""What such a service is called, in numbers and logs: one name for all of them."""

MOST = 1000
"""Most references of one request."""

_SHOWN = 20


def service_of(catalog: Catalog, references: Sequence[str]) -> Service:
    """Return the service that answers references; what its on-demand features read is in it, asked for or not.

    A view is read in its current version unless a reference names one that the catalogue still has. Raises `InputError`
    for a text that is no reference and for two versions of one view, `NotFoundError` with the names there are.
    """
    if not 0 < len(references) <= MOST:
        what = f"{len(references)} features are asked for; from 1 to {MOST} may be"
        raise InputError(what, fix="name a feature service, or features as view:feature")
    views = {view.name: view for view in catalog.views()}
    on_demand = {view.name: view for view in catalog.on_demand_views()}
    split = {reference: _split(reference) for reference in references}
    for name, version in _pinned(split).items():
        if name in views:
            views[name] = catalog.view(name, version)
    wanted: dict[str, list[str]] = {}
    demanded: dict[str, list[str]] = {}
    for reference, (name, version, feature) in split.items():
        found = views.get(name) or (on_demand.get(name) if not version else None)
        if found is None:
            raise NotFoundError(f"there is no view {name!r}", where=reference, fix=_nearest(name, [*views, *on_demand]))
        names = [one.name for one in found.features]
        if feature not in names:
            what = f"view {name!r} has no feature {feature!r}"
            raise NotFoundError(what, where=reference, fix=_nearest(feature, names))
        group = wanted if name in views else demanded
        group.setdefault(name, []).append(feature)
    demands = tuple(on_demand[name].only(features) for name, features in demanded.items())
    for text in (text for demand in demands for feature in demand.features for text in feature.features_read):
        name, _, feature = text.partition("__")
        if feature not in views[name].feature_names:
            what = f"{views[name].ref} has no feature {feature!r}, which an on-demand feature asked for reads"
            raise NotFoundError(what, fix="ask for it beside another version of the view, or beside the current one")
        wanted.setdefault(name, []).append(feature)
    return Service(name=NAME, views=tuple(_used(views[name], wanted[name]) for name in wanted), on_demand=demands)


def column_of(reference: str) -> str:
    """Return the name of a reference's column in an answer of ours.

    >>> column_of("vibration:rms_1m"), column_of("vibration@0123456789ab:rms_1m")
    ('vibration__rms_1m', 'vibration__rms_1m')
    """
    name, _, feature = _split(reference)
    return f"{name}__{feature}"


def heading_of(reference: str) -> str:
    """Return what a reference's column is called in Feast's answers, the version included where one is named.

    >>> heading_of("vibration@latest:rms_1m"), heading_of("vibration@0123456789ab:rms_1m")
    ('vibration__rms_1m', 'vibration@0123456789ab__rms_1m')
    """
    name, version, feature = _split(reference)
    return f"{name}@{version}__{feature}" if version else f"{name}__{feature}"


def _split(reference: str) -> tuple[str, str, str]:
    """Return view, version and feature; no version is the current one, which Feast also calls `latest`."""
    view, _, feature = reference.partition(":")
    name, at, version = view.partition("@")
    if not name or not feature or (at and not version):
        raise InputError(f"{reference!r} names no feature", fix="write view:feature, or view@version:feature")
    return name, "" if version == "latest" else version, feature


def _pinned(split: Mapping[str, tuple[str, str, str]]) -> dict[str, str]:
    """Return the version of each view that one is named of."""
    versions: dict[str, str] = {}
    for reference, (name, version, _) in split.items():
        if versions.setdefault(name, version) != version:
            what = f"view {name!r} is asked for in two versions"
            raise InputError(what, where=reference, fix="ask for one version in a request")
    return {name: version for name, version in versions.items() if version}


def _used(view: View, features: Iterable[str]) -> ServiceView:
    return ServiceView(view=view.name, version=view.version, features=tuple(dict.fromkeys(features)))


def _nearest(name: str, names: Sequence[str]) -> str:
    """Return which names there are, the likeliest first."""
    likely = close_to(name, names)
    listed = [*likely, *(other for other in names if other not in likely)]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"there are: {', '.join(listed[:_SHOWN])}{more}" if listed else "nothing is declared: run `lineshaft apply`"
