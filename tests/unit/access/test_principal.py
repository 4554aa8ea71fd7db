"""Grants, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.access.principal import Principal, Role, grant_texts, grants_of
from lineshaft.errors import InputError
from lineshaft.specs import Service

TEAMS = st.sampled_from(["vibration", "process", "power-2", "*"])
GRANTS = st.dictionaries(TEAMS, st.sampled_from([Role.READER, Role.WRITER, Role.ADMIN]))


@pytest.mark.parametrize(
    "text",
    ["", "vibration", "vibration:", ":reader", "vibration:owner", "vibration:anyone", "a b:reader", "vib\n:reader",
     "vibration:reader\n", "**:reader", "vibration:READER", "größe:reader"],
)  # fmt: skip
def test_what_is_no_grant_is_refused(text: str) -> None:
    """A misspelt role must not become another one."""
    with pytest.raises(InputError, match="is no grant"):
        grants_of([text])


@settings(deadline=None)
@given(GRANTS)
def test_grants_are_read_as_they_are_written(grants: dict[str, Role]) -> None:
    """Nothing is lost between a list and what was given."""
    assert grants_of(grant_texts(grants)) == grants


def test_of_two_grants_for_a_team_the_higher_counts() -> None:
    """Groups of a provider overlap."""
    assert grants_of(["a:writer", "a:reader"]) == {"a": Role.WRITER}


def may(grants: list[str], *, team: str = "vibration", readers: tuple[str, ...] = ()) -> bool:
    """Tell whether grants let somebody read a service."""
    service = Service(name="s", views=(), team=team, readers=readers)
    return Principal(name="x", grants=grants_of(grants)).may_read(service)


@pytest.mark.parametrize("role", ["reader", "writer", "admin"])
def test_a_service_is_read_by_its_own_team(role: str) -> None:
    """Every role includes reading, in the team it is for."""
    assert may([f"vibration:{role}"])
    assert not may([f"process:{role}"])
    assert may([f"*:{role}"])


def test_a_service_is_read_by_the_teams_it_names() -> None:
    """Its owners say who; nobody else gains, and an admin of another team neither."""
    assert may(["process:reader"], readers=("power", "process"))
    assert not may(["process:admin"], readers=("power",))
    assert may(["anything:reader"], readers=("*",))


def test_nobody_reads_without_a_grant() -> None:
    """Also what is shared with every team, and what has no team."""
    assert not may([], readers=("*",))
    assert not may([], team="")
    assert not may(["vibration:reader"], team="")


@settings(deadline=None)
@given(GRANTS, TEAMS.filter(lambda team: team != "*"))
def test_grants_elsewhere_never_open_a_teams_own_service(grants: dict[str, Role], team: str) -> None:
    """Whatever somebody may do in other teams: without a role here or everywhere, an unshared service stays shut."""
    others = {name: role for name, role in grants.items() if name not in (team, "*")}

    assert not Principal(name="x", grants=others).may_read(Service(name="s", views=(), team=team))
