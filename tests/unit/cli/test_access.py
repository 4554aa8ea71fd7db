"""`lineshaft tokens` and `lineshaft audit`, as a person or a script calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lineshaft.access.denials import Denials
from lineshaft.access.tokens import digest_of
from lineshaft.clock import SystemClock
from lineshaft.registry.tokens import TokenRegister
from lineshaft.settings import Settings

Lineshaft = Callable[..., Any]


def test_a_token_is_shown_once_and_listed_without_its_secret(lineshaft: Lineshaft) -> None:
    """What is shown is what the database knows the digest of."""
    made = lineshaft("tokens", "create", "alarm service", "--grant", "vibration:reader", "--grant", "power:writer",
                     "--json")  # fmt: skip
    (token,) = json.loads(made.out)
    listed = lineshaft("tokens", "list", "--json")

    assert (token["name"], token["grants"], token["state"]) == (
        "alarm service",
        "power:writer, vibration:reader",
        "live",
    )
    assert token["id"] in [row["id"] for row in json.loads(listed.out)]
    assert token["token"] not in listed.out
    register = TokenRegister(Settings().database(), project=Settings().project, clock=SystemClock())
    assert digest_of(token["token"]) in register.by_digest()
    register.close()


def test_a_person_sees_the_whole_token(lineshaft: Lineshaft) -> None:
    """On one line, to be copied."""
    said = lineshaft("tokens", "create", "bench", "--grant", "*:reader", "--days", "0.5").out

    assert "not shown again" in said
    assert [len(word) for word in said.split() if word.startswith("lst_")] == [47]


def test_a_team_that_owns_nothing_is_named(lineshaft: Lineshaft) -> None:
    """A team spelt wrong makes a token that opens nothing: it is made, for a team may come, and said."""
    said = lineshaft("tokens", "create", "z", "--grant", "vibratoin:reader", "--grant", "vibration:reader", "--json")
    every = lineshaft("tokens", "create", "z", "--grant", "*:reader", "--json")

    assert (said.code, len(json.loads(said.out))) == (0, 1)
    assert said.err == "nothing in the catalogue is of team vibratoin: is it spelt so?\n"
    assert every.err == ""


def test_a_token_of_no_time_is_refused_as_such(lineshaft: Lineshaft) -> None:
    """The grant that was given is not asked for again."""
    said = lineshaft("tokens", "create", "z", "--grant", "vibration:reader", "--days", "0")

    assert said.code == 1
    assert said.err.startswith("LS-INP  a token needs a time to live\n")
    assert "--days 90" in said.err
    assert "--grant" not in said.err


def test_a_revoked_token_is_listed_as_such(lineshaft: Lineshaft) -> None:
    """By its id, by whom and when."""
    (token,) = json.loads(lineshaft("tokens", "create", "x", "--grant", "a:admin", "--json").out)
    lineshaft("tokens", "revoke", token["id"])
    (row,) = (row for row in json.loads(lineshaft("tokens", "list", "--json").out) if row["id"] == token["id"])

    assert row["state"] == "revoked"
    assert row["revoked"] >= row["created"]


def test_the_record_of_denials_is_read(lineshaft: Lineshaft) -> None:
    """The newest last, as many as are asked for."""
    assert "nothing yet" in lineshaft("audit").out
    denials = Denials(Settings().home / "audit", clock=SystemClock())
    for name in ("ana", "ben"):
        denials.note(who=name, peer="ipv4:10.0.0.7:1", what="/s/M", why="LS-FOR not yours")

    (row,) = json.loads(lineshaft("audit", "--last", "1", "--json").out)
    assert (row["who"], row["peer"], row["why"], row["count"]) == ("ben", "ipv4:10.0.0.7", "LS-FOR not yours", 1)
    assert "ana" in lineshaft("audit").out
