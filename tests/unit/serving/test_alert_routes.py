"""Alerts reach real servers of HTTP and mail, say who, what and why, and name no secret when they cannot."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lineshaft.errors import InputError
from lineshaft.registry.alerts import Alert
from lineshaft.serving.alert_routes import LogRoute, Mail, Webhook, deliver, headline, routes_of

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
    because=(("vibration__rms", 0.31, 50.0), ("vibration__kurtosis", 9.0, 2.5)),
)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """Serve on a thread; yield the port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index,misc]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Hook(BaseHTTPRequestHandler):
    """A webhook that keeps what it was sent, and says no as often as it is told to."""

    got: list[tuple[str, dict[str, Any]]]
    refusals: int

    def do_POST(self) -> None:
        """Take an alert, or refuse it."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).got.append((str(self.headers["idempotency-key"]), body))
        type(self).refusals -= 1
        self.send_response(503 if self.refusals >= 0 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


class Post(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs."""

    mails: list[list[str]]

    def handle(self) -> None:
        """Answer each line; keep the message."""
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line.split()[0].upper() if line.strip() else b""
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                type(self).mails.append([one.decode().rstrip("\r\n") for one in lines])
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


def test_a_webhook_is_sent_the_whole_alert_under_one_key() -> None:
    """Refused once, taken the second time: the same key both times, so that whoever takes it can tell."""
    Hook.got, Hook.refusals = [], 1

    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as port:
        (route,) = routes_of(f"http://127.0.0.1:{port}/hook?key=secret")
        became = deliver(ALERT, [route], rest_s=0.01)

    assert became == {f"http://127.0.0.1:{port}": "sent"}
    assert [key for key, _ in Hook.got] == [ALERT.id] * 2
    body = Hook.got[1][1]
    assert body["model"] == "bearing_anomaly@3"
    assert body["entity"] == {"asset_id": "pump-7", "position": "drive_end"}
    assert (body["at"], body["score"], body["threshold"]) == ("2023-11-14T22:13:20+00:00", 7.25, 6.0)
    assert body["because"][0] == {"feature": "vibration__rms", "value": 0.31, "contribution": 50.0}


def test_a_mail_says_the_alert_in_its_subject() -> None:
    """To everybody named, from whom the setting says."""
    Post.mails = []

    with serving(socketserver.TCPServer(("127.0.0.1", 0), Post)) as port:
        (route,) = routes_of(f"smtp://127.0.0.1:{port}?to=ana@plant.example&to=ben@plant.example&from=ls@plant.example")
        became = deliver(ALERT, [route], rest_s=0.01)

    assert list(became.values()) == ["sent"]
    text = "\n".join(Post.mails[0]).replace("\n ", " ")
    assert "From: ls@plant.example" in text
    assert "To: ana@plant.example, ben@plant.example" in text
    assert "Subject: [dev] pump-7, drive_end: bearing_anomaly@3 says 7.25 (threshold 6)" in text
    assert '"alert": "0123456789abcdef"' in text


def test_a_route_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens at the first: it is said why, without the secret in its address, and the log has the alert."""
    with serving(socketserver.TCPServer(("127.0.0.1", 0), Post)) as port:
        pass
    routes = routes_of(f"http://127.0.0.1:{port}/token-1234,log")

    became = deliver(ALERT, routes, rest_s=0.01)

    assert became["log"] == "sent"
    assert "refused" in became[f"http://127.0.0.1:{port}"]
    assert headline(ALERT) in caplog.text
    assert "token-1234" not in caplog.text + str(became)


def test_routes_are_read_from_one_setting() -> None:
    """In the order given; a mail's port follows from its scheme."""
    log, hook, mail = routes_of("log, https://pager.example/x, smtps://ann:p%40ss@mail.example?to=a@plant.example")

    assert isinstance(log, LogRoute)
    assert isinstance(hook, Webhook)
    assert isinstance(mail, Mail)
    assert (mail.port, mail.tls, mail.user, mail.password) == (465, True, "ann", "p@ss")
    assert routes_of("") == []


@pytest.mark.parametrize(
    "text",
    ["pager", "ftp://host.example/secret", "smtp://host.example", "kafka://host.example", "http://:99999/secret"],
)
def test_a_route_that_cannot_be_read_is_not_repeated(text: str) -> None:
    """It may hold a secret; the setting is named, and how it is written."""
    with pytest.raises(InputError) as caught:
        routes_of(f"log,{text}")

    assert "secret" not in str(caught.value)
    assert caught.value.where == "LINESHAFT_ALERT_ROUTES"
