"""A network under virtual time: hosts, processes on them, streams that stall, break and fragment.

Datagrams get lost, doubled and late. Streams lose nothing: what meets a cut is sent again until it
passes, as TCP does, in order; a process that dies breaks its streams at once, a machine without
power is silent, and what reaches a later process of the same host is answered by a reset.
"""

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import trio

from node.network import Address, Datagrams, Listener
from tests.simulation.disk import Crashed
from tests.simulation.trace import Trace
from tests.simulation.whole.clock import SimClock

DATAGRAMS_WAITING_MAX: Final = 1_000
# Octets under way in one direction of a stream before its sender waits.
WINDOW_OCTETS: Final = 256 * 1024
# A segment that met a cut is tried again after this and at most that.
RESEND_S: Final = 0.2
RESEND_S_MAX: Final = 1.5
# One call in so many gives way to other tasks though it need not wait, as any call of a socket may.
GIVES_WAY_EVERY: Final = 4
# Whoever dials a silent host gives up after this.
DIAL_S_MAX: Final = 20.0
HERE: Final = ("127.0.0.1", 1)


@dataclass(slots=True)
class Weather:
    """What may happen to anything that is sent; rates between 0 and 1."""

    loss: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    damage: float = 0.0
    fragment: float = 0.0
    delay_s: float = 0.0004


@dataclass(eq=False, slots=True)
class Process:
    """Whoever owns sockets: a process of one host. A client is one too."""

    host: str
    number: int
    alive: bool = True
    streams: dict["SimStream", None] = field(default_factory=dict)

    def check(self) -> None:
        """Nothing of a dead process may go on."""
        if not self.alive:
            raise Crashed


class SimStream(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, network: "SimNetwork", process: Process, remote_host: str) -> None:
        self.network, self.process, self.remote_host = network, process, remote_host
        self.peer: SimStream
        self.broken = self.closed = self.ended = False
        self.unread: deque[bytes] = deque()
        self.in_flight = 0
        self.clear_at = 0.0  # nothing sent later may arrive earlier
        self.outgoing: deque[tuple[float, bytes]] = deque()
        self._readers, self._writers = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()
        self.fragments = network.chance.random() < network.weather.fragment
        process.streams[self] = None

    # --- what the owner calls ---

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._give_way()
        self._check()
        octets = bytes(data)
        while self.in_flight and self.in_flight + len(octets) > WINDOW_OCTETS:
            await self._writers.park()
            self._check()
        if octets:
            self.in_flight += len(octets)
            self.network.carry(self, octets)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        self.network.carry(self, b"")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.unread or self.ended or self.closed or self.broken:
            await self._give_way()  # as a socket's: a wait is checkpoint enough
        if self.closed:
            raise trio.ClosedResourceError
        while not self.unread and not self.ended:
            if self.broken:
                raise trio.BrokenResourceError("reset by peer")
            await self._readers.park()
            if self.closed:
                raise trio.ClosedResourceError
        self.process.check()
        if not self.unread:
            return b""
        return self._take(max_bytes)

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.process.streams.pop(self, None)
            if self.process.alive and not self.broken:
                self.network.carry(self, b"")
            self._wake()
        await trio.lowlevel.checkpoint()

    async def _give_way(self) -> None:
        if self.network.chance.random() * GIVES_WAY_EVERY < 1:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    def _take(self, max_bytes: int | None) -> bytes:
        most = max_bytes or WINDOW_OCTETS
        if self.fragments:
            most = self.network.chance.randint(1, max(1, min(most, 200)))
        taken, size = [], 0
        while self.unread and size < most:
            part = self.unread.popleft()
            if size + len(part) > most:
                self.unread.appendleft(part[most - size :])
                part = part[: most - size]
            taken.append(part)
            size += len(part)
        self.peer.in_flight -= size
        self.peer._writers.unpark_all()
        return b"".join(taken)

    def _wake(self) -> None:
        self._readers.unpark_all()
        self._writers.unpark_all()

    def _check(self) -> None:
        self.process.check()
        if self.closed:
            raise trio.ClosedResourceError
        if self.broken:
            raise trio.BrokenResourceError("reset by peer")

    # --- what the network calls ---

    def arrive(self, data: bytes) -> None:
        """Octets, or the end of them."""
        if self.broken or self.closed or not self.process.alive:
            if data:
                self.network.reset(self)
            return
        if data:
            self.unread.append(data)
        else:
            self.ended = True
        self._readers.unpark_all()

    def break_off(self) -> None:
        """A reset: what was not read yet is gone too."""
        if not self.broken:
            self.broken = True
            self.unread.clear()
            self.process.streams.pop(self, None)
            self._wake()


