"""A snapshot of the replicated state: one node writes it as a stream, another becomes it.

    stream   rows in order of key: key length u32 | value length u32 | key | value ...
    blobs    not in the stream: its rows name them, and the reader asks for the parts it lacks

Export   freezes the rows between two batches and copies them into a spool file, a page at a time,
         while writes go on. The engine is frozen for as long as that copy takes and no longer;
         readers then take any piece of the spool, again if they must.
Install  fills an empty state beside the current one. Rows are believed when their count matches
         and when the hash of what the new engine reads back is the sender's; blobs when their
         name is their hash. A row notes which snapshot it was (`installed`), because the log
         learns of it after the state is in place, and a crash may come between.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO, Final

from storage import keys, local_keys
from storage.apply import Applier, applied_row
from storage.batch import BLOB_PART_BYTES_MAX, BlobPart
from storage.blobs import BlobStore
from storage.dump import HASH_BYTES, hash_row
from storage.engine import Engine, Row
from storage.ids import BlobId
from storage.values import pack_u64, unpack_u64

MIB: Final = 1024 * 1024

# Rows copied in one step: a few milliseconds of a thread's time.
STEP_ROWS: Final = 2_048
# A batch is at most 1 MiB, so no row is longer; a stream that says so is not one of ours.
ROW_BYTES_MAX: Final = 2 * MIB
# Names of blobs read at a time when looking for what is missing.
PAGE_BLOBS: Final = 512

_LENGTHS: Final = struct.Struct(">II")


class SnapshotDamaged(Exception):
    """What came is not what the other node has sent: nothing of it may be used."""


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What a snapshot is, and how to know that it came whole."""

    index: int
    term: int
    chain: bytes
    rows: int
    octets: int
    digest: bytes
    """As storage.dump.state_hash of the state it was taken from."""


class Export:
    """One snapshot on its way into a spool file; made on the loop, between two batches."""

    def __init__(self, engine: Engine, applier: Applier, spool: BinaryIO) -> None:
        self._frozen = engine.freeze()
        self._at: tuple[int, int, bytes] = (applier.index, applier.term, applier.chain)
        self._spool = spool
        self._next, self._end = keys.REPLICATED_RANGE
        self._hash = blake2b(digest_size=HASH_BYTES)
        self._rows = self._octets = 0
        self.head: SnapshotHead | None = None
        """There once everything is in the spool."""

    @property
    def index(self) -> int:
        """The applied index it was taken at."""
        return self._at[0]

    def step(self) -> bool:
        """Copy one page; False when that was the last. Blocks: for a thread. Raises OSError."""
        page = self._frozen.scan(self._next, self._end, limit=STEP_ROWS)
        parts: list[bytes] = []
        for key, value in page:
            hash_row(self._hash, key, value)
            parts += (_LENGTHS.pack(len(key), len(value)), key, value)
        piece = b"".join(parts)
        self._spool.write(piece)
        self._rows += len(page)
        self._octets += len(piece)
        if len(page) == STEP_ROWS:
            self._next = page[-1][0] + b"\x00"
            return True
        self._spool.flush()
        self._frozen.close()
        self.head = SnapshotHead(*self._at, self._rows, self._octets, self._hash.digest())
        return False

    def read(self, offset: int, length: int) -> bytes:
        """A piece of the stream; empty at its end."""
        assert self.head is not None, "read before it was whole"
        self._spool.seek(offset)
        return self._spool.read(length)

    def close(self) -> None:
        """Free the rows and the file."""
        if self.head is None:
            self._frozen.close()
        self._spool.close()


