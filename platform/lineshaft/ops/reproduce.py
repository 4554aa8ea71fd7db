"""A model made again from what its version pins, stage by stage: the same bits, or the first stage that differs.

The declaration as it was written, the catalogue as it stood, the labels as they were known, rows of the table versions
that were read: each stage is made of the stages before it and compared by digest. Where one differs, the training set
that was kept says how many values do, and which is the first. What follows a difference cannot be the same and is not
made, but for a difference of the environment: that is told, and the artifact judged all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.errors import LineshaftError
from lineshaft.models.matrix import examples
from lineshaft.models.spec import ModelSpec
from lineshaft.models.training import fit
from lineshaft.models.tuning import Search
from lineshaft.ops.environment import environment, packages_sha256
from lineshaft.ops.learning import Lesson, Subject, answered, labelled_moments, subject_of
from lineshaft.ops.model_file import ModelFile, parse_model
from lineshaft.ops.tables import read_pinned
from lineshaft.ops.training_set import fingerprint
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.catalog_values import Catalog
from lineshaft.registry.records import ModelVersion, Provenance
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.whole_files import write_whole
from lineshaft.tiles.comparison import differing

STAGES = ("definition", "labels", "moments", "features", "matrix", "parameters", "library", "artifact")
SAME, DIFFERS, UNKNOWN = "same", "differs", "not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage made again: `same`, `differs`, or `not recorded`, and in words what was compared."""

    name: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of making a version again."""

    ref: str
    stages: tuple[Stage, ...]

    @property
    def first(self) -> Stage | None:
        """Return the first stage that is not the same; None where all are."""
        return next((stage for stage in self.stages if stage.outcome != SAME), None)

    @property
    def exit_code(self) -> int:
        """Return 0 for the same bits in every stage, 1 for a difference, 2 where it was not recorded."""
        return 0 if self.first is None else 2 if self.first.outcome == UNKNOWN else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where things are made again from; `catalog_at` returns the catalogue as it stood after an apply."""

    catalog_at: Callable[[int], Catalog]
    offline: OfflineStore
    tables: Path
    artifacts: ArtifactStore


def keep_provenance(declared: ModelFile, work: Lesson, *, generation: int, tables: Path) -> Provenance:
    """Return what a version is to pin beside its views, and keep the training set under its digest."""
    digest = fingerprint(work.table)
    path = _kept(tables, digest)
    if not path.exists():
        write_whole(work.table, path)
    return Provenance(
        model_file=declared.text,
        catalog_generation=generation,
        label_table=declared.log or declared.ends,
        label_sha256=work.label_sha256,
        moments_sha256=work.moments_sha256,
        features_sha256=digest,
        environment=environment(),
    )


def kept_training_set(version: ModelVersion, tables: Path) -> pa.Table | None:
    """Return the rows a version was trained on, if they are still there and still those."""
    if version.provenance is None:
        return None
    path = _kept(tables, version.provenance.features_sha256)
    table = pq.read_table(path) if path.is_file() else None
    return table if table is not None and fingerprint(table) == version.provenance.features_sha256 else None


def _kept(tables: Path, digest: str) -> Path:
    return tables / "trained_on" / f"{digest}.parquet"


def search_of(version: ModelVersion, artifacts: ArtifactStore) -> Search | None:
    """Return the search by which a version's parameters were found, if they were looked for."""
    study = version.params.get("study")
    return None if study is None else Search.of(artifacts.get(str(study), artifact_format="json"))


def reproduce(version: ModelVersion, sources: Sources, *, threads: int = 1) -> Reproduction:
    """Make a version again and compare it stage by stage."""
    if version.provenance is None:
        what = "this version was registered without it: by an older release, or from a table made elsewhere"
        stages = [Stage(name="definition", outcome=UNKNOWN, detail=what)]
    else:
        stages = list(_Again(version, version.provenance, sources, threads).stages())
    return Reproduction(ref=version.ref, stages=tuple(stages))


