"""Where alerts go: a log line, a webhook, an e-mail, a Kafka topic. A route that fails is told of."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.registry.alerts import Alert

logger = logging.getLogger(__name__)
_BUDGET_S = 5.0
_TRIES = 3


class Route(Protocol):
    """A way to somebody."""

    @property
    def name(self) -> str:
        """Return what the alert's record calls it: no secrets."""
        ...

    def send(self, alert: Alert) -> None:
        """Hand an alert over; whatever it raises is why it could not be."""
        ...


def payload(alert: Alert) -> dict[str, Any]:
    """Return an alert as routes send it: what, where, when, how sure, and why."""
    return {
        "alert": alert.id,
        "project": alert.project,
        "model": alert.version,
        "entity": dict(alert.entity),
        "at": _iso(alert.at_us),
        "raised_at": _iso(alert.raised_us),
        "score": alert.score,
        "threshold": alert.threshold,
        "because": [{"feature": name, "value": value, "contribution": part} for name, value, part in alert.because],
    }


def headline(alert: Alert) -> str:
    """Return an alert in a line."""
    if alert.told:
        return alert.told
    where = ", ".join(str(value) for value in alert.entity.values())
    because = "; ".join(f"{name} {value:.4g}" for name, value, _ in alert.because[:3])
    said = f"{where}: {alert.version} says {alert.score:.4g} (threshold {alert.threshold:.4g}) at {_iso(alert.at_us)}"
    return said + (f", because of {because}" if because else "")


@dataclass(frozen=True, kw_only=True)
class LogRoute:
    """A warning in the process's own log."""

    name: str = "log"

    def send(self, alert: Alert) -> None:
        """Write the line."""
        logger.warning("alert %s: %s", alert.id, headline(alert))


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A POST of JSON; any answer below 300 is a yes."""

    name: str
    url: str

    def send(self, alert: Alert) -> None:
        """Post the alert."""
        body = json.dumps(payload(alert)).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was read from the setting, http or https
            self.url, data=body, headers={"content-type": "application/json", "idempotency-key": alert.id}
        )
        with urllib.request.urlopen(request, timeout=_BUDGET_S) as answer:  # noqa: S310
            answer.read(1)


@dataclass(frozen=True, kw_only=True)
class Mail:
    """An e-mail by SMTP: over TLS from the start (smtps), by STARTTLS where the server offers it, else plain."""

    name: str
    host: str
    port: int
    to: tuple[str, ...]
    sender: str
    user: str = ""
    password: str = ""
    tls: bool = False

    def send(self, alert: Alert) -> None:
        """Send the e-mail."""
        message = EmailMessage()
        message["Subject"] = f"[{alert.project}] {headline(alert)}"[:180]
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Message-ID"] = f"<{alert.id}@lineshaft>"
        message.set_content(headline(alert) + "\n\n" + json.dumps(payload(alert), indent=2))
        context = ssl.create_default_context()
        if self.tls:
            session: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_BUDGET_S, context=context)
        else:
            session = smtplib.SMTP(self.host, self.port, timeout=_BUDGET_S)
        with session:
            session.ehlo()
            if not self.tls and session.has_extn("starttls"):
                session.starttls(context=context)
            if self.user:
                session.login(self.user, self.password)
            session.send_message(message)


class Kafka:
    """A message on a topic, keyed by the asset; from the extra `lineshaft[flink]`."""

    def __init__(self, *, name: str, servers: str, topic: str) -> None:
        try:
            from confluent_kafka import Producer
        except ImportError as error:
            raise EnvironmentFault("no Kafka client is installed", fix="pip install confluent-kafka") from error
        self.name, self._topic = name, topic
        self._producer = Producer({"bootstrap.servers": servers, "message.timeout.ms": int(_BUDGET_S * 1000)})

    def send(self, alert: Alert) -> None:
        """Produce, and wait until it is acknowledged."""
        failed: list[str] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                failed.append(str(error))

        body = json.dumps(payload(alert)).encode()
        self._producer.produce(self._topic, body, key=alert.asset_id.encode(), on_delivery=delivered)
        if self._producer.flush(_BUDGET_S) or failed:
            raise OSError(failed[0] if failed else "the broker does not answer")


def routes_of(setting: str) -> list[Route]:
    """Read routes as the setting names them, separated by commas.

    >>> [route.name for route in routes_of("log, https://pager.example/hook")]
    ['log', 'https://pager.example']

    Raises
    ------
    InputError
        If one cannot be read; what it holds is not repeated, it may be a secret.
    """
    return [_route(text.strip()) for text in setting.split(",") if text.strip()]


def _route(text: str) -> Route:
    if text == "log":
        return LogRoute()
    try:
        url = urlsplit(text)
        name = f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")
    except ValueError as error:
        raise _unread() from error
    if not url.hostname:
        raise _unread()
    if url.scheme in ("http", "https"):
        return Webhook(name=name, url=text)
    if url.scheme in ("smtp", "smtps"):
        return _mail(url, name)
    if url.scheme == "kafka" and url.path.strip("/"):
        return Kafka(name=name, servers=f"{url.hostname}:{url.port or 9092}", topic=url.path.strip("/"))
    raise _unread()


def _mail(url: SplitResult, name: str) -> Mail:
    asked = parse_qs(url.query)
    to = tuple(asked.get("to", ()))
    if not to:
        raise _unread()
    tls = url.scheme == "smtps"
    return Mail(
        name=name,
        host=str(url.hostname),
        port=url.port or (465 if tls else 25),
        to=to,
        sender=asked.get("from", ["lineshaft@localhost"])[0],
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        tls=tls,
    )


def _unread() -> InputError:
    fix = "write log, https://host/path, smtp://host:port?to=you@plant.example, or kafka://host:9092/topic"
    return InputError("a route of alerts cannot be read", where="LINESHAFT_ALERT_ROUTES", fix=fix)


def deliver(alert: Alert, routes: Sequence[Route], *, rest_s: float = 0.5) -> Mapping[str, str]:
    """Send an alert by every route, each up to three times; return by route "sent", or why not."""
    became = {}
    for route in routes:
        for left in reversed(range(_TRIES)):
            try:
                route.send(alert)
            except Exception as error:  # noqa: BLE001 - whatever one route does, the others are taken
                became[route.name] = f"{type(error).__name__}: {error}"[:200]
                if left:
                    time.sleep(rest_s)
                else:
                    logger.warning("alert %s is not sent by %s: %s", alert.id, route.name, became[route.name])
            else:
                became[route.name] = "sent"
                break
    return became


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()
