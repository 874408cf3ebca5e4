"""The network as one port: whoever dials, listens or sends datagrams is lent a `Network`.

Nothing else in the house opens a socket, so whole nodes also run on a simulated network under
virtual time. Failures are `OSError`, as the operating system says them; a stream that breaks later
raises Trio's `BrokenResourceError`.
"""

import socket
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol, cast

import trio

Address = tuple[str, int]
Listener = trio.abc.Listener[trio.abc.Stream]

# Connections the kernel holds for us between two accepts; enough for a burst of reconnections.
BACKLOG: Final = 512

# Names looked up at once: each holds a thread for as long as a name server is silent, and these
# must not be the threads that the log and passwords are waiting for.
RESOLVING_MAX: Final = 8

DATAGRAM_BYTES_MAX: Final = 65_535


class Datagrams(Protocol):
    """A bound UDP endpoint."""

    @property
    def address(self) -> Address:
        """Where it is bound."""
        ...

    async def send_to(self, data: bytes, address: Address) -> None:
        """Send one datagram."""
        ...

    async def receive_from(self) -> tuple[bytes, Address]:
        """Wait for one datagram."""
        ...

    async def aclose(self) -> None:
        """Give the port back."""
        ...


class Network(Protocol):
    """What can be opened."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The IP addresses of a name, or the address that it is; raises OSError."""
        ...

    async def dial_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, tls_name: str = ""
    ) -> trio.abc.Stream:
        """Connect; with `tls`, as its client, checking the certificate for `tls_name` or host."""
        ...

    async def listen_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> Sequence[Listener]:
        """Listen on every address of `host`; with `tls`, streams come out as TLS servers."""
        ...

    async def open_udp(self, host: str, port: int) -> Datagrams:
        """Bind a UDP port; 0 lets the system choose."""
        ...

    def remote_address(self, stream: trio.abc.Stream) -> Address | None:
        """Who is at the other end of a stream; nothing when it is gone already."""
        ...


class TrioNetwork:
    """The real network.

    Trio sets TCP_NODELAY on every stream, for we write whole messages and wait for none to fill up,
    and SO_REUSEADDR on listeners, so that a restart need not wait for old connections to expire.
    """

    def __init__(self) -> None:
        self._resolving = trio.CapacityLimiter(RESOLVING_MAX)

    async def resolve(self, host: str) -> Sequence[str]:
        """See `Network`."""
        found = await trio.to_thread.run_sync(
            partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM),
            limiter=self._resolving,
            abandon_on_cancel=True,
        )
        return [str(address[0]) for *_, address in found]

    async def dial_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, tls_name: str = ""
    ) -> trio.abc.Stream:
        """See `Network`."""
        stream = await trio.open_tcp_stream(host, port)
        if tls is None:
            return stream
        return trio.SSLStream(stream, tls, server_hostname=tls_name or host, https_compatible=True)

    async def listen_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> Sequence[Listener]:
        """See `Network`."""
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        if tls is None:
            return [cast(Listener, listener) for listener in listeners]
        return [
            cast(Listener, trio.SSLListener(listener, tls, https_compatible=True))
            for listener in listeners
        ]

    async def open_udp(self, host: str, port: int) -> Datagrams:
        """See `Network`."""
        found = await trio.socket.getaddrinfo(
            host, port, type=trio.socket.SOCK_DGRAM, flags=trio.socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        socket = trio.socket.socket(family, kind, protocol)
        try:
            await socket.bind(address)
        except BaseException:
            socket.close()
            raise
        return _UdpEndpoint(socket)

    def remote_address(self, stream: trio.abc.Stream) -> Address | None:
        """See `Network`."""
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if not isinstance(stream, trio.SocketStream):
            return None
        try:
            host, port = stream.socket.getpeername()[:2]
        except OSError:
            return None
        return str(host), int(port)


class _UdpEndpoint:
    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket

    @property
    def address(self) -> Address:
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    async def send_to(self, data: bytes, address: Address) -> None:
        await self._socket.sendto(data, address)

    async def receive_from(self) -> tuple[bytes, Address]:
        data, source = await self._socket.recvfrom(DATAGRAM_BYTES_MAX)
        return data, (str(source[0]), int(source[1]))

    async def aclose(self) -> None:
        self._socket.close()
        await trio.lowlevel.checkpoint()
