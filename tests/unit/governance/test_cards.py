"""A model card says what the records say, and of what they do not that it was not recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.drifts import CheckedWindow, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Provenance, Verdict, ViewPin
from lineshaft.specs import Feature, Source, View
from lineshaft.testing import small_candidate
from lineshaft_governance.cards.card import card, figures, render
from lineshaft_governance.cards.plots import Bar, intervals, line

VIEW = View(
    name="vibration",
    source=Source(name="blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1h", function="rms", unit="g"),),
)
PROVENANCE = Provenance(
    model_file="task: binary\n",
    catalog_generation=3,
    label_table="maintenance",
    label_sha256="a" * 64,
    moments_sha256="b" * 64,
    features_sha256="c" * 64,
    environment={"python": "3.11"},
    curve=tuple((step / 20, 1 - (step / 20) ** 3 / 2) for step in range(1, 21)),
)
CANDIDATE = small_candidate(
    model="bearing_failure",
    task="binary",
    service="bearing_health",
    features=("vibration__rms_1h", "gone__x"),
    pins=(ViewPin(view="vibration", version=VIEW.version, table_version=12), ViewPin(view="gone", version="1" * 12)),
    training_set="f" * 64,
    rows=12_345,
    params={"max_depth": 3, "eta": 0.05, "alert": {"threshold": 0.7}},
    metrics={
        "pr_auc": 0.93,
        "pr_auc_low": 0.88,
        "pr_auc_high": 0.97,
        "baseline_pr_auc": 0.12,
        "age_only_pr_auc": 0.41,
        "one_feature_pr_auc": 0.63,
        "test_groups": 14.0,
        "test_positive_groups": 6.0,
        "half_width_90": float("inf"),
    },
    seed=7,
    provenance=PROVENANCE,
    owner="ana <script>alert(1)</script>",
    team="rotating",
    description="Whether a bearing fails within four hours.",
)

CHECKED = CheckedWindow(
    project="prod",
    model="bearing_failure",
    number=1,
    start_us=0,
    end_us=5,
    checked_us=6,
    rows=40,
    assets=3,
    outcome="drift",
    standing=("pump-1",),
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return a registry with two versions, the first judged and promoted."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1_000_000))
    version = opened.register(CANDIDATE, actor="ana", reason="first | try")
    verdict = Verdict(gate="better", outcome="pass", detail="0.93, 5 % end 0.88")
    opened.judge(version.model, version.number, verdict, actor="ana")
    opened.promote(version.model, version.number, environment="prod", actor="bo", reason="two more sites")
    opened.register(replace(CANDIDATE, provenance=None, metrics={}, description=""), actor="ana")
    yield opened
    opened.engine.dispose()


def drawn(registry: ModelRegistry, number: int, *, html: bool) -> str:
    """Return the card of a version."""
    version = registry.get("bearing_failure", number)
    checks = drift_book(registry, "prod").windows(version.model, version.number, limit=1)
    catalog = FixedCatalog(all_views=(VIEW,))
    return render(card(version, catalog=catalog, registry=registry, drift=checks[0] if checks else None), html=html)


@pytest.mark.parametrize("html", [True, False])
def test_a_card_says_what_is_recorded(registry: ModelRegistry, html: bool) -> None:
    """Purpose, owner, pins, figures with interval and baselines, verdicts, slots, history, the digest to make again."""
    drift_book(registry, "prod").add(CHECKED, [])

    text = drawn(registry, 1, html=html)

    told = ("four hours", "rotating", VIEW.version, "12,345", "maintenance", "a" * 64, "0.93", "0.88", "0.97", "0.12")
    others = ("0.41", "better", "pass", "two more sites", "rms", "drift at", "14 assets", "threshold", "0.7")
    version = registry.get("bearing_failure", 1)
    for part in (*told, *others, version.artifact_sha256, registry.history("bearing_failure")[-1].digest):
        assert part in text, part
    assert "<script>" not in text
    assert "inf" not in re.sub("[a-z]*inf[a-z]+|[a-z]+inf", "", text)


def test_a_card_draws_what_was_judged(registry: ModelRegistry) -> None:
    """Two plots: the curve of unseen assets, and the figure between its baselines; one file, nothing fetched."""
    text = drawn(registry, 1, html=True)

    assert text.count("<svg") == 2
    assert "precision by recall" in text.lower()
    assert not re.findall(r"(?:src|href)=|@import|url\(", text)


@pytest.mark.parametrize("html", [True, False])
def test_what_is_not_recorded_is_said(registry: ModelRegistry, html: bool) -> None:
    """No provenance, no figure, no gate, no drift: each is told, none is made up."""
    text = drawn(registry, 2, html=html)

    for part in ("No gate has judged it", "No drift check", "was not recorded"):
        assert part in text
    assert "<svg" not in text


def test_figures_stand_beside_what_knows_less() -> None:
    """Those with a baseline come first; an infinite or undefined figure is none."""
    found = figures(CANDIDATE.metrics)

    assert [one["name"] for one in found] == ["pr_auc", "test_groups", "test_positive_groups", "half_width_90"]
    assert (found[0]["low"], found[0]["baseline"], found[0]["age_only"]) == (0.88, 0.12, 0.41)
    assert found[0]["one_feature"] == 0.63
    assert found[-1]["value"] is None


def test_plots_stay_within_their_frame() -> None:
    """Whatever the scale, every point lies in the picture; names are text, not markup."""
    curve = line([(0.0, 2000.0), (125.0, 3.0)], x="<life>", y="error", level=4000.0, level_name="mean")
    bars = intervals([Bar(name="rmse", value=3.0, low=1.0, high=12.0), Bar(name="age <alone>", value=40.0)])

    for x, y in re.findall(r"([\d.]+),([\d.]+)", re.findall(r'points="([^"]+)"', curve)[0]):
        assert 0 <= float(x) <= 540
        assert 0 <= float(y) <= 280
    assert "&lt;life&gt;" in curve
    assert all(0 <= float(x) <= 540 for x in re.findall(r'cx="([\d.]+)"', bars))
    assert "age &lt;alone&gt;" in bars
