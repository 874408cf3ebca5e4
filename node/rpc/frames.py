"""Frames and the messages in them (sans-IO).

    stream   +-----------+---------------------------+-----------+------
             | len u32be | sealed frame, `len` bytes | len u32be | ...
             +-----------+---------------------------+-----------+------
    opened   +---------+-----------+---------+---------+-----------+------
             | kind u8 | len u32be | payload | kind u8 | len u32be | ...
             +---------+-----------+---------+---------+-----------+------

Everything waiting for a peer goes into one frame, so that sealing, system calls and wake-ups are
paid for once a drain and not once a message.
"""

import struct
from collections import deque
from enum import IntEnum
from typing import Final

from node.rpc.errors import LinkLost

KIB: Final = 1024
MIB: Final = 1024 * KIB

# The largest frame on a link. Raft's largest message, a bounded group of entries, fits in one.
FRAME_BYTES_MAX: Final = 4 * MIB

# Before a peer has shown that it knows the key it may make us hold this much.
HELLO_BYTES_MAX: Final = 512

# A drain stops filling a frame here: a heartbeat behind it waits for no more than this.
COALESCE_BYTES: Final = 256 * KIB

# Waiting for one peer. Beyond, messages are dropped and counted: Raft sends again, calls are told.
OUTBOX_BYTES_MAX: Final = 32 * MIB
OUTBOX_MESSAGES_MAX: Final = 16_384

_LENGTH: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">BI")
HEAD_BYTES: Final = _HEAD.size

SEAL_BYTES: Final = 16
PAYLOAD_BYTES_MAX: Final = FRAME_BYTES_MAX - SEAL_BYTES - HEAD_BYTES


class Kind(IntEnum):
    """What a message is. Numbers are on the wire and never change meaning."""

    PING = 1
    PONG = 2
    CALL = 3
    ANSWER = 4
    RAFT = 16


def frame(body: bytes) -> bytes:
    """A body with its length before it."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frame bodies; holds at most one frame and one read."""

    __slots__ = ("_buffer", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._buffer = bytearray()
        self.bytes_max = bytes_max

    def feed(self, data: bytes | bytearray) -> None:
        """Take what the stream gave."""
        self._buffer += data

    def next_body(self) -> bytes | None:
        """The next whole body, if it is here; a length past the limit is `LinkLost` at once."""
        buffer = self._buffer
        if len(buffer) < _LENGTH.size:
            return None
        length = _LENGTH.unpack_from(buffer)[0]
        if length > self.bytes_max:
            raise LinkLost(f"a frame of {length} bytes is over the limit of {self.bytes_max}")
        end = _LENGTH.size + length
        if len(buffer) < end:
            return None
        body = bytes(memoryview(buffer)[_LENGTH.size : end])
        del buffer[:end]
        return body


def split(plain: bytes) -> list[tuple[int, bytes]]:
    """All messages of an opened frame, as (kind, payload)."""
    messages = []
    at, end = 0, len(plain)
    while at < end:
        body_at = at + HEAD_BYTES
        if body_at > end:
            raise LinkLost("a frame ends inside a message head")
        kind, length = _HEAD.unpack_from(plain, at)
        at = body_at + length
        if at > end:
            raise LinkLost("a frame ends inside a message")
        messages.append((kind, plain[body_at:at]))
    return messages


class Outbox:
    """Messages waiting for one peer, in order and bounded."""

    __slots__ = ("_parts", "_sizes", "bytes_waiting")

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._sizes: deque[int] = deque()
        self.bytes_waiting = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, kind: int, payload: bytes) -> bool:
        """Queue a message; False when there is no room, and then nothing was queued."""
        assert len(payload) <= PAYLOAD_BYTES_MAX, len(payload)
        size = HEAD_BYTES + len(payload)
        if len(self._sizes) >= OUTBOX_MESSAGES_MAX or self.bytes_waiting + size > OUTBOX_BYTES_MAX:
            return False
        self._parts.append(_HEAD.pack(kind, len(payload)))
        self._parts.append(payload)
        self._sizes.append(size)
        self.bytes_waiting += size
        return True

    def take(self) -> bytes:
        """The next frame's plain text: messages up to `COALESCE_BYTES`, or one that is larger."""
        parts, sizes = self._parts, self._sizes
        taken: list[bytes] = []
        total = 0
        while sizes and (not taken or total + sizes[0] <= COALESCE_BYTES):
            total += sizes.popleft()
            taken.append(parts.popleft())
            taken.append(parts.popleft())
        self.bytes_waiting -= total
        return b"".join(taken)
