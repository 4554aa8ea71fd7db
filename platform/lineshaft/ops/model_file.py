"""A model as its team declares it: a YAML file beside the features, read and checked before any data is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from lineshaft.definitions.words import parse_duration
from lineshaft.errors import DefinitionError, InputError, NotFoundError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.columns import numeric_features
from lineshaft.models.parameters import Value
from lineshaft.models.search import Space, read_space
from lineshaft.models.spec import ModelSpec
from lineshaft.specs import Service

FOLDER = "models"
TASKS = ("binary", "rul", "survival", "anomaly")
_NAMES = ("a list of names", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value))
_TEXT = ("text", lambda value: isinstance(value, str))
_WHOLE = ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
_NUMBER = ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_SWITCH = ("true or false", lambda value: isinstance(value, bool))
_PERSIST = ("as 3/5 or 3", lambda value: isinstance(value, str | int) and not isinstance(value, bool))
_PARAMS = (
    "a mapping of numbers and words",
    lambda value: isinstance(value, dict) and all(isinstance(one, int | float | str) for one in value.values()),
)
_PART = ("a mapping", lambda value: isinstance(value, dict))
KEYS: Mapping[str, Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "top": {
        **dict.fromkeys(("task", "service", "description", "every", "age", "detector", "calibrate"), _TEXT),
        **dict.fromkeys(("assets", "features", "rising", "falling"), _NAMES),
        **dict.fromkeys(("seed", "rounds"), _WHOLE),
        **dict.fromkeys(("label", "split", "alert", "tune"), _PART),
        "params": _PARAMS,
        "budget": _NUMBER,
    },
    "label": {**dict.fromkeys(("log", "ends", "horizon", "healthy"), _TEXT), "cap": _NUMBER},
    "split": {**dict.fromkeys(("by", "embargo"), _TEXT), "folds": _WHOLE, "held_out": _NUMBER},
    "alert": {"threshold": _NUMBER, "persist": _PERSIST, "below": _SWITCH, "cool_down": _TEXT, "per_day": _WHOLE},
}
"""What may be written where, and of which kind it is: in words, and as a check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """What a team wants learned.

    Outcomes are read from the table `log` (maintenance events) or `ends` (lives counted in cycles); a binary model says
    whether a failure comes within `horizon_us`, a rul model how many stretches `every_us` are left, at most `cap`.
    A survival model says so by a `log` in which many a life was cut short by a repair, and not by its end.
    An anomaly model learns from each asset's first `healthy_us`, and needs no table.
    `tune` is where `lineshaft train --tune` may look for better parameters than `params`; the usual places unless said.
    `assets` are patterns: the outcome of an asset that none of them matches is neither learned from nor looked at.
    """

    name: str
    task: str
    service: str
    every_us: int
    split_by: str  # asset_id, or time
    log: str = ""
    ends: str = ""
    horizon_us: int = 0
    cap: float | None = None
    healthy_us: int = 0
    detector: str = ""
    alert: AlarmRule | None = None
    assets: tuple[str, ...] = ("*",)
    features: tuple[str, ...] = ("*",)
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    age: str = ""
    folds: int = 0
    embargo_us: int = 0
    held_out: float = 0.3
    calibrate: str = "none"
    budget: float = 0
    seed: int = 7
    rounds: int = 200
    params: Mapping[str, Value] = field(default_factory=dict)
    tune: Space = field(default_factory=dict)
    description: str = ""
    text: str = field(default="", compare=False, repr=False)  # as it was written

    def __post_init__(self) -> None:
        """Refuse a model that could not be learned, or whose figures would lie.

        Raises
        ------
        DefinitionError
            If the task is unknown, the label says too little or too much, or the split would let assets leak.
        """
        if self.task not in TASKS:
            raise self._fault(f"task {self.task!r} is not known", f"use one of {', '.join(TASKS)}")
        if (self.task == "anomaly") != bool(self.healthy_us):
            raise self._fault("an anomaly model learns from healthy rows, and it alone", "write label: {healthy: 24h}")
        if bool(self.log) + bool(self.ends) != (self.task != "anomaly"):
            raise self._fault("the label needs one table", "name `log` (maintenance) or `ends` (lives)")
        if (self.task == "binary") != bool(self.horizon_us):
            raise self._fault("a horizon belongs to a binary model, and only there", "write `horizon: 4h`, or drop it")
        if self.task == "rul" and not self.ends:
            raise self._fault("a rul model counts to known ends of life", "name the table of them: `ends: truth`")
        if self.task == "survival" and (self.ends or self.cap is not None):
            raise self._fault("a survival model reads a log, and caps nothing", "write label: {log: maintenance}")
        if self.split_by == "time" and not self.reach_us:
            what = "a split by time needs labels that look a known time ahead: of others the past would know the future"
            raise self._fault(what, "split by asset_id, or give a binary model, or a rul model with a cap")
        if self.embargo_us and self.split_by != "time":
            raise self._fault("an embargo lies between past and future", "write `split: {by: time, embargo: 7d}`")
        if self.split_by not in ("asset_id", "time"):
            what = (
                f"a split by {self.split_by or 'nothing'!r} puts rows of one asset on both sides: its figures would lie"
            )
            raise self._fault(what, "write `split: {by: asset_id}`, or `by: time`")

    @property
    def reach_us(self) -> int:
        """Return how far ahead of a row its label looks; 0 where that has no end, or nothing to do with time."""
        return int((self.cap or 0) * self.every_us) if self.task == "rul" else self.horizon_us

    def _fault(self, what: str, fix: str) -> DefinitionError:
        return DefinitionError(what, where=f"{FOLDER}/{self.name}.yaml", fix=fix)

    def spec(self, service: Service) -> ModelSpec:
        """Return what to train, of the features that the service answers with.

        Raises
        ------
        DefinitionError
            If a pattern matches none of them, or the model could not be trained.
        """
        try:
            return self._spec(service, numeric_features(service))
        except InputError as error:
            raise self._fault(error.what, error.fix) from error

    def _spec(self, service: Service, offered: Sequence[str]) -> ModelSpec:
        return ModelSpec(
            name=self.name,
            task=self.task,
            service=self.service,
            features=self._matching(self.features, offered),
            params=self.params,
            tune=self.tune,
            rounds=self.rounds,
            seed=self.seed,
            test_share=self.held_out,
            folds=self.folds,
            rising=self._matching(self.rising, offered),
            falling=self._matching(self.falling, offered),
            age=self.age,
            detector=self.detector,
            alert=self.alert,
            calibrate=self.calibrate,
            budget=self.budget,
            split="time" if self.split_by == "time" else "asset",
            embargo_us=self.embargo_us,
            reach_us=self.reach_us,
            team=service.team,
            owner=service.owner,
            description=self.description,
        )

    def _matching(self, patterns: Sequence[str], offered: Sequence[str]) -> tuple[str, ...]:
        """Return the offered features that a pattern matches, in the service's order; each pattern must match one."""
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in offered):
                raise self._fault(
                    f"no feature of {self.service!r} is called {pattern!r}", "name one, * for any letters"
                )
        return tuple(name for name in offered if any(fnmatchcase(name, pattern) for pattern in patterns))


