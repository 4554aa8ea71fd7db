"""The catalogue's history is sealed: whatever is edited, deleted, put in another order or cut off is found."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from lineshaft.clock import ManualClock
from lineshaft.errors import CorruptError, InputError
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.catalog_audit import AppliedLine, CatalogAccount, faults, genesis, seal
from lineshaft.registry.catalog_tables import APPLY, CURRENT, DEFINITION, GENERATION
from lineshaft.registry.engine import open_engine
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.notes import HeadNotes
from lineshaft.registry.records import Head
from lineshaft.registry.signed_heads import SignedHeads, missing, signed
from lineshaft.specs import Feature, OnDemandView, Service, Source, View

TAMPERINGS = 1_000
PROCESSES = int(os.environ.get("APPLIERS", "8"))  # noqa: TID251  how many is no setting of the product
VIEWS = int(os.environ.get("APPLIED_VIEWS", "20"))  # noqa: TID251  what is there before
PATIENCE_S = 280 if VIEWS == 20 else 3000
HEAT = View(
    name="heat",
    source=Source(name="readings", channels=("temperature",), units=("degC",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean_1m", column="temperature", function="mean", window_us=60_000_000, unit="degC"),),
    team="process",
    owner="process@x",
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """A plan made by hand."""

    generation: int = 0
    views: tuple[View, ...] = (HEAT,)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = ()
    transfers: frozenset[str] = frozenset()
    summary: str = "by hand"

    def checked(self) -> None:
        """Find no fault."""


@pytest.fixture
def catalog(database_url: str, clock: ManualClock, tmp_path: Path) -> Iterator[SqlCatalog]:
    """Return a catalogue with a past: views made, changed, reworded, removed and made again."""
    upgrade(database_url)
    opened = SqlCatalog(database_url, clock=clock, notes=HeadNotes(tmp_path))
    slow, other = replace(HEAT, ttl_us=7), replace(HEAT, name="other", grace_us=5)
    for generation, views in enumerate(
        [(HEAT,), (slow, other), (other,), (slow, other), (replace(HEAT, tile_us=30_000_000), other), (slow,)]
    ):
        clock.advance(seconds=60)
        opened.apply(
            Given(generation=generation, views=views, summary=f"step {generation}"),
            actor="ana",
        )
    yield opened
    opened.close()


def sealed(lines: Sequence[AppliedLine], since: int = 0) -> list[AppliedLine]:
    """Return lines sealed anew from one of them on, as somebody who knows how would."""
    made = list(lines[:since])
    for line in lines[since:]:
        linked = replace(line, previous_digest=made[-1].digest if made else genesis(line.project))
        made.append(replace(linked, digest=seal(linked)))
    return made


def other(value: Any, dice: random.Random) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + dice.choice([-1, 1, 1000])
    if isinstance(value, str):
        return value[:-1] if value and dice.random() < 0.5 else value + dice.choice("0aZ ")
    return value[:-1] if value else (("view", "heat"),)


def edit(items: Sequence[Any], dice: random.Random) -> list[Any]:
    """Change one field of one record."""
    at = dice.randrange(len(items))
    name = dice.choice([field.name for field in fields(items[at])])
    return [*items[:at], replace(items[at], **{name: other(getattr(items[at], name), dice)}), *items[at + 1 :]]


def edited(account: CatalogAccount, dice: random.Random) -> CatalogAccount:
    """Change a word of the history, and half the time seal all of it anew."""
    lines = edit(account.lines, dice)
    return replace(account, lines=sealed(lines) if dice.random() < 0.5 else lines)


def deleted(account: CatalogAccount, dice: random.Random) -> CatalogAccount:
    """Take a line out of the middle; half the time number and seal the rest anew."""
    at = dice.randrange(len(account.lines) - 1)
    left = [*account.lines[:at], *account.lines[at + 1 :]]
    if dice.random() < 0.5:
        left = sealed([replace(line, generation=number) for number, line in enumerate(left, start=1)])
        return replace(account, lines=left, generation=len(left))
    return replace(account, lines=left)


def reordered(account: CatalogAccount, dice: random.Random) -> CatalogAccount:
    """Swap what two lines say; half the time seal all anew."""
    one, two = sorted(dice.sample(range(len(account.lines)), 2))
    lines = list(account.lines)
    lines[one], lines[two] = (
        replace(lines[two], generation=lines[one].generation),
        replace(lines[one], generation=lines[two].generation),
    )
    return replace(account, lines=sealed(lines) if dice.random() < 0.5 else lines)


def cut_off(account: CatalogAccount, dice: random.Random) -> CatalogAccount:
    """Cut the end off; half the time the generation is made to fit, and what was written since goes too."""
    length = dice.randrange(len(account.lines))
    left = replace(account, lines=list(account.lines[:length]))
    if dice.random() < 0.5:
        kept = [one for one in account.definitions if one.generation <= length]
        left = replace(left, generation=length, definitions=kept)
    return left


def tables(account: CatalogAccount, dice: random.Random) -> CatalogAccount:
    """Change or take away a definition or a pointer, and leave the history alone."""
    kind = dice.choice(["definitions", "current"])
    records = list(getattr(account, kind))
    if dice.random() < 0.3:
        del records[dice.randrange(len(records))]
    else:
        records = edit(records, dice)
    return replace(account, **{kind: records})  # type: ignore[arg-type]


KINDS: tuple[Callable[[CatalogAccount, random.Random], CatalogAccount], ...] = (
    *(edited, deleted, reordered, cut_off, tables),
)


def test_of_a_thousand_tamperings_a_thousand_are_found(catalog: SqlCatalog) -> None:
    """Edits, deletions, reorderings and truncations, sealed anew or not; the untouched account is right."""
    account, dice = catalog.account(), random.Random(7)
    assert faults(account) == []
    assert (len(account.lines), len(account.noted)) == (6, 6)
    done, found = Counter[str](), Counter[str]()

    while done.total() < TAMPERINGS:
        kind = dice.choice(KINDS)
        tampered = kind(account, dice)
        if tampered != account:
            done[kind.__name__] += 1
            found[kind.__name__] += bool(faults(tampered))

    assert found == done
    assert min(done.values()) > TAMPERINGS / len(KINDS) / 2


def test_a_truncation_with_its_notes_is_found_by_signed_heads_alone(catalog: SqlCatalog, tmp_path: Path) -> None:
    """A thousand histories cut off as if the rest had never been, or made up anew: by themselves they are right."""
    account, dice = catalog.account(), random.Random(11)
    key = tmp_path / "key.pem"
    heads = SignedHeads.from_json(signed({"catalogue": account.head}, key=key, at_us=5).to_json())
    whole = {"catalogue": [line.digest for line in account.lines]}
    assert missing(heads, whole) == []
    assert key.stat().st_mode & 0o077 == 0

    for _ in range(TAMPERINGS):
        length = dice.randrange(len(account.lines))
        lines = sealed([replace(line, actor="mallory") for line in account.lines]) if length == 0 else account.lines
        left = [line.digest for line in (lines if length == 0 else lines[:length])]
        (words,) = missing(heads, {"catalogue": left})
        assert words.startswith("catalogue: line 6 was signed as ")


def test_signed_heads_that_were_altered_are_refused(catalog: SqlCatalog, tmp_path: Path) -> None:
    """Another digest, another length, another time or another key; what is no JSON of ours is told so."""
    heads = signed({"catalogue": catalog.account().head}, key=tmp_path / "key.pem", at_us=5)
    text_ = heads.to_json()

    for spoilt in (
        text_.replace('"length": 6', '"length": 5'),
        text_.replace('"at_us": 5', '"at_us": 6'),
        text_.replace(heads.chains["catalogue"].digest, "0" * 64),
    ):
        assert spoilt != text_
        with pytest.raises(CorruptError, match="altered"):
            SignedHeads.from_json(spoilt)
    with pytest.raises(CorruptError, match="another key"):
        SignedHeads.from_json(text_, trusted="0" * 64)
    for nonsense in ("", "{}", "[]", text_[:-2], '{"chains": []}'):
        with pytest.raises(InputError, match="no signed heads"):
            SignedHeads.from_json(nonsense)
    again = signed({}, key=tmp_path / "key.pem", at_us=6)
    assert again.public_key == heads.public_key


def test_what_changes_the_database_is_found_there(catalog: SqlCatalog, database_url: str) -> None:
    """Each by one statement of SQL, with the words that name it; put back, all is right again."""
    second = (DEFINITION.c.name == "other") & (DEFINITION.c.generation == 2)
    statements: dict[str, Any] = {
        "altered at generation 2": update(APPLY).where(APPLY.c.generation == 2).values(actor="eve"),
        "altered at generation 1": update(APPLY).values(at_us=5),
        "is at generation 9": update(GENERATION).values(generation=9),
        "view other@": update(DEFINITION).where(second).values(owner="eve"),
        "which version of view 'heat' is current": update(CURRENT).where(CURRENT.c.name == "heat").values(retired=True),
    }
    engine = open_engine(database_url)
    every = (APPLY, GENERATION, DEFINITION, CURRENT)
    with engine.connect() as connection:
        before = {table: [row._asdict() for row in connection.execute(select(table))] for table in every}
    for words, statement in statements.items():
        with engine.begin() as connection:
            connection.execute(statement)
        assert any(words in fault for fault in faults(catalog.account())), words
        with engine.begin() as connection:
            for table in reversed(every):
                connection.execute(delete(table))
            for table in every:
                connection.execute(insert(table), before[table])
        assert faults(catalog.account()) == []
    engine.dispose()


def test_a_catalogue_of_before_is_sealed_by_the_upgrade(database_url: str, clock: ManualClock) -> None:
    """What was applied before there were seals verifies after the upgrade, removals too, and so does what follows."""
    upgrade(database_url, revision="0013")
    engine = open_engine(database_url)
    spec = {"version": HEAT.version, "team": "process", "owner": "process@x", "spec": HEAT.to_json()}
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO ls_catalog_generation VALUES ('dev', 2)"))
        for generation in (1, 2):
            connection.execute(
                text("INSERT INTO ls_catalog_apply VALUES ('dev', :n, 5, 'ana', 'some')"), {"n": generation}
            )
        for name, retired in (("heat", False), ("gone", True)):
            key = {"project": "dev", "kind": "view", "name": name, "generation": 1}
            connection.execute(insert(DEFINITION).values(**key, **spec))
            connection.execute(insert(CURRENT).values(**key, version=HEAT.version, retired=retired))
    engine.dispose()

    upgrade(database_url)

    catalog = SqlCatalog(database_url, clock=clock)
    assert faults(catalog.account()) == []
    catalog.apply(Given(generation=2, views=(replace(HEAT, ttl_us=9),)), actor="ben")
    assert faults(catalog.account()) == []
    assert [line.actor for line in catalog.account().lines] == ["ana", "ana", "ben"]
    catalog.close()


def test_of_many_who_apply_at_once_none_is_lost_and_losers_are_told_who_won(database_url: str) -> None:
    """Processes of their own, all with a plan of one generation: every view is in, in a history that verifies."""
    upgrade(database_url)
    catalog = SqlCatalog(database_url)
    there = tuple(replace(HEAT, name=f"there_{number}", grace_us=number) for number in range(VIEWS))
    catalog.apply(Given(views=there, summary="all of before"), actor="before")
    script = [sys.executable, str(Path(__file__).with_name("appliers.py")), database_url, str(PROCESSES)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    won = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("won ")]
    lost = [line for line in done.stdout.splitlines() if line.startswith("lost ")]
    names = {f"v{index}" for index in range(PROCESSES)}
    mine = {view.name: view.description for view in catalog.views() if view not in there}
    assert sorted(won) == sorted(names) == sorted(mine)
    assert mine == {name: name for name in names}
    assert len(catalog.views()) == VIEWS + PROCESSES
    assert {line.actor for line in catalog.history()} == {"before", *names}
    assert [line.generation for line in catalog.history()] == list(range(1, PROCESSES + 2))
    assert len(lost) >= PROCESSES - 1
    for line in lost:
        assert re.search(r"(v\d+) applied generation \d+ at 20\d\d-\S+Z \(new view \1\)", line), line
    assert faults(catalog.account()) == []
    catalog.close()


def test_a_head_is_the_end_of_the_chain(catalog: SqlCatalog) -> None:
    """Of no lines it is where the first will point at."""
    account = catalog.account()

    assert account.head == Head(length=6, digest=account.lines[-1].digest)
    assert replace(account, lines=[]).head == Head(length=0, digest=genesis("dev"))
