"""The engine on disk: LevelDB, and the only file that knows it.

LevelDB is a cache of the log. It is opened with paranoid checks, because without them it opens
with holes in the middle of its own log; and what it refuses, or is found damaged by a later
read, is reported as EngineRefused. A read that found damage leaves a mark in the directory, so
that the next start rebuilds (storage/opening.py) instead of meeting the same block again.

plyvel asks for the state of an iterator at every step, so a scan never passes over a bad block.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final

import plyvel

from storage.engine import EngineRefused, OnDamage, Row, StorageFailed, untold

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

# The name of the mark in a directory that is not to be believed; it says why.
DAMAGE_MARK: Final = "trireme-damaged"
# What LevelDB says of a table that is gone or cannot be read: damage, where other errors of the
# system (no room, too many open files) are not.
UNREADABLE: Final = ("No such file", "Input/output error")


class EngineBusy(Exception):
    """Another process has the directory open."""


class LevelEngine:
    """An ordered map of bytes to bytes in one directory, with atomic batches."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.on_damage: OnDamage = untold
        """Told of damage before EngineRefused is raised."""
        if (directory / DAMAGE_MARK).exists():
            reason = (directory / DAMAGE_MARK).read_text() or "damage was found by an earlier read"
            raise EngineRefused(f"{directory}: {reason}")
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
            raise EngineRefused(f"{directory}: {_text(error)}") from error
        except plyvel.IOError as error:
            raise _open_error(directory, error) from error

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        try:  # not `_reading`: a context costs more than the read
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except (plyvel.CorruptionError, plyvel.IOError) as error:
            raise self._read_failed(error) from error
        return value

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end, in key order (or from the end back), at most `limit`."""
        with self._reading():
            return _scan(self._db, start, end, reverse, limit)

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""
        with self._reading():
            return _scan_keys(self._db, start, end, limit)

    def scrub(self, start: bytes, rows: int) -> bytes | None:
        """Read so many rows from `start` for their checksums alone, past LevelDB's cache."""
        with (
            self._reading(),
            self._db.iterator(
                start=start, include_value=False, verify_checksums=True, fill_cache=False
            ) as found,
        ):
            keys = enumerate(islice(found, rows), 1)
            last = deque(keys, maxlen=1)
        return last[0][1] + b"\x00" if last and last[0][0] == rows else None

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
            raise self._damaged(_text(error)) from error
        except plyvel.IOError as error:
            raise StorageFailed(f"{self._directory}: {_text(error)}") from error

    def freeze(self) -> "FrozenRows":
        """A LevelDB snapshot; every page read from it is materialised."""
        return FrozenRows(self._db.snapshot(), self._reading)

    def close(self) -> None:
        """Release the files; nothing may be called afterwards."""
        self._db.close()

    def condemn(self, reason: str) -> None:
        """Leave a mark that says why: the next opening refuses what is here."""
        (self._directory / DAMAGE_MARK).write_text(reason)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A read that finds damage leaves the mark and tells before it fails."""
        try:
            yield
        except (plyvel.CorruptionError, plyvel.IOError) as error:
            raise self._read_failed(error) from error

    def _read_failed(self, error: Exception) -> Exception:
        """Damage is told; what else the system says is not damage."""
        text = _text(error)
        if isinstance(error, plyvel.CorruptionError) or any(sign in text for sign in UNREADABLE):
            return self._damaged(text)
        return StorageFailed(f"{self._directory}: {text}")

    def _damaged(self, error: str) -> EngineRefused:
        self.condemn(error)
        self.on_damage(error)
        return EngineRefused(f"{self._directory}: {error}")


class FrozenRows:
    """The rows as they were at one moment."""

    def __init__(self, snapshot: Any, reading: Callable[[], AbstractContextManager[None]]) -> None:
        self._snapshot = snapshot
        self._reading = reading

    def get(self, key: bytes) -> bytes | None:
        """The value that was at `key`, or None."""
        with self._reading():
            value: bytes | None = self._snapshot.get(key, verify_checksums=True)
        return value

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end as they were, in key order or back; at most `limit`."""
        with self._reading():
            return _scan(self._snapshot, start, end, reverse, limit)

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end as they were; at most `limit`."""
        with self._reading():
            return _scan_keys(self._snapshot, start, end, limit)

    def close(self) -> None:
        """Let LevelDB drop what only this has held."""
        self._snapshot.close()


def _scan(source: Any, start: bytes, end: bytes, reverse: bool, limit: int | None) -> list[Row]:
    # plyvel 1.5.1 going back loses a row at `start` that is the only one in the range, so going
    # back has no start for it, and stops by itself.
    first = None if reverse else start
    with source.iterator(start=first, stop=end, reverse=reverse, verify_checksums=True) as found:
        rows = takewhile(lambda row: row[0] >= start, found) if reverse else found
        return list(rows if limit is None else islice(rows, limit))


def _scan_keys(source: Any, start: bytes, end: bytes, limit: int | None) -> list[bytes]:
    with source.iterator(
        start=start, stop=end, include_value=False, verify_checksums=True
    ) as found:
        return list(found if limit is None else islice(found, limit))


def _open_error(directory: Path, error: Exception) -> Exception:
    """A file that should be there and is not means damage; a lock, another process."""
    text = _text(error)
    if "lock" in text.lower():
        return EngineBusy(f"{directory}: {text}")
    if "No such file" in text:
        return EngineRefused(f"{directory}: {text}")
    return StorageFailed(f"{directory}: {text}")


def _text(error: Exception) -> str:
    """What LevelDB says, which plyvel passes on as octets."""
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
