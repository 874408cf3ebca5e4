"""Both kinds of segment files keep one contract."""

from pathlib import Path

import pytest

from storage.engine import StorageFailed
from storage.segment_directory import DirectoryFiles
from storage.segments import MemoryFiles, SegmentFiles


@pytest.fixture(params=["memory", "directory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> SegmentFiles:
    return MemoryFiles() if request.param == "memory" else DirectoryFiles(tmp_path / "deep" / "er")


def test_what_is_appended_is_read(files: SegmentFiles) -> None:
    files.append(3, 0, b"abc")
    files.append(3, 3, b"defg")
    files.append(5, 0, b"x")
    assert files.numbers() == [3, 5]
    assert files.read(3, 1, 4) == b"bcde"
    assert files.read(3, 5, 100) == b"fg" and files.read(3, 99, 1) == b""
    files.append(3, 7, b"h")
    assert files.read(3, 6, 9) == b"gh", "a reader sees what came after it opened"
    files.close()


def test_what_is_not_there_is_empty(files: SegmentFiles) -> None:
    assert files.read(1, 0, 10) == b"" and files.numbers() == []


def test_synced_segments_can_be_let_go(files: SegmentFiles) -> None:
    files.append(1, 0, b"one")
    files.append(2, 0, b"two")
    files.sync([1, 2])
    files.keep_open([2])
    files.append(2, 3, b"more")
    files.sync([1, 2])  # 1 again, as an earlier process's
    assert (files.read(1, 0, 9), files.read(2, 0, 9)) == (b"one", b"twomore")
    files.close()


def test_a_segment_begins_at_its_beginning_and_only_once(tmp_path: Path) -> None:
    files = DirectoryFiles(tmp_path)
    with pytest.raises(AssertionError):
        files.append(1, 5, b"gap")
    files.append(1, 0, b"one")
    files.close()
    with pytest.raises(StorageFailed, match="exists"):
        DirectoryFiles(tmp_path).append(1, 0, b"over it")


def test_memory_forgets_what_was_not_synced() -> None:
    files = MemoryFiles()
    files.append(1, 0, b"kept")
    files.sync([1])
    files.append(1, 4, b"lost")
    files.append(2, 0, b"lost")
    files.cut_power()
    assert files.numbers() == [1] and files.read(1, 0, 99) == b"kept"


def test_a_disk_that_refuses_a_write_is_told_of(tmp_path: Path) -> None:
    files = DirectoryFiles(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StorageFailed, match="No such file"):
        files.append(1, 0, b"one")
