"""What a model is to be, before any data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.calibration import KINDS as LAWS
from lineshaft.models.detectors import KINDS
from lineshaft.models.parameters import Value, check_params
from lineshaft.models.search import Space, check_space

TASKS = ("binary", "regression", "rul", "survival", "anomaly")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model over one feature service: gradient-boosted trees, or of the task `anomaly` a `detector`.

    `group` names the column whose values must not be on both sides of the split: an asset seen in training says
    nothing about assets never seen. With `folds`, every group is scored by a model fitted on the other folds, and the
    artifact is fitted on all of them; without, `test_share` of the groups is held out of the artifact. With `split` of
    `time`, the past is learned from and the future judged: `reach_us` is how far ahead of a row its label looks, and
    `embargo_us` what is left out beside.
    A rise of a feature in `rising` never lowers the score, and of one in `falling` never raises it, because physics
    says so. The model of `age` alone stands beside every score. `calibrate` names the law, if any, by which sums of
    leaves become probabilities, and `budget` how many alerts a day 100 assets may raise: a figure beside the others.
    `tune` is where better parameters may be looked for, `study` the digest of the search that found these.
    """

    name: str
    task: str
    service: str
    features: tuple[str, ...]
    label: str = "label"
    group: str = "asset_id"
    time: str = "event_time"
    params: Mapping[str, Value] = field(default_factory=dict)
    rounds: int = 200
    seed: int = 7
    test_share: float = 0.3
    folds: int = 0
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    age: str = ""
    team: str = ""
    owner: str = ""
    description: str = ""
    detector: str = ""
    alert: AlarmRule | None = None
    budget: float = 0
    calibrate: str = "none"
    split: str = "asset"
    embargo_us: int = 0
    reach_us: int = 0
    tune: Space = field(default_factory=dict)
    study: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises
        ------
        InputError
            If the task is unknown, there are no features, the split judges nothing, or a feature named is none.
        """
        if self.task not in TASKS:
            raise InputError(f"task {self.task!r} is not known", where=self.name, fix=f"use one of {', '.join(TASKS)}")
        if not self.features or len(set(self.features)) != len(self.features):
            raise InputError("a model needs features, each once", where=self.name)
        if not 0 < self.test_share < 1:
            what = f"held_out: {self.test_share} is not a share between 0 and 1"
            raise InputError(what, where=self.name, fix="use 0.3")
        if self.folds < 0 or self.folds == 1:
            raise InputError(f"{self.folds} folds judge nothing", where=self.name, fix="use 5, or 0 to hold some out")
        self._check_booster()
        if (self.task == "anomaly") != (self.detector in KINDS):
            what = f"detector {self.detector!r} does not belong to the task {self.task!r}"
            raise InputError(what, where=self.name, fix=f"an anomaly model has one of {', '.join(KINDS)}, others none")
        self._check_alert()
        if self.calibrate not in ("none", *LAWS):
            what = f"calibrate: {self.calibrate} is not known"
            raise InputError(what, where=self.name, fix=f"use one of none, {', '.join(LAWS)}")
        if self.calibrate != "none" and self.task != "binary":
            what = f"a model of the task {self.task!r} gives no probability to calibrate"
            raise InputError(what, where=self.name, fix="drop `calibrate`")
        if self.budget < 0 or (self.budget and self.task != "binary"):
            what = f"a budget of {self.budget} alerts is none of a {self.task} model"
            raise InputError(what, where=self.name, fix="a binary model may have one, more than 0")
        self._check_split()
        for name in (*self.rising, *self.falling, *filter(None, (self.age,))):
            if name not in self.features:
                raise InputError(f"{name!r} is none of the model's features", where=self.name)

    def _check_split(self) -> None:
        """Refuse a split whose past could know the future."""
        if self.split not in ("asset", "time"):
            raise InputError(f"a split by {self.split!r} is not known", where=self.name, fix="use asset or time")
        if self.embargo_us < 0 or (self.embargo_us and self.split != "time"):
            raise InputError("an embargo is a time between past and future", where=self.name, fix="write by: time")
        if self.split == "time" and self.reach_us <= 0:
            what = "a split by time needs labels that look a known time ahead: of others the past would know the future"
            raise InputError(what, where=self.name, fix="a binary model has a horizon, a rul model may have a cap")

    def _check_alert(self) -> None:
        """Refuse a rule that never alerts or always does, and an anomaly model without one."""
        if self.alert is not None:
            self.alert.check_reach(self.task)
        elif self.task == "anomaly":
            raise InputError("an anomaly model needs its alert", where=self.name, fix="write alert: {threshold: 6}")

    def _check_booster(self) -> None:
        """Refuse trees that are none, or that could not be scored without XGBoost, and words that nobody reads."""
        if self.rounds < 1:
            raise InputError(f"rounds: {self.rounds} grows no tree", where=self.name, fix="use 200")
        check_params(self.params, self.task, where=self.name)
        check_space(self.tune, self.task, where=self.name)
