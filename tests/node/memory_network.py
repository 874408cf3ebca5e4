"""A network in memory for whole nodes under virtual time: nothing here is a socket."""

from collections.abc import Sequence

import trio
import trio.testing

from node.network import Address, Datagrams, Listener

DATAGRAMS_WAITING_MAX = 1_000


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out the server ends of what was dialed."""

    def __init__(self, network: "MemoryNetwork", address: Address) -> None:
        self._network, self._address = network, address
        self.dialed, self._waiting = trio.open_memory_channel[trio.abc.Stream](100)

    async def accept(self) -> trio.abc.Stream:
        return await self._waiting.receive()

    async def aclose(self) -> None:
        self._network.listeners.pop(self._address, None)
        await trio.lowlevel.checkpoint()


class MemoryDatagrams:
    """One bound UDP port."""

    def __init__(self, network: "MemoryNetwork", address: Address) -> None:
        self._network, self.address = network, address
        self.sent, self._received = trio.open_memory_channel[tuple[bytes, Address]](
            DATAGRAMS_WAITING_MAX
        )

    async def send_to(self, data: bytes, address: Address) -> None:
        await trio.lowlevel.checkpoint()
        there = self._network.ports.get(address)
        if there is not None:
            try:
                there.sent.send_nowait((data, self.address))
            except trio.WouldBlock:
                pass  # a full socket buffer loses datagrams too

    async def receive_from(self) -> tuple[bytes, Address]:
        return await self._received.receive()

    async def aclose(self) -> None:
        self._network.ports.pop(self.address, None)
        await trio.lowlevel.checkpoint()


class MemoryNetwork:
    """Implements node.network.Network; a node that is gone listens no more."""

    def __init__(self) -> None:
        self.listeners: dict[Address, MemoryListener] = {}
        self.ports: dict[Address, MemoryDatagrams] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return [host]

    async def dial_tcp(self, host: str, port: int, **tls: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        listener = self.listeners.get((host, port))
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        ours, theirs = trio.testing.memory_stream_pair()
        await listener.dialed.send(theirs)
        return ours

    async def listen_tcp(self, host: str, port: int, **tls: object) -> Sequence[Listener]:
        await trio.lowlevel.checkpoint()
        if (host, port) in self.listeners:
            raise OSError(f"{host}:{port} is in use")
        listener = self.listeners[host, port] = MemoryListener(self, (host, port))
        return [listener]

    async def open_udp(self, host: str, port: int) -> Datagrams:
        await trio.lowlevel.checkpoint()
        opened = self.ports[host, port] = MemoryDatagrams(self, (host, port))
        return opened

    def remote_address(self, stream: trio.abc.Stream) -> Address | None:
        return "127.0.0.1", 1

    def unplug(self, host: str, ports: Sequence[int]) -> None:
        """The machine is off: nobody listens there, nothing arrives."""
        for port in ports:
            self.listeners.pop((host, port), None)
            self.ports.pop((host, port), None)
