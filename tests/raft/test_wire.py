"""Messages survive the wire; nothing else does."""

from random import Random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.messages import (
    Append,
    AppendReject,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    Propose,
    ReadReply,
    ReadRequest,
    TimeoutNow,
    VoteReply,
    VoteRequest,
    payload_bytes,
)
from raft.model import Entry, EntryKind
from raft.wire import (
    MESSAGE_BYTES_MAX,
    UnsupportedEntry,
    WireError,
    WrongCluster,
    decode,
    encode,
)

CLUSTER = b"cluster-of-tests"
U64 = (1 << 64) - 1

MESSAGES: list[Message] = [
    VoteRequest(0, 1, U64, 3, True, False, 7, 2),
    VoteRequest(9, 1, 2, 3, False, True, 7, 2),
    VoteReply(0, 1, 2, 3, True, False),
    VoteReply(0, 1, 2, 3, False, True),
    Append(0, 1, 2, 9, 4, 2, 3, ()),
    Append(
        0,
        1,
        2,
        9,
        4,
        2,
        3,
        (Entry(5, 2, EntryKind.NORMAL, b"payload"), Entry(6, 9, EntryKind.NOOP, b"")),
    ),
    AppendReply(0, 1, 2, 3, 77),
    AppendReject(0, 1, 2, 3, 9, 8, 7),
    Heartbeat(0, 1, 2, 3, 4, 5),
    HeartbeatReply(0, 1, 2, 3, 4),
    Propose(0, 1, 2, 3, (b"", b"one", bytes(1000))),
    ReadRequest(0, 1, 2, 3, U64),
    ReadReply(0, 1, 2, 3, 4, 5),
    TimeoutNow(0, 1, 2, 3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    data = encode(message, cluster=CLUSTER)
    assert decode(data, cluster=CLUSTER) == message
    assert payload_bytes(message) >= 64


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_cut_or_prolonged_anywhere_is_refused(message: Message) -> None:
    data = encode(message, cluster=CLUSTER)
    for broken in [*(data[:at] for at in range(min(len(data), 200))), data + b"\0"]:
        with pytest.raises(WireError):
            decode(broken, cluster=CLUSTER)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_flipped_bit_anywhere_is_refused(message: Message) -> None:
    data = encode(message, cluster=CLUSTER)
    for bit in range(min(len(data), 200) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            decode(bytes(broken), cluster=CLUSTER)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(WireError):
        decode(noise, cluster=CLUSTER)


def resealed(data: bytearray) -> bytes:
    """A damaged message with a checksum that fits it: what a faulty sender would make."""
    from_start = bytes(data[:4])
    crc = crc32(bytes(data[8:]), crc32(from_start))
    return from_start + crc.to_bytes(4, "big") + bytes(data[8:])


def test_a_faulty_sender_cannot_do_worse_than_be_refused() -> None:
    random = Random(3)
    for message in MESSAGES:
        data = encode(message, cluster=CLUSTER)
        for _ in range(400):
            broken = bytearray(data)
            broken[random.randrange(2, len(data))] = random.randrange(256)
            try:
                decode(resealed(broken), cluster=CLUSTER)
            except WireError:
                continue


def test_another_cluster_is_told_apart() -> None:
    data = encode(TimeoutNow(0, 1, 2, 3), cluster=b"another-cluster!")
    with pytest.raises(WrongCluster):
        decode(data, cluster=CLUSTER)


def test_a_membership_that_does_not_read_is_refused_and_named() -> None:
    message = Append(0, 1, 2, 3, 0, 0, 0, (Entry(1, 3, EntryKind.CONFIG, b""),))
    with pytest.raises(UnsupportedEntry, match="entry 1: a membership ends too early"):
        decode(encode(message, cluster=CLUSTER), cluster=CLUSTER)


def test_terms_that_fall_or_exceed_the_leaders_are_refused() -> None:
    for terms in ((3, 2), (9,)):
        falling = tuple(Entry(1 + i, t, EntryKind.NOOP, b"") for i, t in enumerate(terms))
        message = Append(0, 1, 2, 3, 0, 0, 0, falling)
        with pytest.raises(WireError, match="term"):
            decode(encode(message, cluster=CLUSTER), cluster=CLUSTER)


def test_a_message_above_the_limit_is_refused_unread() -> None:
    with pytest.raises(WireError, match="bytes"):
        decode(bytes(MESSAGE_BYTES_MAX + 1), cluster=CLUSTER)
