"""The engine on disk: LevelDB, and the only file that knows it.

LevelDB is a cache of the log. It is opened with paranoid checks, because without them it opens
with holes in the middle of its own log; and what it refuses, or is found damaged by a later
read, is reported as EngineRefused. A read that found damage leaves a mark in the directory, so
that the next start rebuilds (storage/opening.py) instead of meeting the same block again.
"""

from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final

import plyvel

from storage.engine import EngineRefused, Row

KIB: Final = 1024
MIB: Final = 1024 * KIB

# LevelDB holds up to two of these in memory, and replays as much when it starts.
WRITE_BUFFER_BYTES: Final = 8 * MIB
# Uncompressed blocks kept in memory; the page cache of the system holds the compressed ones.
BLOCK_CACHE_BYTES: Final = 16 * MIB
# Ten bits a key: one lookup of an absent key in a hundred reads a block.
BLOOM_BITS: Final = 10
OPEN_FILES_MAX: Final = 256
# Larger blocks than LevelDB's 4 KiB: list reads walk neighbouring rows.
BLOCK_BYTES: Final = 8 * KIB

# The name of the mark in a directory whose damage a read has found.
DAMAGE_MARK: Final = "trireme-damaged"


class EngineBusy(Exception):
    """Another process has the directory open."""


class LevelEngine:
    """An ordered map of bytes to bytes in one directory, with atomic batches."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if (directory / DAMAGE_MARK).exists():
            raise EngineRefused(f"{directory}: damage was found by an earlier read")
        try:
            self._db: Any = plyvel.DB(
                str(directory),
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                bloom_filter_bits=BLOOM_BITS,
                max_open_files=OPEN_FILES_MAX,
                block_size=BLOCK_BYTES,
            )
        except plyvel.CorruptionError as error:
            raise EngineRefused(f"{directory}: {error}") from error
        except plyvel.IOError as error:
            raise _open_error(directory, error) from error

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except plyvel.CorruptionError as error:
            raise self._damaged(error) from error
        return value

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end, in key order (or from the end back), at most `limit`."""
        # plyvel 1.5.1 going back loses a row at `start` that is the only one in the range, so
        # going back has no start for it, and stops by itself.
        first = None if reverse else start
        try:
            with self._db.iterator(
                start=first, stop=end, reverse=reverse, verify_checksums=True
            ) as found:
                rows = takewhile(lambda row: row[0] >= start, found) if reverse else found
                return list(rows if limit is None else islice(rows, limit))
        except plyvel.CorruptionError as error:
            raise self._damaged(error) from error

    def write(
        self, puts: Iterable[Row], deletes: Iterable[bytes] = (), *, sync: bool = False
    ) -> None:
        """Put and delete atomically; `sync` makes this and all before it durable."""
        batch = self._db.write_batch(sync=sync)
        put, delete = batch.put, batch.delete
        for key, value in puts:
            put(key, value)
        for key in deletes:
            delete(key)
        try:
            batch.write()
        except plyvel.CorruptionError as error:
            raise self._damaged(error) from error

    def freeze(self) -> "FrozenRows":
        """A LevelDB snapshot; every page read from it is materialised."""
        return FrozenRows(self._db.snapshot(), self._damaged)

    def close(self) -> None:
        """Release the files; nothing may be called afterwards."""
        self._db.close()

    def _damaged(self, error: Exception) -> EngineRefused:
        (self._directory / DAMAGE_MARK).touch()
        return EngineRefused(f"{self._directory}: {error}")


class FrozenRows:
    """The rows as they were at one moment."""

    def __init__(self, snapshot: Any, damaged: Callable[[Exception], EngineRefused]) -> None:
        self._snapshot = snapshot
        self._damaged = damaged

    def scan(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[Row]:
        """Rows with start <= key < end as they were, in key order; at most `limit`."""
        try:
            with self._snapshot.iterator(start=start, stop=end, verify_checksums=True) as found:
                return list(found if limit is None else islice(found, limit))
        except plyvel.CorruptionError as error:
            raise self._damaged(error) from error

    def close(self) -> None:
        """Let LevelDB drop what only this has held."""
        self._snapshot.close()


def _open_error(directory: Path, error: Exception) -> Exception:
    """A file that should be there and is not means damage; a lock, another process."""
    text = str(error)
    if "lock" in text.lower():
        return EngineBusy(f"{directory}: {text}")
    if "No such file" in text:
        return EngineRefused(f"{directory}: {text}")
    return OSError(f"{directory}: {text}")
