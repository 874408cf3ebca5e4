"""Frames: cut, filled, bounded."""

import random

import pytest

from node.rpc import frames
from node.rpc.errors import LinkLost
from node.rpc.frames import (
    COALESCE_BYTES,
    FRAME_BYTES_MAX,
    HEAD_BYTES,
    OUTBOX_BYTES_MAX,
    OUTBOX_MESSAGES_MAX,
    PAYLOAD_BYTES_MAX,
    SEAL_BYTES,
    VIEWED_BYTES,
    FrameReader,
    Kind,
    Outbox,
    frame,
    frame_parts,
    split,
)


def test_a_stream_is_cut_into_its_frames_however_it_arrives() -> None:
    stream = frame(b"one") + frame(b"") + frame(b"three")
    for step in range(1, len(stream) + 1):
        reader = FrameReader(100)
        bodies = []
        for at in range(0, len(stream), step):
            reader.feed(stream[at : at + step])
            while (body := reader.next_body()) is not None:
                bodies.append(body)
        assert bodies == [b"one", b"", b"three"]


@pytest.mark.parametrize("step", [1000, VIEWED_BYTES, 3 * VIEWED_BYTES, 10**6])
def test_large_frames_come_between_small_ones(step: int) -> None:
    chance = random.Random(step)
    sizes = (5, VIEWED_BYTES, 0, 3 * VIEWED_BYTES + 1, VIEWED_BYTES - 1, 7)
    sent = [chance.randbytes(size) for size in sizes]
    stream = b"".join(part for body in sent for part in frame_parts(body))
    assert stream == b"".join(map(frame, sent))
    reader, bodies = FrameReader(FRAME_BYTES_MAX), []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        while (body := reader.next_body()) is not None:
            bodies.append(body)
    assert bodies == sent
    assert [isinstance(body, memoryview) for body in bodies] == [
        size >= VIEWED_BYTES for size in sizes
    ]


def test_a_large_body_is_not_joined_with_its_length() -> None:
    body = bytes(VIEWED_BYTES)
    assert frame_parts(body)[1] is body
    assert len(frame_parts(body[1:])) == 1


def test_a_frame_over_the_limit_is_refused_at_its_length() -> None:
    reader = FrameReader(FRAME_BYTES_MAX)
    reader.feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(LinkLost, match="over the limit"):
        reader.next_body()


def test_a_frame_at_the_limit_is_taken() -> None:
    reader = FrameReader(10)
    reader.feed(frame(b"x" * 10))
    assert reader.next_body() == b"x" * 10


def test_messages_leave_in_order_and_together() -> None:
    outbox = Outbox()
    sent = [(Kind.RAFT, b"a"), (Kind.CALL, b""), (Kind.RAFT, b"c" * 1000)]
    for kind, payload in sent:
        assert outbox.put(kind, payload)
    assert split(outbox.take()) == sent
    assert not outbox
    assert outbox.bytes_waiting == 0


def test_a_frame_is_filled_to_a_point_and_no_further() -> None:
    outbox = Outbox()
    for _ in range(10):
        outbox.put(Kind.RAFT, b"x" * (COALESCE_BYTES // 4))
    drains = []
    while outbox:
        drains.append(outbox.take())
    assert [len(split(d)) for d in drains] == [3, 3, 3, 1]
    assert all(len(d) <= COALESCE_BYTES for d in drains)


def test_the_largest_message_still_makes_a_lawful_frame() -> None:
    outbox = Outbox()
    outbox.put(Kind.RAFT, b"small")
    outbox.put(Kind.RAFT, b"x" * PAYLOAD_BYTES_MAX)
    assert split(outbox.take()) == [(Kind.RAFT, b"small")]
    assert len(outbox.take()) + SEAL_BYTES == FRAME_BYTES_MAX


def test_a_full_outbox_says_so_and_keeps_what_it_has() -> None:
    outbox = Outbox()
    for _ in range(OUTBOX_MESSAGES_MAX):
        assert outbox.put(Kind.RAFT, b"x")
    assert not outbox.put(Kind.RAFT, b"x")
    assert len(outbox) == OUTBOX_MESSAGES_MAX


def test_an_outbox_is_full_by_bytes_too() -> None:
    outbox = Outbox()
    payload = b"x" * PAYLOAD_BYTES_MAX
    taken = sum(outbox.put(Kind.RAFT, payload) for _ in range(20))
    assert taken == OUTBOX_BYTES_MAX // (PAYLOAD_BYTES_MAX + HEAD_BYTES)
    assert outbox.bytes_waiting <= OUTBOX_BYTES_MAX


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_frame_that_ends_inside_a_message_is_refused(cut: int) -> None:
    outbox = Outbox()
    outbox.put(Kind.RAFT, b"four")
    plain = outbox.take()
    with pytest.raises(LinkLost, match="ends inside"):
        split(plain[: len(plain) - cut])


def test_every_kind_fits_its_byte() -> None:
    assert all(0 < kind < 256 for kind in frames.Kind)
