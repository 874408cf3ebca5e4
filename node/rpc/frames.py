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

# A body of so many bytes is not copied out of what it came in, nor joined with its length.
VIEWED_BYTES: Final = 64 * KIB

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


def frame_parts(body: bytes) -> tuple[bytes, ...]:
    """The same for a stream, a large body by itself."""
    if len(body) < VIEWED_BYTES:
        return (frame(body),)
    return _LENGTH.pack(len(body)), body


class FrameReader:
    """Cuts a byte stream into frame bodies; holds at most one frame and one read.

    What comes is joined once, when all of a frame is here, and a body is cut out of that.
    """

    __slots__ = ("_at", "_buffer", "_held", "_later", "_wanted", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self._buffer: bytes = b""
        self._at = 0  # the buffer is read up to here
        self._later: list[bytes] = []  # what came after the buffer
        self._held = 0  # bytes not read
        self._wanted = _LENGTH.size  # with so many there is more to say
        self.bytes_max = bytes_max

    def feed(self, data: bytes | bytearray) -> None:
        """Take what the stream gave."""
        self._later.append(bytes(data))
        self._held += len(data)

    def next_body(self) -> bytes | memoryview | None:
        """The next whole body, if it is here; a length past the limit is `LinkLost` at once."""
        if self._held < self._wanted:
            return None
        if self._later:
            self._join()
        length = _LENGTH.unpack_from(self._buffer, self._at)[0]
        if length > self.bytes_max:
            raise LinkLost(f"a frame of {length} bytes is over the limit of {self.bytes_max}")
        self._wanted = _LENGTH.size + length
        if self._held < self._wanted:
            return None
        start = self._at + _LENGTH.size
        self._at = start + length
        self._held -= self._wanted
        self._wanted = _LENGTH.size
        if length < VIEWED_BYTES:
            return self._buffer[start : self._at]
        return memoryview(self._buffer)[start : self._at]

    def _join(self) -> None:
        if self._at < len(self._buffer):
            self._later.insert(0, self._buffer[self._at :])
        self._buffer = self._later[0] if len(self._later) == 1 else b"".join(self._later)
        self._later.clear()
        self._at = 0


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
