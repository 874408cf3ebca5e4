"""One authenticated connection between two nodes (trio): an outbox on our side, frames from theirs.

`open_link` runs the handshake; `Link.run` then writes, reads and watches until the link is lost.
A link never raises for the network's sake while running: it ends, and `lost` says why. An error of
a handler is no business of the link and rises.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from node.rpc.errors import HandshakeFailed, LinkLost, RpcError
from node.rpc.frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    FrameReader,
    Kind,
    Outbox,
    frame,
    frame_parts,
    split,
)
from node.rpc.handshake import Credentials, Draw, Handshake, Remote

# A stranger must show the key within this time, or make room for others.
HANDSHAKE_S_MAX: Final = 5.0

# The dialer pings a link on which it has heard nothing for this long; the acceptor answers.
PING_S: Final = 1.0

# Rounds of `PING_S` with nothing heard, after which the other end counts as gone. They are rounds
# and not a time, because a node that was frozen must not blame its peers for the hours it slept.
SILENT_ROUNDS_DIALER: Final = 4
SILENT_ROUNDS_ACCEPTOR: Final = 12

# One read; large, so that a burst costs few wake-ups.
READ_BYTES: Final = 256 * 1024

Hear = Callable[[int, bytes], None]


class Link:
    """A connection whose other end is known. Made by `open_link`."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        reader: FrameReader,
        handshake: Handshake,
        remote: Remote,
        *,
        dialer: bool,
    ) -> None:
        self.remote: Final = remote
        self.lost = ""
        """Why the link ended."""
        self._stream = stream
        self._reader = reader
        self.secret: Final = handshake.secret
        """The key that both ends have shown to know."""
        self._sending = handshake.sending
        self._receiving = handshake.receiving
        self._dialer = dialer
        self._outbox = Outbox()
        self._filled = trio.Event()
        self._heard = False
        self._scope = trio.CancelScope()

    def post(self, kind: int, payload: bytes) -> bool:
        """Queue a message to be written with all others waiting; False when there is no room."""
        if self.lost or not self._outbox.put(kind, payload):
            return False
        if not self._filled.is_set():
            self._filled.set()
        return True

    async def run(self, hear: Hear) -> None:
        """Carry messages until the link is lost; `hear(kind, payload)` gets each that comes in.

        An `RpcError` from `hear` means that the peer misbehaves and ends the link.
        """
        with self._scope:
            await self._run(hear)

    def end(self, reason: str) -> None:
        """Lose the link now."""
        self.lost = self.lost or reason
        self._scope.cancel()

    async def _run(self, hear: Hear) -> None:
        async with trio.open_nursery() as nursery:

            async def until_lost(work: Callable[[], Awaitable[None]]) -> None:
                try:
                    await work()
                except RpcError as error:
                    self.lost = self.lost or str(error)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(until_lost, self._write)
            nursery.start_soon(until_lost, self._watch)
            nursery.start_soon(until_lost, lambda: self._read(hear))

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            while self._outbox:
                for part in frame_parts(self._sending.seal(self._outbox.take())):
                    await _send(self._stream, part)

    async def _read(self, hear: Hear) -> None:
        while True:
            sealed = await _receive_body(self._stream, self._reader)
            self._heard = True
            for kind, payload in split(self._receiving.open(sealed)):
                if kind == Kind.PING:
                    self.post(Kind.PONG, b"")
                elif kind != Kind.PONG:
                    hear(kind, payload)

    async def _watch(self) -> None:
        rounds_max = SILENT_ROUNDS_DIALER if self._dialer else SILENT_ROUNDS_ACCEPTOR
        silent = 0
        while True:
            await trio.sleep(PING_S)
            silent = 0 if self._heard else silent + 1
            self._heard = False
            if silent >= rounds_max:
                raise LinkLost(f"nothing heard for {silent * PING_S:g} s")
            if self._dialer and silent:
                self.post(Kind.PING, b"")


async def open_link(
    stream: trio.abc.Stream,
    credentials: Credentials,
    *,
    dialer: bool,
    draw: Draw,
    expected: int | None = None,
    attempt: int = 0,
) -> Link:
    """Run the handshake over a fresh stream; raises `HandshakeFailed`, the stream is then useless.

    With `expected`, the other end must be that replica. `attempt` chooses the key a dialer tries.
    """
    handshake = Handshake(credentials, dialer=dialer, draw=draw, attempt=attempt)
    reader = FrameReader(HELLO_BYTES_MAX)
    try:
        with trio.fail_after(HANDSHAKE_S_MAX):
            await _send(stream, frame(handshake.hello))
            handshake.hear_hello(bytes(await _receive_body(stream, reader)))
            if dialer:
                await _send(stream, frame(handshake.identity()))
            sealed = bytes(await _receive_body(stream, reader))
            remote = handshake.hear_identity(sealed, expected=expected)
            if not dialer:
                await _send(stream, frame(handshake.identity()))
    except trio.TooSlowError:
        raise HandshakeFailed(f"no handshake within {HANDSHAKE_S_MAX:g} s") from None
    except LinkLost as error:
        raise HandshakeFailed(str(error)) from None
    if handshake.secret not in credentials.secrets.held:
        raise HandshakeFailed("the key was removed while we shook hands")
    reader.bytes_max = FRAME_BYTES_MAX
    return Link(stream, reader, handshake, remote, dialer=dialer)


async def _send(stream: trio.abc.Stream, data: bytes) -> None:
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise LinkLost("the connection broke") from None


async def _receive_body(stream: trio.abc.Stream, reader: FrameReader) -> bytes | memoryview:
    while (body := reader.next_body()) is None:
        try:
            data = await stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkLost("the connection broke") from None
        if not data:
            raise LinkLost("the peer closed the connection")
        reader.feed(data)
    return body
