"""Look for better parameters among the rows that a model learns from, and nowhere else: what judges it is never seen.

A judge of a split has its parameters sought among the rows that it learns from, as the artifact has among its own; so
figures are of the whole procedure, search included. Trial 0 is the declaration itself: by the rows searched on, what
is found is never worse than that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lineshaft.errors import CorruptError, EnvironmentFault, InputError
from lineshaft.models.fitting import DEFAULTS, judge_of, unseen
from lineshaft.models.matrix import Examples
from lineshaft.models.parameters import UNSAID, Value
from lineshaft.models.scores import FIGURES, METRICS
from lineshaft.models.search import ROUNDS, Choice, Range, Space, names_of, usual
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import Part, judged_together

_FOLDS = 3
_DIGITS = 4
"""Of a parameter: what is found can be written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How many trials beside the declaration, and who is told how far they are."""

    trials: int
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Parameters, and what models fitted with them scored on rows that they had not learned from."""

    params: Mapping[str, Value]
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What was tried on some rows, in order, and how it was judged."""

    metric: str
    rows: int
    groups: int
    folds: int
    trials: tuple[Trial, ...]

    @property
    def best(self) -> int:
        """Return the trial that scored best, of equals the first."""
        scores = np.array([one.score for one in self.trials])
        return int(np.argmax(scores) if FIGURES[self.metric] else np.argmin(scores))

    @property
    def found(self) -> Mapping[str, Value]:
        """Return the parameters of the best trial."""
        return self.trials[self.best].params


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How the parameters of a version were found: `own` is the artifact's study, `judges` those of its judges."""

    seed: int
    library: str
    training_set: str
    split: Mapping[str, Any]
    space: Mapping[str, Any]
    own: Study
    judges: tuple[Study, ...]  # none where one judge learned from the very rows of the artifact

    @property
    def content(self) -> bytes:
        """Return it as it is kept: JSON, the same bytes for the same search."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def sha256(self) -> str:
        """Return what a version pins."""
        return hashlib.sha256(self.content).hexdigest()

    @staticmethod
    def of(content: bytes) -> Search:
        """Read one back.

        Raises
        ------
        CorruptError
            If it is none.
        """
        try:
            told = json.loads(content)
            own, *judges = (_study(one) for one in (told.pop("own"), *told.pop("judges")))
            return Search(own=own, judges=tuple(judges), **told)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = "what is kept as the search for parameters is none"
            raise CorruptError(what, fix="train the model again") from error

    def applied(self, spec: ModelSpec) -> ModelSpec:
        """Return a declaration with the parameters found for the artifact."""
        return replace(_with(spec, self.own.found), study=self.sha256)

    @property
    def told(self) -> str:
        """Say in a line what was found, and by what."""
        study, name = self.own, self.own.metric
        found = ", ".join(f"{key} {value}" for key, value in study.found.items())
        return (
            f"{found}: trial {study.best} of {len(study.trials) - 1} by {self.library}, {name} "
            f"{study.trials[study.best].score:.4g} where the declaration has {study.trials[0].score:.4g}, "
            f"among {study.rows} rows learned from"
        )


def search(spec: ModelSpec, rows: Examples, parts: Sequence[Part], tuning: Tuning) -> tuple[Search, list[ModelSpec]]:
    """Look for the parameters of the artifact and of the judge of each part; return the search, and the judges' specs.

    Raises
    ------
    InputError
        If the model is a detector, or the rows learned from cannot be split again, or hold nothing to be judged by.
    EnvironmentFault
        If Optuna is not installed.
    """
    if spec.task == "anomaly":
        what = "a detector learns from healthy rows alone: no parameters can be told better than others by them"
        raise InputError(what, where=spec.name, fix="train it without --tune")
    names = [f"judge {number} of {len(parts)}" for number in range(1, len(parts) + 1)] if spec.folds else ["the model"]
    studies = [_study_of(spec, rows.take(part.learned), tuning, name) for part, name in zip(parts, names, strict=True)]
    judges = [_with(spec, study.found) for study in studies]
    own = _study_of(spec, rows, tuning, "the model") if spec.folds else studies.pop()
    space = _space(spec)
    found = Search(
        seed=spec.seed,
        library=f"optuna {_optuna().__version__}",
        training_set=rows.fingerprint,
        split={"by": spec.split, "embargo_us": spec.embargo_us, "reach_us": spec.reach_us},
        space={name: space[name].to_plain() for name in names_of(space)},
        own=own,
        judges=tuple(studies),
    )
    return found, judges


def _study_of(spec: ModelSpec, rows: Examples, tuning: Tuning, name: str) -> Study:
    """Try parameters on rows, split again as their declaration splits them."""
    groups = len(np.unique(rows.groups))
    inner = replace(spec, folds=_FOLDS if spec.split == "time" else max(2, min(_FOLDS, groups)), calibrate="none")
    parts = judged_together(inner, rows)
    judged = np.logical_or.reduce([part.judged for part in parts])
    metric, figure = METRICS[spec.task]
    trials: list[Trial] = []

    def study() -> Study:
        return Study(metric=metric, rows=len(rows.labels), groups=groups, folds=len(parts), trials=tuple(trials))

    for params in _sampled(inner, tuning.trials, trials):
        tried = _with(inner, params)
        scores = unseen(tried, [judge_of(tried, rows, part, features=spec.features) for part in parts], rows, parts)
        score = float(figure(rows.labels[judged], scores[judged]))
        if not np.isfinite(score):
            what = f"the rows to look for parameters on hold nothing that a {metric} could be told by"
            raise InputError(what, where=spec.name, fix="ingest more history, or train without --tune")
        trials.append(Trial(params=params, score=score))
        best = f"best {metric} {trials[study().best].score:.4g}, declared {trials[0].score:.4g}"
        tuning.tell(f"tuning {name} of {spec.name}: trial {len(trials) - 1} of {tuning.trials}, {best}")
    return study()


def _sampled(spec: ModelSpec, count: int, done: Sequence[Trial]) -> Iterator[Mapping[str, Value]]:
    """Yield what is declared, then what a seeded sampler makes of the trials done so far."""
    optuna = _optuna()
    space = _space(spec)
    kinds = {name: _distribution(space[name]) for name in names_of(space)}
    direction = "maximize" if FIGURES[METRICS[spec.task][0]] else "minimize"
    sampler = optuna.samplers.TPESampler(seed=spec.seed, multivariate=True)
    study = optuna.create_study(direction=direction, sampler=sampler)
    declared = {name: _declared(spec, name) for name in kinds}
    known = {name: value for name, value in declared.items() if value is not None}
    yield known
    if known.keys() == kinds.keys() and all(space[name].holds(value) for name, value in known.items()):
        study.add_trial(optuna.create_trial(params=known, distributions=kinds, value=done[0].score))
    for _ in range(count):
        asked = study.ask(kinds)
        yield {name: _written(space[name], asked.params[name]) for name in kinds}
        study.tell(asked, done[-1].score)


def _space(spec: ModelSpec) -> Space:
    """Return where to look: as declared, else the usual."""
    return spec.tune or usual(spec.task)


def _declared(spec: ModelSpec, name: str) -> Value | None:
    """Return what the declaration trains with; None where that is not known here."""
    return spec.rounds if name == ROUNDS else {**UNSAID, **DEFAULTS, **spec.params}.get(name)


def _with(spec: ModelSpec, found: Mapping[str, Value]) -> ModelSpec:
    """Return a declaration with other parameters."""
    params = {name: value for name, value in found.items() if name != ROUNDS}
    return replace(spec, params={**spec.params, **params}, rounds=int(found.get(ROUNDS, spec.rounds)))


def _written(one: Range | Choice, value: Value) -> Value:
    """Return a sampled value as it is used: few digits, within its range."""
    if isinstance(one, Choice) or one.whole:
        return value
    return min(max(float(f"{float(value):.{_DIGITS}g}"), float(one.low)), float(one.high))


def _distribution(one: Range | Choice) -> Any:
    """Return a range or a choice as Optuna takes it."""
    kinds = _optuna().distributions
    if isinstance(one, Choice):
        return kinds.CategoricalDistribution(one.among)
    kind = kinds.IntDistribution if one.whole else kinds.FloatDistribution
    return kind(one.low, one.high, log=one.log)


def _optuna() -> Any:
    """Bring Optuna in; it says nothing of what goes right."""
    try:
        import optuna
    except ImportError as error:
        what = "Optuna is not installed"
        raise EnvironmentFault(what, where="--tune", fix="pip install 'lineshaft[models]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(told: Mapping[str, Any]) -> Study:
    """Read a study back."""
    return Study(**{**told, "trials": tuple(Trial(**one) for one in told["trials"])})
