"""The ports beside gRPC: other products' contracts over HTTP, opened where the settings say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from lineshaft.serving.door import Door
from lineshaft.serving.server import Handlers
from lineshaft.wiring import Parts, limits


@contextmanager
def http_ports(parts: Parts, answering: Handlers, entrance: Door) -> Iterator[Mapping[str, str]]:
    """Answer Feast's HTTP and MLflow's registry; yield where, by what is answered there."""
    settings, bounds = parts.settings, limits(parts)
    with ExitStack() as stack:
        feast, mlflow = "", ""  # what nobody asks for is not loaded
        if settings.http_address:
            from lineshaft.serving.feast_http import feast_http

            feast = stack.enter_context(feast_http(answering, settings.http_address, limits=bounds, door=entrance))
        if settings.mlflow_address:
            from lineshaft.cli.mlflow_port import mlflow_registry
            from lineshaft.interop.mlflow_http import mlflow_http

            registry = mlflow_registry(parts)
            mlflow = stack.enter_context(
                mlflow_http(registry, settings.mlflow_address, limits=bounds, door=entrance, told=answering.listeners)
            )
        opened = {"Feast's HTTP": feast, "MLflow's registry": mlflow}
        yield {name: f"{entrance.scheme}://{bound}" for name, bound in opened.items() if bound}
