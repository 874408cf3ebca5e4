"""The HTTP door on a connection: TLS, then our own HTTP/1.1 loop, or hypercorn for the rest.

Both run the same ASGI application. The node's listeners accept and call `serve_stream` in a task
per connection; the door bounds how many there are, contains what goes wrong in one, and closes
all of them in bounded time at shutdown.
"""

import ssl
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

import trio

from protocols.http.general import WEBSOCKET_OCTETS_MAX, GeneralServer
from protocols.http.http1 import GONE, HEAD_S, RECEIVE_OCTETS, App, Ends, Http1Connection
from protocols.ports import Clock

# Each costs some 20 KiB and a task; beyond them a client is turned away at once.
CONNECTIONS_MAX: Final = 10_000
HANDSHAKE_S: Final = 15.0
CLOSE_S: Final = 1.0
# What is said in clear to whom there is no room for (RFC 9110 15.6.4).
FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
ALPN: Final = ("h2", "http/1.1")

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 3.4


@dataclass(slots=True, eq=False)
class _Live:
    """One connection, as shutdown sees it."""

    stream: trio.abc.Stream
    scope: trio.CancelScope
    begun: bool = False
    """It has said something: what it asked for may be under way."""
    http1: Http1Connection | None = None


class HttpDoor:
    """Connections in, ASGI calls out."""

    def __init__(
        self,
        app: App,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        connections_max: int = CONNECTIONS_MAX,
        message_octets_max: int = WEBSOCKET_OCTETS_MAX,
    ) -> None:
        self._app = app
        self._clock = clock
        self._tls = tls
        self._connections_max = connections_max
        self._general = GeneralServer(app, message_octets_max=message_octets_max)
        self._live: set[_Live] = set()
        self._closing = False
        self._emptied = trio.Event()
        self._date = (-1, b"")
        if tls is not None:
            tls.set_alpn_protocols(list(ALPN))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._live)

    def _http_date(self) -> bytes:
        """RFC 9110 6.6.1 Date, made once a second."""
        second = self._clock.now_ms() // 1000
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    async def serve_stream(
        self,
        stream: trio.abc.Stream,
        *,
        client: tuple[str, int] | None = None,
        server: tuple[str, int] | None = None,
    ) -> None:
        """Serve one connection to its end. Addresses are the socket's own unless given.

        A stream without a socket is given its peer's address; its own may stay unknown.
        """
        if self._closing or len(self._live) >= self._connections_max:
            await trio.aclose_forcefully(stream)
            return
        live = _Live(stream, trio.CancelScope())
        self._live.add(live)
        try:
            with live.scope:
                await self._serve(live, client, server)
        finally:
            self._live.discard(live)
            if not self._live:
                self._emptied.set()
            await trio.aclose_forcefully(stream)

    async def _serve(
        self, live: _Live, client: tuple[str, int] | None, server: tuple[str, int] | None
    ) -> None:
        stream = live.stream
        try:
            client = client or _address(stream, peer=True)
            server = server or _address(stream, peer=False)
        except OSError:
            return  # the peer left before it was looked at
        ends = Ends(client, server, "http" if self._tls is None else "https")
        alpn = None
        if self._tls is not None:
            wrapped = await self._handshake(stream, self._tls)
            if wrapped is None:
                return
            stream = live.stream = wrapped
            alpn = wrapped.selected_alpn_protocol()
        if alpn == "h2":
            live.begun = True
            await self._general.serve(stream, ends, b"", alpn)
        else:
            await self._serve_http(live, stream, ends)
        with trio.move_on_after(CLOSE_S):
            await stream.aclose()

    async def _serve_http(self, live: _Live, stream: trio.abc.Stream, ends: Ends) -> None:
        first = await _first_octets(stream)
        if not first:
            return
        live.begun = True
        replay: bytes | None = first
        if not first.startswith(_PREFACE[:14]):
            live.http1 = Http1Connection(stream, self._app, ends, self._http_date)
            if self._closing:
                live.http1.close_soon()
            replay = await live.http1.run(first)
            live.http1 = None
        if replay is not None:
            await self._general.serve(stream, ends, replay, "http/1.1")

    async def _handshake(
        self, stream: trio.abc.Stream, tls: ssl.SSLContext
    ) -> trio.SSLStream[trio.abc.Stream] | None:
        wrapped = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        with trio.move_on_after(HANDSHAKE_S):
            try:
                await wrapped.do_handshake()
            except GONE:
                return None
            return wrapped
        return None

    async def shutdown(self, grace_s: float) -> None:
        """Take no more requests, let those under way end for `grace_s`, then close the rest."""
        self._closing = True
        for live in list(self._live):
            if live.http1 is not None:
                live.http1.close_soon()
            elif not live.begun:
                live.scope.cancel()
        await self._general.terminate()
        if self._live:
            self._emptied = trio.Event()
            with trio.move_on_after(grace_s):
                await self._emptied.wait()
        for live in list(self._live):
            # Closing first: hypercorn shields its sends from cancellation.
            await trio.aclose_forcefully(live.stream)
            live.scope.cancel()


async def _first_octets(stream: trio.abc.Stream) -> bytes:
    """Enough of a connection's start to tell HTTP/2 from HTTP/1.1; empty when nothing comes."""
    first = b""
    with trio.move_on_after(HEAD_S):
        try:
            while len(first) < 14 and _PREFACE.startswith(first):
                data = await stream.receive_some(RECEIVE_OCTETS)
                if not data:
                    break
                first += data
        except GONE:
            return b""
    return first


def _address(stream: trio.abc.Stream, *, peer: bool) -> tuple[str, int]:
    if not isinstance(stream, trio.SocketStream):
        assert not peer, "a stream without a socket is given its peer's address"
        return ("", 0)
    name = stream.socket.getpeername() if peer else stream.socket.getsockname()
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("127.0.0.1", 0)
