"""A link over memory streams, where every byte can be seen, cut and changed."""

from random import Random

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from node.rpc.errors import HandshakeFailed, LinkLost
from node.rpc.frames import FRAME_BYTES_MAX, HELLO_BYTES_MAX, OUTBOX_MESSAGES_MAX, Kind, frame
from node.rpc.handshake import Credentials
from node.rpc.link import HANDSHAKE_S_MAX, PING_S, SILENT_ROUNDS_DIALER, Link, open_link
from tests.node.rpc.town import credentials

Stream = trio.abc.Stream


async def linked(
    ours: Stream, theirs: Stream, *, own: Credentials | None = None
) -> tuple[Link, Link]:
    """Both ends of a fresh link."""
    ends: dict[bool, Link] = {}

    async def open_end(stream: Stream, replica: int, dialer: bool) -> None:
        ends[dialer] = await open_link(
            stream,
            own if own and dialer else credentials(replica),
            dialer=dialer,
            draw=Random(replica).randbytes,
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_end, ours, 1, True)
        nursery.start_soon(open_end, theirs, 2, False)
    return ends[True], ends[False]


def nothing(kind: int, payload: bytes) -> None:
    raise AssertionError(f"unexpected {kind}")


async def test_messages_arrive_in_the_order_posted(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    assert (dialer.remote.name, acceptor.remote.name) == ("n2", "n1")
    heard: list[int] = []

    def hear(kind: int, payload: bytes) -> None:
        heard.append(int(payload))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run, nothing)
        nursery.start_soon(acceptor.run, hear)
        for burst in range(20):
            for n in range(50):
                assert dialer.post(Kind.RAFT, b"%d" % (burst * 50 + n))
            await trio.sleep(0.001)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert heard == list(range(1000))


async def test_a_burst_is_one_write() -> None:
    ours, theirs = memory_stream_pair()
    dialer, _ = await linked(ours, theirs)
    writes: list[int] = []

    async def count() -> None:
        writes.append(1)

    ours.send_stream.send_all_hook = count
    async with trio.open_nursery() as nursery:
        for _ in range(500):
            dialer.post(Kind.RAFT, b"entry")
        nursery.start_soon(dialer.run, nothing)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(writes) == 1


@pytest.mark.parametrize("at", [4, 20, -1])
async def test_a_frame_changed_on_the_way_ends_the_link(at: int) -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    body = bytearray(frame(dialer._sending.seal(b"whatever it says")))
    body[at] ^= 1
    await ours.send_all(body)
    await acceptor.run(nothing)
    assert "did not open" in acceptor.lost


async def test_a_frame_played_again_ends_the_link() -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    dialer._outbox.put(Kind.RAFT, b"x")
    once = frame(dialer._sending.seal(dialer._outbox.take()))
    await ours.send_all(once + once)
    heard: list[bytes] = []
    await acceptor.run(lambda kind, payload: heard.append(payload))
    assert heard == [b"x"]
    assert "did not open" in acceptor.lost


async def test_an_oversized_frame_ends_the_link_before_it_is_read() -> None:
    ours, theirs = memory_stream_pair()
    _, acceptor = await linked(ours, theirs)
    await ours.send_all((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    await acceptor.run(nothing)
    assert "over the limit" in acceptor.lost


async def test_a_stranger_may_not_even_send_much() -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all((HELLO_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(HandshakeFailed, match="over the limit"):
        await open_link(theirs, credentials(2), dialer=False, draw=Random(2).randbytes)


async def test_garbage_is_refused() -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all(frame(b"EHLO example.org"))
    with pytest.raises(HandshakeFailed, match="no hello"):
        await open_link(theirs, credentials(2), dialer=False, draw=Random(2).randbytes)


@pytest.mark.parametrize("said", [b"", b"\x00", b"\x00\x00\x00\x2eTRI1"])
async def test_a_half_said_hello_times_out(said: bytes, autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all(said)
    began = trio.current_time()
    with pytest.raises(HandshakeFailed, match="no handshake within"):
        await open_link(theirs, credentials(2), dialer=False, draw=Random(2).randbytes)
    assert trio.current_time() - began == pytest.approx(HANDSHAKE_S_MAX)


async def test_a_peer_that_goes_away_in_the_middle_is_a_failed_handshake() -> None:
    ours, theirs = memory_stream_pair()
    await ours.aclose()
    with pytest.raises(HandshakeFailed):
        await open_link(theirs, credentials(2), dialer=False, draw=Random(2).randbytes)


async def test_an_idle_link_is_kept(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run, nothing)
        nursery.start_soon(acceptor.run, nothing)
        await trio.sleep(600)
        assert (dialer.lost, acceptor.lost) == ("", "")
        nursery.cancel_scope.cancel()


async def test_silence_ends_a_link(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    dialer, _ = await linked(ours, theirs)
    began = trio.current_time()
    await dialer.run(nothing)
    assert "nothing heard" in dialer.lost
    assert trio.current_time() - began <= SILENT_ROUNDS_DIALER * PING_S + 0.1


async def test_a_peer_that_takes_nothing_ends_the_link(autojump_clock: MockClock) -> None:
    """Writing blocks for ever; the silence is noticed all the same."""
    ours, theirs = memory_stream_pair()
    dialer, _ = await linked(ours, theirs)

    async def block() -> None:
        await trio.sleep_forever()

    ours.send_stream.send_all_hook = block
    dialer.post(Kind.RAFT, b"x")
    await dialer.run(nothing)
    assert "nothing heard" in dialer.lost


async def test_a_full_outbox_refuses_and_a_lost_link_does_too() -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    for _ in range(OUTBOX_MESSAGES_MAX):
        assert dialer.post(Kind.RAFT, b"")
    assert not dialer.post(Kind.RAFT, b"")
    await ours.aclose()
    await acceptor.run(nothing)
    assert "closed" in acceptor.lost
    assert not acceptor.post(Kind.RAFT, b"")


async def test_what_a_handler_cannot_bear_from_a_peer_ends_the_link() -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)

    def refuse(kind: int, payload: bytes) -> None:
        raise LinkLost("not a message of ours")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run, nothing)
        dialer.post(Kind.RAFT, b"?")
        await acceptor.run(refuse)
        nursery.cancel_scope.cancel()
    assert acceptor.lost == "not a message of ours"


async def test_a_bug_in_a_handler_rises() -> None:
    ours, theirs = memory_stream_pair()
    dialer, acceptor = await linked(ours, theirs)
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dialer.run, nothing)
            dialer.post(Kind.RAFT, b"?")
            await acceptor.run(lambda kind, payload: {}[kind])
    assert caught.group_contains(KeyError)
