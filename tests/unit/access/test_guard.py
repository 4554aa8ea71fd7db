"""The guard without any transport: what HTTP and gRPC both ask."""

from __future__ import annotations

import pytest

from lineshaft.access.guard import LOCAL, Guard
from lineshaft.access.principal import Principal, Role
from lineshaft.errors import ForbiddenError, LineshaftError, RateError, UnauthenticatedError
from lineshaft.specs import Service

RULES = {"/s/Probe": Role.ANYONE, "/s/Read": Role.READER, "/s/Write": Role.WRITER, "/s/Rule": Role.ADMIN}
PEOPLE = {
    "lst_reader": {"vibration": Role.READER},
    "lst_writer": {"vibration": Role.WRITER},
    "lst_admin": {"vibration": Role.ADMIN},
    "lst_nobody": {},
}


class Known:
    """Knows four people, lets each ask until told otherwise, and remembers who was sent away."""

    def __init__(self) -> None:
        self.noted: list[dict[str, str]] = []
        self.tired_of = ""

    def principal(self, secret: str) -> Principal:
        """Return who it is."""
        if secret not in PEOPLE:
            raise UnauthenticatedError("nobody knows this token")
        return Principal(name=secret, grants=PEOPLE[secret])

    def take(self, name: str) -> None:
        """Count nothing."""
        if name == self.tired_of:
            raise RateError("too often", retry_ms=7)

    def note(self, **denial: str) -> None:
        """Remember it."""
        self.noted.append(denial)


@pytest.fixture
def known() -> Known:
    """Return those who are known."""
    return Known()


@pytest.fixture
def guard(known: Known) -> Guard:
    """Return a guard that knows them."""
    return Guard(tokens=known, rates=known, denials=known, rules=RULES)


ROLES = {"lst_nobody": Role.ANYONE, "lst_reader": Role.READER, "lst_writer": Role.WRITER, "lst_admin": Role.ADMIN}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("secret", ROLES)
def test_a_role_opens_what_asks_for_it_or_less(guard: Guard, known: Known, secret: str, method: str) -> None:
    """Readers read, writers write too, admins rule too; a token without a grant is one of nobody."""
    if ROLES[secret] >= RULES[method]:
        guard.admit(method, f"Bearer {secret}")
        assert known.noted == []
    else:
        with pytest.raises(ForbiddenError, match=f"{secret} is {RULES[method].name.lower()} of no team"):
            guard.admit(method, f"Bearer {secret}", peer="here")
        assert [(one["who"], one["peer"], one["what"]) for one in known.noted] == [(secret, "here", method)]


def test_what_has_no_rule_nobody_may_call(guard: Guard) -> None:
    """Whoever they are: a call that was forgotten is shut, not open."""
    for authorization in (None, "Bearer lst_admin"):
        with pytest.raises(ForbiddenError, match="no rule lets anybody call /s/New"):
            guard.admit("/s/New", authorization)


@pytest.mark.parametrize("shown", [None, "", "Bearer", "Bearer ", "Basic lst_admin", "lst_admin", "Bearer a.b.c"])
def test_who_shows_nothing_that_is_taken_here_is_nobody(guard: Guard, shown: str | None) -> None:
    """Neither no token, nor half of a header, nor a token of a kind that nobody here can check."""
    with pytest.raises(UnauthenticatedError) as refused:
        guard.admit("/s/Read", shown)
    assert "authorization: Bearer" in refused.value.fix


def test_tokens_of_each_kind_go_to_who_knows_them(known: Known) -> None:
    """A token of ours is never shown to the provider's checks, nor the other way round."""
    with pytest.raises(UnauthenticatedError, match="of this kind are not taken"):
        Guard(openid=known, denials=known, rules=RULES).admit("/s/Read", "Bearer lst_admin")
    with pytest.raises(UnauthenticatedError, match="nobody knows this token"):
        Guard(openid=known, denials=known, rules=RULES).admit("/s/Read", "Bearer a.b.c")


def test_who_asks_too_often_is_refused_and_noted(guard: Guard, known: Known) -> None:
    """With the time to wait; others go on."""
    known.tired_of = "lst_reader"
    with pytest.raises(RateError) as refused:
        guard.admit("/s/Read", "Bearer lst_reader")
    guard.admit("/s/Read", "bearer lst_admin")
    assert refused.value.retry_ms == 7
    assert [one["who"] for one in known.noted] == ["lst_reader"]


def test_a_caller_reads_what_its_team_may(guard: Guard, known: Known) -> None:
    """A denial names the thing, its team and what to do, and is noted as one of this call."""
    caller = guard.admit("/s/Read", "Bearer lst_reader", peer="here")
    caller.must_read(Service(name="mine", views=(), team="vibration"))
    with pytest.raises(ForbiddenError, match="may not read 'theirs', which belongs to team 'power'") as refused:
        caller.must_read(Service(name="theirs", views=(), team="power"))
    assert "power:reader" in refused.value.fix
    assert [(one["who"], one["peer"], one["what"]) for one in known.noted] == [("lst_reader", "here", "/s/Read")]


def test_a_caller_writes_for_every_team_that_reads_it(guard: Guard, known: Known) -> None:
    """What is pushed changes the features of each of them: one grant is not enough where two teams read."""
    caller = guard.admit("/s/Write", "Bearer lst_writer", peer="here")
    caller.must_write("blocks", ["vibration"])
    with pytest.raises(ForbiddenError, match="may not write 'blocks', which team 'power' reads") as refused:
        caller.must_write("blocks", ["vibration", "power"])
    assert "power:writer" in refused.value.fix
    assert len(known.noted) == 1
    with pytest.raises(ForbiddenError):
        guard.admit("/s/Read", "Bearer lst_reader").must_write("blocks", ["vibration"])


def test_a_caller_who_asks_again_is_asked_again(guard: Guard, known: Known) -> None:
    """On a stream: what held at its start need not hold now."""
    caller = guard.admit("/s/Read", "Bearer lst_reader")
    caller.again()
    known.tired_of = "lst_reader"
    with pytest.raises(LineshaftError):
        caller.again()


def test_the_host_may_have_everything() -> None:
    """Where there is no guard, the server listens for its own machine alone."""
    LOCAL.again()
    LOCAL.must_read(Service(name="theirs", views=(), team="power"))
