"""Sockets over the wire: a real client, and hostile frames against each bound."""

import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.settings
import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, open_websocket

from protocols.http import held_websocket
from protocols.http.general import GeneralServer
from protocols.http.held_websocket import PIECE_OCTETS_MIN, PING_S
from protocols.http.http1 import Ends
from tests.protocols.http.doors import OpenDoor, open_door, read_until
from tests.protocols.http.listening import basic
from tests.protocols.http.test_websocket import ECHO
from tests.protocols.jmap.desk import Desk

MOST = 4096
REQUEST = msgspec.json.encode({"@type": "Request", "id": "R", **ECHO})
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
FIN = 0x80


def frame(data: bytes, opcode: int = TEXT, *, fin: bool = True, size: int | None = None) -> bytes:
    """A frame as clients send it; `size` lies about its length."""
    length = len(data) if size is None else size
    head = bytes([(FIN if fin else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += struct.pack(">BH", 0x80 | 126, length)
    else:
        head += struct.pack(">BQ", 0x80 | 127, length)
    mask = os.urandom(4)
    return head + mask + bytes(octet ^ mask[at % 4] for at, octet in enumerate(data))


def handshake(extra: bytes = b"") -> bytes:
    return (
        b"GET /jmap/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: jmap\r\nAuthorization: " + basic() + b"\r\n" + extra + b"\r\n"
    )


@asynccontextmanager
async def raw(door: OpenDoor, *sent: bytes) -> AsyncIterator[trio.SocketStream]:
    """A connection that has shaken hands and sent these octets."""
    async with await door.dial() as stream:
        await stream.send_all(handshake())
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        for octets in sent:
            await stream.send_all(octets)
        yield stream


async def close_code(stream: trio.abc.ReceiveStream) -> int:
    """The code of the close frame that comes next."""
    held = b""
    with trio.fail_after(10):
        while len(held) < 4:
            data = await stream.receive_some(65536)
            assert data, "no close frame came"
            held += bytes(data)
    assert held[0] == FIN | CLOSE, held
    code: int = struct.unpack(">H", held[2:4])[0]
    return code


@asynccontextmanager
async def client(
    door: OpenDoor, password: str = "correct horse"
) -> AsyncIterator[WebSocketConnection]:
    """A client of the library that others use."""
    async with open_websocket(
        "127.0.0.1",
        door.port,
        "/jmap/ws",
        use_ssl=False,
        subprotocols=["jmap"],
        extra_headers=[(b"authorization", basic(password=password))],
    ) as socket:
        yield socket


async def test_a_client_asks_and_hears_over_a_real_socket() -> None:
    desk = Desk()
    async with open_door(desk.app) as door, client(door) as socket:
        assert socket.subprotocol == "jmap"
        await socket.send_message(REQUEST.decode())
        told = msgspec.json.decode(await socket.get_message())
        assert told["@type"] == "Response" and told["requestId"] == "R"
        await socket.send_message('{"@type":"WebSocketPushEnable","dataTypes":null}')
        await socket.ping()
        desk.deliver()
        change = msgspec.json.decode(await socket.get_message())
        assert change["@type"] == "StateChange" and change["pushState"]


async def test_a_refused_handshake_is_an_http_answer() -> None:
    async with open_door(Desk().app) as door:
        with pytest.raises((HandshakeError, ExceptionGroup)):
            async with client(door, "wrong"):
                pass
        refused = await door.say(handshake().replace(basic(), b"Basic x"))
        assert refused.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate" in refused.lower() and b"problem+json" in refused


async def test_fragments_are_one_message_with_pings_between() -> None:
    async with open_door(Desk().app) as door:
        pieces = [REQUEST[at : at + 7] for at in range(0, len(REQUEST), 7)]
        frames = [frame(pieces[0], fin=False)]
        for piece in pieces[1:-1]:
            frames += [frame(b"?", PING), frame(piece, 0, fin=False)]
        frames.append(frame(pieces[-1], 0))
        async with raw(door, b"".join(frames)) as stream:
            told = await read_until(stream, b"}")
            assert told.count(b"\x8a\x01?") == len(pieces) - 2 and b'"Response"' in told


async def test_frames_against_the_rules_close_one_socket_with_the_reason() -> None:
    async with open_door(Desk().app, message_octets_max=MOST) as door:
        unmasked = bytes([FIN | TEXT, 2]) + b"{}"
        for octets, code in (
            (frame(b"{}", BINARY), 1003),
            (frame(b"\xff\xfe"), 1007),
            (frame(b"{}", 3), 1002),
            (unmasked, 1002),
            (frame(b"x" * 126, PING), 1002),
            (frame(b"x", 0), 1002),
            (frame(b"x", fin=False) + frame(b"y"), 1002),
            (bytes([FIN | 0x40 | TEXT]) + frame(b"{}")[1:], 1002),
            (frame(b"x" * (MOST + 1)), 1009),
            (frame(b"x" * 70_000, size=2**40), 1009),
        ):
            async with raw(door, octets) as stream:
                assert await close_code(stream) == code, octets[:20]
        async with client(door) as socket:
            await socket.send_message(REQUEST.decode())
            assert await socket.get_message()


async def test_a_message_of_exactly_the_limit_is_taken() -> None:
    async with open_door(Desk().app, message_octets_max=MOST) as door, client(door) as socket:
        await socket.send_message(REQUEST.decode().ljust(MOST))
        assert '"Response"' in await socket.get_message()
        await socket.send_message(("é" * (MOST // 2)) + "x")
        with pytest.raises(ConnectionClosed):
            await socket.get_message()
        assert socket.closed is not None and socket.closed.code == 1009


async def test_countless_empty_fragments_are_too_large_a_message() -> None:
    async with open_door(Desk().app, message_octets_max=MOST) as door:
        tiny = frame(b"x", fin=False) + frame(b"", 0, fin=False) * (MOST // PIECE_OCTETS_MIN)
        async with raw(door, tiny) as stream:
            assert await close_code(stream) == 1009


async def test_what_follows_a_message_that_was_too_large_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_websocket, "CLOSING_S", 0.2)
    begun = frame(b"x" * (MOST + 1), fin=False)
    async with (
        open_door(Desk().app, message_octets_max=MOST) as door,
        raw(door, begun) as stream,
    ):
        assert await close_code(stream) == 1009
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            while True:  # until the server has waited long enough for our close
                await stream.send_all(frame(b"x" * MOST, 0, fin=False))
                await trio.sleep(0.01)


async def test_messages_that_have_begun_share_what_memory_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_websocket, "MESSAGES_OCTETS_MAX", 3000)
    async with open_door(Desk().app, message_octets_max=MOST) as door:
        async with raw(door, frame(b"x" * 2000, fin=False)), raw(door) as second:
            await trio.sleep(0.05)
            await second.send_all(frame(b"x" * 2000, fin=False))
            assert await close_code(second) == 1013
        async with client(door) as socket:
            await socket.send_message(REQUEST.decode())
            assert await socket.get_message()


async def test_a_peer_that_answers_no_ping_is_given_up(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    ends = Ends(("127.0.0.1", 1), ("127.0.0.1", 2), "http")
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(GeneralServer(Desk().app).serve, near, ends, handshake(), "http/1.1")
        await read_until(far, b"\r\n\r\n")
        await trio.sleep(PING_S + 1)
        await read_until(far, b"\x89\x00")
        await far.send_all(frame(b"", 10))  # a pong, and after that not a word
        with trio.fail_after(PING_S * 4):
            while await far.receive_some(1000):
                pass
        assert trio.current_time() - began == pytest.approx(3 * PING_S, abs=1)
        nursery.cancel_scope.cancel()


async def test_a_socket_over_http2_is_the_same_and_gets_no_deflate() -> None:
    desk = Desk()
    async with open_door(desk.app) as door, await door.dial() as stream:
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        http2.initiate_connection()
        await stream.send_all(http2.data_to_send())
        head = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/jmap/ws"),
            (":authority", "x"),
            ("authorization", basic().decode()),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "jmap"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ]
        fields: dict[str, str] = {}
        told = b""
        with trio.fail_after(10):
            while b'"Response"' not in told:
                for event in http2.receive_data(bytes(await stream.receive_some(65536))):
                    if isinstance(event, h2.events.RemoteSettingsChanged):
                        assert http2.remote_settings.enable_connect_protocol == 1
                        http2.send_headers(1, head)
                    elif isinstance(event, h2.events.ResponseReceived):
                        fields = {str(k): str(v) for k, v in event.headers}
                        http2.send_data(1, frame(REQUEST))
                    elif isinstance(event, h2.events.DataReceived):
                        told += event.data
                await stream.send_all(http2.data_to_send())
        assert fields[":status"] == "200" and fields["sec-websocket-protocol"] == "jmap"
        assert "sec-websocket-extensions" not in fields
