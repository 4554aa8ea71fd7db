"""API tokens in the database: made, listed, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, insert, select, update

from lineshaft.access.actors import is_person
from lineshaft.access.principal import Role
from lineshaft.access.tokens import Token, digest_of, mint
from lineshaft.clock import Clock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.registry.engine import connected, open_engine
from lineshaft.registry.token_tables import GRANT, TOKEN

_MOST_NAME = 200


class TokenRegister:
    """The tokens of one project. The tables are made by `lineshaft.registry.migrate`."""

    def __init__(self, database_url: str, *, project: str, clock: Clock) -> None:
        self._engine = open_engine(database_url)
        self._project, self._clock = project, clock
        self._known: tuple[tuple[int, int], dict[str, Token]] | None = None

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def create(
        self, name: str, grants: Mapping[str, Role], *, lives_us: int, actor: str, person: str = ""
    ) -> tuple[Token, str]:
        """Make a token; return what is kept of it, and the secret, which nobody can show again.

        person: the human whom it belongs to, who then stands for what is done with it; else it is a service's.
        """
        if person and not is_person(person):
            raise InputError(f"{person!r} names no person", fix="give the account in one word, as `id -un` tells it")
        if not 0 < len(name) <= _MOST_NAME or not name.isprintable():
            raise InputError(f"{name!r} is no name of a token", fix="say in a few words who is to use it")
        if not grants:
            raise InputError("a token needs a grant", fix="give --grant team:role")
        if lives_us <= 0:
            raise InputError("a token needs a time to live", fix="give --days 90, or 0.5, or leave it out")
        secret, now_us = mint(), self._clock.now_us()
        token = Token(
            id=secrets.token_hex(6),
            name=name,
            digest=digest_of(secret),
            grants=dict(grants),
            created_us=now_us,
            created_by=actor,
            expires_us=now_us + lives_us,
            person=person,
        )
        names = ("id", "name", "digest", "created_us", "created_by", "expires_us", "revoked_us", "revoked_by", "person")
        row = {column: getattr(token, column) for column in names}
        rows = [{"token": token.id, "team": team, "role": role.name.lower()} for team, role in grants.items()]
        with connected(self._engine, writing=True) as connection:
            connection.execute(insert(TOKEN).values(project=self._project, **row))
            connection.execute(insert(GRANT), rows)
        return token, secret

    def all(self) -> list[Token]:
        """Return every token there ever was, oldest first."""
        with connected(self._engine) as connection:
            rows = connection.execute(self._mine(select(TOKEN)).order_by(TOKEN.c.created_us, TOKEN.c.id)).all()
            query = select(GRANT).join(TOKEN, TOKEN.c.id == GRANT.c.token)
            grants: dict[str, dict[str, Role]] = {}
            for grant in connection.execute(self._mine(query)):
                grants.setdefault(grant.token, {})[grant.team] = Role[grant.role.upper()]
        return [_token(row, grants.get(row.id, {})) for row in rows]

    def revoke(self, id: str, *, actor: str) -> Token:  # noqa: A002 - the column's name
        """Revoke a token for good; one that is revoked stays so. Raises `NotFoundError`."""
        mine = self._mine(update(TOKEN)).where(TOKEN.c.id == id, TOKEN.c.revoked_us.is_(None))
        with connected(self._engine, writing=True) as connection:
            connection.execute(mine.values(revoked_us=self._clock.now_us(), revoked_by=actor))
        for token in self.all():
            if token.id == id:
                return token
        raise NotFoundError(f"no token {id!r}", fix="look for its id with `lineshaft tokens list`")

    def by_digest(self) -> Mapping[str, Token]:
        """Return every token by its digest; they are read only if there is one more, or one more is revoked.

        Raises `UnavailableError` where the database does not answer.
        """
        with connected(self._engine) as connection:
            counts = select(func.count(), func.count(TOKEN.c.revoked_us)).select_from(TOKEN)
            total, revoked = connection.execute(self._mine(counts)).one()
        if self._known is None or self._known[0] != (total, revoked):
            self._known = (total, revoked), {token.digest: token for token in self.all()}
        return self._known[1]

    def _mine(self, query: Any) -> Any:
        return query.where(TOKEN.c.project == self._project)


def _token(row: Any, grants: Mapping[str, Role]) -> Token:
    values = {name: getattr(row, name) for name in Token.__slots__ if name not in ("grants", "principal")}
    return Token(grants=grants, **values)
