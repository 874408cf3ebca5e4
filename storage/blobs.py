"""Blobs on this node: content-addressed bytes in append-only segments beside the engine.

A blob is cut at multiples of BLOB_PART_BYTES_MAX; a local row per part says where its bytes are
and what their checksum is. The replicated row `B`, written by apply, says that every part is
here. Bytes are written when a batch applies, before the engine's rows that refer to them and
without fsync; a checkpoint makes them durable before it says so (storage/checkpoint.py), and
what a power cut takes from beyond the checkpoint is written again from the log (`restore`).

No byte is given out that was not just held against its part's checksum: a part is always read
whole, and who wants a little of it gets a slice. What does not match is BlobDamaged, and whoever
runs this store fetches the part from another node (`append` puts it in place).
"""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from storage import keys, local_keys
from storage.batch import BLOB_PART_BYTES_MAX, BlobPart
from storage.engine import Engine, Row
from storage.ids import BlobId
from storage.segments import SegmentFiles
from storage.values import pack_u64, unpack_u64

KIB: Final = 1024
MIB: Final = 1024 * KIB

# A segment that reaches this is left and a new one begun.
SEGMENT_BYTES_MAX: Final = 64 * MIB

# Parts kept in memory after a slice of them was read: a message's sections are asked for in turn.
RECENT_PARTS_MAX: Final = 4

_PLACE: Final = struct.Struct(">IIII")


class BlobDamaged(Exception):
    """The bytes of the part of `blob` at `offset` are not those that were written."""

    def __init__(self, blob: BlobId, offset: int, reason: str) -> None:
        super().__init__(f"{blob.hex()} at {offset}: {reason}")
        self.blob = blob
        self.offset = offset


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a part is: segment, position in it, length and CRC-32."""

    segment: int
    position: int
    length: int
    checksum: int

    def pack(self) -> bytes:
        """The value of the part's local row."""
        return _PLACE.pack(self.segment, self.position, self.length, self.checksum)


def unpack_place(value: bytes) -> Place:
    """The place in a part's local row."""
    return Place(*_PLACE.unpack(value))


def matches(place: Place, data: bytes) -> bool:
    """Are these the bytes that were written at a place."""
    return len(data) == place.length and zlib.crc32(data) == place.checksum


def cut_blob(blob: BlobId, data: bytes) -> Iterator[BlobPart]:
    """The parts of a blob as batches carry them; an empty blob has one empty part."""
    for offset in range(0, max(len(data), 1), BLOB_PART_BYTES_MAX):
        part = data[offset : offset + BLOB_PART_BYTES_MAX]
        yield BlobPart(blob, offset, len(data), part)


