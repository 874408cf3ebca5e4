"""The doors' sockets: accept, bound, hand each connection to its door, and drain at the stop.

open      the port of every door this node has
refuse    over `connections` of a door, or too many of one address: told so in the door's words, and
          closed; under TLS without words, for a handshake costs more than is there
contain   a bug met by one connection ends that connection, is logged with its traceback and
          counted; the node and everybody else's connections go on
stop      no new connections, a time to finish, then the rest are cancelled
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import trio

from node import logs
from protocols.tls_stream import TlsContext, TlsStream

HANDSHAKE_S: Final = 20.0
# Refusals that are being said at once, and how long each may take; beyond, nothing is said.
REFUSING_MAX: Final = 64
REFUSAL_S: Final = 1.0
# What a client may have sent already, and must be read: a socket closed on it takes our words back.
REFUSED_BYTES_MAX: Final = 64 * 1024
# Whose connection it is cannot be told (it is gone already): not loopback, so nothing is trusted.
UNKNOWN_PEER: Final = "0.0.0.0"  # noqa: S104

log = logs.named("node.listeners")

Converse = Callable[[trio.abc.Stream, str, bool], Awaitable[None]]
"""Carry one connection to its end: (stream, peer's IP address, TLS is on)."""


class Listening(Protocol):
    """What this file needs of the network."""

    async def listen_tcp(
        self, host: str, port: int
    ) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        """Listeners on one address."""

    def remote_address(self, stream: trio.abc.Stream) -> tuple[str, int] | None:
        """Who is at the other end; nothing when it is gone already."""


@dataclass(frozen=True, slots=True)
class Door:
    """One port: `tls` is shaken hands for first when it is given (an implicit-TLS port); `full` is
    what is said, in clear, to whom there is no room for."""

    name: str
    port: int
    converse: Converse
    tls: TlsContext | None = None
    full: bytes = b""


@dataclass(slots=True)
class DoorCounts:
    """What has come to one door."""

    open: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0


class Listeners:
    """All doors of one node."""

    def __init__(
        self,
        network: Listening,
        address: str,
        *,
        connections_max: int,
        connections_per_address_max: int,
    ) -> None:
        self._network = network
        self._address = address
        self._connections_max = connections_max
        self._per_address_max = connections_per_address_max
        self._per_address: Counter[tuple[str, str]] = Counter()
        self._refusing = 0
        self.counts: dict[str, DoorCounts] = {}
        """By the door's name."""

    async def serve(
        self,
        doors: Sequence[Door],
        stopping: trio.Event,
        *,
        drain_s: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stopping`, then drain. Raises OSError when a port cannot be opened."""
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for door in doors:
                    self.counts[door.name] = DoorCounts()
                    listeners = await self._network.listen_tcp(self._address, door.port)
                    accepting.start_soon(
                        partial(
                            trio.serve_listeners,
                            partial(self._connection, door),
                            list(listeners),
                            handler_nursery=connections,
                        ),
                        name=f"{door.name} accepting",
                    )
                task_status.started()
                await stopping.wait()
                accepting.cancel_scope.cancel()
            connections.cancel_scope.deadline = trio.current_time() + drain_s

    async def _connection(self, door: Door, stream: trio.abc.Stream) -> None:
        counts = self.counts[door.name]
        remote = self._network.remote_address(stream)
        peer = remote[0] if remote is not None else UNKNOWN_PEER
        place = (door.name, peer)
        full = counts.open >= self._connections_max
        if full or self._per_address[place] >= self._per_address_max:
            counts.refused += 1
            await self._refuse(door, stream)
            return
        counts.accepted += 1
        counts.open += 1
        self._per_address[place] += 1
        try:
            await self._contained(door, stream, peer)
        finally:
            counts.open -= 1
            self._per_address[place] -= 1
            if not self._per_address[place]:
                del self._per_address[place]
            await trio.aclose_forcefully(stream)

    async def _refuse(self, door: Door, stream: trio.abc.Stream) -> None:
        """Say that there is no room, if that costs little, and close."""
        self._refusing += 1
        try:
            if door.full and door.tls is None and self._refusing <= REFUSING_MAX:
                with trio.move_on_after(REFUSAL_S):
                    await _part(stream, door.full)
        finally:
            self._refusing -= 1
            await trio.aclose_forcefully(stream)

    async def _contained(self, door: Door, stream: trio.abc.Stream, peer: str) -> None:
        """The one place where an error we cannot name does not rise: it is one peer's alone."""
        try:
            if door.tls is None:
                await door.converse(stream, peer, False)
                return
            wrapped = TlsStream(stream, door.tls)
            with trio.fail_after(HANDSHAKE_S):
                await wrapped.do_handshake()
            await door.converse(wrapped, peer, True)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return  # the peer went away, or never finished its handshake
        except Exception:
            self.counts[door.name].failed += 1
            log.exception("connection failed", door=door.name, peer=peer)


async def _part(stream: trio.abc.Stream, words: bytes) -> None:
    """The only words, and then the peer's until it has heard them."""
    try:
        await stream.send_all(words)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        octets = 0
        while octets < REFUSED_BYTES_MAX and (said := await stream.receive_some()):
            octets += len(said)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # it did not wait
