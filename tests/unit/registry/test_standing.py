"""Evidence, approvals by other people, quarantine and retirement; on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, ForbiddenError, NotFoundError
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Consent, Slot, State, Verdict
from lineshaft.registry.tables import APPROVAL
from lineshaft.specs import Evidence, Figure

PASS = Verdict(gate="bar", outcome="pass", detail="")
ASKED = Consent(people=2, policy_sha256="d" * 64)
PROD: dict[str, Any] = {"environment": "prod", "reason": "it is better"}
DAY_US = 86_400_000_000
SHOWN = Evidence(rows="e", n=9, groups=3, figures={"rmse": Figure(value=2.0, low=None, high=3.25)}, unseen=("p", "q"))


@pytest.fixture
def three(registry: ModelRegistry, candidate: Candidate) -> ModelRegistry:
    """Return a registry with three versions that passed, all registered by ana."""
    for _ in range(3):
        number = registry.register(candidate, actor="ana").number
        registry.judge("rul", number, PASS, actor="gate")
    return registry


def approve(registry: ModelRegistry, actor: str, consent: Consent = ASKED, number: int = 1) -> None:
    """Approve for a day."""
    registry.approve("rul", number, consent=consent, lasts_us=DAY_US, actor=actor, reason="looked at it")


def test_evidence_is_kept_as_it_was_found(registry: ModelRegistry, candidate: Candidate) -> None:
    """Figures, intervals, counts and rows come back unchanged, oldest first, each of its own version."""
    registry.register(candidate, actor="ana")
    registry.register(candidate, actor="ana")
    beside = Evidence(rows="e", n=0, groups=0, against="rul@1", why_not="it saw every asset")
    registry.attest("rul", 2, SHOWN, actor="ana")
    registry.attest("rul", 2, beside, actor="ana")

    assert registry.evidence("rul", 2) == [SHOWN, beside]
    assert registry.evidence("rul", 1) == []
    lines = [(line.action, line.before, line.after, line.reason) for line in registry.history("rul")[2:]]
    assert lines == [
        ("attest", "registered", "registered", "9 rows of 3 assets held out"),
        ("attest", "registered", "registered", "beside rul@1"),
    ]
    assert faults(registry.account("rul")) == []


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        (("pass", "pass"), State.VALIDATED),
        (("pass", "unknown"), State.REGISTERED),
        (("pass", "error"), State.REGISTERED),
        (("fail", "pass"), State.REJECTED),
        (("unknown", "fail"), State.REJECTED),
    ],
)
def test_a_version_passes_if_every_gate_does(
    registry: ModelRegistry, candidate: Candidate, outcomes: tuple[str, str], state: State
) -> None:
    """Each gate has its verdict and its line; one that cannot tell keeps a version where it is."""
    registry.register(candidate, actor="ana")
    verdicts = [replace(PASS, gate=f"g{i}", outcome=one, figures={"n": i}) for i, one in enumerate(outcomes)]

    judged = registry.judge("rul", 1, *verdicts, actor="gate")

    assert judged.state is registry.get("rul", 1).state is state
    assert registry.verdicts("rul", 1) == verdicts[::-1]
    assert [(line.before, line.after) for line in registry.history("rul")[1:]] == [
        ("registered", "registered"),
        ("registered", state),
    ]
    assert faults(registry.account("rul")) == []


def test_so_many_others_must_agree(three: ModelRegistry) -> None:
    """Who promotes and who registered do not count; each other person counts once; the history names them."""
    with pytest.raises(ForbiddenError, match="needs the approval of 2, and has that of 0") as alone:
        three.promote("rul", 1, actor="ben", consent=ASKED, **PROD)
    assert alone.value.fix == "ask anybody but ana, ben: `lineshaft models approve rul@1 --reason …`"
    approve(three, "ben")
    approve(three, "eve")
    with pytest.raises(ForbiddenError, match="has that of 1"):
        three.promote("rul", 1, actor="ben", consent=ASKED, **PROD)
    approve(three, "joe")

    three.promote("rul", 1, actor="ben", consent=ASKED, **PROD)

    assert three.history("rul")[-1].reason == "it is better; approved by eve, joe"
    assert [one.actor for one in three.approvals("rul", 1)] == ["ben", "eve", "joe"]
    assert three.promote("rul", 2, actor="ben", slot=Slot.SHADOW, consent=ASKED, **PROD).slot is Slot.SHADOW
    assert faults(three.account("rul")) == []


def test_an_approval_is_of_one_version_one_policy_and_one_time(three: ModelRegistry, clock: ManualClock) -> None:
    """Under a changed policy, for another version, or too late, it counts for nothing, and that is said."""
    one = replace(ASKED, people=1)
    approve(three, "eve", one)

    with pytest.raises(ForbiddenError, match="1 expired, or of another policy"):
        three.promote("rul", 1, actor="ben", consent=replace(one, policy_sha256="f" * 64), **PROD)
    with pytest.raises(ForbiddenError, match="has that of 0"):
        three.promote("rul", 2, actor="ben", consent=one, **PROD)
    clock.advance(seconds=86_400)
    with pytest.raises(ForbiddenError, match="1 expired"):
        three.promote("rul", 1, actor="ben", consent=one, **PROD)
    approve(three, "eve", one)
    assert three.promote("rul", 1, actor="ben", consent=one, **PROD).number == 1


def test_who_may_not_approve_is_told_who_may(three: ModelRegistry) -> None:
    """Not one's own version, not out of turn, not twice, and not what did not pass; nothing is written then."""
    among = replace(ASKED, among=("ana", "eve"))

    with pytest.raises(ForbiddenError, match="ana registered rul@1") as own:
        approve(three, "ana", among)
    assert own.value.fix == "ask eve"
    with pytest.raises(ForbiddenError, match="ben is none of those who may approve 'rul'"):
        approve(three, "ben", among)
    approve(three, "eve", among)
    with pytest.raises(ConflictError, match="eve has approved rul@1 already"):
        approve(three, "eve", among)
    three.judge("rul", 2, replace(PASS, outcome="fail"), actor="gate")
    with pytest.raises(ConflictError, match="rul@2 is rejected, not validated"):
        approve(three, "eve", among, number=2)
    with three.engine.connect() as connection:
        assert len(connection.execute(select(APPROVAL)).all()) == 1


