"""Where assets stand: which site's champion answers for them, since when, and who said so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import Clock
from lineshaft.errors import ConflictError, InputError
from lineshaft.registry import ledger
from lineshaft.registry.engine import connected
from lineshaft.registry.site_tables import PLACED

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """That an asset stood at a site; still does while `valid_to_us` is None."""

    asset_id: str
    site: str
    actor: str
    reason: str
    valid_from_us: int
    valid_to_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """The sites of one environment's assets; servers follow a change as they follow a promotion."""

    engine: Engine
    clock: Clock

    def place(self, placed: Mapping[str, str], *, environment: str, actor: str, reason: str) -> int:
        """Say at which site assets stand from now on, "" for none; return how many stood elsewhere before.

        Raises
        ------
        InputError
            If a site's name is none.
        ConflictError
            If somebody else places the same assets.
        """
        for site in set(placed.values()) - {""}:
            refuse_site(site)
        now = self.clock.now_us()
        try:
            with connected(self.engine, writing=True) as connection:
                ledger.advance(connection, environment, now)  # first: writers wait here for one another
                is_open = (PLACED.c.environment == environment) & PLACED.c.valid_to_us.is_(None)
                held = {row.asset_id: row for row in connection.execute(select(PLACED).where(is_open)).all()}
                stood = {name: row.site for name, row in held.items()}
                moved = {name: site for name, site in placed.items() if site != stood.get(name, "")}
                ended = [held[name].id for name in moved if name in held]
                for first in range(0, len(ended), _AT_ONCE):
                    these = PLACED.c.id.in_(ended[first : first + _AT_ONCE])
                    connection.execute(update(PLACED).where(these).values(valid_to_us=now))
                told = {"environment": environment, "actor": actor, "reason": reason, "valid_from_us": now}
                rows = [{"asset_id": name, "site": site, **told} for name, site in moved.items() if site]
                if rows:
                    connection.execute(insert(PLACED), rows)
        except IntegrityError as error:
            raise ConflictError("somebody else placed these assets first", fix="look again and repeat") from error
        return len(moved)

    def placed(self, environment: str) -> Mapping[str, str]:
        """Return the site of each asset that stands at one."""
        is_open = (PLACED.c.environment == environment) & PLACED.c.valid_to_us.is_(None)
        with connected(self.engine) as connection:
            rows = connection.execute(select(PLACED.c.asset_id, PLACED.c.site).where(is_open)).all()
        return {row.asset_id: row.site for row in rows}

    def history(self, environment: str, *, asset_id: str = "") -> Sequence[Placement]:
        """Return where assets stood and stand, oldest first; of one where it is named."""
        query = select(PLACED).where(PLACED.c.environment == environment).order_by(PLACED.c.id)
        query = query.where(PLACED.c.asset_id == asset_id) if asset_id else query
        with connected(self.engine) as connection:
            rows = connection.execute(query).all()
        return [Placement(**{name: getattr(row, name) for name in Placement.__slots__}) for row in rows]


def refuse_site(name: str) -> None:
    """Refuse what is no site's name: the history writes it beside a slot's.

    Raises
    ------
    InputError
        If it is empty, longer than 80, or holds anything but letters, digits, dots, _ and -.
    """
    if _NAME.match(name) is None:
        raise InputError(f"{name[:80]!r} names no site", fix="use letters, digits, dots, _ and -, as plant-b")
