"""Who stands behind an act: the names that histories keep, read as people and as services.

A history keeps one line of text for who acted. Where somebody has to be another person than somebody else, these texts
are read again: by which human an act was done, and who answers for it where it was a service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MACHINE = "this machine"
"""Whoever asks a server without a guard."""
_OF_A_PERSON = re.compile(r"(?P<person>[^\s,]+), by token [0-9a-f]{12} \(.*\)")
_OF_A_SERVICE = re.compile(r"service token [0-9a-f]{12}, made by (?P<maker>[^\s,]+) \(.*\)")
_SERVICES = ("service ", "token ", "oidc service ", "policy ", "uid ")
_MOST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted: `person` is the human, empty for a service; `behind` is who answers for it, itself if nobody known."""

    person: str
    behind: str


def actor_of(text: str) -> Actor:
    """Read who acted as a history has it; what no person is known of is a service.

    >>> actor_of("ana"), actor_of("ana, by token 0123456789ab (laptop)").person
    (Actor(person='ana', behind='ana'), 'ana')
    >>> actor_of("service token 0123456789ab, made by ana (nightly, by token 0123456789ab (x))")
    Actor(person='', behind='ana')
    >>> actor_of("token of before there were people (0123456789ab)").person, actor_of("uid 1001").person
    ('', '')
    """
    if found := _OF_A_PERSON.fullmatch(text):
        return Actor(person=found["person"], behind=found["person"])
    if found := _OF_A_SERVICE.fullmatch(text):
        return Actor(person="", behind=found["maker"])
    is_service = text == MACHINE or text.startswith(_SERVICES)
    return Actor(person="" if is_service else text, behind=text)


def token_name(*, person: str, made_by: str, token: str, name: str) -> str:
    """Return how a history calls whoever shows a token: its person, or a service and who made its token.

    >>> token_name(person="ana", made_by="root", token="0123456789ab", name="laptop")
    'ana, by token 0123456789ab (laptop)'
    """
    if person:
        return f"{person}, by token {token} ({name[:_MOST_NAME]})"
    return f"service token {token}, made by {made_by} ({name[:_MOST_NAME]})"


def is_person(name: str) -> bool:
    """Tell whether a name may stand for a human: one word that is not read as something else.

    >>> is_person("ana"), is_person("ana, by"), is_person("")
    (True, False, False)
    """
    return bool(re.fullmatch(r"[^\s,]{1,80}", name)) and actor_of(name).person == name