ANAS_TOKEN = "ana, by token 0123456789ab (laptop)"
ANAS_SERVICE = "service token 0123456789ac, made by ana (nightly)"
EVES_SERVICE = "service token 0123456789ad, made by eve (checks)"


@pytest.mark.parametrize("author", ["ana", ANAS_TOKEN, ANAS_SERVICE])
@pytest.mark.parametrize("approver", ["ana", ANAS_TOKEN])
def test_who_stands_behind_an_author_is_no_other_person(
    registry: ModelRegistry, candidate: Candidate, author: str, approver: str
) -> None:
    """By account, by a token of one's own, or by a service whose token one made: one person, who cannot approve."""
    registry.register(candidate, actor=author)
    registry.judge("rul", 1, PASS, actor="gate")

    with pytest.raises(ForbiddenError, match=r"registered rul@1.*cannot approve it"):
        approve(registry, approver)
    with pytest.raises(ForbiddenError, match=r"registered rul@1.*cannot approve it"):
        approve(registry, ANAS_SERVICE, replace(ASKED, services=True))
    assert registry.approvals("rul", 1) == []


@pytest.mark.parametrize(
    "service", [EVES_SERVICE, "this machine", "oidc service 7", "token old (0123456789ae)", "uid 7"]
)
def test_services_approve_only_where_the_policy_says_so(three: ModelRegistry, service: str) -> None:
    """No service is a person; one that may approve stands for who made its token, and that one counts once."""
    with pytest.raises(ForbiddenError, match="is a service: only people approve rul@1") as refused:
        approve(three, service)
    assert "services: true" in refused.value.fix

    let = replace(ASKED, services=True)
    approve(three, service, let)
    with pytest.raises(ForbiddenError, match="has that of 0"):
        three.promote("rul", 1, actor="ben", consent=ASKED, **PROD)
    with pytest.raises(ForbiddenError, match="has that of 1"):
        three.promote("rul", 1, actor="ben", consent=let, **PROD)


