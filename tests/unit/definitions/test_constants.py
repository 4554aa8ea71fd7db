"""Constants as definitions write them: of their column's type, or refused while they are still a line of Python."""

from __future__ import annotations

import pytest

from lineshaft.definitions.words import parse_constants
from lineshaft.specs.views import Constant

DTYPES = {
    "v__f": "float64",
    "v__g": "float32",
    "v__i": "int64",
    "v__j": "int32",
    "v__b": "bool",
    "v__s": "string",
    "v__t": "timestamp",
    "v__o": "",
}


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        ("", ()),
        (" , ", ()),
        ("v__f=1", (("v__f", 1.0),)),
        ("v__s = no grade , v__b=false", (("v__b", False), ("v__s", "no grade"))),
        (f"v__i={2**63 - 1}, v__j=-{2**31}", (("v__i", 2**63 - 1), ("v__j", -(2**31)))),
        ("v__g=1e38", (("v__g", 1e38),)),
    ],
)
def test_constants_are_read_in_their_columns_types(text: str, constants: tuple[tuple[str, Constant], ...]) -> None:
    """In the order of the columns, whatever the order in which they are written; whole numbers of floats are floats."""
    read = parse_constants(text, DTYPES)

    assert read == constants
    assert [type(value) for _, value in read] == [type(value) for _, value in constants]


@pytest.mark.parametrize(
    "text",
    [
        *("v__f", "v__f=", "=1", "v__f=1, v__f=2"),
        *("v__f=nan", "v__f=inf", "v__f=warm", "v__g=1e39"),
        *("v__i=1.5", f"v__i={2**63}", f"v__j={2**31}", "v__b=1", "v__t=0", "v__o=0"),
    ],
)
def test_what_is_no_constant_is_refused(text: str) -> None:
    """Nothing infinite, nothing cut off, nothing for types that have no constants."""
    with pytest.raises(ValueError, match=r"v__|=1"):
        parse_constants(text, DTYPES)
