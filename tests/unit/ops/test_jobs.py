"""What jobs did, added up: nothing is counted twice and nothing is dropped."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from lineshaft.ops.jobs import JobResult

counts = st.dictionaries(st.sampled_from(["a@1", "b@1", "c@1"]), st.integers(0, 1000))
results = st.builds(
    JobResult,
    rows=counts,
    repeats=counts,
    quarantined=counts,
    rejected=counts,
    blocks=st.integers(0, 1000),
    seconds=st.integers(0, 1000).map(float),
)
COUNTED = ("rows", "repeats", "quarantined", "unchecked", "rejected")


@given(results, results)
def test_a_sum_holds_what_both_held(left: JobResult, right: JobResult) -> None:
    """Name by name, names of one side alone included."""
    both = left + right

    for what in COUNTED:
        one, other, summed = (getattr(result, what) for result in (left, right, both))
        assert summed == {name: one.get(name, 0) + other.get(name, 0) for name in {*one, *other}}
    assert (both.blocks, both.seconds) == (left.blocks + right.blocks, left.seconds + right.seconds)


@given(results, results, results)
def test_the_order_of_adding_does_not_count(one: JobResult, two: JobResult, three: JobResult) -> None:
    """Parts of a job may finish in any order; nothing done is the start of every sum."""
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + JobResult() == one == JobResult() + one


@given(results, results)
def test_names_keep_the_order_they_were_met_in(left: JobResult, right: JobResult) -> None:
    """A table of results lists the first job's views first."""
    assert list((left + right).rows)[: len(left.rows)] == list(left.rows)


def test_every_field_of_a_result_is_added() -> None:
    """A count that is added later must be summed too: this test then names it."""
    assert [field.name for field in fields(JobResult)] == [*COUNTED, "blocks", "seconds"]