def test_one_person_with_many_names_is_one(three: ModelRegistry) -> None:
    """Eve's account, her token and her service are one approval, and none where she promotes; the history says eve."""
    let = replace(ASKED, services=True)
    approve(three, "eve, by token 0123456789af (phone)", let)
    for again in ("eve", EVES_SERVICE):
        with pytest.raises(ConflictError, match="eve has approved rul@1 already"):
            approve(three, again, let)
    approve(three, "joe", let)
    with pytest.raises(ForbiddenError, match="has that of 1"):
        three.promote("rul", 1, actor=EVES_SERVICE, consent=let, **PROD)

    three.promote("rul", 1, actor="ben", consent=let, **PROD)

    assert three.history("rul")[-1].reason == "it is better; approved by eve, joe"


def test_a_quarantined_champion_is_followed_by_the_last_good_one_at_once(three: ModelRegistry) -> None:
    """In every environment, in one step; its other slots are left, and it can never be assigned again."""
    for number, environment in ((1, "prod"), (2, "prod"), (3, "prod"), (2, "dev"), (3, "dev"), (2, "stage")):
        three.promote("rul", number, actor="ben", environment=environment, reason="newer")
    three.promote("rul", 3, actor="ben", environment="stage", reason="newer", slot=Slot.CHALLENGER)

    returned = three.quarantine("rul", 3, actor="eve", reason="label leak")

    assert sorted((one.environment, one.number) for one in returned) == [("dev", 2), ("prod", 2)]
    assert three.champion("rul", "prod").number == three.champion("rul", "dev").number == 2
    assert three.held("rul", "stage", Slot.CHALLENGER) is None
    with pytest.raises(ConflictError, match="rul@3 is quarantined, not validated"):
        three.promote("rul", 3, actor="ben", **PROD)
    with pytest.raises(ConflictError, match="rul@3 is quarantined"):
        three.promote("rul", 3, actor="ben", slot=Slot.SHADOW, **PROD)
    with pytest.raises(ConflictError, match="is quarantined: it cannot be"):
        three.judge("rul", 3, PASS, actor="gate")
    assert three.rollback("rul", actor="eve", **PROD).number == 1
    assert "rul@3 was quarantined: label leak" in {line.reason for line in three.history("rul")}
    assert faults(three.account("rul")) == []


def test_the_only_champion_is_not_quarantined(three: ModelRegistry) -> None:
    """Nobody would answer: it is refused with what to do, and nothing at all has changed, also not elsewhere."""
    for number, environment in ((1, "dev"), (2, "dev"), (2, "prod")):
        three.promote("rul", number, actor="ben", environment=environment, reason="newer")
    before = three.account("rul")

    with pytest.raises(NotFoundError, match="no earlier champion in 'prod' to go back to") as refused:
        three.quarantine("rul", 2, actor="eve", reason="label leak")

    assert refused.value.fix == "promote another version: `lineshaft models promote`"
    assert three.account("rul") == before
    assert three.champion("rul", "dev").number == 2


def test_what_is_not_needed_is_retired_unless_it_holds_a_slot(three: ModelRegistry) -> None:
    """Retired is for good; a version that still serves, challenges or watches is not."""
    three.promote("rul", 1, actor="ben", **PROD)
    three.promote("rul", 2, actor="ben", slot=Slot.SHADOW, **PROD)

    for number, slot in ((1, "champion"), (2, "shadow")):
        with pytest.raises(ConflictError, match=f"rul@{number} is {slot} in 'prod'"):
            three.retire("rul", number, actor="eve", reason="old")
    three.retire("rul", 3, actor="eve", reason="old")

    assert three.get("rul", 3).state is State.RETIRED
    with pytest.raises(ConflictError, match="is retired: it cannot be quarantined any more"):
        three.quarantine("rul", 3, actor="eve", reason="old")
    assert faults(three.account("rul")) == []
