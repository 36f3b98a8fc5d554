"""Where alerts go in the tests: a mail server and a web server on loopback that keep what they are sent. No tests."""

from __future__ import annotations

import email
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = "s3cret-passw0rd"
TOKEN = "t0ken-of-the-hook"


@dataclass
class MailSink:
    """A mail server that knows one password. While it is `refusing`, it takes no mail."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    refusing: bool = False

    @property
    def url(self) -> str:
        """As one writes it into BILLINGO_ALERT_URLS."""
        return (
            f"mailto://ops:{PASSWORD}@127.0.0.1:{self.port}/"
            "?mode=insecure&from=billingo@example.com&to=bookkeeping@example.com"
        )

    @property
    def subjects(self) -> list[str]:
        """Of all mails, in the order in which they came."""
        return [mail["Subject"] for mail in self.mails]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail; called by the server."""
        if self.refusing:
            return "451 Try again later"
        assert isinstance(envelope.content, bytes)
        parsed = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        return "250 OK"


@dataclass
class WebSink:
    """A web server that answers `status` and keeps what was posted, as JSON, and the paths that were got."""

    port: int = 0
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As one writes it into BILLINGO_ALERT_URLS."""
        return f"json://127.0.0.1:{self.port}/hook/{TOKEN}"

    @property
    def heartbeat_url(self) -> str:
        """As one writes it into BILLINGO_HEARTBEAT_URL."""
        return f"http://127.0.0.1:{self.port}/beat/{TOKEN}"

    @property
    def titles(self) -> list[str]:
        """Of all messages, in the order in which they came."""
        return [post["title"] for post in self.posts]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=isinstance(data, LoginPassword) and data.password == PASSWORD.encode())


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    """A mail server, until the block ends."""
    sink = MailSink(free_port())
    controller = Controller(
        sink, hostname="127.0.0.1", port=sink.port, authenticator=_authenticate, auth_require_tls=False
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()


@contextmanager
def web_sink() -> Iterator[WebSink]:
    """A web server, until the block ends."""
    sink = WebSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if sink.status < 300:
                sink.posts.append(posted)
            self._answer()

        def do_GET(self) -> None:
            sink.gets.append(self.path)
            self._answer()

        def _answer(self) -> None:
            self.send_response(sink.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
