"""Messages on the wire, whole and broken."""

from random import Random

import msgspec
import pytest

from gossip.config import PACKET_BYTES_MIN, SEAL_BYTES_MAX
from gossip.messages import (
    Ack,
    Alive,
    Dead,
    Left,
    Message,
    Nack,
    Ping,
    PingReq,
    PushPull,
    Record,
    Suspect,
)
from gossip.model import HOST_CHARS_MAX, META_BYTES_MAX, NAME_CHARS_MAX, Status
from gossip.wire import GossipFormatError, decode, encode, pack, packed_bytes, unpack

BIG = 2**64 - 1
ALL: list[Message] = [
    Ping(1, 2, 3),
    PingReq(1, 2, BIG, "host", 65535),
    Ack(1, 2),
    Nack(1, 2),
    Alive(BIG, BIG, "n1", "::1", 1, b"\x00\xff"),
    Suspect(1, 2, 3),
    Dead(1, 2, 3),
    Left(1, 2),
]
TABLE = PushPull(1, tuple(Record(n, 5, Status(n % 4), f"n{n}", "h", 9, b"") for n in range(9)))


@pytest.mark.parametrize("message", [*ALL, TABLE], ids=lambda m: type(m).__name__)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode(encode(message)) == message


def test_a_packet_holds_many() -> None:
    data = pack(ALL)
    assert unpack(data).messages == tuple(ALL)
    assert len(data) == sum(map(packed_bytes, ALL))
    assert unpack(b"").messages == ()


@pytest.mark.parametrize("cut", range(1, len(pack(ALL))))
def test_a_cut_packet_is_refused_or_shorter_by_whole_messages(cut: int) -> None:
    try:
        messages = unpack(pack(ALL)[:-cut]).messages
    except GossipFormatError:
        return
    assert messages == tuple(ALL[: len(messages)])


def test_a_message_of_a_newer_kind_is_skipped_and_counted() -> None:
    newer = msgspec.msgpack.encode([42, "something", {"new": True}])
    packet = unpack(pack(ALL[:1]) + len(newer).to_bytes(2, "big") + newer + pack(ALL[2:]))
    assert packet.messages == (ALL[0], *ALL[2:])
    assert packet.unknown == 1


def test_a_field_of_a_newer_node_is_ignored() -> None:
    assert decode(msgspec.msgpack.encode([3, 7, 8, "newer"])) == Ack(7, 8)


@pytest.mark.parametrize(
    "fields",
    [
        [5, 1, 1, "n", "h", 1, b"x" * (META_BYTES_MAX + 1)],
        [5, 1, 1, "n" * (NAME_CHARS_MAX + 1), "h", 1, b""],
        [5, 1, 1, "n", "h" * (HOST_CHARS_MAX + 1), 1, b""],
        [5, 1, 1, "", "h", 1, b""],
        [5, 1, 1, "n", "h", 0, b""],
        [5, 1, 1, "n", "h", 65536, b""],
        [5, -1, 1, "n", "h", 1, b""],
        [5, 1, 1.5, "n", "h", 1, b""],
        [1, 2],
        [],
        {},
        None,
    ],
)
def test_what_breaks_a_bound_is_refused(fields: object) -> None:
    with pytest.raises(GossipFormatError):
        decode(msgspec.msgpack.encode(fields))


def test_the_largest_claim_fits_into_the_smallest_packet_beside_a_ping() -> None:
    largest = Alive(
        BIG, BIG, "n" * NAME_CHARS_MAX, "h" * HOST_CHARS_MAX, 65535, b"x" * META_BYTES_MAX
    )
    room = PACKET_BYTES_MIN - SEAL_BYTES_MAX
    assert packed_bytes(largest) + packed_bytes(Ping(2**32, BIG, BIG)) <= room


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(GossipFormatError):
        decode(b"\x94\x03\x07\x08" + b"\x91" * 100_000 + b"\xc0")


def test_noise_raises_nothing_else() -> None:
    luck = Random(1)
    for _ in range(3_000):
        data = bytearray(pack(ALL))
        for _ in range(luck.randint(1, 6)):
            data[luck.randrange(len(data))] = luck.randrange(256)
        try:
            unpack(bytes(data))
            decode(luck.randbytes(luck.randint(0, 40)))
        except GossipFormatError:
            pass
