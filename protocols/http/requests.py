"""ASGI's dictionaries as small typed values, and answers as one value that knows how to be sent.

A handler takes a `Request` and returns a `Response`; it never sees a scope or an ASGI message.
Bodies are bounded by whoever reads them: `body` for small ones, `chunks` for streams.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote

import msgspec

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Write = Callable[[bytes], Awaitable[None]]

JSON_TYPE: Final = b"application/json"
_BODILESS: Final = frozenset((204, 304))  # RFC 9110 8.6: they announce no length either
PROBLEM_TYPE: Final = b"application/problem+json"


class BodyTooLarge(Exception):
    """The body has, or announces, more octets than the handler takes."""


class ClientGone(Exception):
    """The client closed the connection: before its body was complete, or while we answered."""


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are lower case; of repeated ones the first counts."""

    method: str
    path: str
    raw_path: bytes
    """The path as it came, for segments that hold an encoded slash."""
    query: bytes
    headers: Mapping[bytes, bytes]
    secure: bool
    remote: str
    """The peer's IP address."""
    on_loopback: bool
    """The peer is on this machine."""
    receive: Receive

    def header(self, name: bytes) -> str:
        """The header as text, empty when it is missing."""
        return self.headers.get(name, b"").decode("latin-1")

    def query_value(self, name: str) -> str | None:
        """The first value of a query parameter (RFC 3986: `+` is itself)."""
        for pair in self.query.decode("latin-1").split("&"):
            key, _, value = pair.partition("=")
            if key == name:
                return unquote(value)
        return None

    @property
    def announced(self) -> int | None:
        """Content-Length, when there is one (the framing layer has checked its digits)."""
        value = self.headers.get(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    async def chunks(self, octets_max: int) -> AsyncIterator[bytes]:
        """The body in pieces; raises BodyTooLarge as soon as it goes over `octets_max`."""
        if (self.announced or 0) > octets_max:
            raise BodyTooLarge
        octets = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            piece = message.get("body", b"")
            octets += len(piece)
            if octets > octets_max:
                raise BodyTooLarge
            if piece:
                yield piece
            if not message.get("more_body", False):
                return

    async def body(self, octets_max: int, take: Callable[[int], None]) -> bytes:
        """The whole body; raises BodyTooLarge. `take` is told how many octets are held so far."""
        pieces: list[bytes] = []
        octets = 0
        async for piece in self.chunks(octets_max):
            octets += len(piece)
            take(octets)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(slots=True)
class Response:
    """One answer; `stream` is used instead of `body` when there is one, `length` octets of it.

    An answer with `live` has no length: that function writes pieces of the body as things happen,
    and the answer ends when it returns. `held` is given back when the answer is sent, or not.
    """

    status: int
    content_type: bytes = JSON_TYPE
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None
    length: int = 0
    live: Callable[[Write], Awaitable[None]] | None = None
    held: ExitStack | None = None

    def close(self) -> None:
        """Give back what the answer held."""
        if self.held is not None:
            self.held.close()

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Say it in ASGI messages: one for the head, one for each piece of the body."""
        if self.live is not None and not head_only:
            await self._send_live(send, self.live)
            return
        length = len(self.body) if self.stream is None else self.length
        headers = list(self.headers)
        if self.status not in _BODILESS and self.live is None:
            headers.append((b"content-length", b"%d" % length))
        if self.content_type:
            headers.append((b"content-type", self.content_type))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.stream is not None and not head_only:
            async for piece in self.stream:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        body = b"" if head_only else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_live(self, send: Send, live: Callable[[Write], Awaitable[None]]) -> None:
        async def write(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        headers = [*self.headers, (b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await live(write)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def read_scope(scope: Scope, receive: Receive) -> Request:
    """The typed form of an ASGI http scope."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value)
    client = scope.get("client")
    remote = client[0] if client else ""
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope.get("raw_path") or scope["path"].encode(),
        query=scope["query_string"],
        headers=headers,
        secure=scope["scheme"] in ("https", "wss"),
        remote=remote,
        on_loopback=_is_loopback(remote),
        receive=receive,
    )


def _is_loopback(host: str) -> bool:
    if host == "127.0.0.1":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def problem(
    status: int, detail: str, *, type_: str = "about:blank", headers: Headers | None = None
) -> Response:
    """An RFC 7807 problem document."""
    return problem_document({"type": type_, "status": status, "detail": detail}, headers=headers)


def problem_document(document: dict[str, Any], *, headers: Headers | None = None) -> Response:
    """A problem document with members of its own."""
    return Response(document["status"], PROBLEM_TYPE, msgspec.json.encode(document), headers or [])
