"""Who may agree to a version, and whether enough people did: pure, from the approvals that are recorded.

People are told apart by who stands behind a name (`lineshaft.access.actors`): somebody's account and somebody's tokens
are one person, a service is none, and who made a service's token answers for what it does.
"""

from __future__ import annotations

from collections.abc import Sequence

from lineshaft.access.actors import actor_of
from lineshaft.errors import ConflictError, ForbiddenError
from lineshaft.registry.records import Approval, Consent, ModelVersion, State


def refuse_approver(
    version: ModelVersion, consent: Consent, given: Sequence[Approval], *, actor: str, at_us: int
) -> None:
    """Refuse an approval that would count for nothing.

    Raises `ConflictError` where the version did not pass its gates or the actor agreed already, `ForbiddenError` where
    the actor is a service, answers for who registered it, or is none of those the policy names.
    """
    if version.state is not State.VALIDATED:
        raise ConflictError(
            f"{version.ref} is {version.state}, not validated", fix="approve what passed its gates: `lineshaft models`"
        )
    person, author = actor_of(actor).behind, actor_of(version.actor).behind
    if not (actor_of(actor).person or consent.services):
        what = f"{actor} is a service: only people approve {version.ref}"
        fix = f"ask {who(consent, besides=(author,))}, or let services: the policy's `approvals: {{services: true}}`"
        raise ForbiddenError(what, fix=fix)
    if person == author:
        what = f"{person} registered {version.ref} and cannot approve it"
        if version.actor not in (person, actor):
            what = f"{person} answers for {version.actor}, which registered {version.ref}, and cannot approve it"
        raise ForbiddenError(what, fix=f"ask {who(consent, besides=(person,))}")
    if consent.among and person not in consent.among:
        what = f"{person} is none of those who may approve {version.model!r}"
        raise ForbiddenError(what, fix=f"ask {who(consent, besides=(author,))}")
    if person in _valid(given, consent, at_us=at_us):
        raise ConflictError(f"{person} has approved {version.ref} already", fix="ask somebody else")


def agreed(
    version: ModelVersion, consent: Consent, given: Sequence[Approval], *, actor: str, at_us: int
) -> tuple[str, ...]:
    """Return who agreed to a promotion by `actor`.

    Raises `ForbiddenError` where they are fewer than the policy asks for; it says who may approve, and how.
    """
    not_alone = {actor_of(actor).behind, actor_of(version.actor).behind}
    people = tuple(one for one in _valid(given, consent, at_us=at_us) if one not in not_alone)
    if len(people) < consent.people:
        lapsed = len({actor_of(one.actor).behind for one in given} - set(people) - not_alone)
        also = f"; {lapsed} expired, or of another policy" if lapsed else ""
        raise ForbiddenError(
            f"{version.ref} needs the approval of {consent.people}, and has that of {len(people)}{also}",
            where=f"policy {consent.policy_sha256[:12]}",
            fix=f"ask {who(consent, besides=sorted(not_alone))}: `lineshaft models approve {version.ref} --reason …`",
        )
    return people


def who(consent: Consent, *, besides: Sequence[str]) -> str:
    """Return in words who may approve.

    >>> who(Consent(people=1, among=("ana", "ben")), besides=["ana"]), who(Consent(people=1), besides=["ana", "eve"])
    ('ben', 'anybody but ana, eve')
    """
    able = ", ".join(one for one in consent.among if one not in besides)
    return able or f"anybody but {', '.join(besides)}"


def _valid(given: Sequence[Approval], consent: Consent, *, at_us: int) -> list[str]:
    """Return whose approvals are of this policy, not expired, and of those whom it names; each once."""
    actors = [
        actor_of(one.actor) for one in given if one.policy_sha256 == consent.policy_sha256 and at_us < one.expires_us
    ]
    people = [one.behind for one in actors if one.person or consent.services]
    return list(dict.fromkeys(one for one in people if not consent.among or one in consent.among))
