"""Ask a server how it is, by gRPC's own health service."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lineshaft.serving.tls import channel

SERVING = "SERVING"


def health(address: str, *, timeout_s: float, ca: str | Path = "") -> str:
    """Return what a server says of itself, `SERVING` where it is well, or the gRPC status that its silence has.

    ca: as `Client` takes it.
    """
    with channel(address, [], ca=ca) as way:
        try:
            reply = health_pb2_grpc.HealthStub(way).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))
