"""The byte stream under a door's session: deadlines on every wait, TLS on demand, who is there.

Over any trio.abc.Stream, a memory stream in tests included. No call blocks for ever: a send has
a time limit always (a peer that does not read is cut off), a receive has its own or that of the
connection's Patience (protocols/serve). All the ways a peer may vanish are one exception,
PeerGone. Which octets mean what does not belong here.
"""

import ipaddress
import os
from types import TracebackType
from typing import Final

import trio

from protocols.deflate import Deflater, Inflater
from protocols.sockets import read_next
from protocols.tls_stream import PROMPT_BYTES_MAX, TlsContext, TlsStream

# A reply that the peer does not take off the wire within this long ends the connection.
SEND_S: Final = 60.0
# A TLS handshake takes some round trips; a peer that needs longer is holding a place.
HANDSHAKE_S: Final = 20.0
# Time for the last octets and TLS's close_notify to leave; then the socket is closed hard.
CLOSE_S: Final = 2.0
# What a peer still sends after our last words is read and dropped, up to this much: closing a
# socket with input unread makes the kernel reset it, and the last words would be lost.
LINGER_BYTES_MAX: Final = 256 * 1024
# What is received at once of a compressed stream: it waits until it has been inflated.
DEFLATED_READ_BYTES: Final = 4 * 1024

# Linux alone has it.
_QUICK_ACK: Final[int | None] = getattr(trio.socket, "TCP_QUICKACK", None)


class PeerGone(Exception):
    """The peer closed, reset or garbled the connection; there is nobody to answer."""


class PeerSlow(Exception):
    """The peer did not send, or did not read, in the time it had."""


