"""A model file says what is learned, and one that would be judged on what it learned is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.errors import DefinitionError, NotFoundError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.search import Range
from lineshaft.ops.model_file import FOLDER, model_file, model_names
from lineshaft.specs import Service, ServiceView

SHIPPED = Path(__file__).resolve().parents[3] / "feature_repo"
SERVICE = Service(
    name="engines", views=(ServiceView(view="v", version="1", features=("s2_mean", "s4_mean", "s4_std", "age")),)
)
WHOLE = """
task: rul
service: engines
every: 1h
assets: ["FD001-train-*"]
label: {ends: truth, cap: 125}
features: ["v__s*_mean", v__age]
falling: ["v__s4_*"]
age: v__age
split: {by: asset_id, folds: 5}
rounds: 30
params: {max_depth: 4}
"""


ANOMALY = """
task: anomaly
service: engines
every: 1h
label: {healthy: 24h}
detector: mahalanobis
split: {by: asset_id, folds: 5}
alert: {threshold: 6, persist: 3/5, cool_down: 8h, per_day: 5}
"""


def declare(folder: Path, text: str) -> Path:
    """Write a model file named `life`; return its repository."""
    (folder / FOLDER).mkdir(exist_ok=True)
    (folder / FOLDER / "life.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_file_becomes_a_spec_of_the_service_it_names(tmp_path: Path) -> None:
    """Patterns are of the service's features, in its order; a constraint on what is not used is none."""
    declared = model_file(declare(tmp_path, WHOLE.replace("v__s4_*", "v__s4_mean")), "life")

    spec = declared.spec(SERVICE)

    assert spec.features == ("v__s2_mean", "v__s4_mean", "v__age")
    assert (spec.falling, spec.rising, spec.age) == (("v__s4_mean",), (), "v__age")
    assert (spec.name, spec.task, spec.folds, spec.rounds, spec.params) == ("life", "rul", 5, 30, {"max_depth": 4})
    assert (declared.every_us, declared.cap, declared.assets) == (3_600_000_000, 125, ("FD001-train-*",))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("by: asset_id", "by: event_time", "puts rows of one asset on both sides"),
        ("by: asset_id, ", "", "a split by 'nothing' puts rows of one asset on both sides"),
        ("task: rul", "task: ranking", "task 'ranking' is not known"),
        ("task: rul", "task: binary", "a horizon belongs to a binary model"),
        ("cap: 125", "horizon: 30h", "a horizon belongs to a binary model"),
        ("ends: truth", "log: maintenance", "counts to known ends of life"),
        ("ends: truth, ", "", "the label needs one table"),
        ("ends: truth", "ends: truth, log: maintenance", "the label needs one table"),
        ("rounds:", "round:", "'round' is not known here"),
        ("folds: 5", "shuffle: true", "'shuffle' is not known here"),
        ("every: 1h", "every: soon", "cannot read a model"),
        ("service: engines", "", "cannot read a model"),
        ("split: {by: asset_id, folds: 5}", "split: random", "split is 'random', not a mapping"),
        ("task: rul", "task: [", "cannot read a model"),
        ("service: engines", "", "'service' is missing"),
        ("rounds: 30", "rounds: many", "rounds is 'many', not a whole number"),
        ("rounds: 30", "rounds: true", "rounds is True, not a whole number"),
        ("rounds: 30", "seed: 1.5", "seed is 1.5, not a whole number"),
        ('["FD001-train-*"]', "FD001-*", r"assets is 'FD001-\*', not a list of names"),
        ("cap: 125", "cap: high", "label: cap is 'high', not a number"),
        ("{max_depth: 4}", "[4]", r"params is \[4\], not a mapping"),
        ("{max_depth: 4}", "{max_depth: [4]}", "params is .*, not a mapping of numbers and words"),
        ("rounds: 30", "tune: [2, 4]", r"tune is \[2, 4\], not a mapping"),
        ("rounds: 30", "tune: {max_depth: [4, 2]}", r"tune: max_depth is \[4, 2\], neither a range nor a choice"),
    ],
)
def test_a_file_that_could_not_be_learned_from_honestly_is_refused(
    tmp_path: Path, old: str, new: str, text: str
) -> None:
    """Leaky splits, labels that say too little or too much, words nobody knows: each is told in words."""
    assert old in WHOLE

    with pytest.raises(DefinitionError, match=text) as refused:
        model_file(declare(tmp_path, WHOLE.replace(old, new)), "life")
    assert refused.value.where.endswith("models/life.yaml")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("rounds: 30", "rounds: 0", "rounds: 0 grows no tree"),
        ("folds: 5", "held_out: 3", "held_out: 3 is not a share between 0 and 1"),
        ("max_depth: 4", "booster: dart", "params: booster is 'dart', not one of gbtree"),
        ("max_depth: 4", "objective: multi:softmax", "objective is 'multi:softmax', not one of binary:logistic"),
        ("max_depth: 4", "max_dept: 4", "params: max_dept is read by nobody"),
        ("rounds: 30", "tune: {max_dept: [2, 4]}", "params: max_dept is read by nobody"),
    ],
)
def test_a_file_that_could_not_be_trained_is_refused_before_any_data(
    tmp_path: Path, old: str, new: str, text: str
) -> None:
    """With the words of the file, and where it is."""
    assert old in WHOLE
    declared = model_file(declare(tmp_path, WHOLE.replace("s4_*", "s4_mean").replace(old, new)), "life")

    with pytest.raises(DefinitionError, match=text) as refused:
        declared.spec(SERVICE)
    assert refused.value.where == "models/life.yaml"


