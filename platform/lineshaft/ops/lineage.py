"""Where a thing comes from and what rests on it: from a sensor's channel to a prediction, in one question.

One graph, drawn from the catalogue, the registry and the log of predictions: channel → feature → on-demand feature →
service and model version → slot, and the predictions of a version. Whoever asks walks it both ways.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from lineshaft.errors import LineshaftError, NotFoundError, nearest
from lineshaft.ops.predictions import find_prediction
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion
from lineshaft.registry.slots import place
from lineshaft.specs import Service, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A thing: `kind` is channel, feature, service, model, slot, predictions or prediction."""

    kind: str
    name: str
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A thing that another comes from (`up`) or that rests on it (`down`), and how many steps away it is."""

    direction: str
    steps: int
    node: Node


@dataclass(slots=True)
class Graph:
    """What comes from what."""

    nodes: dict[Node, Node] = field(default_factory=dict)
    down: dict[Node, list[Node]] = field(default_factory=dict)
    up: dict[Node, list[Node]] = field(default_factory=dict)

    def add(self, source: Node, target: Node) -> None:
        """Note that the second comes from the first."""
        for node in (source, target):
            self.nodes.setdefault(node, node)
        if target not in self.down.setdefault(source, []):
            self.down[source].append(target)
            self.up.setdefault(target, []).append(source)

    def related(self, start: Node) -> list[Related]:
        """Return all that a thing comes from, then all that rests on it, the nearest first."""
        found = []
        for direction, edges in (("up", self.up), ("down", self.down)):
            steps, waiting = {start: 0}, deque([start])
            while waiting:
                here = waiting.popleft()
                for there in edges.get(here, ()):
                    if there not in steps:
                        steps[there] = steps[here] + 1
                        waiting.append(there)
                        found.append(Related(direction=direction, steps=steps[there], node=self.nodes[there]))
        return found


def pinning(registry: ModelRegistry, view: str) -> list[tuple[ModelVersion, str, bool]]:
    """Return the model versions that pin a view, with the view's version, and whether each is champion somewhere."""
    return [
        (version, pin.version, version.number in known.champions.values())
        for known in registry.models()
        for version in registry.versions(known.name)
        for pin in version.pins
        if pin.view == view
    ]


def lineage(name: str, *, catalog: Catalog, registry: ModelRegistry, predictions: Path) -> tuple[Node, list[Related]]:
    """Return the thing of a name with all that it comes from and all that rests on it.

    name: a channel (`source.channel`), a feature (`view__feature`), a service, MODEL@NUMBER, or a prediction's id.

    Raises
    ------
    NotFoundError
        If nothing has this name; it says which names are near.
    """
    graph = drawn(catalog, registry, predictions)
    start = next((node for node in graph.nodes if node.name == name and node.kind != "predictions"), None)
    if start is None:
        start = _prediction(graph, name, predictions)
    return graph.nodes[start], graph.related(start)


def drawn(catalog: Catalog, registry: ModelRegistry, predictions: Path) -> Graph:
    """Draw all there is."""
    graph = Graph()
    views = {view.name: view for view in catalog.views()}
    for view in views.values():
        for feature in view.features:
            graph.add(_channel(view, feature.column), _feature(view, feature.name))
    for service in catalog.services():
        _serve(graph, service, views)
    logged = _logged(predictions)
    for known in registry.models():
        for version in registry.versions(known.name):
            _train(graph, version, catalog, views)
            if count := logged.get(version.ref):
                told = Node(kind="predictions", name=version.ref, detail=f"{count} in the log")
                graph.add(_model(version), told)
        for held in registry.assignments(known.name):
            if held.valid_to_us is None:
                version = registry.get(known.name, held.number)
                name = f"{place(held.environment, held.slot, held.site)} of {held.model}"
                slot = Node(kind="slot", name=name, detail="holds it now")
                graph.add(_model(version), slot)
    return graph


def _serve(graph: Graph, service: Service, views: Mapping[str, View]) -> None:
    """Add a service with the features it answers with."""
    node = _service(service)
    for used in service.views:
        view = views.get(used.view)
        for name in used.features if view is not None else ():
            graph.add(Node(kind="feature", name=f"{used.view}__{name}", detail=f"{used.view}@{used.version}"), node)
    for name, inputs in _on_demand(service).items():
        made = Node(kind="feature", name=name, detail="on demand")
        for read in inputs:
            graph.add(Node(kind="feature", name=read), made)
        graph.add(made, node)


def _train(graph: Graph, version: ModelVersion, catalog: Catalog, views: Mapping[str, View]) -> None:
    """Add a model version with the features that it reads, of the view versions it pins."""
    service = Service.from_json(version.service_json)
    computed = _on_demand(service)
    for pin in version.pins:
        if pin.view in views and views[pin.view].version != pin.version:
            _draw_pinned(graph, catalog, pin.view, pin.version)
    for name in version.features:
        node = Node(kind="feature", name=name)
        for read in computed.get(name, ()):
            graph.add(Node(kind="feature", name=read), node)
        graph.add(node, _model(version))
    graph.add(_service(service), _model(version))


def _draw_pinned(graph: Graph, catalog: Catalog, name: str, version: str) -> None:
    """Add the features of an older version of a view, as far as the catalogue still has it."""
    try:
        view = catalog.view(name, version)
    except LineshaftError:
        return
    for feature in view.features:
        graph.add(_channel(view, feature.column), _feature(view, feature.name))


def _prediction(graph: Graph, name: str, predictions: Path) -> Node:
    """Add the one prediction that was asked for."""
    model, _, number = name.partition("@")
    try:
        row = find_prediction(predictions, name)
    except NotFoundError as error:
        versions = [node.name for node in graph.nodes if node.kind == "model" and node.name.partition("@")[0] == model]
        if versions:
            what = f"{model!r} has no version {number}" if number else f"{model!r} is no one version"
            raise NotFoundError(what, where="the registry", fix=f"there are {', '.join(sorted(versions))}") from error
        names = [node.name for node in graph.nodes]
        fix = nearest(name, names, otherwise="name a channel, a feature, MODEL@N or a prediction")
        raise NotFoundError(f"nothing is called {name!r}", where=error.where, fix=fix) from error
    version = Node(kind="model", name=row["version"][0].as_py())
    node = Node(kind="prediction", name=name, detail=f"score {row['score'][0].as_py()} at {row['asked_at'][0].as_py()}")
    graph.add(version, node)
    return node


def _logged(predictions: Path) -> dict[str, int]:
    """Count the predictions of each version in the log."""
    counts: dict[str, int] = {}
    for file in sorted(predictions.glob("model=*/date=*/*.parquet")):
        for one in pq.read_table(file, partitioning=None, columns=["version"])["version"].value_counts().to_pylist():
            counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]
    return counts


def _on_demand(service: Service) -> dict[str, Sequence[str]]:
    return {f"{view.name}__{one.name}": one.features_read for view in service.on_demand for one in view.features}


def _channel(view: View, column: str) -> Node:
    """Return what a feature is made of: a channel, or, where another job made it, its source."""
    return Node(kind="channel", name=f"{view.source.name}.{column}" if column else view.source.name)


def _feature(view: View, name: str) -> Node:
    return Node(kind="feature", name=f"{view.name}__{name}", detail=view.ref)


def _service(service: Service) -> Node:
    return Node(kind="service", name=service.name, detail=service.owner)


def _model(version: ModelVersion) -> Node:
    return Node(kind="model", name=version.ref, detail=str(version.state))
