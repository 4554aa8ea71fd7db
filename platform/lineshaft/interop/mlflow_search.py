"""MLflow's searches: filters, orders and pages over cards. Pure; what cannot be read is refused, never guessed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lineshaft.errors import InputError

T = TypeVar("T")
Record = Mapping[str, Any]
"""What is searched, as MLflow's JSON names it, its tags a mapping."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<mark><=|>=|!=|=|<|>|\(|\)|,)
    |(?P<word>[^\W\d]\w*(?:\.(?:\w+|`[^`]*`|"[^"]*"))*|`[^`]*`|"[^"]*"))""",
    re.VERBOSE,
)
_IS_PROMPT = "mlflow.prompt.is_prompt"
_LIKE = {"LIKE", "ILIKE"}
_TEXTS = frozenset({"=", "!=", *_LIKE})
_NUMBERS = frozenset({"=", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchable:
    """What one kind of record may be searched and ordered by; where a key is named otherwise in the record."""

    texts: frozenset[str]
    lists: frozenset[str]
    orders: frozenset[str]
    numbers: frozenset[str] = frozenset()
    named: Mapping[str, str]
    usual: tuple[tuple[str, bool], ...]  # the natural order, and what breaks ties: key, whether it rises
    least: int = 0  # records of a page
    most: int = 1000


MODELS = Searchable(
    texts=frozenset({"name"}),
    lists=frozenset({"name"}),
    orders=frozenset({"name", "timestamp", "last_updated_timestamp"}),
    named={"timestamp": "last_updated_timestamp"},
    usual=(("name", True),),
)
VERSIONS = Searchable(
    texts=frozenset({"name", "run_id", "source_path"}),
    lists=frozenset({"name", "run_id"}),
    numbers=frozenset({"version_number"}),
    orders=frozenset({"name", "version_number", "creation_timestamp", "last_updated_timestamp"}),
    named={"source_path": "source", "version_number": "version"},
    usual=(("last_updated_timestamp", False), ("name", True), ("version", False)),
    least=1,
    most=200_000,
)


def page(
    records: Sequence[Record], kind: Searchable, *, filtered: str, ordered: Sequence[str], most: int, token: str
) -> tuple[list[Record], str]:
    """Return the records of one page, and the token of the next; raises `InputError` for what cannot be read."""
    if not kind.least <= most <= kind.most:
        raise InputError(f"max_results is {most}", fix=f"give {kind.least} to {kind.most}")
    conditions = _conditions(filtered, kind)
    found = [one for one in records if all(holds(one) for holds in conditions)]
    for key, rises in reversed(_order(ordered, kind)):
        found.sort(key=lambda one: one[key], reverse=not rises)
    start = _offset(token)
    rest = found[start:]
    return rest[:most], _token(start + most) if len(rest) > most else ""


def _order(clauses: Sequence[str], kind: Searchable) -> list[tuple[str, bool]]:
    """Return keys of records and whether they rise, the first the weightiest."""
    order: list[tuple[str, bool]] = []
    for clause in clauses:
        found = re.fullmatch(r"\s*(?:attribute\.)?[`\"]?(\w+)[`\"]?(?:\s+(asc|desc))?\s*", clause, re.IGNORECASE)
        if found is None or found[1] not in kind.orders:
            raise InputError(f"cannot order by {clause!r}", fix=f"order by one of {', '.join(sorted(kind.orders))}")
        key = kind.named.get(found[1], found[1])
        if any(key == known for known, _ in order):
            raise InputError(f"order_by names {found[1]!r} twice", fix="name each key once")
        order.append((key, (found[2] or "asc").lower() == "asc"))
    if not clauses:
        return list(kind.usual)
    return [*order, *((key, rises) for key, rises in kind.usual[-2:] if all(key != known for known, _ in order))]


def _conditions(text: str, kind: Searchable) -> list[Callable[[Record], bool]]:
    """Read `key = 'value' AND …`."""
    if text and not text.strip():
        raise InputError("the filter is blank", fix="leave it out to find all")
    tokens = [token for token in _tokens(text) if token != ("word", "AND")]  # as MLflow: all hold, AND or no AND
    found: list[Callable[[Record], bool]] = []
    while tokens:
        found.append(_condition(tokens, kind, text))
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise InputError(f"the filter {text!r} cannot be read", fix="write key = 'value' AND …")
        kind = str(match.lastgroup)
        word = match[kind]
        keyword = kind == "word" and word.upper() in {"AND", "IN", "NOT", *_LIKE}
        tokens.append((kind, word.upper() if keyword else word))
        at = match.end()
    return tokens


def _condition(tokens: list[tuple[str, str]], kind: Searchable, text: str) -> Callable[[Record], bool]:
    """Take one condition off the front."""
    try:
        key_kind, key = tokens.pop(0)
        _, compare = tokens.pop(0)
        if compare == "NOT":
            compare = f"NOT {tokens.pop(0)[1]}"
        value = _list(tokens) if compare in {"IN", "NOT IN"} else tokens.pop(0)
    except IndexError as error:
        raise InputError(f"the filter {text!r} ends too early", fix="write key = 'value'") from error
    if key_kind != "word":
        raise InputError(f"the filter {text!r} has no key where one is due", fix="write key = 'value'")
    of_tag, name = _key(key)
    if isinstance(value, frozenset):
        if of_tag or name not in kind.lists:
            raise InputError(f"{key!r} takes no list", fix=f"lists are for {', '.join(sorted(kind.lists))}")
        wanted, place = compare == "IN", kind.named.get(name, name)
        return lambda record: (record[place] in value) is wanted
    if not of_tag and name in kind.numbers:
        return _number(kind.named.get(name, name), compare, value)
    if (not of_tag and name not in kind.texts) or compare not in _TEXTS:
        raise InputError(f"cannot search by {key} {compare}", fix="search by name or tags with =, !=, LIKE or ILIKE")
    told = _text(value)
    if of_tag and name == _IS_PROMPT:  # its client asks so for what is none
        return lambda record: _compared(record["tags"].get(name, "false"), compare, told)
    if of_tag:
        return lambda record: name in record["tags"] and _compared(record["tags"][name], compare, told)
    place = kind.named.get(name, name)
    return lambda record: _compared(record[place], compare, told)


def _key(text: str) -> tuple[bool, str]:
    """Return whether a key is a tag's, and its name."""
    first, dot, rest = text.partition(".")
    if dot and first not in {"tag", "tags", "attribute"}:
        raise InputError(f"there is no {first!r} to search by", fix="write name, or tags.key")
    return first.startswith("tag") and bool(dot), (rest if dot else first).strip("`\"'")


def _number(place: str, compare: str, token: tuple[str, str]) -> Callable[[Record], bool]:
    kind, text = token
    digits = text.strip("'\"") if kind != "number" else text
    if compare not in _NUMBERS or not re.fullmatch(r"\s*-?\d+\s*", digits):
        raise InputError(f"{place} {compare} {text} compares no whole numbers", fix="write version_number = 3")
    wanted = int(digits)
    signs: Mapping[str, Callable[[int], bool]] = {
        "=": lambda found: found == wanted,
        "!=": lambda found: found != wanted,
        "<": lambda found: found < wanted,
        "<=": lambda found: found <= wanted,
        ">": lambda found: found > wanted,
        ">=": lambda found: found >= wanted,
    }
    sign = signs[compare]
    return lambda record: sign(int(record[place]))


def _text(token: tuple[str, str]) -> str:
    kind, text = token
    if kind == "text" or (kind == "word" and len(text) > 1 and text[0] == text[-1] == '"'):
        return text[1:-1]
    raise InputError(f"{text} is no text in quotes", fix="write 'value'")


def _list(tokens: list[tuple[str, str]]) -> frozenset[str]:
    if tokens.pop(0) != ("mark", "("):
        raise InputError("a list begins with (", fix="write IN ('a', 'b')")
    found = [_text(tokens.pop(0))]
    while (mark := tokens.pop(0)) == ("mark", ","):
        found.append(_text(tokens.pop(0)))
    if mark != ("mark", ")"):
        raise InputError("a list ends with )", fix="write IN ('a', 'b')")
    return frozenset(found)


def _compared(found: str, compare: str, wanted: str) -> bool:
    """Compare texts; ILIKE takes letters of ASCII in either case, as MLflow does on SQLite.

    >>> _compared("pump_a", "LIKE", "pump%"), _compared("Pump", "LIKE", "pump"), _compared("Pump", "ILIKE", "p_MP")
    (True, False, True)
    """
    if compare in _LIKE:
        if compare == "ILIKE":
            found, wanted = _lower(found), _lower(wanted)
        pattern = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in wanted)
        return re.fullmatch(pattern, found, re.DOTALL) is not None
    return (found == wanted) is (compare == "=")


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _token(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str) -> int:
    """Return where a page begins.

    >>> _offset(_token(20))
    20
    """
    if not token:
        return 0
    try:
        offset = int(json.loads(base64.b64decode(token))["offset"])
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{token!r} is no token of a page", fix="give next_page_token as it came") from error
    if offset <= 0:
        raise InputError(f"{token!r} is no token of a page", fix="give next_page_token as it came")
    return offset
