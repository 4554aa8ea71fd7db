"""MLflow's words on our registry: put together where the settings ask for its port."""

from __future__ import annotations

from lineshaft.interop.mlflow_files import Incoming
from lineshaft.interop.mlflow_registry import MlflowRegistry
from lineshaft.ops.model_release import promote_judged
from lineshaft.registry.annotations import Annotations
from lineshaft.registry.records import Assignment, Slot
from lineshaft.wiring import Parts, policy_of


def mlflow_registry(parts: Parts) -> MlflowRegistry:
    """Return the registry as MLflow's client sees it; its words for slots pass the gates as every promotion does."""
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