def test_where_to_look_for_parameters_is_declared_beside_them(tmp_path: Path) -> None:
    """Ranges and choices become the spec's, and a file that names none has none of its own."""
    text = WHOLE.replace("s4_*", "s4_mean")
    spec = model_file(declare(tmp_path, text + "tune: {eta: [0.01, 0.3, log]}\n"), "life").spec(SERVICE)

    assert spec.tune == {"eta": Range(low=0.01, high=0.3, log=True)}
    assert model_file(declare(tmp_path, text), "life").spec(SERVICE).tune == {}


def test_an_anomaly_model_learns_from_healthy_rows_and_says_when_to_alert(tmp_path: Path) -> None:
    """A detector, a healthy stretch, and a rule: three of the last five scores."""
    declared = model_file(declare(tmp_path, ANOMALY), "life")
    spec = declared.spec(SERVICE)

    assert (declared.healthy_us, spec.detector, spec.folds) == (24 * 3_600_000_000, "mahalanobis", 5)
    assert spec.alert == AlarmRule(threshold=6, persist=3, among=5, cool_down_us=8 * 3_600_000_000, per_day=5)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("healthy: 24h", "log: maintenance", "learns from healthy rows"),
        ("healthy: 24h", "healthy: 24h, ends: truth", "the label needs one table"),
        ("3/5", "5/3", "5 of the last 3 scores cannot be"),
        ("threshold: 6", "treshold: 6", "'treshold' is not known here"),
    ],
)
def test_an_anomaly_model_that_could_not_alert_is_refused(tmp_path: Path, old: str, new: str, text: str) -> None:
    """Labels of another task, a rule that cannot hold, a word misspelt."""
    with pytest.raises(DefinitionError, match=text):
        model_file(declare(tmp_path, ANOMALY.replace(old, new)), "life")


def test_a_model_file_names_the_law_of_its_probabilities(tmp_path: Path) -> None:
    """None unless it says so, and only for a probability."""
    binary = WHOLE.replace("task: rul", "task: binary").replace("cap: 125", "horizon: 30h").replace("s4_*", "s4_mean")
    told = model_file(declare(tmp_path, binary + "calibrate: platt\n"), "life").spec(SERVICE)
    plain = model_file(declare(tmp_path, binary), "life").spec(SERVICE)

    assert (told.calibrate, plain.calibrate) == ("platt", "none")
    with pytest.raises(DefinitionError, match="gives no probability to calibrate"):
        model_file(declare(tmp_path, WHOLE.replace("s4_*", "s4_mean") + "calibrate: platt\n"), "life").spec(SERVICE)


