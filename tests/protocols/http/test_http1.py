"""Our own HTTP/1.1 loop over loopback sockets: order, keep-alive, bodies, deadlines, last words."""

from functools import partial

import trio
import trio.lowlevel
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from protocols.http.http1 import (
    BODY_WAIT_S,
    HEAD_S,
    KEEP_ALIVE_S,
    LINGER_OCTETS_MAX,
    LINGER_S,
    LINGER_WAIT_S,
    SEND_S,
    Ends,
    Http1Connection,
)
from protocols.http.requests import Receive, Scope, Send
from protocols.http.serve import HttpDoor
from tests.fakes import FakeClock
from tests.protocols.http.doors import echo, open_door, read_all, read_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ENDS = Ends(("192.0.2.1", 1), ("127.0.0.1", 2), "http")


def post(body: bytes, *fields: bytes) -> bytes:
    """A POST with a length."""
    head = b"".join(field + b"\r\n" for field in fields)
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), head, body)


async def test_requests_on_one_connection_are_answered_in_order() -> None:
    async with open_door(echo) as door:
        told = await door.say(post(b"one") + post(b"two") + post(b"three", b"Connection: close"))
    assert [told.count(b"POST / " + word) for word in (b"one", b"two", b"three")] == [1, 1, 1]
    assert told.index(b"one") < told.index(b"two") < told.index(b"three")
    assert told.count(b"connection: close") == 1
    assert told.count(b"date: Sun, 01 Nov 2026 12:00:00 GMT\r\n") == 3


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with open_door(echo) as door, await door.dial() as stream:
        for _ in range(3):
            await stream.send_all(GET)
            assert await read_until(stream, b"GET / ")


async def test_http_1_0_closes() -> None:
    async with open_door(echo) as door:
        told = await door.say(b"GET /old HTTP/1.0\r\n\r\n")
    assert told.endswith(b"GET /old ") and b"connection: close" in told


