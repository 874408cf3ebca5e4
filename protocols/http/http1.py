"""HTTP/1.1 on one connection: read a request, run the ASGI application, write its answer; again.

One task, one cancel scope whose deadline is moved, one `send_all` for a head with its body: the
floor of every JMAP request. The deadline is finite only while the peer is waited for, never while
the application works, so a slow peer is cut off and a write under way is not.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

import trio

from protocols.http.framing import Failure, Framer, Incoming
from protocols.http.requests import ClientGone, Message, Receive, Scope, Send

RECEIVE_OCTETS: Final = 64 * 1024
# A large body's pieces: each costs as much beside its octets as a quarter of such a piece does.
# It is held while it is taken, and not while the next one is waited for.
BODY_RECEIVE_OCTETS: Final = 1024 * 1024
# From a connection's start, or a head's first octet, to the head's end.
HEAD_S: Final = 15.0
# Between requests.
KEEP_ALIVE_S: Final = 75.0
# Any one wait for a body's next octets, and the least rate over the whole body.
BODY_WAIT_S: Final = 30.0
# Any one send: time for its first octets, and the least rate for the rest.
SEND_S: Final = 30.0
RATE_MIN_OCTETS_S: Final = 16 * 1024
# After the last answer the client's remaining octets are read and dropped, or the kernel would
# reset the connection and the answer could be lost (RFC 9112 9.6). Many clients write a whole
# body before they read: one refused for its size must fit. Any one wait, the time, the size.
LINGER_WAIT_S: Final = 2.0
LINGER_S: Final = 30.0
LINGER_OCTETS_MAX: Final = 128 * 1024 * 1024

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REASONS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_BODY: Final = frozenset((204, 304))
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Phase(Enum):
    """Whom the connection waits for."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    APP = auto()
    SEND = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection, as ASGI scopes name them."""

    client: tuple[str, int]
    server: tuple[str, int]
    scheme: str


class Http1Connection:
    """One connection; `run` serves it to its end."""

    def __init__(
        self, stream: trio.abc.Stream, app: App, ends: Ends, http_date: Callable[[], bytes]
    ) -> None:
        self._stream = stream
        self._app = app
        self._ends = ends
        self._http_date = http_date
        self._framer = Framer()
        self._scope = trio.CancelScope()
        self._closing = False
        self._started = False  # the current request's answer
        self.phase = Phase.HEAD

    def close_soon(self) -> None:
        """Take no further request: end now when idle, else after the answer under way."""
        self._closing = True
        if self.phase is Phase.IDLE:
            self._scope.cancel()

    async def run(self, first: bytes) -> bytes | None:
        """Serve until the end; `first` was read already. Octets to replay elsewhere, or None."""
        replay = None
        with self._scope:
            try:
                self._framer.feed(first)
                replay = await self._serve()
            except (*GONE, ClientGone):
                self.phase = Phase.DONE
        late = self.phase is Phase.HEAD or (self.phase is Phase.BODY and not self._started)
        if replay is None and late:
            await self._last_words(Failure(408, "the request took too long"))
        return replay

    async def _serve(self) -> bytes | None:
        lives_on = True
        while lives_on and (request := await self._next()) is not None:
            self._started = False
            lives_on = await self._exchange(request)
        failure, self.phase = self._framer.failure, Phase.DONE
        if failure is not None and (lives_on or not self._started):
            await self._last_words(failure)
        return self._framer.upgrade if lives_on and not self._closing else None

    async def _next(self) -> Incoming | None:
        framer = self._framer
        if not framer.requests and framer.failure is None and framer.upgrade is None:
            self.phase = Phase.HEAD if framer.in_head else Phase.IDLE
            self._deadline(HEAD_S if framer.in_head else KEEP_ALIVE_S)
        while not framer.requests:
            if framer.failure is not None or framer.upgrade is not None or self._closing:
                return None
            data = await self._stream.receive_some(RECEIVE_OCTETS)
            if not data:
                self.phase = Phase.DONE
                return None
            framer.feed(bytes(data))
            if self.phase is Phase.IDLE:
                self.phase = Phase.HEAD
                if not framer.requests:  # mostly a head comes whole
                    self._deadline(HEAD_S)
        self.phase = Phase.APP
        self._scope.deadline = math.inf
        return framer.requests.popleft()

    def _deadline(self, seconds: float) -> None:
        self._scope.deadline = trio.current_time() + seconds

    async def _exchange(self, request: Incoming) -> bool:
        """Run the application on one request; whether the connection lives on."""
        exchange = _Exchange(self, request)
        await self._app(self._asgi_scope(request), exchange.receive, exchange.send)
        if not exchange.finished:
            return False  # the application gave up on a client that is gone
        if exchange.keep_alive and request.complete:
            return True
        self.phase = Phase.DONE
        await self._linger()
        return False

    def _asgi_scope(self, request: Incoming) -> Scope:
        raw, _, query = request.target.partition(b"?")
        if not raw.startswith(b"/"):
            raw = _origin_form(raw)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.version,
            "method": request.method,
            "scheme": self._ends.scheme,
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": request.headers,
            "client": self._ends.client,
            "server": self._ends.server,
        }

    async def read_body(self, request: Incoming, due: float) -> None:
        """Read once more for the body of `request`; `due` is when the whole must have come."""
        self.phase = Phase.BODY
        self._scope.deadline = min(trio.current_time() + BODY_WAIT_S, due)
        data = await self._stream.receive_some(BODY_RECEIVE_OCTETS)
        self._scope.deadline = math.inf
        self.phase = Phase.APP
        if not data:
            raise trio.BrokenResourceError("the peer left within a body")
        self._framer.feed(bytes(data))

    @property
    def failure(self) -> Failure | None:
        """What was wrong with the octets, if anything was."""
        return self._framer.failure

    async def wait_gone(self) -> None:
        """Return when the peer has closed; a pipelined request waits its turn meanwhile."""
        if self._framer.requests or self._framer.failure or self._framer.upgrade:
            await trio.sleep_forever()
        try:
            data = await self._stream.receive_some(RECEIVE_OCTETS)
        except GONE:
            return
        if data:
            self._framer.feed(bytes(data))
            await trio.sleep_forever()

    async def write(self, data: bytes, *, final: bool = True) -> None:
        """Send octets, in the time such a number may take; not `final` is a 1xx answer."""
        self.phase = Phase.SEND
        self._started = final
        self._deadline(SEND_S + len(data) / RATE_MIN_OCTETS_S)
        await self._stream.send_all(data)
        self._scope.deadline = math.inf
        self.phase = Phase.APP

    def head(self, status: int, headers: list[tuple[bytes, bytes]], *, close: bool) -> bytes:
        """A response head, Date and connection handling included."""
        line = _REASONS.get(status) or b"HTTP/1.1 %d \r\n" % status
        lines = [line, b"date: ", self._http_date(), b"\r\n"]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
        return b"".join(lines)

    @property
    def closing(self) -> bool:
        """No further request will be read."""
        return self._closing

    async def _last_words(self, failure: Failure) -> None:
        body = failure.detail.encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        with trio.move_on_after(LINGER_S):
            try:
                await self._stream.send_all(self.head(failure.status, headers, close=True) + body)
                await self._linger()
            except GONE:
                return

    async def _linger(self) -> None:
        ends_at = trio.current_time() + LINGER_S
        with trio.move_on_after(LINGER_WAIT_S) as scope:
            try:
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                dropped = 0
                while dropped < LINGER_OCTETS_MAX:
                    data = await self._stream.receive_some(BODY_RECEIVE_OCTETS)
                    if not data:
                        return
                    dropped += len(data)
                    scope.deadline = min(trio.current_time() + LINGER_WAIT_S, ends_at)
            except GONE:
                return


def _origin_form(target: bytes) -> bytes:
    """RFC 9112 3.2.2: absolute-form must be taken too; anything else stays as it is."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        return target
    return b"/" + rest.partition(b"/")[2]


