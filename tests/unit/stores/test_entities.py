"""Entity numbers: they sort as the keys do, and statistics of the first key never rule out too much."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.stores.entities import EntityCodes

names = st.sampled_from(["", "a", "ab", "b", "é", "z"])
entities = st.lists(st.tuples(names, st.integers(-2, 2), names), max_size=20)


def table(rows: list[tuple[str, int, str]]) -> pa.Table:
    """Return keys of three columns."""
    types = {"asset": pa.string(), "position": pa.int64(), "channel": pa.string()}
    return pa.table({n: pa.array([r[i] for r in rows], t) for i, (n, t) in enumerate(types.items())})


@settings(deadline=None)
@given(asked=entities, stored=entities, low=names, high=names)
def test_numbers_follow_the_order_of_keys(
    asked: list[tuple[str, int, str]], stored: list[tuple[str, int, str]], low: str, high: str
) -> None:
    """Numbers are ranks among the entities asked for; -1 is nobody; a span holds exactly the keys within."""
    codes = EntityCodes(table(asked))
    ranked = sorted(set(asked), key=lambda e: (e[0].encode(), e[1], e[2].encode()))
    encoded = table(stored).set_column(0, "asset", table(stored)["asset"].dictionary_encode())

    first, last = codes.span(low, high)

    assert codes.count == len(ranked)
    assert [ranked[code] for code in codes.of_request] == asked
    assert codes.number(encoded).tolist() == [ranked.index(e) if e in ranked else -1 for e in stored]
    assert ranked[first : last + 1] == [e for e in ranked if low.encode() <= e[0].encode() <= high.encode()]
