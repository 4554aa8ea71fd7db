"""More callers than a server can answer: most are refused at once, the others answered, and it goes on after that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from lineshaft.rpc.v1 import features_pb2
from lineshaft.serving.client import Client

LIST = "/lineshaft.rpc.v1.FeatureService/ListFeatureServices"
FLOOD = 3000
SERVER = """
import sys
from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, serve

plans = Plans(catalog=FixedCatalog())
features = FeatureHandler(plans=plans, online=None, clock=SystemClock())
training = TrainingSetHandler(plans=plans, offline=None)
serve(
    Handlers(plans=plans, features=features, training=training),
    "127.0.0.1:0",
    ready=lambda address: print(address, flush=True),
)
"""


@pytest.fixture
def address() -> Iterator[str]:
    """Serve from a process of its own, so that callers and server do not share a thread."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


async def flood(address: str) -> tuple[Counter[grpc.StatusCode], list[float]]:
    """Send all calls at once over some connections; return how they ended, and how long refusals took."""
    ended: Counter[grpc.StatusCode] = Counter()
    refused_s: list[float] = []
    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(8)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    request = features_pb2.ListFeatureServicesRequest().SerializeToString()

    async def call(number: int) -> None:
        start = time.monotonic()
        try:
            await channels[number % len(channels)].unary_unary(LIST)(request, timeout=20.0)
            ended[grpc.StatusCode.OK] += 1
        except grpc.aio.AioRpcError as error:
            ended[error.code()] += 1
            refused_s.append(time.monotonic() - start)

    await asyncio.gather(*(call(number) for number in range(FLOOD)))
    await asyncio.gather(*(channel.close() for channel in channels))
    return ended, refused_s


def test_a_flood_is_refused_early_and_survived(address: str) -> None:
    """Every call ends as answered or refused, many refused before the server looked at them; then it answers again."""
    ended, refused_s = asyncio.run(flood(address))

    refused = ended[grpc.StatusCode.CANCELLED] + ended[grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert ended[grpc.StatusCode.OK] > 0
    assert ended[grpc.StatusCode.CANCELLED] > 0
    assert ended[grpc.StatusCode.OK] + refused == FLOOD, ended
    assert len(refused_s) == refused
    with Client(address) as client:
        assert client.services() == []
