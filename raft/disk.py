"""The port through which the log reaches files, and the real disk behind it.

An error of a write or of fsync is final (consensus 3, "fsyncgate"): after it nobody knows which
pages are on the disk, so nothing is tried again. It comes out as DiskFailed and stops the node.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from raft.model import MIB

_ZEROS: Final = bytes(MIB)


class DiskFailed(Exception):
    """The disk refused; what was being written may or may not be there."""


class DiskFile(Protocol):
    """An open file, read and written by position."""

    def write_at(self, offset: int, parts: Sequence[bytes]) -> None:
        """Write all parts, one after another; not durable before sync_data."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to length bytes; fewer only at the end of the file."""
        ...

    def sync_data(self) -> None:
        """Make everything written so far survive a power cut."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Disk(Protocol):
    """Directories and files. All paths are given whole."""

    def make_directory(self, path: str) -> None:
        """Create a directory, and those above it, unless it exists."""
        ...

    def list_names(self, directory: str) -> list[str]:
        """Names of the files in a directory, sorted."""
        ...

    def create_zeroed(self, path: str, size: int, *, is_bulk: bool = False) -> DiskFile:
        """A new file of zeros, durable with its blocks: later writes change no metadata.

        With `is_bulk` they may: of many bytes at once, which takes no longer then.
        """
        ...

    def open(self, path: str) -> DiskFile:
        """An existing file, for reading."""
        ...

    def read(self, path: str) -> bytes:
        """A whole file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in one step; durable after sync_directory."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file."""
        ...

    def sync_directory(self, path: str) -> None:
        """Make names given or taken in this directory survive a power cut."""
        ...


@contextmanager
def _named(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(what, path, error) from error


def _failed(what: str, path: str, error: OSError) -> DiskFailed:
    return DiskFailed(f"{what} {path}: {error.strerror or error}")


class OsFile:
    """A file of this machine."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Own the descriptor."""
        self._path = path
        self._descriptor = descriptor

    def write_at(self, offset: int, parts: Sequence[bytes]) -> None:
        """Write all parts; a short write is continued, which costs a copy but is rare."""
        try:  # not `_named`, here and below: every flush would make three generators
            total = sum(map(len, parts))
            written = os.pwritev(self._descriptor, parts, offset)
            while written < total:
                rest = memoryview(b"".join(parts))[written:]
                written += os.pwrite(self._descriptor, rest, offset + written)
        except OSError as error:
            raise _failed("write", self._path, error) from error

    def read_at(self, offset: int, length: int) -> bytes:
        """One pread; files of the log are never short in the middle."""
        with _named("read", self._path):
            return os.pread(self._descriptor, length, offset)

    def sync_data(self) -> None:
        """fdatasync: the size does not change, so metadata need not be written."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise _failed("fdatasync", self._path, error) from error

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


class OsDisk:
    """The disk of this machine. Stateless, so threads may share it."""

    def make_directory(self, path: str) -> None:
        """Like mkdir -p, closed to other users."""
        with _named("mkdir", path):
            os.makedirs(path, mode=0o700, exist_ok=True)

    def list_names(self, directory: str) -> list[str]:
        """Sorted, so that no order of the file system shows."""
        with _named("list", directory):
            return sorted(os.listdir(directory))

    def create_zeroed(self, path: str, size: int, *, is_bulk: bool = False) -> OsFile:
        """Real zeros: a first write into a hole, or into what is only reserved, would change
        metadata. Reserved with `is_bulk`: zeros would be a third of all that the disk is given."""
        with _named("create", path):
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        file = OsFile(path, descriptor)
        try:
            if is_bulk:
                with _named("reserve", path):
                    os.posix_fallocate(descriptor, 0, size)
            else:
                for offset in range(0, size, len(_ZEROS)):
                    file.write_at(offset, [_ZEROS[: min(len(_ZEROS), size - offset)]])
            with _named("fsync", path):
                os.fsync(descriptor)
        except DiskFailed:
            file.close()
            raise
        return file

    def open(self, path: str) -> OsFile:
        """Read-only."""
        with _named("open", path):
            return OsFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def read(self, path: str) -> bytes:
        """The whole file in memory."""
        with _named("read", path), open(path, "rb") as file:
            return file.read()

    def rename(self, old: str, new: str) -> None:
        """Within one file system."""
        with _named("rename", old):
            os.rename(old, new)

    def remove(self, path: str) -> None:
        """Unlink."""
        with _named("remove", path):
            os.remove(path)

    def sync_directory(self, path: str) -> None:
        """fsync of the directory itself (etcd 6368: without it a renamed file can vanish)."""
        with _named("fsync", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