class Install:
    """Fills an empty engine and blob store with a snapshot. All of it may run in a thread."""

    def __init__(self, engine: Engine, blobs: BlobStore, head: SnapshotHead) -> None:
        self._engine = engine
        self._blobs = blobs
        self._head = head
        self._buffer = bytearray()
        self._last_key = b""
        self._rows = 0
        self._hashes: dict[BlobId, hashlib._Hash] = {}  # of blobs not all here yet
        self.offset = 0
        """Where in the stream to read on."""

    @property
    def rows_are_here(self) -> bool:
        """The whole stream came."""
        return self.offset == self._head.octets

    def feed(self, data: bytes) -> None:
        """The next piece of the stream; raises SnapshotDamaged."""
        self.offset += len(data)
        if not data or self.offset > self._head.octets:
            raise SnapshotDamaged(f"the stream ends at {self.offset}, not at {self._head.octets}")
        self._buffer += data
        rows = list(self._take_rows())
        self._engine.write(rows)
        self._rows += len(rows)
        if self.rows_are_here and (self._buffer or self._rows != self._head.rows):
            raise SnapshotDamaged(f"{self._rows} rows came of {self._head.rows}")

    def _take_rows(self) -> Iterator[Row]:
        buffer, at = bytes(self._buffer), 0
        start, end = keys.REPLICATED_RANGE
        while at + _LENGTHS.size <= len(buffer):
            key_bytes, value_bytes = _LENGTHS.unpack_from(buffer, at)
            body = at + _LENGTHS.size
            if key_bytes + value_bytes > ROW_BYTES_MAX:
                raise SnapshotDamaged(f"a row of {key_bytes + value_bytes} bytes")
            if body + key_bytes + value_bytes > len(buffer):
                break
            key = buffer[body : body + key_bytes]
            if not max(start, self._last_key + b"\x00") <= key < end:
                raise SnapshotDamaged("a row is out of order")
            at = body + key_bytes + value_bytes
            self._last_key = key
            yield key, buffer[body + key_bytes : at]
        del self._buffer[:at]

    def blobs_wanted(self) -> Iterator[tuple[BlobId, int | None, list[int]]]:
        """Every blob the rows name: its size (None: not whole yet) and the offsets of its parts."""
        for key, value in self._pages(*keys.blobs_range(b"B")):
            total = unpack_u64(value)
            blob = BlobId(key[-32:])
            yield blob, total, list(range(0, max(total, 1), BLOB_PART_BYTES_MAX))
        for key, _ in self._pages(*keys.blobs_range(b"q")):
            yield BlobId(key[-40:-8]), None, [unpack_u64(key[-8:])]

    def _pages(self, start: bytes, end: bytes) -> Iterator[Row]:
        while page := self._engine.scan(start, end, limit=PAGE_BLOBS):
            yield from page
            start = page[-1][0] + b"\x00"

    def take_part(self, part: BlobPart, *, is_whole: bool) -> None:
        """Keep a part; those of one whole blob come in order. Raises SnapshotDamaged."""
        self._engine.write([self._blobs.append(part)])
        if not is_whole:
            return
        digest = self._hashes.setdefault(part.blob, hashlib.sha256())
        digest.update(part.data)
        if part.offset + len(part.data) < part.total:
            return
        if self._hashes.pop(part.blob).digest() != part.blob:
            raise SnapshotDamaged(f"blob {part.blob.hex()} is not what its name says")

    def finish(self, note: bytes) -> None:
        """The local rows: how far this state has applied, and what it came from."""
        head = self._head
        assert self.rows_are_here
        unsynced, segments_row = self._blobs.take_unsynced()
        self._blobs.sync(unsynced)
        self._engine.write(
            [
                applied_row(head.index, head.term, head.chain),
                (local_keys.CHECKPOINT_KEY, pack_u64(head.index)),
                segments_row,
                (local_keys.INSTALLED_KEY, pack_u64(head.index) + note),
            ],
            sync=True,
        )


def installed(engine: Engine) -> tuple[int, bytes]:
    """The index of the snapshot that a state came from, and the note with it; 0 if from none."""
    held = engine.get(local_keys.INSTALLED_KEY)
    return (0, b"") if held is None else (unpack_u64(held[:8]), held[8:])