class SimListener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out the far ends of what was dialed."""

    def __init__(self, network: "SimNetwork", process: Process, address: Address) -> None:
        self.network, self.process, self.address = network, process, address
        self.dialed, self._waiting = trio.open_memory_channel[trio.abc.Stream](1_000)

    async def accept(self) -> trio.abc.Stream:
        return await self._waiting.receive()

    async def aclose(self) -> None:
        if self.network.listeners.get(self.address) is self:
            del self.network.listeners[self.address]
        await trio.lowlevel.checkpoint()


class SimDatagrams:
    """One bound UDP port."""

    def __init__(self, network: "SimNetwork", process: Process, address: Address) -> None:
        self.network, self.process, self.address = network, process, address
        self.sent, self._received = trio.open_memory_channel[tuple[bytes, Address]](
            DATAGRAMS_WAITING_MAX
        )

    async def send_to(self, data: bytes, address: Address) -> None:
        await trio.lowlevel.checkpoint()
        self.process.check()
        self.network.throw(self, data, address)

    async def receive_from(self) -> tuple[bytes, Address]:
        return await self._received.receive()

    async def aclose(self) -> None:
        if self.network.ports.get(self.address) is self:
            del self.network.ports[self.address]
        await trio.lowlevel.checkpoint()


class SimNetwork:
    """All hosts."""

    def __init__(self, clock: SimClock, chance: Random, trace: Trace) -> None:
        self.clock, self.chance, self.trace = clock, chance, trace
        self.weather = Weather()
        self.cut: set[tuple[str, str]] = set()
        self.deaf: set[tuple[str, str]] = set()  # datagrams only do not pass
        self.slow: dict[tuple[str, str], float] = {}
        self.dark: set[str] = set()  # hosts without power
        self.listeners: dict[Address, SimListener] = {}
        self.ports: dict[Address, SimDatagrams] = {}

    def passes(self, source: str, target: str) -> bool:
        """Whether a packet gets there now."""
        return (source, target) not in self.cut and not {source, target} & self.dark

    def delay_s(self, source: str, target: str) -> float:
        """How long one packet takes."""
        chance, weather = self.chance, self.weather
        delay = weather.delay_s * (0.5 + chance.random()) + self.slow.get((source, target), 0.0)
        if weather.late and chance.random() < weather.late:
            delay += chance.random() ** 3 * 0.6
        return delay

    def throw(self, port: SimDatagrams, data: bytes, address: Address) -> None:
        """A datagram, which may get lost."""
        origin, chance = port.address, self.chance
        if (origin[0], address[0]) in self.deaf:
            return
        if self.weather.damage and chance.random() < self.weather.damage:
            broken = bytearray(data)
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            data = bytes(broken)

        def land() -> None:
            there = self.ports.get(address)
            if there is not None and self.passes(origin[0], address[0]):
                try:
                    there.sent.send_nowait((data, origin))
                except trio.WouldBlock:
                    pass  # a full socket buffer loses datagrams too

        for _ in range(2 if chance.random() < self.weather.repeat else 1):
            if self.passes(origin[0], address[0]) and chance.random() >= self.weather.loss:
                self.clock.call_later(self.delay_s(origin[0], address[0]), land)

    def carry(self, stream: SimStream, data: bytes) -> None:
        """One segment on its way, in order, as often as it takes."""
        delay = self.delay_s(stream.process.host, stream.remote_host)
        if self.weather.loss and self.chance.random() < self.weather.loss:
            delay += RESEND_S  # the first copy is lost
        stream.clear_at = max(stream.clear_at, self.clock.current_time() + delay)
        stream.outgoing.append((stream.clear_at, data))
        if len(stream.outgoing) == 1:
            self.clock.call_at(stream.clear_at, lambda: self._land(stream, RESEND_S))

    def _land(self, stream: SimStream, pause_s: float) -> None:
        source, target = stream.process.host, stream.remote_host
        if stream.broken:
            stream.outgoing.clear()
        elif not self.passes(source, target):
            longer_s = min(2 * pause_s, RESEND_S_MAX)
            self.clock.call_later(pause_s, lambda: self._land(stream, longer_s))
        else:
            _, data = stream.outgoing.popleft()
            now = self.clock.current_time()
            self.trace.line((now, "segment", source, target, len(data), zlib.crc32(data)))
            stream.peer.arrive(data)
            if stream.outgoing:
                self.clock.call_at(stream.outgoing[0][0], lambda: self._land(stream, RESEND_S))

    def reset(self, stream: SimStream) -> None:
        """The other end of `stream` learns that nobody is here, when the network lets it."""
        source, target = stream.process.host, stream.remote_host

        def land() -> None:
            if not stream.peer.broken and self.passes(source, target):
                stream.peer.break_off()

        self.clock.call_later(self.delay_s(source, target), land)

    def end(self, process: Process) -> None:
        """The process is gone: its ports are free, and its streams are reset by the kernel."""
        process.alive = False
        for address in [a for a, one in self.listeners.items() if one.process is process]:
            del self.listeners[address]
        for address in [a for a, one in self.ports.items() if one.process is process]:
            del self.ports[address]
        for stream in list(process.streams):
            stream.break_off()
            self.reset(stream)

    def lend(self, process: Process) -> "ProcessNetwork":
        """The Network port of one process."""
        return ProcessNetwork(self, process)


class ProcessNetwork:
    """Implements node.network.Network for one process."""

    def __init__(self, network: SimNetwork, process: Process) -> None:
        self._network, self._process = network, process

    async def resolve(self, host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [host]

    async def dial_tcp(self, host: str, port: int, **tls: object) -> trio.abc.Stream:
        network, process = self._network, self._process
        process.check()
        give_up = trio.current_time() + DIAL_S_MAX
        pause = RESEND_S
        await trio.sleep(2 * network.delay_s(process.host, host))
        while not (network.passes(process.host, host) and network.passes(host, process.host)):
            if trio.current_time() > give_up:
                raise TimeoutError(f"no answer from {host}:{port}")
            await trio.sleep(pause)
            pause = min(2 * pause, RESEND_S_MAX)
        process.check()
        listener = network.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        ours = SimStream(network, process, host)
        theirs = SimStream(network, listener.process, process.host)
        ours.peer, theirs.peer = theirs, ours
        listener.dialed.send_nowait(theirs)
        return ours

    async def listen_tcp(self, host: str, port: int, **tls: object) -> Sequence[Listener]:
        await trio.lowlevel.checkpoint()
        self._process.check()
        if (host, port) in self._network.listeners:
            raise OSError(f"{host}:{port} is in use")
        listener = SimListener(self._network, self._process, (host, port))
        self._network.listeners[host, port] = listener
        return [listener]

    async def open_udp(self, host: str, port: int) -> Datagrams:
        await trio.lowlevel.checkpoint()
        self._process.check()
        opened = SimDatagrams(self._network, self._process, (host, port))
        self._network.ports[host, port] = opened
        return opened

    def remote_address(self, stream: trio.abc.Stream) -> Address | None:
        """Everybody is on loopback, where a door takes a password without TLS."""
        return HERE
