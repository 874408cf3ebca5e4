"""Reading entries of a log back from its segments, each verified on its own."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from raft.disk import Disk, DiskFile
from raft.model import KIB, Entry, Index
from raft.positions import Positions
from raft.recovery import WalCorrupt
from raft.segment import (
    RECORD_HEADER_BYTES,
    BadSegment,
    plain_entry,
    record_bytes,
    unpack_record,
)

READ_CHUNK_BYTES: Final = 256 * KIB
# What a record of a small payload takes, with blocks' ends counted in: no read asks for less.
RECORD_BYTES_SMALL: Final = 512
OPEN_FILES_MAX: Final = 8  # of older segments


class ReadBack:
    """Durable entries by index. Whoever writes the log changes what this was given."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        positions: Positions,
        *,
        names: Mapping[int, str],
        salts: Mapping[int, int],
        segment_bytes: int,
    ) -> None:
        """Names and salts by segment sequence."""
        self._disk = disk
        self._directory = directory
        self._positions = positions
        self._names = names
        self._salts = salts
        self._segment_bytes = segment_bytes
        self._readers: OrderedDict[int, DiskFile] = OrderedDict()

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Durable entries low..high, cut after bytes_max but never empty; all verified."""
        entries: list[Entry] = []
        size = 0
        chunk, chunk_sequence, chunk_at, salt = b"", 0, 0, 0
        for index in range(low, high + 1):
            sequence, offset = self._positions.place(index)
            entry = None
            if sequence == chunk_sequence:
                entry = plain_entry(chunk, offset - chunk_at, salt)
            if entry is None or entry.index != index:
                # All that may still be wanted, if that is less than a good piece.
                wanted = bytes_max - size + (high - index + 1) * RECORD_BYTES_SMALL
                chunk = self._chunk(sequence, offset, min(wanted, READ_CHUNK_BYTES))
                chunk_sequence, chunk_at, salt = sequence, offset, self._salts[sequence]
                entry = self._entry(chunk, sequence, index, chunk_at)
            size += len(entry.payload)
            if entries and size > bytes_max:
                break
            entries.append(entry)
        return entries

    def _chunk(self, sequence: int, offset: int, bytes_wanted: int) -> bytes:
        """Bytes from a record on: so many, and never less than the record."""
        file = self._reader(sequence)
        chunk = file.read_at(offset, max(bytes_wanted, RECORD_BYTES_SMALL))
        if len(chunk) >= RECORD_HEADER_BYTES and not _holds_record(chunk):
            wanted = min(record_bytes(chunk, 0), self._segment_bytes)
            chunk = file.read_at(offset, wanted)
        return chunk

    def _entry(self, chunk: bytes, sequence: int, index: Index, at: int) -> Entry:
        """The one at the beginning of a chunk, whatever it takes to tell what is wrong with it."""
        entry = plain_entry(chunk, 0, self._salts[sequence])
        if entry is not None and entry.index == index:
            return entry
        try:
            record, _ = unpack_record(chunk, 0, self._salts[sequence], at=at)
        except BadSegment as error:
            raise WalCorrupt(f"{self._names[sequence]}: {error}") from error
        if record.entry is None or record.index != index:
            raise WalCorrupt(
                f"{self._names[sequence]}, offset {at}: holds record {record.index} "
                f"where entry {index} was written"
            )
        return record.entry

    def _reader(self, sequence: int) -> DiskFile:
        file = self._readers.pop(sequence, None)
        if file is None:
            for gone in [held for held in self._readers if held not in self._names]:
                self._readers.pop(gone).close()
            file = self._disk.open(f"{self._directory}/{self._names[sequence]}")
            while len(self._readers) >= OPEN_FILES_MAX:
                self._readers.popitem(last=False)[1].close()
        self._readers[sequence] = file
        return file

    def close(self) -> None:
        """Release all files."""
        for file in self._readers.values():
            file.close()
        self._readers.clear()


def _holds_record(chunk: bytes) -> bool:
    """Whether a whole record stands at the beginning of a chunk that has its header."""
    return record_bytes(chunk, 0) <= len(chunk)
