"""A Kafka broker of one node from Maven Central, for rehearsals: what a job reads, with the faults of a real one."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lineshaft_flink.java import java_home

_KAFKA = "org.apache.kafka:kafka_2.13:4.1.2+org.slf4j:slf4j-simple:1.7.36"
_CLUSTER = "bGluZXNoYWZ0LXRlc3QtMQ"


@dataclass(slots=True, kw_only=True)
class LocalBroker:
    """One Kafka 4 broker, its own controller, in `folder`. Use it in a `with`: it ends there."""

    folder: Path
    address: str = field(init=False, default="")
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def create_topic(self, name: str, *, partitions: int) -> None:
        """Create a topic, waiting until the broker is up."""
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1)
        for created in admin.create_topics([topic], operation_timeout=60, request_timeout=60).values():
            created.result()

    def __enter__(self) -> Self:
        from jgo import resolve  # the seam: only a rehearsal needs it

        self.folder.mkdir(parents=True, exist_ok=True)
        jars = ":".join(str(artifact.resolve()) for artifact in resolve(_KAFKA))
        java = [str(java_home() / "bin" / "java"), "-Xmx384m", "-cp", jars]
        settings = self._configure()
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", settings],
            check=True,
            capture_output=True,
        )
        with (self.folder / "kafka.log").open("wb") as log:
            self._process = subprocess.Popen([*java, "kafka.Kafka", settings], stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _configure(self) -> str:
        """Write the broker's settings; return where."""
        port, controller = _free_port(), _free_port()
        self.address = f"127.0.0.1:{port}"
        properties = self.folder / "kraft.properties"
        properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\ncontroller.listener.names=CONTROLLER\n"
            f"listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}\n"
            f"log.dirs={self.folder / 'kafka'}\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            # a rehearsed feed is of another year: without this Kafka would delete it as outdated
            "log.retention.ms=-1\nlog.message.timestamp.before.max.ms=9223372036854775807\n",
            encoding="utf-8",
        )
        return str(properties)


def _free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
