"""From a question to a prediction in whatever form it goes out, for those who may read what the model reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.errors import NotFoundError
from lineshaft.serving import calls
from lineshaft.serving.answers import Answers, on
from lineshaft.serving.features import Plans
from lineshaft.serving.predict import Allows
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.standing import Ready
from lineshaft.specs import Service

T = TypeVar("T")


class Predicts(Protocol):
    """Whoever predicts: `lineshaft.serving.predict.Predictor`."""

    def predict(self, question: Question, *, allows: Allows | None = None) -> Predictions:
        """Return predictions for entities, if `allows` does not refuse the service that the model reads."""
        ...

    def predict_at_once(
        self, question: Question, *, allows: Allows | None = None, budget_s: float
    ) -> Predictions | None:
        """Return them if nothing has to be waited for."""
        ...

    def ready(self, model: str) -> Ready:
        """Return who would answer; raises `NotFoundError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicting:
    """The one way in for every contract that predicts."""

    predictor: Predicts
    plans: Plans
    answers: Answers

    async def of(self, question: Question, convert: Callable[[Predictions], T], *, limit_s: float, caller: Caller) -> T:
        """Return what is predicted of entities, converted, if the caller may read the service that the model reads."""
        local = caller is LOCAL  # the host asks nobody: not even for how things are worded now

        def allows_at_once(service: Service) -> None:
            plan = self.plans.known(service.name)
            if plan is None:
                raise BlockingIOError
            caller.must_read(plan.service)

        def allows(service: Service) -> None:
            caller.must_read(self.worded_now(service))

        with suppress(BlockingIOError):
            asked = None if local else allows_at_once
            told = self.predictor.predict_at_once(question, allows=asked, budget_s=limit_s)
            if told is not None:
                return convert(_noted(told))

        def work() -> T:
            return convert(_noted(self.predictor.predict(question, allows=None if local else allows)))

        return await on(self.answers.pool, work)

    async def ready(self, model: str, caller: Caller) -> Ready:
        """Return who answers for a model, if the caller may read the service that it reads."""

        def work() -> Ready:
            found = self.predictor.ready(model)
            if caller is not LOCAL:
                caller.must_read(self.worded_now(found.service))
            return found

        return await on(self.answers.pool, work)

    def worded_now(self, service: Service) -> Service:
        """Return a service that a model pins as the catalogue words it today, for whose it is and who may read it."""
        try:
            return self.plans.of(service.name).service
        except NotFoundError:
            return service


def _noted(told: Predictions) -> Predictions:
    """Note what the call is about."""
    call = calls.current()
    call.feature_service, call.degraded = told.service, told.degraded
    return told