def test_a_split_by_time_leaves_out_what_labels_and_the_embargo_reach(tmp_path: Path) -> None:
    """A cap of 125 hours looks 125 hours ahead; without one there is no end to it, and that is refused."""
    whole = WHOLE.replace("s4_*", "s4_mean").replace("by: asset_id, folds: 5", "by: time, folds: 5, embargo: 7d")
    spec = model_file(declare(tmp_path, whole), "life").spec(SERVICE)
    binary = whole.replace("task: rul", "task: binary").replace("cap: 125", "horizon: 30h")
    hour_us = 3_600_000_000

    assert (spec.split, spec.folds, spec.embargo_us, spec.reach_us) == ("time", 5, 7 * 24 * hour_us, 125 * hour_us)
    assert model_file(declare(tmp_path, binary), "life").spec(SERVICE).reach_us == 30 * hour_us
    with pytest.raises(DefinitionError, match="labels that look a known time ahead"):
        model_file(declare(tmp_path, whole.replace(", cap: 125", "")), "life")
    with pytest.raises(DefinitionError, match="an embargo lies between"):
        model_file(declare(tmp_path, whole.replace("by: time", "by: asset_id")), "life")


@pytest.mark.parametrize("threshold", ["7", "0", "-0.5", "1.0"])
def test_an_alert_that_never_or_always_fires_is_no_rule_of_a_probability(tmp_path: Path, threshold: str) -> None:
    """It would be promoted, and nobody would ever hear of a machine; of a life or a distance any number is one."""
    binary = WHOLE.replace("task: rul", "task: binary").replace("cap: 125", "horizon: 30h").replace("s4_*", "s4_mean")
    alert = f"alert: {{threshold: {threshold}}}\n"

    with pytest.raises(DefinitionError, match="a probability lies between 0 and 1") as refused:
        model_file(declare(tmp_path, binary + alert), "life").spec(SERVICE)
    assert refused.value.where == "models/life.yaml"
    life = model_file(declare(tmp_path, WHOLE.replace("s4_*", "s4_mean") + alert), "life").spec(SERVICE)
    assert life.alert == AlarmRule(threshold=float(threshold))


def test_a_pattern_that_matches_nothing_is_a_fault(tmp_path: Path) -> None:
    """A feature misspelt is not a model without it."""
    declared = model_file(declare(tmp_path, WHOLE.replace("v__s*_mean", "v__t*_mean")), "life")

    with pytest.raises(DefinitionError, match=r"no feature of 'engines' is called 'v__t\*_mean'"):
        declared.spec(SERVICE)


def test_a_model_nobody_declared_is_told_with_those_that_are(tmp_path: Path) -> None:
    """And where none is, with the place to write one."""
    with pytest.raises(NotFoundError) as missing:
        model_file(declare(tmp_path, WHOLE), "live")
    assert missing.value.fix == "declared: life"
    with pytest.raises(NotFoundError, match="no model 'life' is declared") as none:
        model_file(tmp_path / "elsewhere", "life")
    assert "life.yaml" in none.value.fix


def test_every_shipped_model_can_be_read_and_none_learns_from_engines_cut_short() -> None:
    """Descriptions end in a full stop; of C-MAPSS only engines run to failure are named."""
    names = model_names(SHIPPED)

    assert {"bearing_failure", "turbofan_rul", "turbofan_failure"} <= set(names)
    for name in names:
        declared = model_file(SHIPPED, name)
        assert declared.description.endswith(".")
        assert not name.startswith("turbofan") or all("-train-" in pattern for pattern in declared.assets)
