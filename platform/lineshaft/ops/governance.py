"""What the platform asks of governance, which is found by entry point and never imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pyarrow as pa

from lineshaft.access.guard import Guard
from lineshaft.clock import Clock
from lineshaft.drift.policy import DriftPolicy, RetrainPolicy
from lineshaft.errors import DefinitionError
from lineshaft.ops.jobs import Verdict
from lineshaft.registry.alerts import AlertBook
from lineshaft.registry.records import ModelVersion
from lineshaft.specs import Source, View

if TYPE_CHECKING:
    from lineshaft.models.gate import Policy


class DriftPolicies(Protocol):
    """What counts as drift, and what follows from it."""

    @property
    def check(self) -> DriftPolicy:
        """Return how it is told."""
        ...

    @property
    def retrain(self) -> RetrainPolicy:
        """Return what is done about it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where a suite and a declaration do not say the same."""

    view: str
    column: str
    what: str
    fix: str


class Governance(Protocol):
    """Checkpoints, drift checks and the admin page."""

    @classmethod
    def open(cls, *, policies: Path, folder: Path, clock: Clock) -> Self:
        """Return governance over a folder of policies and suites, and a folder for its results."""
        ...

    def gate(self, view: View, rows: pa.Table) -> Verdict:
        """Judge a materialized batch: good rows, and those quarantined with a reason."""
        ...

    def intake(self, kind: str, name: str, table: pa.Table, facts: pa.Table) -> Verdict | None:
        """Judge a source's blocks or a side table by its suite over facts; None where nobody wrote one."""
        ...

    def training(self, model: str, views: Sequence[View], table: pa.Table) -> Verdict:
        """Judge a training set by the suites of the views it was made from, and by its own."""
        ...

    def contract(self, of: View | Source, *, lateness_us: int = 0) -> str:
        """Return the suite that follows from a declaration, as a file to review."""
        ...

    def promises(self, view: View) -> list[dict[str, Any]]:
        """Return what a view's suite says, check by check: `columns`, `text` and `why`."""
        ...

    def differences(self, views: Sequence[View]) -> list[Difference]:
        """Tell where suites say less than the declarations, or speak of columns that are gone."""
        ...

    def document(self, view: View, rows: pa.Table) -> Path:
        """Write a page of what a checkpoint finds of rows; raises `UnavailableError` where it cannot be run."""
        ...

    def drift(
        self, *, name: str, model: str, reference: pa.Table, current: pa.Table, features: tuple[str, ...]
    ) -> tuple[list[dict[str, Any]], Path]:
        """Compare served rows with training rows: one line per feature, and the report a person opens."""
        ...

    def drift_policies(self, model: str = "") -> DriftPolicies:
        """Return how drift of a model is told, and what follows from it."""
        ...

    def promotion(self, model: str) -> Policy:
        """Return what a model must show, and who must agree, before it is promoted."""
        ...

    def promotions(self) -> dict[str, Policy | DefinitionError]:
        """Return every policy of promotion, or what is wrong with it, by the model it is for; "default" for all."""
        ...

    def card(self, parts: Any, version: ModelVersion, *, html: bool) -> str:
        """Return the model card of a version as one HTML file, or as Markdown."""
        ...

    def web(self, parts: Any, *, guard: Guard | None, encrypted: bool, alerts: AlertBook) -> Any:
        """Return the admin page as an ASGI application over the connected parts; without a guard it changes nothing."""
        ...

    def close(self) -> None:
        """Stop the worker processes."""
        ...
