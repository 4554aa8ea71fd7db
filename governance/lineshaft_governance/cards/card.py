"""A model card from the records: purpose, data, pins, figures, gates, decisions, limits; as HTML or as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lineshaft.errors import LineshaftError
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.drifts import CheckedWindow
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion
from lineshaft_governance.cards import plots
from lineshaft_governance.web import words

TEMPLATES = Path(__file__).parent
_AXES = {
    "binary": ("recall", "precision", "pr_auc", "prevalence"),
    "rul": ("life left", "mean error", "mae", "mean over all"),
    "regression": ("label", "mean error", "mae", "mean over all"),
}


def card(
    version: ModelVersion, *, catalog: Catalog, registry: ModelRegistry, drift: CheckedWindow | None
) -> dict[str, Any]:
    """Return what a card says, every value from a record; what was not recorded is None or empty."""
    (known,) = [one for one in registry.models() if one.name == version.model]
    account = registry.account(version.model)
    lines = [asdict(line) for line in account.lines if line.number == version.number]
    return {
        "version": version,
        "model": known,
        "figures": figures(version.metrics),
        "plots": _plots(version),
        "inputs": _inputs(version, catalog),
        "verdicts": registry.verdicts(version.model, version.number),
        "approvals": registry.approvals(version.model, version.number),
        "slots": [one for one in registry.assignments(version.model) if one.number == version.number],
        "lines": lines,
        "head": account.head.digest if account.head else "",
        "provenance": version.provenance,
        "drift": drift,
        "params": {name: value for name, value in version.params.items() if not isinstance(value, Mapping)},
        "alert": version.params.get("alert"),
        "limits": _limits(version),
    }


def figures(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return each figure with its interval, and what knows no features, age alone, or one feature, scored in its place.

    >>> figures({"rmse": 9.0, "rmse_low": 8.0, "rmse_high": 10.0, "baseline_rmse": 40.0})[0]["baseline"]
    40.0
    """
    beside = ("baseline_", "age_only_", "one_feature_")
    names = [name for name in metrics if not name.startswith(beside) and not name.endswith(("_low", "_high"))]
    found = [
        {
            "name": name,
            "value": _told(metrics[name]),
            "low": _told(metrics.get(f"{name}_low")),
            "high": _told(metrics.get(f"{name}_high")),
            "baseline": _told(metrics.get(f"baseline_{name}")),
            "age_only": _told(metrics.get(f"age_only_{name}")),
            "one_feature": _told(metrics.get(f"one_feature_{name}")),
        }
        for name in names
    ]
    return sorted(found, key=lambda one: one["baseline"] is None)


def render(content: Mapping[str, Any], *, html: bool) -> str:
    """Return a card as one HTML file, or as Markdown."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (words.moment, words.number, words.short, words.duration, cell):
        environment.filters[filter_.__name__] = filter_
    return environment.get_template("card.html" if html else "card.md").render(**content)


def cell(value: object) -> str:
    """Write a value so that Markdown shows it as it is, in its cell of a table.

    >>> cell("a<b"), len(cell("|"))
    ('a&lt;b', 2)
    """
    return str(value).replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def _told(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plots(version: ModelVersion) -> list[dict[str, str]]:
    """Draw what was recorded: the curve of unseen assets, and the figure between its baselines."""
    found = []
    metrics = version.metrics
    if version.provenance is not None and version.provenance.curve and version.task in _AXES:
        x, y, level, name = _AXES[version.task]
        at = metrics.get(f"baseline_{level}") if version.task == "binary" else metrics.get(level)
        drawn = plots.line(version.provenance.curve, x=x, y=y, level=_told(at), level_name=name)
        found.append({"title": f"{y.capitalize()} by {x}, of assets the judged model never saw", "svg": drawn})
    for one in figures(metrics):
        if one["baseline"] is not None and one["value"] is not None:
            bars = [plots.Bar(name=one["name"], value=one["value"], low=one["low"], high=one["high"])]
            others = (
                ("best feature alone", one["one_feature"]),
                ("age alone", one["age_only"]),
                ("no features", one["baseline"]),
            )
            bars += [plots.Bar(name=name, value=value) for name, value in others if value is not None]
            found.append(
                {"title": f"{one['name']} with its 90 % interval, beside its baselines", "svg": plots.intervals(bars)}
            )
    return found


def _inputs(version: ModelVersion, catalog: Catalog) -> list[dict[str, str]]:
    """Return the inputs in the model's order, with unit and meaning where the catalogue has the pinned view."""
    known: dict[str, Any] = {}
    for pin in version.pins:
        try:
            view = catalog.view(pin.view, pin.version)
        except LineshaftError:
            continue
        known.update({f"{view.name}__{feature.name}": feature for feature in view.features})
    return [
        {
            "name": name,
            "unit": getattr(known.get(name), "unit", ""),
            "function": getattr(known.get(name), "function", ""),
        }
        for name in version.features
    ]


def _limits(version: ModelVersion) -> list[str]:
    """Say what the figures do not cover, as far as it follows from the records."""
    metrics, said = version.metrics, []
    groups = metrics.get("test_groups")
    if groups is not None:
        said.append(f"Figures rest on {groups:g} assets; an asset of another kind than these may behave otherwise.")
    if "test_positive_groups" in metrics:
        said.append(
            f"{metrics['test_positive_groups']:g} of them had a failure: intervals are wide where these are few."
        )
    if version.task == "rul":
        said.append("Lives are judged against the capped label: nothing is said of how long beyond it.")
    if version.task == "binary":
        said.append("Rows whose part was replaced in time were left out: what would have been is not known.")
    if version.provenance is None:
        said.append("How its training set came about was not recorded: it cannot be made again.")
    said.append(
        "Features computed from one signal move together; contributions say what the model used, not what caused it."
    )
    return said
