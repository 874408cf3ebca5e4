"""Messages to bytes and back.

A packet's plain text, before `seal.py` closes it, is a row of messages:

    +-----------+----------------+-----------+----------------+
    | len u16be | MessagePack    | len u16be | MessagePack    | ...
    +-----------+----------------+-----------+----------------+
                 [tag, field, field, ...]

A message over a stream is one bare MessagePack array. Anything malformed raises `GossipFormatError`
and the whole packet is dropped, except a message of a tag we do not know: a newer node sent it, the
rest of its packet is good, so it is skipped and counted.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from gossip.messages import Message

_LENGTH: Final = struct.Struct(">H")
LENGTH_BYTES: Final = _LENGTH.size
MESSAGE_BYTES_MAX: Final = 0xFFFF
TAG_MAX: Final = 9

# All that the decoder raises for bytes that are wrong: also for text that is not UTF-8, and for
# arrays nested deeper than anybody means them.
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class GossipFormatError(Exception):
    """Bytes that are not gossip: the sender is broken, or not one of us."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What one packet said."""

    messages: tuple[Message, ...]
    unknown: int
    """Messages of a newer kind, skipped."""


def encode(message: Message) -> bytes:
    """One message alone, as it travels over a stream."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Read one message that travelled over a stream."""
    try:
        return _decoder.decode(data)
    except _MALFORMED as error:
        raise GossipFormatError(str(error)) from None


def packed_bytes(message: Message) -> int:
    """How much room a message takes in a packet."""
    return LENGTH_BYTES + len(_encoder.encode(message))


def pack(messages: Iterable[Message]) -> bytes:
    """Lay messages into one packet."""
    parts = []
    for message in messages:
        body = _encoder.encode(message)
        assert len(body) <= MESSAGE_BYTES_MAX, "an exchange does not travel in packets"
        parts.append(_LENGTH.pack(len(body)))
        parts.append(body)
    return b"".join(parts)


def unpack(data: bytes) -> Packet:
    """Read every message of a packet, or raise `GossipFormatError`."""
    messages: list[Message] = []
    unknown = at = 0
    while at < len(data):
        body_at = at + LENGTH_BYTES
        if body_at > len(data):
            raise GossipFormatError("packet ends inside a length")
        end = body_at + _LENGTH.unpack_from(data, at)[0]
        if end > len(data):
            raise GossipFormatError("packet ends inside a message")
        body = data[body_at:end]
        if _is_newer(body):
            unknown += 1
        else:
            messages.append(decode(body))
        at = end
    return Packet(tuple(messages), unknown)


def _is_newer(body: bytes) -> bool:
    """Whether a message has a tag past ours.

    Our arrays hold less than 16 fields and tags stay below 128, so head and tag are a byte each.
    """
    return len(body) >= 2 and body[0] & 0xF0 == 0x90 and TAG_MAX < body[1] < 0x80
