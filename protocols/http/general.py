"""hypercorn on one connection, for HTTP/2 and upgrades, held so that its faults stay there.

Two are known in 0.18 (each has its probe in the tests): an exception in one connection's task
ends the server it runs in; a client that stops reading makes a send, and so the shutdown, wait
for ever. (Those of its WebSocket are held in held_websocket.py.) So it runs per connection
under our accept loop, over a stream whose sends have a deadline and that can be closed under it,
and what it raises is logged and goes no further.
"""

import logging
import socket
from typing import Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from protocols.http.held_websocket import SocketConfig
from protocols.http.http1 import (
    BODY_WAIT_S,
    GONE,
    KEEP_ALIVE_S,
    RATE_MIN_OCTETS_S,
    SEND_S,
    App,
    Ends,
)
from protocols.http.requests import ClientGone, Message, Receive, Scope, Send

_LOG: Final = logging.getLogger("trireme.http")

HTTP2_STREAMS_MAX: Final = 64
HTTP2_HEADER_OCTETS_MAX: Final = 32 * 1024
WEBSOCKET_OCTETS_MAX: Final = 10_000_000
# For what is under way to end when the peer has closed.
GONE_S: Final = 5.0


def _config(message_octets_max: int) -> SocketConfig:
    config = SocketConfig(message_octets_max)
    config.errorlog = _LOG
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.h11_max_incomplete_size = HTTP2_HEADER_OCTETS_MAX
    config.h2_max_concurrent_streams = HTTP2_STREAMS_MAX
    config.h2_max_header_list_size = HTTP2_HEADER_OCTETS_MAX
    return config


class _Addresses:
    """What hypercorn asks of a socket: the two ends' addresses."""

    family = socket.AF_INET  # (host, port) pairs, whatever the host looks like

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def getpeername(self) -> tuple[str, int]:
        return self._ends.client

    def getsockname(self) -> tuple[str, int]:
        return self._ends.server


class _Guard:
    """The clear-text stream hypercorn sees: replayed octets first, sends with a deadline."""

    def __init__(self, stream: trio.abc.Stream, ends: Ends, replay: bytes) -> None:
        self._stream = stream
        self._replay = replay
        self.socket = _Addresses(ends)
        self.scope = trio.CancelScope()
        """All that hypercorn does for this connection."""

    def _gone(self) -> None:
        # hypercorn would keep the connection's tasks until its idle timer rings.
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + GONE_S)

    async def send_all(self, data: bytes) -> None:
        """Send, or close the connection when the peer does not read."""
        with trio.move_on_after(SEND_S + len(data) / RATE_MIN_OCTETS_S) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            await trio.aclose_forcefully(self._stream)
            self._gone()
            raise trio.BrokenResourceError("the peer does not read")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What was read before, then what comes."""
        if self._replay:
            replay, self._replay = self._replay, b""
            return replay
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except GONE:
            self._gone()
            raise
        if not data:
            self._gone()
        return data

    async def send_eof(self) -> None:
        """Half-close, where the stream can."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with trio.move_on_after(SEND_S):
                await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close, in bounded time."""
        with trio.move_on_after(SEND_S):
            await self._stream.aclose()


class _TlsGuard(_Guard):
    """The same over TLS: the handshake is done, hypercorn asks only for its outcome."""

    def __init__(
        self, stream: trio.abc.Stream, ends: Ends, replay: bytes, alpn: str | None
    ) -> None:
        super().__init__(stream, ends, replay)
        self.transport_stream = self
        self._alpn = alpn

    async def do_handshake(self) -> None:
        """Done before."""

    def selected_alpn_protocol(self) -> str | None:
        """What the handshake agreed on."""
        return self._alpn


class GeneralServer:
    """Everything that is not a plain HTTP/1.1 request, on the same application."""

    def __init__(self, app: App, *, message_octets_max: int = WEBSOCKET_OCTETS_MAX) -> None:
        self._config = _config(message_octets_max)
        self._context = WorkerContext(None)
        self._app = ASGIWrapper(_held(app))  # type: ignore[arg-type]

    async def serve(
        self, stream: trio.abc.Stream, ends: Ends, replay: bytes, alpn: str | None
    ) -> None:
        """Serve the connection to its end; returns whatever happens in it."""
        if ends.scheme == "https":
            guard: _Guard = _TlsGuard(stream, ends, replay, alpn)
        else:
            guard = _Guard(stream, ends, replay)
        try:
            with guard.scope:
                await TCPServer(self._app, self._config, self._context, {}, guard)  # type: ignore[arg-type]
        except Exception as error:
            # Not ours to name: h11, h2, wsproto and hypercorn raise what they like on hostile
            # input, and the connection is the widest thing that may suffer from it. One line,
            # for who sends such input may send much of it.
            _LOG.warning("a connection of %s ended in %r", ends.client[0], error)
            _LOG.debug("it came from", exc_info=True)

    async def terminate(self) -> None:
        """Idle connections close now, others after what they are at."""
        await self._context.terminated.set()


def _held(app: App) -> App:
    """The application, with bodies at a pace, and sends that fail through no fault of its own.

    hypercorn logs whatever an application raises as its bug, with the traceback: what h11, h2 and
    wsproto raise in a send, because of what the peer said meanwhile, must not come back that way.
    """
    paced = _with_body_deadline(app)

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_or_leave(message: Message) -> None:
            try:
                await send(message)
            except Exception as error:
                raise ClientGone(f"a send failed with {error!r}") from error

        try:
            await paced(scope, receive, send_or_leave)
        except ClientGone as gone:
            _LOG.debug("%s", gone)

    return held


def _with_body_deadline(app: App) -> App:
    """The application, with request bodies that must come at the pace HTTP/1.1's must."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began_s, octets, reading = trio.current_time(), 0, True

        async def receive_in_time() -> Message:
            nonlocal octets, reading
            if not reading:
                return await receive()
            due = began_s + BODY_WAIT_S + octets / RATE_MIN_OCTETS_S
            seconds = min(BODY_WAIT_S, max(due - trio.current_time(), 0))
            message: Message = {"type": "http.disconnect"}
            with trio.move_on_after(seconds):
                message = await receive()
            octets += len(message.get("body", b""))
            reading = message.get("more_body", False)
            return message

        await app(scope, receive_in_time, send)

    return bounded
