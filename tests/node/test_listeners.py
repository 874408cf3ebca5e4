"""Doors are bounded, a bug ends one connection only, and a stop drains."""

import functools

import pytest
import trio
from OpenSSL import SSL

from node import listeners
from node.doors import FULL_IMAP, FULL_LMTP
from node.listeners import REFUSED_BYTES_MAX, Door, Listeners
from protocols.http.serve import FULL
from protocols.tls_stream import TlsContext


class Loopback:
    """Listens where the system likes, and remembers where."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    async def listen_tcp(self, host: str, port: int) -> list[trio.SocketListener]:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.ports.append(listeners[0].socket.getsockname()[1])
        return listeners

    def remote_address(self, stream: trio.abc.Stream) -> tuple[str, int] | None:
        assert isinstance(stream, trio.SocketStream)
        host, port = stream.socket.getpeername()
        return host, port

    async def dial(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.ports[0])


async def echo(stream: trio.abc.Stream, peer: str, secure: bool) -> None:
    """Send back what comes; a bug when it is `bug`."""
    while data := await stream.receive_some(100):
        if data == b"bug":
            raise KeyError("bug")
        await stream.send_all(f"{peer} {secure} ".encode() + data)


class House:
    """Listeners with one echo door, in a nursery."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        full: bytes = b"",
        tls: TlsContext | None = None,
        **limits: int,
    ) -> None:
        self.full, self.tls = full, tls
        self.network, self.stopping, self.nursery = Loopback(), trio.Event(), nursery
        limits = {"connections_max": 10, "connections_per_address_max": 10} | limits
        self.listeners = Listeners(self.network, "127.0.0.1", **limits)
        self.ended = trio.Event()

    async def open(self, drain_s: float = 1.0) -> None:
        serve = functools.partial(self._serve, drain_s)
        await self.nursery.start(serve)

    async def _serve(self, drain_s: float, task_status: trio.TaskStatus[None]) -> None:
        await self.listeners.serve(
            [Door("echo", 0, echo, self.tls, self.full)],
            self.stopping,
            drain_s=drain_s,
            task_status=task_status,
        )
        self.ended.set()


async def said(stream: trio.SocketStream, words: bytes) -> bytes:
    await stream.send_all(words)
    return bytes(await stream.receive_some(100))


async def test_a_connection_is_served_with_its_peers_address(nursery: trio.Nursery) -> None:
    house = House(nursery)
    await house.open()
    assert await said(await house.network.dial(), b"hi") == b"127.0.0.1 False hi"
    house.stopping.set()


@pytest.mark.parametrize("limit", ["connections_max", "connections_per_address_max"])
async def test_over_a_bound_a_connection_is_closed_at_once(
    nursery: trio.Nursery, limit: str
) -> None:
    house = House(nursery, **{limit: 1})
    await house.open()
    first = await house.network.dial()
    await said(first, b"a")
    second = await house.network.dial()
    assert await second.receive_some(1) == b""
    assert house.listeners.counts["echo"].refused == 1
    await first.aclose()
    while house.listeners.counts["echo"].open:
        await trio.lowlevel.checkpoint()
    assert (await said(await house.network.dial(), b"c")).endswith(b"c")
    house.stopping.set()


async def heard(stream: trio.SocketStream) -> bytes:
    """All that is said until the other end hangs up."""
    words = b""
    with trio.fail_after(10):
        while piece := await stream.receive_some(100):
            words += piece
    return words


@pytest.mark.parametrize(
    ("full", "begins"),
    [
        (FULL_IMAP, b"* BYE [UNAVAILABLE] "),
        (FULL_LMTP, b"421 4.3.2 "),
        (FULL, b"HTTP/1.1 503 "),
    ],
)
async def test_who_is_over_a_bound_is_told_so_in_the_doors_words(
    nursery: trio.Nursery, full: bytes, begins: bytes
) -> None:
    assert full.startswith(begins) and full.endswith(b"\r\n")
    house = House(nursery, full=full, connections_max=1)
    await house.open()
    first = await house.network.dial()
    await said(first, b"a")
    second = await house.network.dial()
    await second.send_all(b"GET / HTTP/1.1\r\n\r\n")  # nothing of it takes our words back
    assert await heard(second) == full
    await second.aclose()
    while house.listeners._refusing:
        await trio.lowlevel.checkpoint()
    assert house.listeners.counts["echo"].refused == 1
    house.stopping.set()


async def test_nothing_is_said_in_clear_where_tls_is_awaited(nursery: trio.Nursery) -> None:
    tls = TlsContext(SSL.Context(SSL.TLS_SERVER_METHOD))
    house = House(nursery, full=FULL_IMAP, tls=tls, connections_max=0)
    await house.open()
    assert await heard(await house.network.dial()) == b""
    assert house.listeners.counts["echo"].refused == 1
    house.stopping.set()


async def test_many_who_are_over_a_bound_are_told_nothing(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "REFUSING_MAX", 1)
    monkeypatch.setattr(listeners, "REFUSAL_S", 60.0)
    house = House(nursery, full=b"full", connections_max=1)
    await house.open()
    first = await house.network.dial()
    await said(first, b"a")
    told = await house.network.dial()  # and does not hang up
    assert await heard(told) == b"full"
    assert await heard(await house.network.dial()) == b""
    await told.aclose()
    while house.listeners._refusing:
        await trio.lowlevel.checkpoint()
    assert await heard(await house.network.dial()) == b"full"
    house.stopping.set()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("octets", [0, REFUSED_BYTES_MAX + 1])
async def test_who_is_over_a_bound_holds_nobody_up(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    monkeypatch.setattr(listeners, "REFUSAL_S", 0.05 if not octets else 60.0)
    house = House(nursery, full=b"full", connections_max=1)
    await house.open()
    first = await house.network.dial()
    await said(first, b"a")
    silent = await house.network.dial()
    await silent.send_all(b"x" * octets)
    with trio.fail_after(10):
        while house.listeners.counts["echo"].refused == 0 or house.listeners._refusing:
            await trio.sleep(0.01)
    house.stopping.set()


async def test_a_bug_ends_one_connection_only(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(nursery)
    await house.open()
    other, unlucky = await house.network.dial(), await house.network.dial()
    assert await said(unlucky, b"bug") == b""
    assert (await said(other, b"still here")).endswith(b"still here")
    assert house.listeners.counts["echo"].failed == 1
    house.stopping.set()


async def test_a_stop_drains_and_then_cuts(nursery: trio.Nursery) -> None:
    house = House(nursery)
    await house.open(drain_s=0.1)
    stream = await house.network.dial()
    await said(stream, b"a")
    house.stopping.set()
    assert (await said(stream, b"last words")).endswith(b"last words")
    with trio.fail_after(5):
        await house.ended.wait()
        assert await stream.receive_some(1) == b""
