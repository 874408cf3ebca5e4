"""The door's stream: peers that vanish, stall or will not read, TLS on demand."""

import os
import ssl
import struct

import pytest
import trio
import trio.testing

from protocols.stream import SEND_S, DoorStream, PeerGone, PeerSlow
from protocols.tls_stream import PROMPT_BYTES_MAX, TlsContext
from tests.tls import Authority


def pair(peer_ip: str = "127.0.0.1") -> tuple[DoorStream, trio.abc.HalfCloseableStream]:
    ours, theirs = trio.testing.memory_stream_pair()
    return DoorStream(ours, peer_ip=peer_ip), theirs


def tight_pair() -> tuple[DoorStream, trio.abc.Stream]:
    """A pipe without room: a send waits until the other side reads it all."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    return DoorStream(ours), theirs


async def test_octets_go_both_ways() -> None:
    stream, peer = pair()
    await peer.send_all(b"hello")
    assert await stream.receive_some(100) == b"hello"
    await stream.send_all(b"welcome")
    assert await peer.receive_some() == b"welcome"
    await peer.send_eof()
    assert await stream.receive_some(100) == b""


async def test_a_silent_peer_is_slow(autojump_clock: trio.testing.MockClock) -> None:
    stream, _peer = pair()
    with pytest.raises(PeerSlow):
        await stream.receive_some(100, timeout_s=30)
    assert trio.current_time() == pytest.approx(30)


async def test_a_peer_that_does_not_read_is_cut_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream, _peer = tight_pair()
    with pytest.raises(PeerSlow):
        await stream.send_all(b"x" * 1000)
    assert trio.current_time() == pytest.approx(SEND_S)
    assert not stream.writable
    with pytest.raises(PeerGone):  # half a reply was sent: another would be misread
        await stream.send_all(b"BYE\r\n")


async def test_a_peer_that_is_gone_is_one_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream, peer = pair()
    await peer.aclose()
    with pytest.raises(PeerGone):
        await stream.send_all(b"anyone?")
    stream, _peer = pair()
    await stream.aclose()
    with pytest.raises(PeerGone):
        await stream.receive_some(100)


async def test_closing_reads_what_the_peer_still_sends() -> None:
    """Or the kernel would reset the connection, and our last words with it."""
    stream, peer = pair()
    await stream.send_all(b"421 bye\r\n")
    await peer.send_all(b"NOOP\r\n" * 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.aclose)
        assert await peer.receive_some() == b"421 bye\r\n"
        assert await peer.receive_some() == b""
        await peer.aclose()


async def test_closing_ends_whatever_the_peer_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream, _peer = pair()
    await stream.aclose()
    assert trio.current_time() < 10


@pytest.mark.parametrize(
    ("peer_ip", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.7", False),
        ("2001:db8::1", False),
        ("fe80::1%eth0", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_secrets_cross_in_clear_on_loopback_only(peer_ip: str, loopback: bool) -> None:
    stream, _peer = pair(peer_ip)
    assert stream.loopback is loopback
    assert stream.may_send_secrets is loopback


async def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of a connection through the kernel, as in a node."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    theirs = await trio.testing.open_stream_to_socket_listener(listener)
    assert isinstance(theirs, trio.SocketStream)
    ours = await listener.accept()
    await listener.aclose()
    return ours, theirs


async def test_one_small_answer_to_what_came_waits_for_nobody() -> None:
    ours, peer = await sockets()
    stream = DoorStream(ours)
    await peer.send_all(b"NOOP\r\n")
    assert await stream.receive_some(100) == b"NOOP\r\n"
    with trio.testing.assert_no_checkpoints():
        await stream.send_all(b"250 ok\r\n")
    with trio.testing.assert_checkpoints():  # but only one
        await stream.send_all(b"250 ok\r\n")
    await peer.send_all(b"FETCH\r\n")
    assert await stream.receive_some(100) == b"FETCH\r\n"
    with trio.testing.assert_checkpoints():
        await stream.send_all(bytes(PROMPT_BYTES_MAX + 1))
    with trio.fail_after(10):
        received = b""
        while len(received) < 16 + PROMPT_BYTES_MAX + 1:
            received += await peer.receive_some()
    assert received == b"250 ok\r\n" * 2 + bytes(PROMPT_BYTES_MAX + 1)


async def test_others_have_their_turn_before_what_has_come_already_is_received() -> None:
    ours, peer = await sockets()
    await peer.send_all(b"NOOP\r\n")
    await trio.lowlevel.wait_readable(ours.socket)
    with trio.testing.assert_checkpoints():
        assert await DoorStream(ours).receive_some(100) == b"NOOP\r\n"


async def test_an_answer_that_the_kernel_has_no_room_for_goes_on_when_it_has() -> None:
    ours, peer = await sockets()
    stream = DoorStream(ours)
    await peer.send_all(b"NOOP\r\n")
    assert await stream.receive_some(100) == b"NOOP\r\n"
    stuffed = 0
    with pytest.raises(BlockingIOError):
        while True:
            stuffed += os.write(ours.socket.fileno(), bytes(64 * 1024))
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"250 ok\r\n")
        with trio.fail_after(10):
            while len(received) < stuffed + 8:
                received += await peer.receive_some()
    assert received == bytes(stuffed) + b"250 ok\r\n"
    assert stream.writable


async def test_a_socket_whose_peer_is_gone_is_the_same_error() -> None:
    ours, peer = await sockets()
    stream = DoorStream(ours)
    peer.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    await peer.send_all(b"NOOP\r\n")
    assert await stream.receive_some(100) == b"NOOP\r\n"
    await trio.aclose_forcefully(peer)  # resets it
    with pytest.raises(PeerGone):
        await stream.receive_some(100)
    with pytest.raises(PeerGone):
        await stream.send_all(b"anyone?")
    assert not stream.writable
    await stream.aclose()
    with pytest.raises(PeerGone):
        await stream.receive_some(100)


def tls_contexts() -> tuple[TlsContext, ssl.SSLContext]:
    authority = Authority()
    return authority.server(), authority.client()


async def test_tls_starts_in_mid_stream_and_lets_secrets_through() -> None:
    server, client = tls_contexts()
    stream, peer = pair("192.0.2.7")
    assert (stream.secure, stream.may_send_secrets) == (False, False)
    wrapped = trio.SSLStream(peer, client, server_hostname="mail.example.org")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.start_tls, server)
        nursery.start_soon(wrapped.do_handshake)
    assert (stream.secure, stream.may_send_secrets) == (True, True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"* OK\r\n")
        assert await wrapped.receive_some() == b"* OK\r\n"
    await peer.aclose()
    # The end without close_notify is an end; what it cuts, the protocol's own framing tells.
    assert await stream.receive_some(10) == b""
    await stream.aclose()


async def test_a_peer_that_speaks_no_tls_gets_no_words() -> None:
    server, _client = tls_contexts()
    stream, peer = pair()
    await peer.send_all(b"EHLO in clear text\r\n")
    with pytest.raises(PeerGone):
        await stream.start_tls(server)
    assert not stream.secure
    assert not stream.writable


async def test_a_handshake_has_a_limit(autojump_clock: trio.testing.MockClock) -> None:
    server, _client = tls_contexts()
    stream, _peer = pair()
    with pytest.raises(PeerSlow):
        await stream.start_tls(server)


async def test_last_words_reach_a_peer_that_is_still_talking() -> None:
    """Over TCP: a socket closed with input unread is reset, and its last words are lost."""
    heard = b""

    async def serve(transport: trio.SocketStream) -> None:
        stream = DoorStream(transport)
        await stream.receive_some(10)
        await stream.send_all(b"421 enough\r\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        peer = await trio.open_tcp_stream(*listener.socket.getsockname())
        await peer.send_all(b"x" * 100_000)
        while piece := await peer.receive_some():
            heard += piece
        await peer.aclose()
        nursery.cancel_scope.cancel()
    assert heard == b"421 enough\r\n"
