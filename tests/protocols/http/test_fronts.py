"""Both HTTP fronts, ours for HTTP/1.1 and hypercorn for HTTP/2, answer the same to the same.

Each exchange is said once to each over a socket; status, body and every header that the
application gives must agree. Hostile requests are told apart by either.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import trio

from protocols.jmap.capabilities import CORE, MAIL, Limits
from tests.protocols.http.doors import OpenDoor, open_door
from tests.protocols.http.listening import basic
from tests.protocols.jmap.desk import Desk

PAGE = "https://page.example"
# What belongs to one connection and not to the answer.
OF_CONNECTION = {"date", "connection", "transfer-encoding", "keep-alive", "upgrade"}


FRAME_OCTETS = 16_384


@dataclass
class Told:
    """An answer, as far as it has come."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def shown(self) -> tuple[int, dict[str, str], bytes]:
        """What both fronts must agree on."""
        kept = {k: v for k, v in self.headers.items() if k not in OF_CONNECTION}
        return self.status, kept, self.body


class Front:
    """A client of one front, over one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        """One request and its whole answer."""
        told = await self.begin(method, path, headers, body)
        with trio.fail_after(10):
            while not told.ended:
                await self.more(told)
        return told

    async def begin(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        raise AssertionError("each front has its own")

    async def more(self, told: Told) -> None:
        raise AssertionError("each front has its own")


class One(Front):
    """HTTP/1.1."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.held = b""
        self.head_only = False

    async def begin(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = f"content-length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\n{fields}{length}\r\n"
        await self.stream.send_all(head.encode() + body)
        self.head_only = method == "HEAD"
        return Told()

    async def more(self, told: Told) -> None:
        if not told.status:
            if b"\r\n\r\n" in self.held:
                head, _, self.held = self.held.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                told.status = int(first.split()[1])
                pairs = [line.split(": ", 1) for line in lines]
                told.headers = {name.lower(): value for name, value in pairs}
        elif not self._take_body(told):
            await self._read()
            return
        if not told.status:
            await self._read()

    async def _read(self) -> None:
        data = await self.stream.receive_some(65536)
        assert data, self.held
        self.held += bytes(data)

    def _take_body(self, told: Told) -> bool:
        if self.head_only or told.status in (204, 304):
            told.ended = True
            return True
        if "content-length" in told.headers:
            length = int(told.headers["content-length"])
            if len(self.held) >= length:
                told.body, self.held = self.held[:length], self.held[length:]
                told.ended = True
                return True
            return False
        line, mark, rest = self.held.partition(b"\r\n")
        if not mark or len(rest) < int(line, 16) + 2:
            return False
        size = int(line, 16)
        told.body += rest[:size]
        self.held = rest[size + 2 :]
        told.ended = size == 0
        return True


class Two(Front):
    """HTTP/2 with prior knowledge."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.http2 = h2.connection.H2Connection(config)
        self.http2.initiate_connection()

    async def begin(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        number = self.http2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.http2.send_headers(number, [*head, *headers.items()], end_stream=not body)
        if body:
            for at in range(0, len(body), FRAME_OCTETS):
                piece = body[at : at + FRAME_OCTETS]
                last = at + FRAME_OCTETS >= len(body)
                self.http2.send_data(number, piece, end_stream=last)
        await self.stream.send_all(self.http2.data_to_send())
        return Told()

    async def more(self, told: Told) -> None:
        data = await self.stream.receive_some(65536)
        assert data, "the door hung up"
        for event in self.http2.receive_data(bytes(data)):
            if isinstance(event, h2.events.ResponseReceived):
                fields = {str(name): str(value) for name, value in event.headers}
                told.status = int(fields.pop(":status"))
                told.headers = fields
            elif isinstance(event, h2.events.DataReceived):
                told.body += event.data
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                told.ended = True
        await self.stream.send_all(self.http2.data_to_send())


FRONTS = (One, Two)


@asynccontextmanager
async def both(desk: Desk) -> AsyncIterator[list[Front]]:
    """A connection to each front of one door."""
    async with open_door(desk.app) as door:
        fronts = [kind(await door.dial()) for kind in FRONTS]
        yield [*fronts]
        for front in fronts:
            await front.stream.aclose()


SIGNED = {"authorization": basic().decode()}
JSON = SIGNED | {"content-type": "application/json"}
ECHO = msgspec.json.encode({"using": [CORE], "methodCalls": [["Core/echo", {"a": 1}, "c"]]})


def exchanges(desk: Desk, blob: str) -> list[tuple[str, str, dict[str, str], bytes]]:
    """Requests of every kind: served, refused, and none that there are."""
    download = f"/jmap/download/{desk.account}/{blob}/m.eml?type=message/rfc822"
    get = ["Email/get", {"accountId": desk.account, "ids": None}, "c"]
    preflight = {"origin": PAGE, "access-control-request-method": "POST"}
    return [
        ("GET", "/.well-known/jmap", SIGNED, b""),
        ("HEAD", "/.well-known/jmap", SIGNED, b""),
        ("GET", "/.well-known/jmap", SIGNED | {"origin": PAGE}, b""),
        ("GET", "/.well-known/jmap", {}, b""),
        ("GET", "/.well-known/jmap", {"authorization": "Basic eDp5"}, b""),
        ("OPTIONS", "/jmap/api", preflight, b""),
        ("OPTIONS", "/jmap/api", preflight | {"origin": "https://evil.example"}, b""),
        ("OPTIONS", "/jmap/api", {}, b""),
        ("POST", "/jmap/api", JSON, ECHO),
        ("POST", "/jmap/api", JSON, msgspec.json.encode({"using": [MAIL], "methodCalls": [get]})),
        ("POST", "/jmap/api", JSON, b"{"),
        ("POST", "/jmap/api", JSON, b"x" * 3000),
        ("POST", "/jmap/api", SIGNED | {"content-type": "text/plain"}, ECHO),
        ("POST", "/jmap/api", JSON, b'{"using":["urn:x"],"methodCalls":[]}'),
        ("DELETE", "/jmap/api", SIGNED, b""),
        ("GET", "/nowhere", SIGNED, b""),
        ("GET", "/jmap/ws", SIGNED, b""),
        ("POST", f"/jmap/upload/{desk.account}/", SIGNED | {"content-type": "a/b"}, b"data"),
        ("POST", f"/jmap/upload/{desk.account}/", SIGNED, b"x" * 5000),
        ("POST", "/jmap/upload/a99/", SIGNED, b"data"),
        ("GET", download, SIGNED, b""),
        ("HEAD", download, SIGNED, b""),
        ("GET", download, SIGNED | {"range": "bytes=5-9"}, b""),
        ("GET", download, SIGNED | {"range": "bytes=99999-"}, b""),
        ("GET", download, SIGNED | {"if-none-match": "*"}, b""),
        ("GET", "/jmap/eventsource/?types=*", SIGNED, b""),
        ("GET", "/healthz", {}, b""),
    ]


async def test_the_same_requests_have_the_same_answers() -> None:
    desk = Desk(limits=Limits(request_bytes_max=2000, upload_bytes_max=4000), allow_origins=(PAGE,))
    desk.deliver()
    blob = (await desk.call("Email/get", ids=None))["list"][0]["blobId"]
    async with both(desk) as fronts:
        for exchange in exchanges(desk, blob):
            one, two = [await front.ask(*exchange) for front in fronts]
            assert one.shown == two.shown, exchange
            assert one.status


async def test_an_event_stream_is_the_same_on_both_and_ends_with_its_client() -> None:
    desk = Desk()
    async with both(desk) as fronts:
        path = "/jmap/eventsource/?types=Email&closeafter=state&ping=0"
        streams = [await front.begin("GET", path, SIGNED, b"") for front in fronts]
        with trio.fail_after(10):
            for front, told in zip(fronts, streams, strict=True):
                while b"id: " not in told.body:
                    await front.more(told)
            desk.deliver()
            for front, told in zip(fronts, streams, strict=True):
                while not told.ended:
                    await front.more(told)
        assert streams[0].shown == streams[1].shown and b"event: state" in streams[0].body
        open_ended = path.replace("state&", "no&")
        for front in fronts:
            told = await front.begin("GET", open_ended, SIGNED, b"")
            while b"id: " not in told.body:
                await front.more(told)
        assert desk.house.news.watched == 1
    with trio.fail_after(10):
        while desk.house.news.watched:
            await trio.sleep(0.01)


HOSTILE = [
    ("GET", "/" + "a" * 40_000, {}, b""),
    ("GET", "/.well-known/jmap", {"x": "a" * 40_000}, b""),
    ("GET", "/jmap/eventsource/?" + "types=*&" * 2000, SIGNED, b""),
    ("GET", "/jmap/download/%00/%2e%2e/%2f", SIGNED, b""),
    ("GET", "/.well-known/jmap", {"authorization": "Basic " + "=" * 9000}, b""),
    ("POST", "/jmap/api", JSON, b"[" * 60_000),
    ("POST", "/jmap/api", JSON | {"content-encoding": "gzip"}, b"\x1f\x8b" + b"\0" * 100),
    ("POST", "/jmap/api", JSON, b"\xff" * 1000),
    ("BREW", "/jmap/api", SIGNED, b""),
]


@pytest.mark.parametrize("kind", FRONTS)
async def test_hostile_requests_are_refused_and_others_are_served_on(kind: type[Front]) -> None:
    desk = Desk()
    async with open_door(desk.app) as door:
        for exchange in HOSTILE:
            status = await _status(door, kind, exchange)
            assert status is None or 400 <= status < 500, (exchange[:2], status)
        async with await door.dial() as stream:
            told = await kind(stream).ask("POST", "/jmap/api", JSON, ECHO)
        assert told.status == 200


async def _status(
    door: OpenDoor, kind: type[Front], exchange: tuple[str, str, dict[str, str], bytes]
) -> int | None:
    """The status of the answer; None when the connection was ended instead."""
    async with await door.dial() as stream:
        try:
            return (await kind(stream).ask(*exchange)).status or None
        except (AssertionError, trio.BrokenResourceError):
            return None
