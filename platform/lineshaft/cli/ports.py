"""The ports beside gRPC: other products' contracts over HTTP, opened where the settings say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lineshaft.ops.model_release import promote_judged
from lineshaft.registry.records import Assignment, Slot
from lineshaft.serving.door import Door
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.server import Handlers
from lineshaft.wiring import Parts, limits, policy_of

if TYPE_CHECKING:
    from lineshaft.interop.mlflow_registry import MlflowRegistry


@contextmanager
def http_ports(parts: Parts, answering: Handlers, entrance: Door) -> Iterator[Mapping[str, str]]:
    """Answer Feast's HTTP and MLflow's registry; yield where, by what is answered there."""
    settings, bounds = parts.settings, limits(parts)
    with ExitStack() as stack:
        feast = stack.enter_context(feast_http(answering, settings.http_address, limits=bounds, door=entrance))
        mlflow = ""
        if settings.mlflow_address:  # what nobody asks for is not loaded
            from lineshaft.interop.mlflow_http import mlflow_http

            registry = mlflow_registry(parts)
            mlflow = stack.enter_context(
                mlflow_http(registry, settings.mlflow_address, limits=bounds, door=entrance, told=answering.listeners)
            )
        opened = {"Feast's HTTP": feast, "MLflow's registry": mlflow}
        yield {name: f"{entrance.scheme}://{bound}" for name, bound in opened.items() if bound}


def mlflow_registry(parts: Parts) -> MlflowRegistry:
    """Return the registry as MLflow's client sees it; its words for slots pass the gates as every promotion does."""
    from lineshaft.interop.mlflow_files import Incoming
    from lineshaft.interop.mlflow_registry import MlflowRegistry
    from lineshaft.registry.annotations import Annotations

    registry, environment = parts.registry, parts.settings.project

    def assign(model: str, number: int, slot: Slot, *, actor: str, reason: str) -> Assignment:
        held = registry.held(model, environment, slot)
        return promote_judged(
            registry,
            registry.get(model, number),
            slot,
            policy_of=policy_of(parts),
            environment=environment,
            actor=actor,
            reason=reason,
            expected=0 if held is None else held.id,
        )

    return MlflowRegistry(
        annotations=Annotations(registry=registry, environment=environment),
        incoming=Incoming(parts.settings.home / "incoming"),
        assign=assign,
        service=parts.catalog.service,
    )
