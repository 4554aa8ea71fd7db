"""Alerts on a Kafka topic: a real broker takes them, who reads it has the whole alert, and a dead one stops none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Message

from lineshaft.registry.alerts import Alert
from lineshaft.serving.alert_routes import deliver, headline, routes_of
from lineshaft_flink.broker import LocalBroker

pytestmark = pytest.mark.heavy

TOPIC = "alerts"
ALERT = Alert(
    id="0123456789abcdef",
    project="dev",
    model="bearing_anomaly",
    number=3,
    asset_id="pump-7",
    entity={"asset_id": "pump-7", "position": "drive_end"},
    at_us=1_700_000_000_000_000,
    raised_us=1_700_000_000_050_000,
    score=7.25,
    threshold=6.0,
    because=(("vibration__rms", 0.31, 50.0),),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """Run a Kafka 4 broker with a topic of alerts."""
    with LocalBroker(folder=tmp_path_factory.mktemp("broker")) as running:
        running.create_topic(TOPIC, partitions=2)
        yield running


def read(broker: LocalBroker, count: int) -> list[Message]:
    """Read so many messages of the topic from its beginning."""
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "shift", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([TOPIC])
    found: list[Message] = []
    for _ in range(60):
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            found.append(message)
        if len(found) == count:
            break
    consumer.close()
    return found


def test_an_alert_is_read_from_the_topic_whole_and_a_dead_broker_stops_no_other_route(
    broker: LocalBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyed by the asset, so that one asset's alerts stay in order; then the broker dies, and the log has the next."""
    caplog.set_level(logging.WARNING)
    routes = routes_of(f"kafka://{broker.address}/{TOPIC}, log")

    became = deliver(ALERT, routes)
    (message,) = read(broker, 1)

    kafka = f"kafka://{broker.address}"
    assert dict(became) == {kafka: "sent", "log": "sent"}
    assert message.key() == b"pump-7"
    told = json.loads(message.value() or b"")
    assert (told["alert"], told["model"], told["entity"]) == (ALERT.id, "bearing_anomaly@3", dict(ALERT.entity))
    assert (told["score"], told["threshold"], told["because"][0]["feature"]) == (7.25, 6.0, "vibration__rms")

    monkeypatch.setattr("lineshaft.serving.alert_routes._BUDGET_S", 1.0)
    dead = routes_of(f"kafka://{broker.address}/{TOPIC}, log")
    broker.__exit__(None, None, None)
    caplog.clear()
    became = deliver(ALERT, dead, rest_s=0.01)

    assert became["log"] == "sent"
    assert became[kafka].startswith("OSError: ")
    assert headline(ALERT) in caplog.text
    assert f"alert {ALERT.id} is not sent by {kafka}" in caplog.text
