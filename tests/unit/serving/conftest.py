"""A gRPC server of one servicer, as a client meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import grpc
import pytest

from lineshaft.rpc.v1 import features_pb2_grpc


@contextmanager
def _serving(servicer: features_pb2_grpc.FeatureServiceServicer) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    features_pb2_grpc.add_FeatureServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture
def serving() -> Callable[[features_pb2_grpc.FeatureServiceServicer], AbstractContextManager[str]]:
    """Return what serves a servicer on a real port until the end, and says where."""
    return _serving
