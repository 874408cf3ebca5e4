"""The door on real sockets: both servers, TLS, bounds, shutdown, and hypercorn's known faults."""

import base64
import ssl
from collections.abc import Sequence
from functools import partial

import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import trio
import trio.testing
import trustme
from trio.testing import MockClock

from protocols.http.general import GONE_S, GeneralServer
from protocols.http.http1 import BODY_WAIT_S, HEAD_S, SEND_S, Ends
from protocols.http.requests import Receive, Scope, Send
from protocols.http.serve import CLOSE_S, HANDSHAKE_S, HttpDoor
from protocols.jmap.capabilities import CORE, MAIL
from tests.fakes import FakeClock
from tests.protocols.http.doors import OpenDoor, after, echo, open_door, read_all, read_until
from tests.protocols.jmap.desk import ALICE, SECRET, Desk

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Certificates:
    """A server's context and a client's that trusts it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.server)
        self._authority = authority

    def client(self, *alpn: str) -> ssl.SSLContext:
        """A context for a client that offers these protocols."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


async def dial_tls(door: OpenDoor, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    stream = trio.SSLStream(await door.dial(), context, server_hostname="localhost")
    await stream.do_handshake()
    return stream


async def ask_http2(
    stream: trio.abc.Stream,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/two",
    more: Sequence[tuple[str, str]] = (),
) -> tuple[int, bytes]:
    """One request over HTTP/2: status and body."""
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http2.initiate_connection()
    number = http2.get_next_available_stream_id()
    head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")]
    http2.send_headers(number, [*head, *more])
    http2.send_data(number, body, end_stream=True)
    await stream.send_all(http2.data_to_send())
    status, told = 0, b""
    with trio.fail_after(10):
        while True:
            data = await stream.receive_some(65536)
            assert data, "the door hung up"
            for event in http2.receive_data(bytes(data)):
                if isinstance(event, h2.events.ResponseReceived):
                    heads = {str(name): value for name, value in event.headers}
                    status = int(heads[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    told += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    return status, told
            await stream.send_all(http2.data_to_send())


async def test_http2_with_prior_knowledge_reaches_the_same_application() -> None:
    async with open_door(echo) as door, await door.dial() as stream:
        assert await ask_http2(stream, b"body") == (200, b"POST /two body")


async def test_jmap_is_spoken_over_both() -> None:
    desk = Desk()
    desk.deliver()
    basic = "Basic " + base64.b64encode(f"{ALICE}:{SECRET}".encode()).decode()
    call = ["Email/get", {"accountId": desk.account, "ids": None}, "c"]
    asked = msgspec.json.encode({"using": [CORE, MAIL], "methodCalls": [call]})
    head = {"authorization": basic, "content-type": "application/json"}
    fields = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    async with open_door(desk.app) as door:
        async with await door.dial() as stream:
            status, two = await ask_http2(stream, asked, path="/jmap/api", more=list(head.items()))
        async with await door.dial() as stream:
            path = "/.well-known/jmap"
            _, session = await ask_http2(stream, method="GET", path=path, more=list(head.items()))
        one = await door.say(
            f"POST /jmap/api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}"
            f"Content-Length: {len(asked)}\r\n\r\n".encode()
            + asked
        )
    assert msgspec.json.decode(session)["apiUrl"] == "http://x/jmap/api"
    by_one, by_two = (msgspec.json.decode(said.rpartition(b"\r\n\r\n")[2]) for said in (one, two))
    assert status == 200 and by_one["methodResponses"] == by_two["methodResponses"]
    assert b'"subject":"Hello"' in two
    # The first session makes the key that signs pushes, and so is of another state than before it.
    assert by_one["sessionState"] == msgspec.json.decode(session)["state"]
    assert by_two["sessionState"] != by_one["sessionState"]


async def test_a_body_over_http2_must_come_in_time_too(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    heard: list[str] = []

    async def listening(_: Scope, receive: Receive, send: Send) -> None:
        heard.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 408, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    http2 = h2.connection.H2Connection()
    http2.initiate_connection()
    head = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
    http2.send_headers(1, head)
    ends = Ends(("192.0.2.1", 1), ("127.0.0.1", 2), "http")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(GeneralServer(listening).serve, near, ends, b"", "h2")
        await far.send_all(http2.data_to_send())
        with trio.fail_after(10 * BODY_WAIT_S):
            while not heard:
                await far.receive_some(1000)
        nursery.cancel_scope.cancel()
    assert heard == ["http.disconnect"]
    assert BODY_WAIT_S <= trio.current_time() <= 2 * BODY_WAIT_S


async def test_a_peer_of_hypercorns_that_does_not_read_is_cut_off(
    autojump_clock: MockClock,
) -> None:
    near, far = trio.testing.lockstep_stream_pair()
    ends = Ends(("192.0.2.1", 1), ("127.0.0.1", 2), "http")
    began = trio.current_time()
    await GeneralServer(echo).serve(near, ends, GET, "http/1.1")
    assert SEND_S <= trio.current_time() - began <= SEND_S + GONE_S + 1
    await far.aclose()


async def test_hypercorn_lets_go_of_a_client_that_left(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    ends = Ends(("192.0.2.1", 1), ("127.0.0.1", 2), "http")
    await far.aclose()
    await GeneralServer(echo).serve(near, ends, GET, "http/1.1")
    assert trio.current_time() <= GONE_S + 1


async def test_a_preface_in_pieces_is_still_http2() -> None:
    async with open_door(echo) as door, await door.dial() as stream:
        pieces = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for at in range(0, 12, 4):
            await stream.send_all(pieces[at : at + 4])
            await trio.sleep(0.01)
        await stream.send_all(pieces[12:] + b"\0\0\0\x04\0\0\0\0\0")
        with trio.fail_after(5):
            assert (await stream.receive_some(100))[3] == 4  # a SETTINGS frame


async def test_tls_speaks_what_alpn_chose(certificates: Certificates) -> None:
    async with open_door(echo, tls=certificates.server) as door:
        two = await dial_tls(door, certificates.client("h2", "http/1.1"))
        assert two.selected_alpn_protocol() == "h2"
        assert await ask_http2(two, b"x") == (200, b"POST /two x")
        one = await dial_tls(door, certificates.client("http/1.1"))
        await one.send_all(GET)
        assert await read_until(one, b"GET / ")
        none = await dial_tls(door, certificates.client())
        await none.send_all(GET)
        assert await read_until(none, b"GET / ")
        for stream in (two, one, none):
            await trio.aclose_forcefully(stream)


async def test_a_failed_handshake_harms_nobody(certificates: Certificates) -> None:
    async with open_door(echo, tls=certificates.server) as door:
        assert b"HTTP/1.1 200" not in await door.say(GET)
        stream = await dial_tls(door, certificates.client())
        await stream.send_all(GET)
        assert await read_until(stream, b"GET / ")
        await trio.aclose_forcefully(stream)


async def test_a_websocket_and_an_extra_byte_end_one_connection() -> None:
    """pgjones/hypercorn#225: this ended the whole server."""
    async with open_door(echo) as door:
        for extra in (b"\0", b"\xff" * 10, b"\x8f\x80"):
            async with await door.dial() as stream:
                await stream.send_all(UPGRADE + extra)
                with trio.move_on_after(1):
                    await read_all(stream)
            assert await door.answers()


async def test_what_a_peer_breaks_in_hypercorn_is_no_bug_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})

    async with open_door(refuse) as door, await door.dial() as stream:
        await stream.send_all(UPGRADE + b"\xff" * 9)
        with trio.move_on_after(1):
            await read_all(stream)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_websocket_is_never_given_deflate() -> None:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    async with open_door(echo) as door, await door.dial() as stream:
        await stream.send_all(UPGRADE[:-2] + offer)
        told = await read_until(stream, b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 101 ") and b"permessage-deflate" not in told


async def test_clients_that_stop_reading_do_not_stop_the_shutdown() -> None:
    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async with open_door(flood) as door:
        plain, two = await door.dial(), await door.dial()
        await plain.send_all(GET)
        http2 = h2.connection.H2Connection()
        http2.initiate_connection()
        asked = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
        http2.send_headers(1, asked, end_stream=True)
        http2.increment_flow_control_window(2**30)
        http2.increment_flow_control_window(2**30, 1)
        await two.send_all(http2.data_to_send())
        await trio.sleep(0.2)  # their windows fill
        assert door.door.connections == 2
        with trio.fail_after(3):
            await door.door.shutdown(0.2)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert door.door.connections == 0
        await plain.aclose()
        await two.aclose()


async def test_shutdown_lets_an_answer_out_and_closes_idle_connections() -> None:
    gate = trio.Event()
    async with open_door(after(gate.wait)) as door:
        idle, busy = await door.dial(), await door.dial()
        await busy.send_all(GET)
        await trio.sleep(0.05)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.door.shutdown, 5)
            await trio.sleep(0.05)
            gate.set()
            told = await read_until(busy, b"GET / ")
            await busy.aclose()
        assert told.endswith(b"GET / ") and b"connection: close" in told
        assert await read_all(idle) == b""
        assert door.door.connections == 0


async def test_connections_over_the_bound_are_turned_away() -> None:
    async with open_door(echo, connections_max=1) as door:
        held = await door.dial()
        await held.send_all(GET)
        await read_until(held, b"GET / ")
        assert await door.say(GET) == b""
        await held.aclose()
        await trio.sleep(0.05)
        assert await door.answers()


async def test_hostile_heads_over_the_wire_leave_the_door_open() -> None:
    async with open_door(echo) as door:
        told = await door.say(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000)
        assert told.startswith(b"HTTP/1.1 431 ")
        assert (await door.say(b"\x16\x03\x01" + b"\0" * 500)).startswith(b"HTTP/1.1 400 ")
        assert await door.answers()


async def test_a_stream_without_a_socket_is_served_under_the_address_it_is_given() -> None:
    near, far = trio.testing.memory_stream_pair()
    seen: list[object] = []

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope["client"], scope["server"]))
        await echo(scope, receive, send)

    door = HttpDoor(looking, clock=FakeClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(door.serve_stream, near, client=("192.0.2.9", 7)))
        await far.send_all(GET)
        await read_until(far, b"GET / ")
        await far.aclose()
    assert seen == [("192.0.2.9", 7), ("", 0)]


async def test_who_says_nothing_is_not_waited_for(
    autojump_clock: MockClock, certificates: Certificates
) -> None:
    for tls, within_s in ((None, HEAD_S), (certificates.server, HANDSHAKE_S)):
        near, far = trio.testing.memory_stream_pair()
        began = trio.current_time()
        door = HttpDoor(echo, clock=FakeClock(), tls=tls)
        await door.serve_stream(near, client=("192.0.2.9", 7))
        assert within_s <= trio.current_time() - began <= within_s + CLOSE_S
        await far.aclose()
