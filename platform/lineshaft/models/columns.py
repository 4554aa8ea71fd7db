"""The columns a feature service answers with, and which of them a model can learn from."""

from __future__ import annotations

from lineshaft.specs import Service


def service_features(service: Service) -> tuple[str, ...]:
    """Return the columns a service answers with, in the order of the answer.

    >>> from lineshaft.specs import ServiceView
    >>> service_features(Service(name="s", views=(ServiceView(view="v", version="1", features=("a", "b")),)))
    ('v__a', 'v__b')
    """
    stored = tuple(f"{used.view}__{name}" for used in service.views for name in used.features)
    computed = tuple(f"{view.name}__{feature.name}" for view in service.on_demand for feature in view.features)
    return stored + computed


def numeric_features(service: Service) -> tuple[str, ...]:
    """Return the columns of a service that a tree can split on: stored ones, and on-demand ones that are no text."""
    text = {f"{view.name}__{f.name}" for view in service.on_demand for f in view.features if f.dtype == "string"}
    return tuple(name for name in service_features(service) if name not in text)
