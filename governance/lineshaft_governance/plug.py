"""What the entry point `lineshaft.governance` names: checkpoints, drift checks and the admin page, opened together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from lineshaft.access.guard import Guard
from lineshaft.clock import Clock
from lineshaft.errors import DefinitionError
from lineshaft.models.gate import Policy
from lineshaft.ops.governance import Difference
from lineshaft.ops.jobs import Verdict
from lineshaft.registry.alerts import AlertBook
from lineshaft.registry.drifts import drift_book
from lineshaft.registry.records import ModelVersion
from lineshaft.registry.scores import ScoreBook
from lineshaft.specs import Source, View, row_schema
from lineshaft.wiring.drifting import run_report
from lineshaft.wiring.writing import gate_of, keeper
from lineshaft_governance.cards.card import card, render
from lineshaft_governance.checks.contract import contract_yaml, differences, source_yaml
from lineshaft_governance.checks.gate import Gate, Gated, Subject
from lineshaft_governance.checks.suites import NOT_FINITE
from lineshaft_governance.checks.training import training_suite
from lineshaft_governance.drift.check import Window, check_drift, draw_report, open_worker
from lineshaft_governance.drift.policy import DriftPolicies, drift_policies
from lineshaft_governance.policies import promotion_policies, promotion_policy
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.overview import look_ahead
from lineshaft_governance.web.parts import WebParts


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceParts:
    """Implements `lineshaft.ops.governance.Governance`; worker processes start when first needed."""

    checkpoints: Gate
    results: ResultFolder
    policies: Path
    folder: Path
    clock: Clock
    pages: list[WebParts] = field(default_factory=list)

    @classmethod
    def open(cls, *, policies: Path, folder: Path, clock: Clock) -> Self:
        """Return governance over `policies` (suites/ and policies/ beside each other) and a folder for results."""
        gate = Gate.open(suites=policies / "suites", folder=folder, clock=clock)
        return cls(checkpoints=gate, results=gate.results, policies=policies, folder=folder, clock=clock)

    def gate(self, view: View, rows: pa.Table) -> Verdict:
        """Judge a materialized batch."""
        return _verdict(self.checkpoints.check_batch(view, rows))

    def intake(self, kind: str, name: str, table: pa.Table, facts: pa.Table) -> Verdict | None:
        """Judge a source's blocks or a side table by its suite over facts; None where nobody wrote one."""
        gated = self.checkpoints.check_about(kind, name, table, facts)
        return None if gated is None else _verdict(gated)

    def training(self, model: str, views: Sequence[View], table: pa.Table) -> Verdict:
        """Judge a training set by the suites of the views it was made from, and by its own."""
        suite = training_suite(self.checkpoints.suites, model, views, table)
        name = f"training.{model}"
        return _verdict(self.checkpoints.judge(Subject(name=name, version="", ref=name, suite=suite), table, table))

    def contract(self, of: View | Source, *, lateness_us: int = 0) -> str:
        """Return the suite that follows from a declaration, as a file to review."""
        return contract_yaml(of) if isinstance(of, View) else source_yaml(of, lateness_us=lateness_us)

    def promises(self, view: View) -> list[dict[str, Any]]:
        """Return what a view's suite says, check by check: columns, text and why."""
        expected = self.checkpoints.suites.of(view).expand([*row_schema(view).names, NOT_FINITE])
        told = [{"columns": list(one.columns), "text": one.text, "why": one.why} for one in expected]
        return [one for one in told if one["columns"] != [NOT_FINITE]]

    def differences(self, views: Sequence[View]) -> list[Difference]:
        """Tell where suites say less than the declarations, or speak of columns that are gone."""
        return [one for view in views for one in differences(view, self.checkpoints.suites)]

    def document(self, view: View, rows: pa.Table) -> Path:
        """Write Great Expectations' own page of what it finds of rows."""
        path = self.folder / "docs" / f"{view.name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.checkpoints.page(view, rows), encoding="utf-8")
        return path

    def drift(
        self, *, name: str, model: str, reference: pa.Table, current: pa.Table, features: tuple[str, ...]
    ) -> tuple[list[dict[str, Any]], Path]:
        """Compare served rows with training rows and draw the report of what moved most."""
        policy = self.drift_policies(model).check
        old, new = Window(table=reference), Window(table=current)
        check = check_drift(name, old, new, features=features, policy=policy, at_us=self.clock.now_us())
        worker = open_worker()
        try:
            check = draw_report(check, old, new, folder=self.folder / "drift", worker=worker)
        finally:
            worker.close()
        lines = [{"model": model, **line} for line in check.features]
        return lines, self.folder / "drift" / check.report

    def drift_policies(self, model: str = "") -> DriftPolicies:
        """Return how drift of a model is told, and what follows from it."""
        return drift_policies(self.policies / "policies", model)

    def web(self, parts: Any, *, guard: Guard | None, encrypted: bool, alerts: AlertBook) -> Any:
        """Return the admin page over the connected parts (`lineshaft.wiring.Parts`)."""
        settings = parts.settings
        hosts = [name.strip() for name in settings.web_hosts.split(",") if name.strip()]
        page = WebParts(
            catalog=parts.catalog,
            offline=parts.offline,
            online=parts.online,
            registry=parts.registry,
            results=self.results,
            reports=self.folder / "drift",
            clock=self.clock,
            project=settings.project,
            home=settings.home,
            alerts=alerts,
            fleet_scores=ScoreBook(settings.database(), project=settings.project),
            drifts=drift_book(parts.registry, settings.project),
            drift_policy=lambda model: self.drift_policies(model).check,
            draw_report=lambda model: run_report(parts, self, model, at_us=self.clock.now_us())[1],
            keeper=keeper(parts, gate=gate_of(parts, self)),
            guard=guard,
            secure=encrypted or settings.web_proxied,
            hosts=None if settings.web_proxied and not hosts else hosts,
            policy=self.promotion,
            card=lambda version: self.card(parts, version, html=True),
            applies=parts.catalog.history,
        )
        self.pages.append(page)
        look_ahead(page)
        return create_app(page)

    def card(self, parts: Any, version: ModelVersion, *, html: bool) -> str:
        """Return the card of a version, from the records of the connected parts."""
        checks = drift_book(parts.registry, parts.settings.project).windows(version.model, version.number, limit=1)
        newest = checks[0] if checks else None
        content = card(version, catalog=parts.catalog, registry=parts.registry, drift=newest)
        return render(content, html=html)

    def promotion(self, model: str) -> Policy:
        """Return what a model must show, and who must agree, before it is promoted."""
        return promotion_policy(self.policies / "policies", model)

    def promotions(self) -> dict[str, Policy | DefinitionError]:
        """Return every policy of promotion, or what is wrong with it, by the model it is for."""
        return promotion_policies(self.policies / "policies")

    def close(self) -> None:
        """Stop the worker processes, and what pages look at."""
        for page in self.pages:
            page.close()
        self.checkpoints.close()


def _verdict(gated: Gated) -> Verdict:
    """Return what the platform is told of a batch."""
    said = gated.verdict.outcome
    return Verdict(good=gated.good, quarantined=gated.quarantined, outcome=said, places=gated.places)
