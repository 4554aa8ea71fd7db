"""The gate before the offline store: a batch is checked, its bad rows are told apart with the reason, and counted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lineshaft.clock import Clock
from lineshaft.errors import UnavailableError
from lineshaft.ops.jobs import COULD_NOT_RUN, FAILED, PASSED
from lineshaft.ops.quarantine import REASON
from lineshaft.specs import View
from lineshaft_governance.checks.suites import NOT_FINITE, Expectation, Suite, Suites
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.worker import Worker

logger = logging.getLogger(__name__)

MODULE = "lineshaft_governance.checks.expectations"
ENVIRONMENT = {"GX_ANALYTICS_ENABLED": "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one expectation found: `unexpected` rows, of which `rows` are quarantined, or why it could not be run."""

    expectation: str
    columns: tuple[str, ...]
    why: str
    outcome: str
    unexpected: int
    rows: tuple[int, ...]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a checkpoint found of one batch. A check that could not be run did neither pass nor fail."""

    view: str
    version: str
    outcome: str
    at_us: int
    rows: int
    quarantined: int
    expectations: int
    findings: tuple[Finding, ...]  # of those that did not pass
    batch: str
    suite: str
    suite_sha256: str
    library: str

    @property
    def success(self) -> bool:
        """Return whether every check was run and held."""
        return self.outcome == PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a batch is of: under which name its verdict is kept, and the suite it is held to."""

    name: str
    version: str
    ref: str
    suite: Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A batch divided: `good` goes on; `quarantined` has a reason a row and does not."""

    good: pa.Table
    quarantined: pa.Table
    places: tuple[int, ...]  # of those quarantined among the rows judged
    verdict: Verdict


@dataclass(slots=True, kw_only=True)
class Gate:
    """Checks batches by the views' suites in a worker process that is started once.

    When a checkpoint cannot be run the whole batch is refused: unknown is not good.
    """

    suites: Suites
    results: ResultFolder
    clock: Clock
    worker: Worker

    @staticmethod
    def open(*, suites: Path, folder: Path, clock: Clock) -> Gate:
        """Return a gate over a folder of suites; what it finds goes under `folder`."""
        return Gate(
            suites=Suites.load(suites),
            results=ResultFolder(folder / "results"),
            clock=clock,
            worker=Worker(module=MODULE, environment=ENVIRONMENT),
        )

    def check_batch(self, view: View, table: pa.Table) -> Gated:
        """Divide a materialized batch (rows of `row_schema(view)`) into good and quarantined rows."""
        subject = Subject(name=view.name, version=view.version, ref=view.ref, suite=self.suites.of(view))
        return self.judge(subject, table, _with_counts(view, table))

    def page(self, view: View, table: pa.Table) -> str:
        """Return Great Expectations' own page of what it finds of rows; nothing is kept.

        Raises
        ------
        UnavailableError
            If the checkpoint cannot be run.
        """
        checked = _with_counts(view, table)
        expectations = self.suites.of(view).expand(checked.column_names)
        request = {**_request(view.ref, expectations), "page": True}
        page: str = self.worker.ask(request, tables={"batch": _looked_at(expectations, checked)})["page"]
        return page

    def check_about(self, kind: str, name: str, table: pa.Table, facts: pa.Table) -> Gated | None:
        """Divide what is no view's batch, by facts of which there is one row for each of its own; None: no suite."""
        suite = self.suites.about(kind, name)
        if suite is None:
            return None
        return self.judge(Subject(name=f"{kind}.{name}", version="", ref=f"{kind}.{name}", suite=suite), table, facts)

    def judge(self, subject: Subject, table: pa.Table, checked: pa.Table) -> Gated:
        """Divide a table by a suite over `checked`, which has a row for each row of it."""
        batch = _fingerprint(subject.ref, table)
        expectations = subject.suite.expand(checked.column_names)
        findings, library = self._findings(subject.ref, expectations, checked)
        reasons = _reasons(findings, table.num_rows)
        held = np.array([bool(reason) for reason in reasons], dtype=bool)
        verdict = Verdict(
            view=subject.name,
            version=subject.version,
            outcome=_worst(findings),
            at_us=self.clock.now_us(),
            rows=table.num_rows,
            quarantined=int(held.sum()),
            expectations=len(expectations),
            findings=tuple(findings),
            batch=batch,
            suite=subject.suite.where,
            suite_sha256=subject.suite.sha256,
            library=library,
        )
        kept_aside = table.filter(pa.array(held)).append_column(
            REASON, pa.array([r for r in reasons if r], pa.string())
        )
        self._remember(verdict)
        places = tuple(np.flatnonzero(held).tolist())
        return Gated(good=table.filter(pa.array(~held)), quarantined=kept_aside, places=places, verdict=verdict)

    def close(self) -> None:
        """End the worker."""
        self.worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _findings(self, ref: str, expectations: Sequence[Expectation], table: pa.Table) -> tuple[list[Finding], str]:
        """Ask the worker; a worker that fails is one finding over every row."""
        if not table.num_rows or not expectations:
            return [], ""
        try:
            narrow = _looked_at(expectations, table)
            answer = self.worker.ask(_request(ref, expectations), tables={"batch": narrow})
        except UnavailableError as error:
            logger.exception("checkpoint of %s could not be run", ref)
            return [_not_run(error.what)], ""
        results: list[dict[str, Any]] = answer["results"]
        found = [_finding(e, result) for e, result in zip(expectations, results, strict=True)]
        return [finding for finding in found if finding is not None], str(answer["library"])

    def _remember(self, verdict: Verdict) -> None:
        """Write the verdict; the rows themselves are kept by whoever asked."""
        if verdict.quarantined:
            logger.warning("%d of %d rows of %s quarantined", verdict.quarantined, verdict.rows, verdict.view)
        content = asdict(verdict)
        for finding in content["findings"]:
            finding["rows"] = list(finding["rows"][:100])
        ident = verdict.batch[:16]
        self.results.write("checkpoints", verdict.view, at_us=verdict.at_us, ident=ident, content=content)