@dataclass(slots=True)
class _Again:
    """A version on its way to being made again."""

    version: ModelVersion
    told: Provenance
    sources: Sources
    threads: int

    def stages(self) -> Iterator[Stage]:
        """Yield stage after stage, up to the first of the data that differs."""
        made: list[Stage] = []
        steps = self._steps()
        while True:
            try:
                stage = next(steps, None)
            except LineshaftError as error:  # what a pin names is gone, altered or unreadable
                name = STAGES[len(made)]
                yield Stage(name=name, outcome=DIFFERS, detail=": ".join(filter(None, (error.what, error.where))))
                return
            if stage is None:
                return
            made.append(stage)
            yield stage
            if stage.outcome != SAME and stage.name not in ("parameters", "library"):
                return

    def _steps(self) -> Iterator[Stage]:
        told, offline, version = self.told, self.sources.offline, self.version
        catalog = self.sources.catalog_at(told.catalog_generation)
        declared = parse_model(version.model, told.model_file, where=f"{version.ref} as it was declared")
        subject = subject_of(declared, catalog)
        yield self._definition(subject)
        versions = {pin.view: pin.table_version for pin in version.pins}
        outcomes = read_pinned(told.label_sha256, self.sources.tables) if told.label_table else None
        label = "each asset's first stretch, taken for healthy"
        if outcomes is not None:
            label = f"{outcomes.num_rows} rows of {told.label_table!r}, {told.label_sha256[:12]}…"
        same_table = told.label_table == (declared.log or declared.ends)
        yield _stage(
            "labels", [] if same_table else [f"the declaration reads {declared.log or declared.ends!r}"], label
        )
        labelled = labelled_moments(subject, offline, outcomes, versions=versions).table
        kept = kept_training_set(version, self.sources.tables)
        at = ", ".join(f"{view} at version {number}" for view, number in sorted(versions.items()))
        yield _compared("moments", labelled, told.moments_sha256, kept, f"{labelled.num_rows} rows of {at}")
        table, _ = answered(subject, catalog, offline, labelled, versions=versions)
        yield _compared(
            "features", table, told.features_sha256, kept, f"{len(version.features)} of {subject.service.name}"
        )
        rows = examples(subject.spec, table)
        faults = [] if rows.fingerprint == version.training_set else [_digests(rows.fingerprint, version.training_set)]
        yield _stage("matrix", faults, f"{len(rows.labels)} rows x {rows.values.shape[1]}, {rows.fingerprint[:12]}…")
        spec, found = self._tuned(subject.spec)
        fitted = fit(spec, rows, threads=self.threads)
        recorded = {name: value for name, value in version.params.items() if name != "nthread"}
        faults = _unlike({**fitted.params, "seed": spec.seed}, {**recorded, "seed": version.seed})
        yield _stage("parameters", faults, f"{len(recorded)} of them, seed {version.seed}{found}")
        yield self._library(fitted.library)
        digest = hashlib.sha256(fitted.artifact).hexdigest()
        faults = [] if digest == version.artifact_sha256 else [_digests(digest, version.artifact_sha256)]
        if not faults:  # what is served is the file that was kept: one that was altered is no longer these bits
            self.sources.artifacts.get(digest, artifact_format=version.artifact_format)
        yield _stage("artifact", faults, f"{len(fitted.artifact)} bytes, SHA-256 {digest}, {self.threads} thread(s)")

    def _definition(self, subject: Subject) -> Stage:
        """Compare what the declaration and the catalogue say with what the version pins."""
        version = self.version
        there = {used.view: used.version for used in subject.service.views}  # pins are kept by name, not in this order
        faults = [
            f"{pin.view} is {there.get(pin.view, 'none')} there, {pin.version} is pinned"
            for pin in version.pins
            if there.get(pin.view) != pin.version
        ]
        if subject.service.to_json() != version.service_json:
            faults.append(f"service {version.service!r} is not as it is pinned")
        if subject.spec.features != version.features:
            odd = sorted(set(subject.spec.features) ^ set(version.features)) or ["their order"]
            faults.append(f"{len(odd)} features differ, first {odd[0]}")
        told = self.told
        digest = hashlib.sha256(told.model_file.encode()).hexdigest()[:12]
        return _stage("definition", faults, f"model file {digest}…, catalogue as of apply {told.catalog_generation}")

    def _tuned(self, spec: ModelSpec) -> tuple[ModelSpec, str]:
        """Return the declaration with the parameters that were found, and where: nothing is looked for again."""
        kept = search_of(self.version, self.sources.artifacts)
        if kept is None:
            return spec, ""
        names = ", ".join(sorted(kept.own.found))
        trial = f"trial {kept.own.best} of {len(kept.own.trials) - 1} by {kept.library} had them"
        return kept.applied(spec), f"; {names} as found: {trial}, study {kept.sha256[:12]}…"

    def _library(self, library: str) -> Stage:
        """Compare what computes now with what computed then."""
        there = environment()
        faults = _unlike(there, self.told.environment)
        if library != self.version.library:
            faults.append(f"{library} here, {self.version.library} then")
        lock = packages_sha256()
        other = "" if lock == self.version.lock_sha256 else "; other packages differ, none of which decides bits"
        return _stage(
            "library", faults, f"{self.version.library}, python {there['python']}, packages {lock[:12]}…{other}"
        )


def _stage(name: str, faults: list[str], detail: str) -> Stage:
    return Stage(name=name, outcome=DIFFERS if faults else SAME, detail="; ".join(faults) or detail)


def _digests(found: str, recorded: str) -> str:
    return f"SHA-256 {found} here, {recorded} recorded"


def _unlike(found: Mapping[str, object], recorded: Mapping[str, object]) -> list[str]:
    """Tell the entries that differ."""
    names = sorted(name for name in {*found, *recorded} if found.get(name) != recorded.get(name))
    return [f"{name} is {found.get(name)!r} here, {recorded.get(name)!r} recorded" for name in names]


def _compared(name: str, table: pa.Table, recorded: str, kept: pa.Table | None, detail: str) -> Stage:
    """Compare a table by its digest; where it differs, say where, by the training set that was kept."""
    digest = fingerprint(table)
    if digest == recorded:
        return Stage(name=name, outcome=SAME, detail=f"{detail}, {digest[:12]}…")
    where = "the training set was not kept, so where is not known" if kept is None else difference(table, kept)
    return Stage(name=name, outcome=DIFFERS, detail=f"{where}; {_digests(digest, recorded)}")


def difference(table: pa.Table, kept: pa.Table) -> str:
    """Say how a table differs from the columns of another that has them all, row by row in their order."""
    if table.num_rows != kept.num_rows:
        return f"{table.num_rows} rows here, {kept.num_rows} then"
    counts: dict[str, int] = {}
    first = ""
    for name in table.column_names:
        if name not in kept.column_names or table[name].type != kept[name].type:
            return f"column {name!r} is not as it was"
        unlike = np.flatnonzero(differing(table[name], kept[name]))
        if len(unlike):
            counts[name] = len(unlike)
            at = int(unlike[0])
            row = ", ".join(str(table[key][at].as_py()) for key in table.column_names[:3])
            first = (
                first or f"first {name} of ({row}): {table[name][at].as_py()!r} here, {kept[name][at].as_py()!r} then"
            )
    if not counts:
        return "no value differs from the training set that was kept, but its form does"
    return f"{sum(counts.values())} values in {len(counts)} columns differ; {first}"