class BlobStore:
    """Parts in, octets out. Implements protocols.ports.Blobs."""

    def __init__(
        self, engine: Engine, files: SegmentFiles, *, segment_bytes_max: int = SEGMENT_BYTES_MAX
    ) -> None:
        self._engine = engine
        self._files = files
        self._segment_bytes_max = segment_bytes_max
        numbers = files.numbers()
        held = engine.get(local_keys.SEGMENTS_KEY)
        below = 0 if held is None else unpack_u64(held)
        given = engine.get(local_keys.NUMBERS_KEY)
        taken = 0 if given is None else unpack_u64(given)
        self._segment = max(taken, *numbers, 0) + 1
        self._end = 0
        # Segments written since the last checkpoint began; at first, those that an earlier
        # process may have left to the page cache.
        self._unsynced = dict.fromkeys(number for number in numbers if number >= below)
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()  # by the value of the place row
        self.octets_appended = 0
        """Bytes written since this store was opened."""

    def append(self, part: BlobPart) -> Row:
        """Write a part's bytes; returns the local row that says where, for the caller's batch."""
        if self._end + len(part.data) > self._segment_bytes_max and self._end > 0:
            self._segment, self._end = self._segment + 1, 0
        place = Place(self._segment, self._end, len(part.data), zlib.crc32(part.data))
        if part.data:
            self._files.append(self._segment, self._end, part.data)
            self._unsynced[self._segment] = None
            self._end += len(part.data)
            self.octets_appended += len(part.data)
        return local_keys.place_key(part.blob, part.offset), place.pack()

    def size(self, blob: BlobId) -> int | None:
        """How many octets the blob has, or None when it is not here."""
        held = self._engine.get(keys.blob_key(blob))
        return None if held is None else unpack_u64(held)

    def read(self, blob: BlobId, start: int, length: int) -> bytes:
        """Octets [start, start+length), fewer at the blob's end; KeyError when it is not here."""
        held = self._engine.get(local_keys.place_key(blob, 0))
        if held is not None and (place := unpack_place(held)).length < BLOB_PART_BYTES_MAX:
            # A part that is shorter than they may be is the last: it is all of the blob.
            if start >= place.length:
                return b""
            return self._octets(blob, 0, held, place, start, start + length)
        size = self.size(blob)
        if size is None:
            raise KeyError(blob.hex())
        end = min(start + length, size)
        if start >= end:
            return b""
        first = start - start % BLOB_PART_BYTES_MAX
        pieces = [
            self._slice(blob, offset, max(start - offset, 0), end - offset)
            for offset in range(first, end, BLOB_PART_BYTES_MAX)
        ]
        joined = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(joined) != end - start:
            raise BlobDamaged(blob, first, "a part is short")
        return joined

    def read_part(self, blob: BlobId, offset: int) -> bytes:
        """All of one part, also of a blob that is not whole; KeyError when it is not here."""
        if self._engine.get(local_keys.place_key(blob, offset)) is None:
            raise KeyError(blob.hex())
        return self._slice(blob, offset, 0, BLOB_PART_BYTES_MAX)

    def _slice(self, blob: BlobId, offset: int, start: int, end: int) -> bytes:
        """Octets of one part, all of which has its checksum."""
        held = self._engine.get(local_keys.place_key(blob, offset))
        if held is None:
            raise BlobDamaged(blob, offset, "it has no place")
        return self._octets(blob, offset, held, unpack_place(held), start, end)

    def _octets(
        self, blob: BlobId, offset: int, held: bytes, place: Place, start: int, end: int
    ) -> bytes:
        """Those of the part whose row is `held`."""
        data = self._recent.get(held)
        if data is None:
            data = self._files.read(place.segment, place.position, place.length)
            if not matches(place, data):
                where = f"segment {place.segment} at {place.position}"
                raise BlobDamaged(blob, offset, f"{where} has lost its bytes")
        if start == 0 and end >= place.length:
            return data
        self._recent[held] = data
        if len(self._recent) > RECENT_PARTS_MAX:
            self._recent.popitem(last=False)
        return data[start:end]

    def place(self, blob: BlobId, offset: int) -> Place | None:
        """Where a part should be."""
        held = self._engine.get(local_keys.place_key(blob, offset))
        return None if held is None else unpack_place(held)

    def intact(self, place: Place) -> bool:
        """Do the bytes at a place have its checksum."""
        return matches(place, self._files.read(place.segment, place.position, place.length))

    def files_apart(self) -> SegmentFiles:
        """The same files for reading in another thread; the caller closes them."""
        return self._files.apart()

    def restore(self, part: BlobPart) -> Row | None:
        """Write a part again if its row is here and its bytes are not; returns the new row."""
        held = self._engine.get(local_keys.place_key(part.blob, part.offset))
        if held is None or self.intact(unpack_place(held)):
            return None  # never applied here, or nothing is lost
        return self.append(part)

    def sizes(self) -> dict[int, int]:
        """Bytes of each segment."""
        return {number: self._files.size(number) for number in self._files.numbers()}

    @property
    def segment(self) -> int:
        """The one that is written to, now or next: those below only shrink in use."""
        return self._segment

    def turn_page(self) -> None:
        """Write to a new segment from now on."""
        if self._end > 0:
            self._segment, self._end = self._segment + 1, 0

    def numbers_row(self) -> Row:
        """That no number so far is given to a segment again, whatever is removed."""
        return local_keys.NUMBERS_KEY, pack_u64(self._segment)

    def remove(self, segment: int) -> None:
        """No row refers to it, surely on the disk; and nothing syncs meanwhile."""
        assert segment < self._segment, (segment, self._segment)
        self._unsynced.pop(segment, None)
        self._files.remove(segment)

    def take_unsynced(self) -> tuple[list[int], Row]:
        """The segments written since this was last asked, for the caller to sync; and the row
        that says so afterwards.

        What was taken before has been synced by now, so its descriptors may go.
        """
        taken, self._unsynced = list(self._unsynced), {}
        self._files.keep_open([*taken, self._segment])
        return taken, (local_keys.SEGMENTS_KEY, pack_u64(self._segment))

    def sync(self, segments: list[int]) -> None:
        """Make segments durable; blocks, and may run in a thread."""
        self._files.sync(segments)

    def close(self) -> None:
        """Release the files."""
        self._files.close()