async def test_head_gets_no_body() -> None:
    async with open_door(echo) as door:
        told = await door.say(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert told.endswith(b"\r\n\r\n") and b"content-length: 7" in told


async def test_the_absolute_form_is_taken() -> None:
    async with open_door(echo) as door:
        told = await door.say(b"GET http://x/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert told.endswith(b"GET /p ")


async def test_a_chunked_body_is_put_together() -> None:
    async with open_door(echo) as door, await door.dial() as stream:
        await stream.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"
        )
        await trio.sleep(0.01)
        await stream.send_all(b"c\r\n1;x=y\r\nd\r\n0\r\n\r\n")
        assert await read_until(stream, b"POST / abcd")


async def test_a_client_that_waits_is_told_to_continue() -> None:
    async with open_door(echo) as door, await door.dial() as stream:
        await stream.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await read_until(stream, b"HTTP/1.1 100 Continue\r\n\r\n")
        await stream.send_all(b"ok")
        assert await read_until(stream, b"POST / ok")


async def test_an_answer_without_the_body_read_closes() -> None:
    async with open_door(deaf) as door:
        told = await door.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nabc")
    assert told.startswith(b"HTTP/1.1 413 ") and b"connection: close" in told
    assert told.endswith(b"content-length: 2\r\nconnection: close\r\n\r\nno")


async def deaf(_: Scope, __: Receive, send: Send) -> None:
    """An application that refuses without reading the body."""
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def test_who_writes_a_whole_large_body_before_reading_hears_the_refusal() -> None:
    async with open_door(deaf) as door, await door.dial() as stream:
        size = 8 * 1024 * 1024
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        await stream.send_all(head + bytes(size))
        assert (await read_all(stream)).startswith(b"HTTP/1.1 413 ")


async def test_a_stream_of_unknown_length_is_chunked() -> None:
    async def streaming(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"a" * 10, b"bc"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with open_door(streaming) as door:
        told = await door.say(CLOSE)
        old = await door.say(b"GET / HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding: chunked" in told
    assert told.endswith(b"a\r\naaaaaaaaaa\r\n2\r\nbc\r\n0\r\n\r\n")
    assert b"chunked" not in old and old.endswith(b"aaaaaaaaaabc")


async def test_malformed_octets_get_400_after_what_was_asked_before() -> None:
    async with open_door(echo) as door:
        told = await door.say(GET + b"\x00\x01 nonsense\r\n\r\n")
    assert told.index(b"200 OK") < told.index(b"400 Bad Request")
    assert b"connection: close" in told


async def test_a_body_that_breaks_off_is_nobodys() -> None:
    async with open_door(echo) as door:
        told = await door.say(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
        assert told.startswith(b"HTTP/1.1 400 ")
        async with await door.dial() as stream:
            await stream.send_all(post(b"abc")[:-1])
        assert await door.answers()


async def test_smuggled_requests_are_not_served() -> None:
    async with open_door(echo) as door:
        told = await door.say(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
        )
    assert told.startswith(b"HTTP/1.1 400 ") and b"evil" not in told
    assert told.count(b"HTTP/1.1 ") == 1


# Slow peers, under a clock that runs only when everyone waits.


async def served(stream: trio.abc.Stream, first: bytes) -> None:
    """One connection, as the door runs it."""
    await Http1Connection(stream, echo, ENDS, lambda: b"now").run(first)
    await stream.aclose()


async def test_a_head_must_come_in_time(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served, near, b"GET / HTTP/1.1\r\n")
        began = trio.current_time()

        async def drip() -> None:
            while True:
                await far.send_all(b"X: 1\r\n")
                await trio.sleep(1)

        with trio.CancelScope() as dripping:
            nursery.start_soon(_until_gone, drip)
            told = await read_all(far, within_s=600)
            dripping.cancel()
        assert told.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began <= HEAD_S + 5
        nursery.cancel_scope.cancel()


async def _until_gone(step: object) -> None:
    try:
        await step()  # type: ignore[operator]
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def test_a_body_must_come_at_some_pace(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served, near, head)
        began = trio.current_time()

        async def drip() -> None:
            while True:
                await far.send_all(b"a")
                await trio.sleep(BODY_WAIT_S / 4)

        nursery.start_soon(_until_gone, drip)
        assert (await read_all(far, within_s=600)).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began < 2 * BODY_WAIT_S
        nursery.cancel_scope.cancel()


async def _pours(piece: bytes, pause_s: float) -> float:
    """Seconds until a client that goes on sending after its refusal is cut off."""
    near, far = trio.testing.memory_stream_pair()
    began = trio.current_time()

    async def pour() -> None:
        while True:
            await far.send_all(piece)
            await trio.sleep(pause_s)

    async def refused() -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n"
        await Http1Connection(near, deaf, ENDS, lambda: b"now").run(head)
        await near.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused)
        await _until_gone(pour)
    return trio.current_time() - began


async def test_what_comes_after_a_refusal_is_dropped_within_bounds(
    autojump_clock: MockClock,
) -> None:
    assert LINGER_S - 2 <= await _pours(b"a", 1.0) <= LINGER_S + 2
    assert await _pours(b"a", LINGER_WAIT_S * 2) <= LINGER_WAIT_S * 3
    a_quarter = bytes(LINGER_OCTETS_MAX // 4)
    assert 3 <= await _pours(a_quarter, 1.0) <= 5


async def test_an_idle_connection_is_closed_without_a_word(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served, near, GET)
        began = trio.current_time()
        told = await read_all(far, within_s=600)
        assert told.count(b"HTTP/1.1 ") == 1
        assert KEEP_ALIVE_S <= trio.current_time() - began <= KEEP_ALIVE_S + 5


async def test_a_client_that_does_not_read_is_cut_off(autojump_clock: MockClock) -> None:
    near, far = trio.testing.lockstep_stream_pair()
    began = trio.current_time()
    await served(near, GET)
    assert SEND_S <= trio.current_time() - began <= SEND_S + 5
    await far.aclose()


PIECES = st.lists(
    st.sampled_from(
        [
            GET,
            CLOSE,
            post(b"body"),
            b"GET / HTTP/1.1\r\n",
            b"Host: x\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Length: 5\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: h2c\r\nConnection: upgrade\r\n",
            b"\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
    )
    | st.binary(max_size=20),
    min_size=1,
    max_size=8,
)


@given(PIECES, st.booleans())
def test_any_octets_are_answered_and_the_connection_ends(pieces: list[bytes], leaves: bool) -> None:
    async def converse() -> bytes:
        near, far = trio.testing.memory_stream_pair()
        door = HttpDoor(echo, clock=FakeClock())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(door.serve_stream, near, client=("192.0.2.9", 7)))
            for piece in pieces:
                await _until_gone(partial(far.send_all, piece))
                await trio.lowlevel.checkpoint()
            if leaves:
                await far.aclose()
                return b""
            await _until_gone(far.send_eof)
            return await read_all(far, within_s=900)

    told = trio.run(converse, clock=MockClock(autojump_threshold=0))
    assert told == b"" or told.startswith((b"HTTP/1.1 ", b"\0\0"))
