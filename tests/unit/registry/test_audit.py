"""What was done to a registry by other ways than its acts is found; on both databases."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from lineshaft.clock import ManualClock
from lineshaft.errors import CorruptError
from lineshaft.registry.audit import Account, faults
from lineshaft.registry.engine import open_engine
from lineshaft.registry.history import genesis, seal
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import Consent, Head, Slot, State, Transition, Verdict, ViewPin
from lineshaft.registry.tables import APPROVAL, ASSIGNMENT, EVIDENCE, HEAD, TRANSITION, VERDICT, VERSION
from lineshaft.specs import Evidence, Figure
from lineshaft.testing import small_candidate

TAMPERINGS = 1_000
CANDIDATE = small_candidate(
    features=("a", "b"),
    pins=(ViewPin(view="ant", version="1" * 12, table_version=3),),
    artifact=b'{"a": 1}',
    params={"eta": 0.1},
    metrics={"rmse": 4.5},
)
PASS = Verdict(
    gate="bar", outcome="pass", detail="good enough", policy_sha256="d" * 64, figures={"metric": "rmse", "value": 4.5}
)
SHOWN = Evidence(
    rows="e" * 64,
    n=40,
    groups=4,
    figures={"rmse": Figure(value=4.5, low=4.0, high=5.0, baseline=9.0), "mae": Figure(value=3.0)},
    unseen=("p", "q"),
)
AGREE = Consent(people=1, policy_sha256="d" * 64)


@pytest.fixture
def lived(registry: ModelRegistry, clock: ManualClock) -> ModelRegistry:
    """Return a registry with a past: versions, evidence, all verdicts, approvals, slots taken, lost and left."""
    for outcome in ("pass", "pass", "fail", "unknown"):
        number = registry.register(CANDIDATE, actor="ana", reason="nightly").number
        registry.attest("rul", number, replace(SHOWN, n=40 + number), actor="ana")
        registry.judge("rul", number, replace(PASS, outcome=outcome), actor="gate")
    for actor, number in (("eve", 1), ("eve", 2), ("joe", 2)):
        registry.approve("rul", number, consent=AGREE, lasts_us=10**9, actor=actor, reason="looked at it")
    for number, slot in ((1, Slot.CHAMPION), (2, Slot.CHALLENGER), (4, Slot.SHADOW), (2, Slot.CHAMPION)):
        clock.advance(seconds=1)
        asked = AGREE if slot is Slot.CHAMPION else Consent()
        registry.promote("rul", number, environment="prod", actor="ben", reason="newer", slot=slot, consent=asked)
    registry.clear("rul", environment="prod", slot=Slot.SHADOW, actor="ben", reason="enough seen")
    registry.quarantine("rul", 2, actor="eve", reason="worse at night")
    registry.retire("rul", 3, actor="eve", reason="never needed")
    return registry


def sealed(lines: Sequence[Transition], since: int = 0) -> list[Transition]:
    """Return lines sealed anew from one of them on, as somebody who knows how would."""
    made = list(lines[:since])
    for line in lines[since:]:
        linked = replace(line, previous_digest=made[-1].digest if made else genesis("rul"))
        made.append(replace(linked, digest=seal(linked)))
    return made


def other(value: Any, dice: random.Random) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, State | Slot):
        return dice.choice([one for one in type(value) if one is not value])
    if isinstance(value, bool | int | float):
        return value + dice.choice([-1, 1, 1000])
    if isinstance(value, str):
        return value[:-1] if value and dice.random() < 0.5 else value + dice.choice("0aZ ")
    if isinstance(value, Figure):
        return changed([value], dice)[0][0]
    if isinstance(value, Mapping) and value:
        name = dice.choice(sorted(value))
        return {**value, name: other(value[name], dice)}
    if isinstance(value, tuple):
        return value[:-1] if value else ("x",)
    return None if value is not None else 5


def changed(items: Sequence[Any], dice: random.Random, *, but: tuple[str, ...] = ()) -> tuple[list[Any], int]:
    """Change one field of one record."""
    at = dice.randrange(len(items))
    name = dice.choice([field.name for field in fields(items[at]) if field.name not in but])
    return [*items[:at], replace(items[at], **{name: other(getattr(items[at], name), dice)}), *items[at + 1 :]], at


def edit_line(account: Account, dice: random.Random) -> Account:
    """Change a word of the history."""
    return replace(account, lines=changed(account.lines, dice)[0])


def edit_and_seal(account: Account, dice: random.Random) -> Account:
    """Change a word and seal every line after it anew; half the time the head is made to fit."""
    lines, at = changed(account.lines, dice, but=("digest", "previous_digest"))
    lines = sealed(lines, at)
    head = Head(length=len(lines), digest=lines[-1].digest) if dice.random() < 0.5 else account.head
    return replace(account, lines=lines, head=head)


def take_out(account: Account, dice: random.Random) -> Account:
    """Take lines out of the middle, and close the gap with new seals half the time."""
    at = dice.randrange(len(account.lines) - 1)
    left = [*account.lines[:at], *account.lines[at + 1 + dice.randrange(len(account.lines) - at - 1) :]]
    return replace(account, lines=sealed(left) if dice.random() < 0.5 else left)


def cut_off(account: Account, dice: random.Random) -> Account:
    """Cut the end off, and make the head fit half the time."""
    left = list(account.lines[: dice.randrange(len(account.lines))])
    fits = Head(length=len(left), digest=left[-1].digest if left else genesis("rul"))
    return replace(account, lines=left, head=fits if dice.random() < 0.5 else account.head)


def reorder(account: Account, dice: random.Random) -> Account:
    """Swap two lines, and seal all anew half the time."""
    one, two = dice.sample(range(len(account.lines)), 2)
    lines = list(account.lines)
    lines[one], lines[two] = lines[two], lines[one]
    return replace(account, lines=sealed(lines) if dice.random() < 0.5 else lines)


def put_in(account: Account, dice: random.Random) -> Account:
    """Put in a line that never was, sealed well, with all after it."""
    at = dice.randrange(len(account.lines) + 1)
    forged = replace(dice.choice(account.lines), actor="mallory")
    lines = sealed([*account.lines[:at], forged, *account.lines[at:]], at)
    return replace(account, lines=lines, head=Head(length=len(lines), digest=lines[-1].digest))


def edit_tables(account: Account, dice: random.Random) -> Account:
    """Change or take away a record of what is, what was found, said or agreed to, and leave the history alone."""
    kind = dice.choice(["versions", "verdicts", "evidence", "approvals", "assignments"])
    records: list[Any] = list(getattr(account, kind))
    if dice.random() < 0.3:
        del records[dice.randrange(len(records))]
    elif kind in {"verdicts", "evidence", "approvals"}:
        at = dice.randrange(len(records))
        records[at] = (records[at][0], changed([records[at][1]], dice)[0][0])
    else:
        but = ("id",) if kind == "assignments" else ("pins",)
        records = changed(records, dice, but=but)[0]
    tampered: Account = replace(account, **{kind: records})  # type: ignore[arg-type]
    return tampered


KINDS: tuple[Callable[[Account, random.Random], Account], ...] = (
    *(edit_line, edit_and_seal, take_out, cut_off, reorder, put_in, edit_tables),
)


def test_of_a_thousand_tamperings_a_thousand_are_found(lived: ModelRegistry) -> None:
    """Edits, deletions, reorderings, forgeries and truncations, sealed anew or not; the untouched account is right."""
    account, dice = lived.account("rul"), random.Random(7)
    assert faults(account) == []
    assert account.noted[-1].length == len(account.lines) == 24
    done, found = Counter[str](), Counter[str]()

    while done.total() < TAMPERINGS:
        kind = dice.choice(KINDS)
        tampered = kind(account, dice)
        if tampered == account:  # two lines alike were swapped: nothing happened
            continue
        done[kind.__name__] += 1
        found[kind.__name__] += bool(faults(tampered))

    assert found == done
    assert min(done.values()) > TAMPERINGS / len(KINDS) / 2


def test_what_changes_the_database_is_found_there(lived: ModelRegistry) -> None:
    """Each of these by one statement of SQL, with the words that name it; put back, all is right again."""
    open_champion = ASSIGNMENT.c.valid_to_us.is_(None) & (ASSIGNMENT.c.slot == "champion")
    statements: dict[str, Any] = {
        "altered at line 3": update(TRANSITION).where(TRANSITION.c.action == "judge").values(reason="none"),
        "has 23 lines and does not end": delete(TRANSITION).where(TRANSITION.c.action == "retire"),
        "has 0 lines and does not end": delete(TRANSITION),
        "has 24 lines and does not end": delete(HEAD),
        "rul@2 is validated, its history says quarantined": update(VERSION).values(state="validated"),
        "rul@2 is not as it was registered": update(VERSION).values(artifact_sha256="0" * 64),
        "who held prod:champion=2 and when is not": update(ASSIGNMENT).where(open_champion).values(number=2),
        "verdicts of rul@3 is not as it was given": update(VERDICT).values(outcome="pass"),
        "verdicts of rul@1 is not as it was given": update(VERDICT).values(figures_json="{}"),
        "evidence records of rul@1 is not as": update(EVIDENCE).values(evidence_json=SHOWN.to_json()),
        "4 evidence records in the history, 3": delete(EVIDENCE).where(EVIDENCE.c.number == 3),
        "approvals of rul@1 is not as it was given": update(APPROVAL).values(expires_us=2 * 10**15),
        "3 approvals in the history, 2 in the table": delete(APPROVAL).where(APPROVAL.c.number == 1),
    }
    tables = (TRANSITION, HEAD, VERDICT, ASSIGNMENT, EVIDENCE, APPROVAL)
    with lived.engine.connect() as connection:
        before = {table: [row._asdict() for row in connection.execute(select(table))] for table in (*tables, VERSION)}
    for words, statement in statements.items():
        with lived.engine.begin() as connection:
            connection.execute(statement)
        assert any(words in fault for fault in faults(lived.account("rul"))), words
        with lived.engine.begin() as connection:
            for table in tables:
                connection.execute(delete(table))
                connection.execute(insert(table), before[table])
            for row in before[VERSION]:
                connection.execute(update(VERSION).where(VERSION.c.number == row["number"]).values(row))
        assert faults(lived.account("rul")) == []


def test_a_history_without_its_end_is_not_read(lived: ModelRegistry) -> None:
    """Whoever asks for the history is told that lines are missing, not shown a shorter one."""
    assert len(lived.history("rul")) == 24
    with lived.engine.begin() as connection:
        connection.execute(delete(TRANSITION).where(TRANSITION.c.action == "retire"))

    with pytest.raises(CorruptError, match="has 23 lines and does not end where it ended: after 24"):
        lived.history("rul")


def test_a_history_made_up_from_the_start_is_found_by_what_was_noted_alone(lived: ModelRegistry) -> None:
    """Rewritten in every table it is consistent; only a digest kept elsewhere knows better. That is the limit."""
    account = lived.account("rul")
    lines = sealed([replace(line, reason="made up") for line in account.lines])
    made_up = replace(account, lines=lines, head=Head(length=24, digest=lines[-1].digest))
    judged = {line.number: line.digest for line in lines if line.action == "judge"}
    rested = [
        replace(line, evidence=judged[line.number]) if line.action in {"promote", "rollback"} else line
        for line in lines
    ]
    lines = sealed(rested)
    made_up = replace(made_up, lines=lines, head=Head(length=24, digest=lines[-1].digest))

    assert [fault[:24] for fault in faults(made_up)] == ["line 1 was noted as " + account.lines[0].digest[:4]]
    assert faults(replace(made_up, noted=())) == []


def test_notes_survive_a_torn_end_and_refuse_nonsense(tmp_path: Path) -> None:
    """A line cut off by a crash is left out; one that is no note is an error; names cannot leave the folder."""
    notes, head = HeadNotes(tmp_path), Head(length=1, digest="a" * 64)
    assert notes.read("rul") == []
    notes.note("../rul", replace(head, length=2))
    notes.note("../rul", head)
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        file.write("3 bbb")

    assert notes.read("../rul") == [head, replace(head, length=2)]
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(CorruptError, match="line 3 is no note of a head"):
        notes.read("../rul")


def test_a_history_of_before_is_carried_over(database_url: str, tmp_path: Path) -> None:
    """Lines sealed before there was evidence, and the champion they made, are as true after the upgrade."""
    upgrade(database_url, revision="0003")
    old = {"model": "rul", "number": 1, "actor": "ana", "reason": "", "at_us": 5}
    steps = (("register", "", "registered"), ("judge", "registered", "validated"), ("promote", "", "prod:champion=1"))
    lines = sealed(
        [Transition(**old, action=a, before=b, after=c, previous_digest="", digest="") for a, b, c in steps]  # type: ignore[arg-type]
    )
    names = [field.name for field in fields(Transition) if field.name != "evidence"]
    version = {"state": "validated", "features_json": json.dumps(["a"]), "params_json": "{}", "metrics_json": "{}"}
    words = ("service", "service_json", "training_set", "artifact_sha256", "library", "lock_sha256", "actor")
    row = {**version, **dict.fromkeys(words, "x"), "artifact_format": "ubj", "rows": 1, "artifact_bytes": 1, "seed": 1}
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO ls_model VALUES ('rul', 'binary', '', '', '', 1)"))
        connection.execute(insert(VERSION).values(model="rul", number=1, created_us=5, **row))
        connection.execute(
            text("INSERT INTO ls_assignment (model, environment, number, valid_from_us) VALUES ('rul', 'prod', 1, 5)")
        )
        judged = {"gate": "g", "outcome": "pass", "detail": "", "policy_sha256": ""}
        connection.execute(insert(VERDICT).values(model="rul", number=1, at_us=5, **judged))
        marks = ", ".join(f":{name}" for name in names)
        into = text(f"INSERT INTO ls_transition ({', '.join(names)}) VALUES ({marks})")  # noqa: S608  names of ours
        connection.execute(into, [{name: getattr(line, name) for name in names} for line in lines])
    engine.dispose()

    upgrade(database_url)

    registry = open_registry(database_url=database_url, artifacts=tmp_path, clock=ManualClock(time_us=9))
    assert registry.history("rul") == lines
    assert registry.champion("rul", "prod").ref == "rul@1"
    assert faults(registry.account("rul")) == []
    assert registry.judge("rul", 1, replace(PASS, outcome="error"), actor="gate").state is State.VALIDATED
    assert faults(registry.account("rul")) == []
    registry.engine.dispose()
