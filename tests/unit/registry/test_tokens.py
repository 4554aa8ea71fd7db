"""Tokens in a database of each kind: made once, found by their digest, revoked for good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from lineshaft.access.actors import Actor, actor_of
from lineshaft.access.principal import Role
from lineshaft.access.tokens import digest_of
from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError, UnavailableError
from lineshaft.registry.engine import open_engine
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tokens import TokenRegister

HOUR_US = 3_600_000_000
READER = {"vibration": Role.READER}


@pytest.fixture
def register(database_url: str, clock: ManualClock) -> Iterator[TokenRegister]:
    """Return the register of one project over a migrated database."""
    upgrade(database_url)
    opened = TokenRegister(database_url, project="plant", clock=clock)
    yield opened
    opened.close()


def test_a_token_comes_back_as_it_was_made(register: TokenRegister) -> None:
    """Grants, times and makers are kept, and listed oldest first."""
    grants = {"vibration": Role.WRITER, "*": Role.READER}
    token, secret = register.create("alarm service", grants, lives_us=HOUR_US, actor="ann")
    other, _ = register.create("bench", READER, lives_us=HOUR_US, actor="ben")

    assert sorted(register.all(), key=lambda one: one.name) == [token, other]
    assert (token.created_us, token.expires_us, token.created_by) == (1_000_000, 1_000_000 + HOUR_US, "ann")
    assert token.grants == grants
    assert register.by_digest()[digest_of(secret)] == token


def test_a_token_acts_in_the_name_of_its_person(register: TokenRegister) -> None:
    """One that belongs to a human acts as that human; another is a service, which whoever made it answers for."""
    words = "of ben, by token 0123456789ab (x)"
    own, _ = register.create(words, READER, lives_us=HOUR_US, actor="root", person="ana")
    service, _ = register.create(words, READER, lives_us=HOUR_US, actor="ben")

    found = {one.id: actor_of(one.principal.name) for one in register.all()}

    assert found == {
        own.id: Actor(person="ana", behind="ana"),
        service.id: Actor(person="", behind="ben"),
    }
    for wrong in ("ana b", "ana,", "this machine", "a" * 81):
        with pytest.raises(InputError, match="names no person"):
            register.create("t", READER, lives_us=HOUR_US, actor="root", person=wrong)


def test_the_secret_is_nowhere_in_the_database(register: TokenRegister, database_url: str) -> None:
    """Whoever reads the tables cannot ask with what stands there."""
    token, secret = register.create("alarm service", READER, lives_us=HOUR_US, actor="ann")
    engine = open_engine(database_url)
    with engine.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM ls_token, ls_token_grant")).all())
    engine.dispose()

    assert token.digest in stored
    assert secret not in stored
    assert secret.removeprefix("lst_") not in stored
    assert secret not in repr(token)


def test_each_secret_is_new_and_long(register: TokenRegister) -> None:
    """256 random bits, in 43 letters after the prefix."""
    secrets = {register.create("x", READER, lives_us=HOUR_US, actor="ann")[1] for _ in range(3)}

    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {47}


def test_a_revoked_token_stays_revoked_by_who_did_it_first(register: TokenRegister, clock: ManualClock) -> None:
    """Revoking twice changes nothing; an unknown id is told."""
    token, _ = register.create("x", READER, lives_us=HOUR_US, actor="ann")
    clock.advance(seconds=1)
    first = register.revoke(token.id, actor="ben")
    clock.advance(seconds=1)

    assert (first.revoked_us, first.revoked_by) == (2_000_000, "ben")
    assert register.revoke(token.id, actor="eve") == first
    with pytest.raises(NotFoundError, match="no token 'nobody'"):
        register.revoke("nobody", actor="ben")


def test_a_revocation_elsewhere_is_seen_at_the_next_look(register: TokenRegister, database_url: str) -> None:
    """One process makes and revokes, another serves; while nothing changes the rows are not read again."""
    serving = TokenRegister(database_url, project="plant", clock=ManualClock())
    token, secret = register.create("x", READER, lives_us=HOUR_US, actor="ann")
    before = serving.by_digest()
    assert serving.by_digest() is before
    register.revoke(token.id, actor="ann")

    assert before[digest_of(secret)].revoked_us is None
    assert serving.by_digest()[digest_of(secret)].revoked_us is not None
    serving.close()


def test_projects_do_not_see_each_others_tokens(register: TokenRegister, database_url: str) -> None:
    """A token of the test environment opens nothing in production, and cannot be revoked from there."""
    token, _ = register.create("x", READER, lives_us=HOUR_US, actor="ann")
    other = TokenRegister(database_url, project="prod", clock=ManualClock())

    assert other.all() == []
    assert other.by_digest() == {}
    with pytest.raises(NotFoundError):
        other.revoke(token.id, actor="eve")
    assert register.all() == [token]
    other.close()


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines"])
def test_a_token_needs_a_name(register: TokenRegister, name: str) -> None:
    """It stands in lists and in the record of denials."""
    with pytest.raises(InputError, match="is no name of a token"):
        register.create(name, READER, lives_us=HOUR_US, actor="ann")


def test_a_token_needs_a_grant_and_an_end(register: TokenRegister) -> None:
    """None lives for ever, none is good for nothing."""
    for grants, lives_us in (({}, HOUR_US), (READER, 0)):
        with pytest.raises(InputError, match=r"needs a (grant|time to live)"):
            register.create("x", grants, lives_us=lives_us, actor="ann")


def test_a_database_without_the_tables_is_told(database_url: str) -> None:
    """A server that cannot read tokens does not start as if there were none."""
    register = TokenRegister(database_url, project="plant", clock=ManualClock())

    with pytest.raises(UnavailableError, match="the database does not answer"):
        register.by_digest()
    register.close()
