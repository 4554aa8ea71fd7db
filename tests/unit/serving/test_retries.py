"""A client asks again when a call was lost by accident, and leaves a server alone that has too many callers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import grpc
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.interceptors import CODE_KEY
from lineshaft.serving.restraint import Restraint
from lineshaft.serving.retries import RetryBudget


def test_a_few_failures_are_asked_again_and_many_are_not() -> None:
    """Until half of the tokens are gone; answers earn them back slowly."""
    budget = RetryBudget(tokens=10.0, earned=0.1)

    assert [budget.failed() for _ in range(6)] == [True] * 4 + [False] * 2
    for _ in range(30):
        budget.succeeded()
    assert [budget.failed(), budget.failed()] == [True, False]


def test_tokens_never_exceed_what_there_is_nor_fall_below_none() -> None:
    """A long good time earns no more than a full purse, a long bad one costs no more than all of it."""
    budget = RetryBudget(tokens=4.0, earned=1.0)
    for _ in range(100):
        budget.succeeded()
    taken = [budget.failed() for _ in range(20)]
    for _ in range(4):
        budget.succeeded()

    assert taken == [True] + [False] * 19
    assert budget.failed() is True


Serving = Callable[[features_pb2_grpc.FeatureServiceServicer], AbstractContextManager[str]]


class Stubborn(features_pb2_grpc.FeatureServiceServicer):
    """A server that loses the first calls, as one that is stopping does, or refuses them in its own words."""

    def __init__(self, code: grpc.StatusCode, *, first: int, own: bool = False) -> None:
        self.calls = 0
        self._code, self._first, self._own = code, first, own

    def ListFeatureServices(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        """Fail the first calls."""
        self.calls += 1
        if self.calls <= self._first:
            context.set_trailing_metadata(((CODE_KEY, "LS-UNA"),) if self._own else ())
            context.abort(self._code, "gone")
        return features_pb2.ListFeatureServicesResponse()


@pytest.mark.parametrize("code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_call_is_asked_again(code: grpc.StatusCode, lost: int, serving: Serving) -> None:
    """What gRPC lost, even twice, is asked again over the same client, and the caller does not see it."""
    servicer = Stubborn(code, first=lost)
    with serving(servicer) as address, Client(address) as client:
        assert client.services() == []
    assert servicer.calls == lost + 1


def test_it_is_not_asked_a_fourth_time(serving: Serving) -> None:
    """Three losses in a row are told."""
    servicer = Stubborn(grpc.StatusCode.CANCELLED, first=9)
    with serving(servicer) as address, Client(address) as client, pytest.raises(UnavailableError):
        client.services()
    assert servicer.calls == 3


def test_nobody_waits_past_the_time_allowed(serving: Serving) -> None:
    """Where the wait before asking again would end after the deadline, the loss is told at once."""
    servicer = Stubborn(grpc.StatusCode.CANCELLED, first=9)
    with serving(servicer) as address, Client(address, timeout_s=0.05) as client, pytest.raises(UnavailableError):
        client.services()
    assert servicer.calls <= 2


def test_a_server_that_refuses_in_its_own_words_is_believed(serving: Serving) -> None:
    """An answer that says why is an answer."""
    servicer = Stubborn(grpc.StatusCode.UNAVAILABLE, first=1, own=True)
    with serving(servicer) as address, Client(address) as client, pytest.raises(UnavailableError, match="gone"):
        client.services()
    assert servicer.calls == 1


def test_a_server_that_loses_everything_is_not_asked_twice_as_often(serving: Serving) -> None:
    """Of many lost calls only the first few are repeated."""
    servicer = Stubborn(grpc.StatusCode.CANCELLED, first=1000)
    never = Restraint(clock=count(0.0, 5.0).__next__)  # by its clock each call comes long after the one before
    with serving(servicer) as address, Client(address, restraint=never) as client:
        for _ in range(50):
            with pytest.raises(UnavailableError):
                client.services()
    assert servicer.calls == 50 + 2 + 1