class _Exchange:
    """ASGI's receive and send for one request."""

    def __init__(self, connection: Http1Connection, request: Incoming) -> None:
        self._connection = connection
        self._request = request
        self._octets = 0
        self._began_s = trio.current_time()
        self._head: Message | None = None
        self._chunked = False
        self._body_read = False
        self.keep_alive = True
        self.finished = False

    async def receive(self) -> Message:
        """The next piece of the body; at its end, wait for the peer to go."""
        request, connection = self._request, self._connection
        if self._body_read:
            await connection.wait_gone()
            return {"type": "http.disconnect"}
        try:
            if not request.body and not request.complete:
                await self._read_more()
        except GONE:
            return {"type": "http.disconnect"}
        if connection.failure is not None and not request.complete:
            return {"type": "http.disconnect"}
        piece = request.body.popleft() if request.body else b""
        self._octets += len(piece)
        more = bool(request.body) or not request.complete
        self._body_read = not more
        return {"type": "http.request", "body": piece, "more_body": more}

    async def _read_more(self) -> None:
        request, connection = self._request, self._connection
        if request.expects_continue:
            request.expects_continue = False
            await connection.write(_CONTINUE, final=False)
        while not request.body and not request.complete and connection.failure is None:
            due = self._began_s + BODY_WAIT_S + self._octets / RATE_MIN_OCTETS_S
            await connection.read_body(request, due)

    async def send(self, message: Message) -> None:
        """ASGI's send: the head goes out with the first piece of the body."""
        if message["type"] == "http.response.start":
            self._head = message
            return
        assert message["type"] == "http.response.body", message["type"]
        body, more = message.get("body", b""), message.get("more_body", False)
        data = b""
        if self._head is not None:
            data = self._start(self._head, body, more)
            self._head = None
        if self._request.method != "HEAD":
            data += self._frame(body, more)
        if data:
            try:
                await self._connection.write(data)
            except GONE:
                raise ClientGone from None
        self.finished = not more

    def _start(self, head: Message, body: bytes, more: bool) -> bytes:
        status: int = head["status"]
        headers = list(head.get("headers", ()))
        named = {name for name, _ in headers}
        if b"content-length" not in named and status not in _NO_BODY:
            if not more:
                headers.append((b"content-length", b"%d" % len(body)))
            elif self._request.version == "1.1":
                headers.append((b"transfer-encoding", b"chunked"))
                self._chunked = True
            else:
                self.keep_alive = False
        # A body not taken to its end, or one never sent for want of 100 Continue, would be read
        # as the next request.
        self.keep_alive = (
            self.keep_alive
            and self._request.keep_alive
            and self._request.complete
            and not self._connection.closing
        )
        return self._connection.head(status, headers, close=not self.keep_alive)

    def _frame(self, body: bytes, more: bool) -> bytes:
        if not self._chunked:
            return body
        framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        return framed if more else framed + b"0\r\n\r\n"