def model_names(repo: Path) -> list[str]:
    """Return the models that a feature repository declares."""
    return sorted(path.stem for path in (repo / FOLDER).glob("*.yaml"))


def model_file(repo: Path, name: str) -> ModelFile:
    """Read the declaration of a model.

    Raises
    ------
    NotFoundError
        If there is none; it lists those there are.
    DefinitionError
        If it cannot be read, or declares what cannot be learned.
    """
    if name not in model_names(repo):
        known = ", ".join(model_names(repo)) or f"none yet; write {repo / FOLDER / (name + '.yaml')}"
        raise NotFoundError(f"no model {name!r} is declared", where=str(repo / FOLDER), fix=f"declared: {known}")
    path = repo / FOLDER / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise _unreadable(error, str(path)) from error
    return parse_model(name, text, where=str(path))


def parse_model(name: str, text: str, *, where: str) -> ModelFile:
    """Read a declaration from its text; raises `DefinitionError` as `model_file` does."""
    try:
        return _read(name, _mapping(yaml.safe_load(text), "top"), text=text)
    except KeyError as error:
        raise _unreadable(f"{error} is missing", where) from error
    except (yaml.YAMLError, TypeError, ValueError, InputError) as error:
        raise _unreadable(error, where) from error


def _unreadable(error: object, where: str) -> DefinitionError:
    told, fix = (error.what, error.fix) if isinstance(error, InputError) else (error, "")
    return DefinitionError(f"cannot read a model: {told}", where=where, fix=fix or "see the how-to on training")


def _read(name: str, content: dict[str, Any], *, text: str) -> ModelFile:
    """Return the model that a mapping declares."""
    label, split = _mapping(content["label"], "label"), _mapping(content["split"], "split")
    plain: dict[str, Any] = {
        key: content[key]
        for key in ("description", "seed", "rounds", "params", "age", "detector", "calibrate", "budget")
        if key in content
    }
    lists = {key: tuple(content[key]) for key in ("assets", "features", "rising", "falling") if key in content}
    table = {key: label[key] for key in ("log", "ends", "cap") if key in label}
    parts = {key: split[key] for key in ("folds", "held_out") if key in split}
    given: dict[str, Any] = plain | lists | table | parts
    return ModelFile(
        name=name,
        task=content["task"],
        service=content["service"],
        every_us=parse_duration(content["every"]),
        horizon_us=parse_duration(label["horizon"]) if "horizon" in label else 0,
        healthy_us=parse_duration(label["healthy"]) if "healthy" in label else 0,
        alert=_alert(_mapping(content["alert"], "alert")) if "alert" in content else None,
        tune=read_space(content.get("tune", {})),
        split_by=split.get("by", ""),
        embargo_us=parse_duration(split["embargo"]) if "embargo" in split else 0,
        text=text,
        **given,
    )


def _alert(content: dict[str, Any]) -> AlarmRule:
    """Return the rule that a mapping declares; "3/5" is three of the last five scores."""
    persist, _, among = str(content.get("persist", "1/1")).partition("/")
    plain = {key: content[key] for key in ("threshold", "below", "per_day") if key in content}
    cool_down_us = parse_duration(content["cool_down"]) if "cool_down" in content else 0
    return AlarmRule(persist=int(persist), among=int(among or persist), cool_down_us=cool_down_us, **plain)


def _mapping(content: object, place: str) -> dict[str, Any]:
    """Return a mapping that has no key of which nothing is known, and no value of another kind."""
    if not isinstance(content, dict):
        raise TypeError(f"{place} is no mapping")
    known = KEYS[place]
    unknown = sorted(map(str, content.keys() - known))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known here; known: {', '.join(sorted(known))}")
    for key, value in content.items():
        kind, fits = known[key]
        if not fits(value):
            named = key if place == "top" else f"{place}: {key}"
            raise TypeError(f"{named} is {value!r}, not {kind}")
    return content