class DoorStream:
    """One connection of a door."""

    def __init__(
        self, transport: trio.abc.Stream, *, peer_ip: str = "127.0.0.1", secure: bool = False
    ) -> None:
        self._transport = transport
        # A bare socket, in clear text, needs no layer between the kernel and us.
        self._socket = transport.socket if isinstance(transport, trio.SocketStream) else None
        self._prompt = False  # others have had their turn since our last prompt answer
        self._secure = secure
        self._cut = False  # a send stopped in the middle: nothing sensible can follow
        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        self._kept = b""  # received already, and not compressed
        self.peer_ip = peer_ip
        """The peer's address as text, as limits and logs know it."""
        self.loopback = _is_loopback(peer_ip)
        """The peer is on this machine."""

    @property
    def secure(self) -> bool:
        """TLS is on."""
        return self._secure

    @property
    def may_send_secrets(self) -> bool:
        """A password may cross this stream: under TLS, or without leaving the machine."""
        return self._secure or self.loopback

    def binding(self, kind: str) -> bytes | None:
        """Channel binding data of a type (RFC 5056), None when this connection has none."""
        transport = self._transport
        return transport.binding(kind) if isinstance(transport, TlsStream) else None

    @property
    def certified(self) -> tuple[str, ...]:
        """Mail addresses in the certificate that the peer has shown and OpenSSL has verified."""
        transport = self._transport
        return transport.certified if isinstance(transport, TlsStream) else ()

    @property
    def writable(self) -> bool:
        """Every send so far went out whole, so that another one would be understood."""
        return not self._cut

    async def receive_some(self, bytes_max: int, *, timeout_s: float | None = None) -> bytes:
        """Some octets, at most `bytes_max`; b"" when the peer has sent its last.

        Raises PeerGone, and PeerSlow after `timeout_s`. Without `timeout_s` the connection's
        Patience is what ends the wait. RemoteProtocolError: it should be DEFLATE and is not.
        """
        receive = self._receive if self._inflater is None else self._receive_deflated
        if timeout_s is None:
            return await receive(bytes_max)
        with trio.move_on_after(timeout_s):
            return await receive(bytes_max)
        raise PeerSlow(f"nothing received in {timeout_s:g} s")

    async def _receive(self, bytes_max: int) -> bytes:
        if self._kept:
            data, self._kept = self._kept[:bytes_max], self._kept[bytes_max:]
            return data
        try:
            if self._socket is not None:
                data = await read_next(self._socket, bytes_max)
                self._prompt = True
                return data
            return bytes(await self._transport.receive_some(bytes_max))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGone("the connection broke while receiving") from error

    async def _receive_deflated(self, bytes_max: int) -> bytes:
        assert self._inflater is not None
        await trio.lowlevel.checkpoint()  # little that came may be much to work through
        while not (data := self._inflater.take(bytes_max)):
            if self._inflater.ended:
                return b""
            octets = await self._receive(DEFLATED_READ_BYTES)
            if not octets:
                return b""
            self._inflater.feed(octets)
        return data

    def acknowledge(self) -> None:
        """Have TCP acknowledge at once what has been received, where it would wait some 40 ms.

        A client that sends a literal and then, apart, the end of its line is held up by its own
        kernel (Nagle) until ours acknowledges the literal.
        """
        transport = self._transport
        if isinstance(transport, TlsStream):
            transport = transport.transport
        if isinstance(transport, trio.SocketStream) and _QUICK_ACK is not None:
            try:
                transport.setsockopt(trio.socket.IPPROTO_TCP, _QUICK_ACK, 1)
            except OSError:
                pass  # gone in the meantime: the next receive will say so

    async def send_all(
        self, data: bytes | bytearray | memoryview, *, timeout_s: float = SEND_S
    ) -> None:
        """Send it all. Raises PeerGone, and PeerSlow when the peer does not take it in time.

        Large data goes in pieces of at most some 256 KiB, so that the time limit is a least rate.
        One small answer to what was received waits for nobody, not even for others' turns.
        """
        if self._cut:
            raise PeerGone("an earlier send was cut short")
        self._cut = True
        if self._deflater is not None:
            data = self._deflater.deflate(data)
        if self._prompt and self._socket is not None and len(data) <= PROMPT_BYTES_MAX:
            self._prompt = False
            data = self._write(self._socket, data)
            if not data:
                self._cut = False
                return
        # Not `move_on_after`: of what a small answer costs, its generator is a part.
        with trio.CancelScope(deadline=trio.current_time() + timeout_s):
            try:
                await self._transport.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise PeerGone("the connection broke while sending") from error
            self._cut = False
            return
        raise PeerSlow(f"{len(data)} octets not taken in {timeout_s:g} s")

    @staticmethod
    def _write(
        socket: trio.socket.SocketType, data: bytes | bytearray | memoryview
    ) -> bytes | memoryview:
        """As much as the kernel takes now; gives back the rest."""
        try:
            sent = os.write(socket.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone("the connection broke while sending") from error
        return b"" if sent == len(data) else memoryview(data)[sent:]

    async def start_tls(self, context: TlsContext) -> None:
        """Shake hands as the server; what follows is under TLS.

        The caller has forgotten all that came in clear text (RFC 3207 4.2, RFC 9051 6.2.1).
        """
        assert not self._secure, "TLS is on already"
        self._kept = b""
        wrapped = TlsStream(self._transport, context)
        with trio.move_on_after(HANDSHAKE_S):
            try:
                await wrapped.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._cut = True  # the peer would read our words as part of the handshake
                raise PeerGone("no TLS handshake") from error
            self._transport, self._socket = wrapped, None
            self._secure = True
            return
        self._cut = True
        raise PeerSlow(f"no TLS handshake in {HANDSHAKE_S:g} s")

    def start_deflate(self) -> None:
        """From now on both sides compress, under TLS if that is on (RFC 4978 3)."""
        assert self._deflater is None, "compression is on already"
        self._deflater, self._inflater = Deflater(), Inflater()

    @property
    def inflated(self) -> bool:
        """Nothing compressed is waiting to be received."""
        return self._inflater is None or self._inflater.spent

    def stop_deflate(self) -> None:
        """Neither side compresses any more (RFC 8437 4.1).

        What the peer sent after the end of its compressed stream is received next. Only when
        `inflated`: else nobody knows where clear text begins.
        """
        assert self._inflater is not None and self._inflater.spent
        self._kept = self._inflater.unused
        self._deflater = self._inflater = None

    async def aclose(self) -> None:
        """Close, waiting a little for the last octets to leave; raises nothing."""
        with trio.move_on_after(CLOSE_S):
            try:
                if not self._cut and isinstance(self._transport, trio.abc.HalfCloseableStream):
                    await self._linger(self._transport)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # gone before we were done: as good as closed
        with trio.move_on_after(CLOSE_S):
            try:
                await self._transport.aclose()
            except trio.BrokenResourceError:
                pass

    async def _linger(self, transport: trio.abc.HalfCloseableStream) -> None:
        await transport.send_eof()
        dropped = 0
        while dropped < LINGER_BYTES_MAX:
            data = await transport.receive_some(LINGER_BYTES_MAX)
            if not data:
                return
            dropped += len(data)

    async def __aenter__(self) -> "DoorStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _is_loopback(peer_ip: str) -> bool:
    try:
        address = ipaddress.ip_address(peer_ip.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
