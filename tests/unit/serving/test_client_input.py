"""What a client is given by mistake is refused in words, before anything is sent."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.serving.client import Client

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"asset_id": 5}, "asset_id=5 is no list"),
        ({"asset_id": None}, "asset_id=None is no list"),
        ({"asset_id": b"pump"}, "asset_id=b'pump' is no list"),
        ({"asset_id": ["\ud800"]}, "the keys asset_id cannot be sent"),
        ({"asset_id": "\ud800"}, "the keys asset_id cannot be sent"),
        ({"asset_id": ["a", 1]}, "the keys asset_id cannot be sent"),
        ({"asset_id": [1 << 70]}, "the keys asset_id cannot be sent"),
        ({"asset_id": ["a"], "position": ["x", "y"]}, "keys of different length"),
        ({"asset_id": []}, "nothing was asked"),
        ({}, "nothing was asked"),
        ({"entities": pa.table({"asset_id": pa.array([], pa.string())})}, "nothing was asked"),
    ],
)
def test_keys_that_are_none_are_refused_with_a_cure(keys: dict[str, Any], says: str) -> None:
    """By the client itself: nobody listens at its address."""
    with Client(NOBODY) as client:
        for ask in (client.features, client.predict):
            with pytest.raises(InputError, match=says) as caught:
                ask("health", **keys)
            assert caught.value.fix


@pytest.mark.parametrize("token", ["lst_abc\n", "lst_a\tbc", "lst_abc\u2026", "lst_\ud800"])
def test_a_token_that_is_none_is_refused_and_not_told(token: str) -> None:
    """As it is pasted or read from a file with its line end; the error holds nothing of it."""
    with pytest.raises(InputError, match="line end, or another character") as caught:
        Client(NOBODY, token=token)

    assert "lst_" not in str(caught.value)
