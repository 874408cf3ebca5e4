"""The files under the blob store: numbered segments that only grow.

One small port, and its twin in memory; the real one is storage/segment_directory.py. A segment
of an earlier boot is never appended to: after a failed write or fsync the page cache may show
bytes the disk does not have, and a fresh file has no such past.
"""

from typing import Protocol


class SegmentFiles(Protocol):
    """Numbered files of bytes."""

    def numbers(self) -> list[int]:
        """Every segment there is, ascending."""

    def size(self, segment: int) -> int:
        """How many bytes it has; 0 when it is not there."""

    def append(self, segment: int, position: int, data: bytes) -> None:
        """Write `data` at `position`, the segment's end; position 0 creates the segment."""

    def read(self, segment: int, position: int, length: int) -> bytes:
        """Bytes from `position`, fewer when the file ends, is not there or cannot be read."""

    def apart(self) -> "SegmentFiles":
        """The same files with descriptors of their own: for reading in another thread."""

    def sync(self, segments: list[int]) -> None:
        """Make these segments durable. Blocks; the only call made from another thread."""

    def keep_open(self, segments: list[int]) -> None:
        """Only these will be written or synced again."""

    def remove(self, segment: int) -> None:
        """Nobody reads it any more, here or elsewhere; gone is gone. Its number is not taken up
        again."""

    def close(self) -> None:
        """Release all files."""


class MemoryFiles:
    """Segments in a dict. `cut_power` forgets what was never synced."""

    def __init__(self) -> None:
        self._segments: dict[int, bytearray] = {}
        self._synced: dict[int, bytes] = {}

    def numbers(self) -> list[int]:
        """Every segment there is, ascending."""
        return sorted(self._segments)

    def size(self, segment: int) -> int:
        """How many bytes it has; 0 when it is not there."""
        return len(self._segments.get(segment, b""))

    def append(self, segment: int, position: int, data: bytes) -> None:
        """Write `data` at `position`, the segment's end; position 0 creates the segment."""
        content = self._segments.setdefault(segment, bytearray())
        assert position == len(content), (segment, position)
        content += data

    def read(self, segment: int, position: int, length: int) -> bytes:
        """Bytes from `position`, fewer when the segment ends or is not there."""
        return bytes(self._segments.get(segment, b"")[position : position + length])

    def apart(self) -> "MemoryFiles":
        """They are here."""
        return self

    def sync(self, segments: list[int]) -> None:
        """These segments survive `cut_power` as they are now."""
        for segment in segments:
            self._synced[segment] = bytes(self._segments[segment])

    def cut_power(self) -> None:
        """Forget what was never synced."""
        self._segments = {number: bytearray(data) for number, data in self._synced.items()}

    def damage(self, segment: int, position: int) -> None:
        """Flip a bit, as a bad disk does."""
        self._segments[segment][position] ^= 1

    def keep_open(self, segments: list[int]) -> None:
        """Nothing to release."""

    def remove(self, segment: int) -> None:
        """Gone at once, also for `cut_power`: the disk that forgets fastest."""
        self._segments.pop(segment, None)
        self._synced.pop(segment, None)

    def close(self) -> None:
        """Nothing to release."""
