"""What the admin page says in words: what needs a person, and how ages, moments and numbers are told."""

from __future__ import annotations

from typing import Any

import pytest

from lineshaft_governance.web.attention import attention
from lineshaft_governance.web.words import age, duration, moment, number, short

NOW = 1_790_000_040_000_000

PLAIN_VIEW = {"name": "v", "owner": "o", "rows": 1, "stale": False, "age_us": 0, "ttl_us": 0}
PLAIN_RUN = {"view": "v", "outcome": "passed", "rows": 4, "quarantined": 0, "last_quarantined": 0}
PLAIN_CHECK = {"subject": "m", "outcome": "none", "drifted": [], "compared": 3, "cause": "", "state": ""}
PLAIN_MODEL = {"name": "m", "owner": "o", "champion": 1, "outdated_pins": [], "newest_verdict": None}


def test_what_is_held_is_told_once_for_each_thing() -> None:
    """One batch leads to itself, several lead to their list; a name with a slash stays one word of an address."""
    one = {"id": "b1", "what": "a/b@1", "rows": 1200, "why": "rms is too high"}
    two = [{"id": "b2", "what": "source.s", "rows": 3, "why": "clock"}, {"id": "b3", "what": "source.s", "rows": 4}]

    lines = attention([], [], [], [], [one, *two])

    assert [(line["text"], line["link"]) for line in lines] == [
        ("1,200 rows of a/b@1 are in quarantine, a batch waits: rms is too high", "/quarantine/b1"),
        ("7 rows of source.s are in quarantine, 2 batches wait: clock", "/quarantine?q=source.s"),
    ]


@pytest.mark.parametrize(
    ("view", "run", "check", "model", "told"),
    [
        ({}, {}, {}, {}, []),
        ({"owner": ""}, {}, {}, {}, ["warn View v has no owner"]),
        ({"rows": 0, "stale": True}, {}, {}, {}, ["warn View v was never materialized"]),
        (
            {},
            {"outcome": "could_not_run"},
            {},
            {},
            ["bad The last checkpoint of v could not be run; its batch is held"],
        ),
        ({}, {}, {"outcome": "unknown"}, {}, ["warn Drift of m is unknown: too few independent values"]),
        ({}, {}, {"outcome": "drift", "drifted": ["b", "a"]}, {}, ["bad 2 of 3 inputs of m drifted"]),
        (
            *({}, {}),
            {"outcome": "drift", "drifted": ["b"], "cause": "new_assets", "state": "ticket"},
            {},
            ["bad 1 of 3 inputs of m drifted: new assets, ticket"],
        ),
        ({}, {}, {}, {"champion": None}, ["warn Model m has no champion here"]),
        (
            *({}, {}, {}),
            {"champion": None, "newest_verdict": {"outcome": "fail", "detail": "auc 0.5"}},
            ["warn Model m has no champion here: fail, auc 0.5"],
        ),
        (
            {"owner": ""},
            {"outcome": "failed", "last_quarantined": 1},
            *({}, {}),
            ["bad The last checkpoint of v failed: 1 of 4 rows quarantined", "warn View v has no owner"],
        ),
    ],
)
def test_what_needs_a_person_is_told_in_a_sentence_with_a_link(
    view: dict[str, Any], run: dict[str, Any], check: dict[str, Any], model: dict[str, Any], told: list[str]
) -> None:
    """One line a matter, what is bad before what is only worth a look, and nothing where all is well."""
    lines = attention([PLAIN_VIEW | view], [PLAIN_RUN | run], [PLAIN_CHECK | check], [PLAIN_MODEL | model], [])

    assert [f"{line['level']} {line['text']}" for line in lines] == told
    assert all(line["link"].startswith("/") for line in lines)


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (0, "0 s"),
        (59_999_999, "60 s"),
        (60_000_000, "1 min"),
        (3_599_000_000, "60 min"),
        (3_600_000_000, "1 h"),
        (86_399_000_000, "24 h"),
        (86_400_000_000, "1 d"),
        (-90_000_000, "in 1.5 min"),
        (None, "never"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(us: int | None, words: str) -> None:
    """From each unit's own length on."""
    assert age(us) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((0.0, "0"), (-3.0, "-3"), (1234.0, "1,234"), (999.5, "1e+03"), (1000.5, "1,000"), (0.001, "0.001")),
        *((0.0009999, "1.0e-03"), (-0.25, "-0.25"), (float("nan"), "–"), (None, "–"), (1e15, "1,000,000,000,000,000")),
    ],
)
def test_a_number_has_the_digits_that_help(value: float | None, words: str) -> None:
    """Whole numbers whole, small ones with an exponent, large ones without a fraction, unknown a dash."""
    assert number(value) == words


def test_moments_lengths_and_hashes_are_cut_to_what_is_read() -> None:
    """UTC to the second, nothing where there is none, twelve digits of a hash."""
    assert (moment(NOW), moment(None)) == ("2026-09-21 14:14:00 UTC", "never")
    assert (duration(90_000_000), duration(0)) == ("90s", "no limit")
    assert short("0123456789abcdef") == "0123456789ab"
