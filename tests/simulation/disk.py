"""A disk that forgets what was not synced, tears writes between sectors, and fails when told.

Every file has two contents: what reads see (the page cache) and what the disk holds. Killing a
process loses neither; cutting the power leaves the disk's, plus any of the sectors that were
still dirty. A failed fsync marks pages clean without writing them, as Linux does.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from raft.disk import DiskFailed

SECTOR_BYTES: Final = 512


class Crashed(BaseException):
    """The process died in the middle of a call to the disk; nothing of it may run on."""


class SimFile:
    """One file; handles are the file itself, since nobody counts them here."""

    def __init__(self, disk: "SimDisk", size: int) -> None:
        self._disk = disk
        self.cache = bytearray(size)
        self.stored = bytearray(size)
        self.dirty: set[int] = set()

    def write_at(self, offset: int, parts: Sequence[bytes]) -> None:
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        end = offset + len(data)
        assert end <= len(self.cache), "a write beyond the preallocated size"
        self.cache[offset:end] = data
        first, last = offset // SECTOR_BYTES, (max(end, offset + 1) - 1) // SECTOR_BYTES
        if first == last:
            self.dirty.add(first)
        else:
            self.dirty.update(range(first, last + 1))

    def read_at(self, offset: int, length: int) -> bytes:
        return bytes(memoryview(self.cache)[offset : offset + length])

    def sync_data(self) -> None:
        self._disk.before_sync(self)
        self.store(self.dirty)
        self.dirty.clear()

    def store(self, sectors: Sequence[int] | set[int]) -> None:
        if sectors and len(sectors) == max(sectors) - min(sectors) + 1:  # one piece, as most are
            at = slice(min(sectors) * SECTOR_BYTES, (max(sectors) + 1) * SECTOR_BYTES)
            self.stored[at] = self.cache[at]
            return
        for sector in sectors:
            at = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
            self.stored[at] = self.cache[at]

    def close(self) -> None:
        """Closing changes nothing: it neither syncs nor drops dirty pages."""


Change = tuple[str, SimFile | None, str | None]
"""A path, the file it names from now on or None, and a path that is gone: all of it, or none."""


def _rename(names: dict[str, SimFile], change: Change) -> None:
    path, file, gone = change
    if gone is not None:
        names.pop(gone, None)
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


class SimDisk:
    """The disk of one machine."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names: dict[str, SimFile] = {}
        self._stored_names: dict[str, SimFile] = {}
        self._name_changes: list[Change] = []
        self.fail_next_sync = False
        self.crash_next_sync = False
        self.is_full = False
        self.syncs = 0
        self.reserved = 0
        """Files that were made for large writes."""

    # --- the Disk port ---

    def make_directory(self, path: str) -> None:
        """Directories need no making here."""

    def list_names(self, directory: str) -> list[str]:
        return sorted(p.rsplit("/", 1)[1] for p in self._names if p.startswith(f"{directory}/"))

    def create_zeroed(self, path: str, size: int, *, is_bulk: bool = False) -> SimFile:
        if self.is_full:
            raise DiskFailed("simulated ENOSPC")
        self.reserved += is_bulk
        file = SimFile(self, size)
        self._change(path, file)
        return file

    def open(self, path: str) -> SimFile:
        return self._names[path]

    def read(self, path: str) -> bytes:
        return bytes(self._names[path].cache)

    def rename(self, old: str, new: str) -> None:
        self._change(new, self._names[old], gone=old)

    def remove(self, path: str) -> None:
        self._change(path, None)

    def sync_directory(self, path: str) -> None:
        for change in self._name_changes:
            _rename(self._stored_names, change)
        self._name_changes.clear()

    def _change(self, path: str, file: SimFile | None, gone: str | None = None) -> None:
        self._name_changes.append((path, file, gone))
        _rename(self._names, (path, file, gone))

    @property
    def bytes_held(self) -> int:
        """The size of all files."""
        return sum(len(file.cache) for file in self._names.values())

    # --- what can go wrong ---

    def before_sync(self, file: SimFile) -> None:
        self.syncs += 1
        if self.crash_next_sync:
            raise Crashed
        if self.fail_next_sync:
            self.fail_next_sync = False
            file.store(self._some(file.dirty))
            file.dirty.clear()
            raise DiskFailed("simulated EIO")

    def _some(self, sectors: set[int]) -> list[int]:
        """None, a prefix, or any of the sectors: how far the device had come."""
        ordered = sorted(sectors)
        match self._random.randrange(3):
            case 0:
                return []
            case 1:
                return ordered[: self._random.randint(0, len(ordered))]
            case _:
                return [sector for sector in ordered if self._random.random() < 0.5]

    def cut_power(self) -> None:
        """Only what is on the disk stays, and whatever else the device had got to."""
        del self._name_changes[self._random.randint(0, len(self._name_changes)) :]
        self.sync_directory("")
        self._names = dict(self._stored_names)
        for file in self._names.values():
            file.store(self._some(file.dirty))
            file.dirty.clear()
            file.cache[:] = file.stored

    def cut_short(self, path: str, size: int) -> None:
        """A file ends earlier than it did, on the disk and in the cache."""
        file = self._names[path]
        del file.cache[size:], file.stored[size:]
        file.dirty = {sector for sector in file.dirty if sector * SECTOR_BYTES < size}

    def flip_bit(self, path: str, bit: int) -> None:
        """Rot: one bit of a file changes, on the disk and in the cache."""
        file = self._names[path]
        file.cache[bit // 8] ^= 1 << bit % 8
        file.stored[bit // 8] ^= 1 << bit % 8
