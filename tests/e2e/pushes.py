"""Who hears of changes in end-to-end tests: three kinds of listeners, each a thread of its own.

Each keeps the newest state of Email that it was told, and, when its node dies, goes on at the next
one from where it was.
"""

import base64
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Message, Ping, Request, TextMessage

from tests.bench.clients import Lines
from tests.protocols.webpush.client import PushClient

Address = tuple[str, int]


class Ear:
    """The newest state of Email that was told, and when each was."""

    def __init__(self) -> None:
        self.told: dict[int, float] = {}
        self.opened = threading.Event()
        self.reconnected = 0

    @property
    def newest(self) -> int:
        return max(self.told, default=0)

    def hear(self, change: dict[str, Any]) -> None:
        """A StateChange has come."""
        for types in change["changed"].values():
            if "Email" in types:
                self.told.setdefault(int(types["Email"]), time.monotonic())

    def listen(self, nodes: Sequence[Address], stop: threading.Event) -> None:
        """Until the test ends, at one node after the other."""
        at = 0
        while not stop.is_set():
            with contextlib.suppress(OSError):
                self.follow(nodes[at % len(nodes)], stop)
            at += 1
            self.reconnected += 1
            stop.wait(0.05)

    def follow(self, node: Address, stop: threading.Event) -> None:
        """One connection, to its end."""
        raise AssertionError("each kind has its own")


class StreamEar(Ear):
    """An event stream; comes back with Last-Event-ID."""

    def __init__(self, authorization: str) -> None:
        super().__init__()
        self.authorization = authorization
        self.last = ""

    def follow(self, node: Address, stop: threading.Event) -> None:
        lines = Lines(node)
        again = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        lines.socket.sendall(
            "GET /jmap/eventsource/?types=Email&closeafter=no&ping=5 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {self.authorization}\r\n{again}\r\n".encode()
        )
        with contextlib.closing(lines):
            while not stop.is_set():
                line = lines.line().decode().rstrip()
                if line.startswith("id: "):
                    self.last = line[4:]
                    self.opened.set()
                elif line.startswith('data: {"@type":"StateChange"'):
                    self.hear(json.loads(line[6:]))


class SocketEar(Ear):
    """A WebSocket; comes back with pushState."""

    def __init__(self, authorization: str) -> None:
        super().__init__()
        self.authorization = authorization
        self.last: str | None = None

    def follow(self, node: Address, stop: threading.Event) -> None:
        connection = WSConnection(ConnectionType.CLIENT)
        with socket.create_connection(node, 20) as wire:
            extra = [(b"authorization", self.authorization.encode())]
            asked = Request("x", "/jmap/ws", subprotocols=["jmap"], extra_headers=extra)
            wire.sendall(connection.send(asked))
            while not stop.is_set():
                data = wire.recv(65536)
                if not data:
                    return
                connection.receive_data(data)
                for event in connection.events():
                    match event:
                        case AcceptConnection():
                            enable = {
                                "@type": "WebSocketPushEnable",
                                "dataTypes": ["Email"],
                                "pushState": self.last,
                            }
                            wire.sendall(connection.send(Message(data=json.dumps(enable))))
                            self.opened.set()
                        case Ping():
                            wire.sendall(connection.send(event.response()))
                        case TextMessage() | BytesMessage():
                            change = json.loads(event.data)
                            self.last = change["pushState"]
                            self.hear(change)


class PushEar(Ear):
    """A push service on loopback, and the device behind it that can read what it is handed."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.client = PushClient(b"\x2a" * 32, b"0123456789abcdef")
        self.codes: dict[str, str] = {}
        self.headers: list[dict[str, str]] = []
        authority = trustme.CA()
        authority.cert_pem.write_to_path(directory / "authority.pem")
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                ear.take(dict(self.headers), self.rfile.read(int(self.headers["content-length"])))
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/device?id=7"

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """A message for the device."""
        self.headers.append(headers)
        told = json.loads(self.client.decrypt(body))
        if told["@type"] == "PushVerification":
            self.codes[told["pushSubscriptionId"]] = told["verificationCode"]
        else:
            self.hear(told)


def authorization(user: str, password: str) -> str:
    """Basic credentials."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def listening(ears: Sequence[tuple[Ear, Sequence[Address]]], service: PushEar) -> Iterator[None]:
    """All of them at work, until the block ends."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=ear.listen, args=(nodes, stop), daemon=True) for ear, nodes in ears
    ]
    threads.append(threading.Thread(target=service.server.serve_forever, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        service.server.shutdown()
        service.server.server_close()