def _request(ref: str, expectations: Sequence[Expectation]) -> dict[str, Any]:
    return {"suite": ref, "expectations": [{**asdict(e), "columns": list(e.columns)} for e in expectations]}


def _looked_at(expectations: Sequence[Expectation], table: pa.Table) -> pa.Table:
    """Return the columns that are looked at: Great Expectations copies the whole frame for each of its metrics."""
    names = {name for expectation in expectations for name in expectation.columns}
    return table.select([name for name in table.column_names if name in names])


def _with_counts(view: View, table: pa.Table) -> pa.Table:
    """Add the column that says how many features of a row are infinite or NaN."""
    count = np.zeros(table.num_rows, dtype=np.int64)
    for name in view.feature_names:
        if name in table.column_names and pa.types.is_floating(table[name].type):
            column = table[name].combine_chunks()
            values = np.asarray(column.to_numpy(zero_copy_only=False))
            count += ~np.isfinite(values) & np.asarray(column.is_valid())
    return table.append_column(NOT_FINITE, pa.array(count))


def _finding(expectation: Expectation, result: dict[str, Any]) -> Finding | None:
    """Return what did not pass; rows within `mostly` are tolerated, so they are no finding."""
    if result["success"]:
        return None
    return Finding(
        expectation=expectation.text,
        columns=expectation.columns,
        why=expectation.why,
        outcome=COULD_NOT_RUN if result["error"] else FAILED,
        unexpected=result["unexpected"],
        rows=tuple(result["rows"]),
        error=result["error"],
    )


def _not_run(error: str) -> Finding:
    """Return the finding of a checkpoint that could not be run at all."""
    return Finding(
        expectation="the checkpoint runs",
        columns=(),
        why="unknown is not good",
        outcome=COULD_NOT_RUN,
        unexpected=0,
        rows=(),
        error=error,
    )


def _reasons(findings: Sequence[Finding], rows: int) -> list[str]:
    """Return per row why it is quarantined, or nothing. A finding that names no row speaks of all."""
    said: list[list[str]] = [[] for _ in range(rows)]
    for finding in findings:
        text = f"{finding.expectation} (could not run: {finding.error})" if finding.error else finding.expectation
        for row in finding.rows or range(rows):
            said[row].append(text)
    return ["; ".join(texts) for texts in said]


def _worst(findings: Sequence[Finding]) -> str:
    """Return the outcome of a batch from those of its findings."""
    outcomes = {finding.outcome for finding in findings}
    return next((outcome for outcome in (COULD_NOT_RUN, FAILED) if outcome in outcomes), PASSED)


def _fingerprint(ref: str, table: pa.Table) -> str:
    """Return the SHA-256 of a batch: what it is of, and its Arrow bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(ref.encode() + sink.getvalue().to_pybytes()).hexdigest()
