"""The policy of drift as people write it: read strictly, and refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.drift.policy import DAY_US, HOUR_US, DriftPolicy, Least, Regimes, RetrainPolicy
from lineshaft.errors import DefinitionError
from lineshaft_governance.drift.policy import DriftPolicies, drift_policies, read_drift

POLICIES = Path(__file__).parents[3] / "governance" / "policies"


def test_the_shipped_policy_says_what_the_code_does_without_one() -> None:
    """Its lines are the defaults, so that whoever reads the file reads what happens; nothing is trained by itself."""
    shipped = drift_policies(POLICIES)

    assert shipped == DriftPolicies(check=DriftPolicy(), retrain=RetrainPolicy())
    assert not shipped.retrain.auto


def test_every_line_that_may_be_written_is_read(tmp_path: Path) -> None:
    """Windows, persistence, regimes and what follows, each in its own words."""
    (tmp_path / "p.yaml").write_text(
        "fdr: 0.05\nwindow: 6h\npersist: 2/4\nregime: {column: process__speed, edges: [1, 5]}\n"
        "least:\n  heat__mean: {level: 2, spread: 1.5}\n"
        "retrain: {auto: true, causes: [concept, fleet], cool_down: 2d, share: 0.25, need_labels: 5}\n"
    )

    found = read_drift(tmp_path / "p.yaml")

    regimes = Regimes(column="process__speed", edges=(1.0, 5.0))
    least = tuple(
        Least(column="heat__mean", method=name, effect=size) for name, size in (("level", 2.0), ("spread", 1.5))
    )
    told = {"window_us": 6 * HOUR_US, "persist": 2, "among": 4, "regimes": regimes, "least": least}
    assert found.check == DriftPolicy(fdr=0.05, **told)  # type: ignore[arg-type]
    assert found.retrain == RetrainPolicy(
        auto=True, causes=("concept", "fleet"), cool_down_us=2 * DAY_US, share=0.25, need_labels=5
    )


def test_a_model_may_have_a_policy_of_its_own(tmp_path: Path) -> None:
    """drift/<model>.yaml stands in place of drift.yaml, for that model alone."""
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift.yaml").write_text("fdr: 0.02\n")
    (tmp_path / "drift" / "pump.yaml").write_text("fdr: 0.03\n")

    assert [drift_policies(tmp_path, name).check.fdr for name in ("", "pump", "fan")] == [0.02, 0.03, 0.02]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("fdr: [\n", "p.yaml:", "this is no YAML"),
        ("- fdr\n", "p.yaml:1", "here stands a mapping"),
        ("", "p.yaml", "this file is empty"),
        ("fdr: 0.1\nminimum: 2\n", "p.yaml:2, minimum", "'minimum' is not known"),
        ("fdr: often\n", "p.yaml:1, fdr", "here stands a number"),
        ("fdr: 0\n", "p.yaml:1", "nothing can be judged"),
        ("fdr: 1\n", "p.yaml:1", "nothing can be judged"),
        ("min_effect: 1.1\n", "p.yaml:1", "nothing can be judged"),
        ("min_shift: -0.1\n", "p.yaml:1", "nothing can be judged"),
        ("min_spread: 0.9\n", "p.yaml:1", "nothing can be judged"),
        ("bins: 1\n", "p.yaml:1", "nothing can be judged"),
        ("least: {heat: {colour: 1}}\n", "p.yaml:1, least.heat.colour", "'colour' is not known"),
        ("least: {heat: {level: 0}}\n", "p.yaml:1", "a least effect is of no method, or none"),
        ("least: {heat: 3}\n", "p.yaml:1, least.heat", "here stands a mapping"),
        ("min_effective: 0\n", "p.yaml:1", "nothing can be judged"),
        ("persist: 6/5\n", "p.yaml:1", "nothing can be judged"),
        ("persist: often\n", "p.yaml:1, persist", "how many of how many"),
        ("window: long\n", "p.yaml:1, window", "long"),
        ("regime: {column: a, edges: [2, 1]}\n", "p.yaml:1", "no regime can be told"),
        ("regime: {column: a}\n", "p.yaml:1, regime", "'edges' is missing"),
        ("retrain: {causes: [sensor]}\n", "p.yaml:1, retrain", "nothing is to be learnt from 'sensor'"),
        ("retrain: {causes: [weather]}\n", "p.yaml:1, retrain", "no cause 'weather'"),
        ("retrain: {share: 1}\n", "p.yaml:1, retrain", "no retraining can follow"),
    ],
)
def test_a_policy_that_could_not_judge_is_refused_with_its_line(
    tmp_path: Path, text: str, place: str, what: str
) -> None:
    """Broken YAML, a line nobody knows, a rate that is none, a cause that teaches nothing."""
    (tmp_path / "p.yaml").write_text(text)

    with pytest.raises(DefinitionError, match=what) as caught:
        read_drift(tmp_path / "p.yaml")

    assert place in caught.value.where


def test_an_absent_policy_is_told(tmp_path: Path) -> None:
    """No file is an error, and it says which one."""
    with pytest.raises(DefinitionError, match="cannot read a policy") as caught:
        drift_policies(tmp_path)
    assert caught.value.where.endswith("drift.yaml")
