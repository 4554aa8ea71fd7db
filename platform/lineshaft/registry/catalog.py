"""The catalogue: which views and services there are, in every version that ever was.

An apply is one transaction with compare-and-swap on the generation its plan was made against; the loser is told what
the winner did. Versions are immutable and stay readable, so a model's pins always resolve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock, SystemClock, moment
from lineshaft.errors import ConflictError, NotFoundError
from lineshaft.registry.catalog_audit import AppliedLine, CatalogAccount, Kept, digest_of
from lineshaft.registry.catalog_history import account_of, add_line
from lineshaft.registry.catalog_tables import APPLY, CURRENT, DEFINITION, GENERATION
from lineshaft.registry.catalog_values import Applicable, Applied, Catalog, FixedCatalog, missing
from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.live import live_models
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import Head
from lineshaft.registry.tables import PIN
from lineshaft.specs import LiveModel, OnDemandView, Service, View

Definition = View | OnDemandView | Service
_MOST_TOLD = 5
"""How many applies, and objects of each, the loser of a race is told."""
_KINDS: dict[str, type[Definition]] = {"view": View, "on_demand": OnDemandView, "service": Service}


class SqlCatalog:
    """The catalogue of one project in SQLite or Postgres. The tables are made by `lineshaft.registry.migrate`.

    The end of its history is noted outside the database with every apply, where `notes` are given.
    """

    def __init__(
        self, database_url: str, *, project: str = "dev", clock: Clock | None = None, notes: HeadNotes | None = None
    ) -> None:
        self._engine = open_engine(database_url)
        self._project = project
        self._clock = clock or SystemClock()
        self._notes = notes
        self._noted_as = f"catalogue/{project}"  # no model's name has a stroke in it

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def generation(self) -> int:
        """Return how many applies there were."""
        with connected(self._engine) as connection:
            return _generation(connection, self._project)

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view, in its current version unless one is named; raise `NotFoundError`."""
        return View.from_json(self._spec("view", name, version))

    def views(self) -> tuple[View, ...]:
        """Return the current views, by name."""
        return tuple(View.from_json(text) for text in self._specs("view"))

    def on_demand_views(self) -> tuple[OnDemandView, ...]:
        """Return the current on-demand views, by name."""
        return tuple(OnDemandView.from_json(text) for text in self._specs("on_demand"))

    def service(self, name: str, version: str | None = None) -> Service:
        """Return a service with the view versions it pinned when it was applied; raise `NotFoundError`."""
        return Service.from_json(self._spec("service", name, version))

    def services(self) -> tuple[Service, ...]:
        """Return the current services, by name."""
        return tuple(Service.from_json(text) for text in self._specs("service"))

    def snapshot(self) -> FixedCatalog:
        """Return everything current as one frozen value, of one generation."""
        with connected(self._engine) as connection:
            generation = _generation(connection, self._project)
            rows = connection.execute(_current(self._project)).all()
        specs = {kind: [row.spec for row in rows if row.kind == kind] for kind in _KINDS}
        return FixedCatalog(
            all_views=tuple(View.from_json(text) for text in specs["view"]),
            all_services=tuple(Service.from_json(text) for text in specs["service"]),
            all_on_demand=tuple(OnDemandView.from_json(text) for text in specs["on_demand"]),
            generation=generation,
        )

    def at(self, generation: int) -> FixedCatalog:
        """Return everything ever declared as it stood after an apply, worded as it was; a name's newest version first.

        What was removed by then is still there: its versions stay readable for their pins.
        """
        table = DEFINITION.c
        query = select(DEFINITION).where(table.project == self._project, table.generation <= generation)
        with connected(self._engine) as connection:
            rows = connection.execute(query.order_by(table.generation.desc(), table.name)).all()
        latest: dict[tuple[str, str, str], str] = {}
        for row in rows:
            latest.setdefault((row.kind, row.name, row.version), row.spec)
        specs = {kind: [text for key, text in latest.items() if key[0] == kind] for kind in _KINDS}
        return FixedCatalog(
            all_views=tuple(View.from_json(text) for text in specs["view"]),
            all_services=tuple(Service.from_json(text) for text in specs["service"]),
            all_on_demand=tuple(OnDemandView.from_json(text) for text in specs["on_demand"]),
            generation=generation,
        )

    def pins(self) -> dict[str, tuple[str, ...]]:
        """Return which registered models pin which view, as "model@number" by "view@version"."""
        query = select(PIN).order_by(PIN.c.model, PIN.c.number)
        found: dict[str, tuple[str, ...]] = {}
        with connected(self._engine) as connection:
            for row in connection.execute(query):
                ref = f"{row.view}@{row.version}"
                found[ref] = (*found.get(ref, ()), f"{row.model}@{row.number}")
        return found

    def live(self) -> tuple[LiveModel, ...]:
        """Return the models that hold a slot of this environment."""
        with connected(self._engine) as connection:
            return live_models(connection, self._project)

    def computed(self) -> tuple[View, ...]:
        """Return the views that jobs compute: the current ones, and beside them those that live models pin still."""
        views = {view.ref: view for view in self.views()}
        for name, version in sorted({pin for model in self.live() for pin in model.views.items()}):
            if f"{name}@{version}" not in views:
                try:
                    views[f"{name}@{version}"] = self.view(name, version)
                except NotFoundError:  # pinned in another project, or never applied here
                    continue
        return tuple(views.values())

    def pinned_versions(self, view: View) -> list[int]:
        """Return the versions of a view's table that registered models pin: what a vacuum must keep."""
        query = select(PIN.c.table_version).where(PIN.c.view == view.name, PIN.c.version == view.version)
        with connected(self._engine) as connection:
            return sorted({number for number in connection.execute(query).scalars() if number >= 0})

    def versions(self, name: str) -> tuple[View, ...]:
        """Return every version a view ever had, oldest first, each in its latest wording."""
        query = select(DEFINITION.c.version, DEFINITION.c.spec).where(
            DEFINITION.c.project == self._project, DEFINITION.c.kind == "view", DEFINITION.c.name == name
        )
        with connected(self._engine) as connection:
            rows = connection.execute(query.order_by(DEFINITION.c.generation)).all()
        return tuple(View.from_json(text) for text in {row.version: row.spec for row in rows}.values())

    def history(self) -> list[Applied]:
        """Return every apply, oldest first."""
        query = select(APPLY).where(APPLY.c.project == self._project).order_by(APPLY.c.generation)
        with connected(self._engine) as connection:
            return [_applied(row) for row in connection.execute(query)]

    def apply(self, plan: Applicable, *, actor: str) -> int:
        """Write what the plan changes and return the generation it makes; nothing is written if nothing changes.

        Raises
        ------
        DefinitionError
            If the plan holds a fault.
        ConflictError
            If somebody applied since the plan was made, or a name belongs to another team.
        """
        plan.checked()
        wanted = _wanted(plan)
        with connected(self._engine, writing=True) as connection:
            self._swap(connection, plan.generation)
            present = {(row.kind, row.name): row for row in connection.execute(_current(self._project, retired=True))}
            _refuse_foreign(present, wanted, plan.transfers)
            changed = {key: value for key, value in wanted.items() if _differs(present.get(key), key[0], value)}
            gone = [key for key, row in present.items() if key not in wanted and not row.retired]
            if not changed and not gone:
                connection.rollback()
                return plan.generation
            head = self._write(connection, plan, actor, changed, gone, present)
        if self._notes is not None:
            self._notes.note(self._noted_as, head)
        return plan.generation + 1

    def _swap(self, connection: Connection, seen: int) -> None:
        """Move the generation on from what the plan saw, which also takes the write lock; refuse if it moved."""
        swapped = connection.execute(
            update(GENERATION)
            .where(GENERATION.c.project == self._project, GENERATION.c.generation == seen)
            .values(generation=seen + 1)
        )
        if swapped.rowcount == 1:
            return
        try:
            if seen == 0:
                with connection.begin_nested():
                    connection.execute(insert(GENERATION).values(project=self._project, generation=1))
                return
        except IntegrityError:
            pass
        since = (APPLY.c.project == self._project) & (APPLY.c.generation > seen)
        rows = connection.execute(select(APPLY).where(since).order_by(APPLY.c.generation)).all()
        won = [
            f"{row.actor} applied generation {row.generation} at {moment(row.at_us)} ({shortened(row.summary)})"
            for row in (rows if len(rows) <= _MOST_TOLD else [*rows[:1], *rows[-(_MOST_TOLD - 1) :]])
        ]
        left_out = len(rows) - len(won)
        if left_out:
            won.insert(1, f"{left_out} more")
        raise ConflictError(
            f"the catalogue changed since generation {seen}, which the plan was made against: {'; '.join(won)}",
            fix="run `lineshaft plan` again and look at what is left to change",
        )

    def _write(
        self,
        connection: Connection,
        plan: Applicable,
        actor: str,
        changed: Mapping[tuple[str, str], Definition],
        gone: Sequence[tuple[str, str]],
        present: Mapping[tuple[str, str], Row[Any]],
    ) -> Head:
        project, generation = self._project, plan.generation + 1
        kept = [
            Kept(
                kind=kind,
                name=name,
                version=value.version,
                generation=generation,
                team=value.team,
                owner=value.owner,
                spec=value.to_json(),
            )
            for (kind, name), value in changed.items()
        ]
        line = AppliedLine(
            project=project,
            generation=generation,
            at_us=self._clock.now_us(),
            actor=actor,
            summary=plan.summary,
            wrote=tuple(sorted((one.kind, one.name, one.version, digest_of(one)) for one in kept)),
            retired=tuple(sorted(gone)),
            previous_digest="",
            digest="",
        )
        head = add_line(connection, line)
        if kept:
            connection.execute(insert(DEFINITION), [{"project": project, **asdict(one)} for one in kept])
        fresh = []
        for one in kept:
            named = {"project": project, "kind": one.kind, "name": one.name}
            pointer = {"version": one.version, "generation": generation, "retired": False}
            if (one.kind, one.name) in present:
                connection.execute(_pointer(named).values(**pointer))
            else:
                fresh.append({**named, **pointer})
        if fresh:
            connection.execute(insert(CURRENT), fresh)
        for kind, name in gone:
            connection.execute(_pointer({"project": project, "kind": kind, "name": name}).values(retired=True))
        return head

    def account(self) -> CatalogAccount:
        """Return all that is recorded of this project's catalogue at one moment, to be audited."""
        with connected(self._engine, writing=True) as connection:
            same = GENERATION.c.project == self._project  # a write, so that no apply comes between
            connection.execute(update(GENERATION).where(same).values(generation=GENERATION.c.generation))
            account = account_of(connection, self._project)
        return replace(account, noted=self._notes.read(self._noted_as) if self._notes is not None else ())

    def _specs(self, kind: str) -> list[str]:
        with connected(self._engine) as connection:
            return [row.spec for row in connection.execute(_current(self._project)) if row.kind == kind]

    def _spec(self, kind: str, name: str, version: str | None) -> str:
        table = DEFINITION.c
        query = select(table.spec).where(table.project == self._project, table.kind == kind, table.name == name)
        if version is None:
            query = _current(self._project).where(table.kind == kind, table.name == name)
        else:
            query = query.where(table.version == version).order_by(table.generation.desc()).limit(1)
        with connected(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise missing(kind, name, version)
        return str(row.spec)


def shortened(summary: str) -> str:
    """Return the summary of an apply with as many objects as a message bears.

    >>> shortened(", ".join(f"new view v{number}" for number in range(9)))
    'new view v0, new view v1, new view v2, new view v3, new view v4 and 4 more'
    """
    parts = summary.split(", ")
    return ", ".join(parts[:_MOST_TOLD]) + (f" and {len(parts) - _MOST_TOLD} more" if len(parts) > _MOST_TOLD else "")


def _current(project: str, *, retired: bool = False) -> Any:
    """Select the current definitions, by kind and name."""
    keys = ("project", "kind", "name", "version", "generation")
    query = select(DEFINITION, CURRENT.c.retired).where(DEFINITION.c.project == project)
    for key in keys:
        query = query.where(DEFINITION.c[key] == CURRENT.c[key])
    if not retired:
        query = query.where(CURRENT.c.retired.is_(False))
    return query.order_by(DEFINITION.c.kind, DEFINITION.c.name)


def _pointer(named: Mapping[str, str]) -> Any:
    query = update(CURRENT)
    for key, value in named.items():
        query = query.where(CURRENT.c[key] == value)
    return query


def _generation(connection: Connection, project: str) -> int:
    found = connection.execute(select(GENERATION.c.generation).where(GENERATION.c.project == project)).scalar()
    return int(found or 0)


def _wanted(plan: Applicable) -> dict[tuple[str, str], Definition]:
    groups: dict[str, Iterable[Definition]] = {
        "view": plan.views,
        "on_demand": plan.on_demand,
        "service": plan.services,
    }
    return {(kind, value.name): value for kind, values in groups.items() for value in values}


def _differs(row: Row[Any] | None, kind: str, value: Definition) -> bool:
    """Tell whether a definition says something new; standing on another line is no change."""
    if row is None or row.retired:
        return True
    old = _KINDS[kind].from_json(row.spec)
    if isinstance(old, View) and isinstance(value, View):
        old = replace(old, where=value.where)
    return old != value


def _refuse_foreign(
    present: Mapping[tuple[str, str], Row[Any]],
    wanted: Mapping[tuple[str, str], Definition],
    transfers: frozenset[str],
) -> None:
    """Refuse to hand a name from one team to another unless somebody approved it."""
    for key, value in wanted.items():
        row = present.get(key)
        if row is not None and row.team != value.team and value.name not in transfers:
            raise ConflictError(
                f"{key[0]} {value.name!r} belongs to team {row.team!r} ({row.owner}), not {value.team!r}",
                where=getattr(value, "where", ""),
                fix=f"choose another name, or let {row.owner} approve the transfer",
            )


def _applied(row: Row[Any]) -> Applied:
    return Applied(generation=row.generation, at_us=row.at_us, actor=row.actor, summary=row.summary)


__all__ = ["Applicable", "Applied", "Catalog", "FixedCatalog", "SqlCatalog"]
