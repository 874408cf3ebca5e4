"""The real network, as far as loopback reaches."""

import ssl
import threading

import pytest
import trio
import trustme

from node.network import RESOLVING_MAX, TrioNetwork


async def shout(stream: trio.abc.Stream) -> None:
    await stream.send_all((await stream.receive_some(100)).upper())


async def listen(nursery: trio.Nursery, *, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
    listeners = await TrioNetwork().listen_tcp("127.0.0.1", 0, tls=tls)
    nursery.start_soon(trio.serve_listeners, shout, list(listeners))
    inner = listeners[0]
    if isinstance(inner, trio.SSLListener):
        inner = inner.transport_listener
    host, port = inner.socket.getsockname()[:2]  # type: ignore[attr-defined]
    return host, port


async def test_a_stream_carries_bytes_without_delay() -> None:
    async with trio.open_nursery() as nursery:
        network = TrioNetwork()
        host, port = await listen(nursery)
        stream = await network.dial_tcp(host, port)
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY)
        await stream.send_all(b"hello")
        assert await stream.receive_some(100) == b"HELLO"
        assert network.remote_address(stream) == (host, port)
        await stream.aclose()
        assert network.remote_address(stream) is None
        nursery.cancel_scope.cancel()


async def test_tls_wraps_both_ends() -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("mail.example.org").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with trio.open_nursery() as nursery:
        network = TrioNetwork()
        host, port = await listen(nursery, tls=theirs)
        stream = await network.dial_tcp(host, port, tls=ours, tls_name="mail.example.org")
        await stream.send_all(b"hello")
        assert await stream.receive_some(100) == b"HELLO"
        assert network.remote_address(stream) == (host, port)
        wrong = await network.dial_tcp(host, port, tls=ours, tls_name="other.example.org")
        with pytest.raises(trio.BrokenResourceError):
            await wrong.send_all(b"hello")
        nursery.cancel_scope.cancel()


async def test_nobody_listening_is_an_os_error() -> None:
    with pytest.raises(OSError, match="all attempts"):
        await TrioNetwork().dial_tcp("127.0.0.1", 1)


async def test_datagrams_come_with_their_sender() -> None:
    network = TrioNetwork()
    one = await network.open_udp("127.0.0.1", 0)
    two = await network.open_udp("127.0.0.1", 0)
    there = two.address
    await one.send_to(b"ping", there)
    assert await two.receive_from() == (b"ping", one.address)
    with pytest.raises(OSError, match="in use"):
        await network.open_udp(*there)
    await two.aclose()
    again = await network.open_udp(*there)
    await again.aclose()
    await one.aclose()


async def test_names_are_looked_up_and_addresses_stay_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = TrioNetwork()
    assert "127.0.0.1" in await network.resolve("localhost")
    assert list(await network.resolve("192.0.2.7")) == ["192.0.2.7"]
    asked = 0
    release = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        nonlocal asked
        asked += 1
        release.wait(10)
        return []

    monkeypatch.setattr("node.network.socket.getaddrinfo", silent)
    async with trio.open_nursery() as nursery:
        for _ in range(3 * RESOLVING_MAX):
            nursery.start_soon(network.resolve, "push.example")
        with trio.fail_after(10):
            while asked < RESOLVING_MAX:
                await trio.sleep(0.01)
            await trio.to_thread.run_sync(lambda: None)  # other threads are not kept waiting
        assert asked == RESOLVING_MAX
        nursery.cancel_scope.cancel()
        release.set()
