"""SegmentFiles in a directory of the machine: the port of storage/segments.py on real files."""

import errno
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.engine import StorageFailed

# Read-only descriptors kept open; one more is opened for each segment written to since a sync.
READ_FILES_MAX: Final = 64


class DirectoryFiles:
    """Segments in a directory, named by number: 0000000001.blobs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._writers: dict[int, int] = {}
        self._readers: OrderedDict[int, int] = OrderedDict()

    def numbers(self) -> list[int]:
        """Every segment there is, ascending."""
        return sorted(int(path.stem) for path in self._directory.glob("*.blobs"))

    def size(self, segment: int) -> int:
        """How many bytes it has; 0 when it is not there."""
        try:
            return self._path(segment).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, segment: int, position: int, data: bytes) -> None:
        """Write `data` at `position`, the segment's end; position 0 creates the segment."""
        try:  # not `_writing`: a context costs half as much as the write
            if segment not in self._writers:
                assert position == 0, (segment, position)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._writers[segment] = os.open(self._path(segment), flags, 0o600)
            rest = memoryview(data)
            while rest:
                written = os.pwrite(self._writers[segment], rest, position)
                rest, position = rest[written:], position + written
        except OSError as error:
            raise self._failed(error) from error

    def read(self, segment: int, position: int, length: int) -> bytes:
        """Bytes from `position`, fewer when the file ends, is not there or cannot be read."""
        reader = self._readers.get(segment)
        if reader is None:
            try:
                reader = os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
            self._readers[segment] = reader
            if len(self._readers) > READ_FILES_MAX:
                os.close(self._readers.popitem(last=False)[1])
        else:
            self._readers.move_to_end(segment)
        try:
            return os.pread(reader, length, position)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""  # a sector that the disk has lost is damage like another
            raise

    def apart(self) -> "DirectoryFiles":
        """The same files with descriptors of their own: for reading in another thread."""
        return DirectoryFiles(self._directory)

    def sync(self, segments: list[int]) -> None:
        """Make these segments, and their names, durable."""
        with self._writing():
            for segment in segments:
                writer = self._writers.get(segment)
                if writer is None:
                    _sync_path(self._path(segment))  # an earlier process wrote it
                else:
                    os.fdatasync(writer)
            _sync_path(self._directory)

    def keep_open(self, segments: list[int]) -> None:
        """Only these will be written or synced again."""
        for segment in self._writers.keys() - set(segments):
            os.close(self._writers.pop(segment))

    def remove(self, segment: int) -> None:
        """Its room is free when its last reader has closed it; ours do so now."""
        for opened in (self._writers, self._readers):
            descriptor = opened.pop(segment, None)
            if descriptor is not None:
                os.close(descriptor)
        with self._writing():
            self._path(segment).unlink(missing_ok=True)

    def close(self) -> None:
        """Release all files."""
        for descriptor in (*self._writers.values(), *self._readers.values()):
            os.close(descriptor)
        self._writers.clear()
        self._readers.clear()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the disk refuses is final for this process."""
        try:
            yield
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageFailed:
        return StorageFailed(f"{self._directory}: {error}")

    def _path(self, segment: int) -> Path:
        return self._directory / f"{segment:010}.blobs"


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
