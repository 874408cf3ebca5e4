"""Blobs in segments: what is appended is read, checked, and found again."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import keys, local_keys
from storage.batch import BLOB_PART_BYTES_MAX
from storage.blobs import BlobDamaged, BlobStore, Place, cut_blob, unpack_place
from storage.ids import BlobId, blob_id
from storage.memory import MemoryEngine
from storage.segment_directory import READ_FILES_MAX, DirectoryFiles
from storage.segments import MemoryFiles, SegmentFiles
from storage.values import pack_u64
from tests.storage.story import bytes_of

PART = BLOB_PART_BYTES_MAX


class Shelf:
    """A blob store alone; `keep` does what apply does."""

    def __init__(self, files: SegmentFiles | None = None, segment_bytes_max: int = 10**6) -> None:
        self.engine = MemoryEngine()
        self.files = files or MemoryFiles()
        self.segment_bytes_max = segment_bytes_max
        self.reopen()

    def reopen(self) -> None:
        self.store = BlobStore(self.engine, self.files, segment_bytes_max=self.segment_bytes_max)

    def keep(self, data: bytes) -> BlobId:
        name = blob_id(data)
        self.engine.write([self.store.append(part) for part in cut_blob(name, data)])
        self.engine.write([(keys.blob_key(name), pack_u64(len(data)))])
        return name

    def place(self, name: BlobId, offset: int = 0) -> Place:
        held = self.engine.get(local_keys.place_key(name, offset))
        assert held is not None
        return unpack_place(held)


@pytest.fixture(params=["memory", "directory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    files: SegmentFiles = MemoryFiles() if request.param == "memory" else DirectoryFiles(tmp_path)
    return Shelf(files)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 7])
def test_what_is_kept_is_read(shelf: Shelf, size: int) -> None:
    data = bytes_of(size)
    name = shelf.keep(data)
    assert shelf.store.size(name) == size
    assert shelf.store.read(name, 0, size + 100) == data
    shelf.reopen()
    assert shelf.store.read(name, 0, size) == data


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3 * PART + 50), st.integers(0, 3 * PART + 50))
def test_any_slice(start: int, length: int) -> None:
    assert LARGE.store.read(LARGE_NAME, start, length) == LARGE_DATA[start : start + length]


LARGE, LARGE_DATA = Shelf(), bytes_of(3 * PART + 7)
LARGE_NAME = LARGE.keep(LARGE_DATA)


def test_what_is_not_here_is_a_key_error(shelf: Shelf) -> None:
    assert shelf.store.size(blob_id(b"?")) is None
    with pytest.raises(KeyError):
        shelf.store.read(blob_id(b"?"), 0, 1)


def test_segments_are_left_when_full_and_never_taken_up_again(shelf: Shelf) -> None:
    names = [shelf.keep(bytes_of(400_000, seed)) for seed in range(4)]
    assert [shelf.place(name).segment for name in names] == [1, 1, 2, 2]
    shelf.reopen()
    assert shelf.place(shelf.keep(b"after a start")).segment == 3
    assert shelf.files.numbers() == [1, 2, 3, 4][: len(shelf.files.numbers())]


def test_a_part_larger_than_a_segment_has_one_of_its_own() -> None:
    shelf = Shelf(segment_bytes_max=10)
    first, second = shelf.keep(bytes_of(100)), shelf.keep(bytes_of(100, 2))
    assert (shelf.place(first).segment, shelf.place(second).segment) == (1, 2)


def test_damage_is_noticed(shelf: Shelf, tmp_path: Path) -> None:
    data = bytes_of(PART + 10)
    name = shelf.keep(data)
    place = shelf.place(name)
    if isinstance(shelf.files, MemoryFiles):
        shelf.files.damage(place.segment, place.position + 5)
    else:
        path = tmp_path / "0000000001.blobs"
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.write_bytes(content)
    assert not shelf.store.intact(place)
    with pytest.raises(BlobDamaged):
        shelf.store.read(name, 0, len(data))
    assert shelf.store.read(name, PART, 10) == data[PART:], "the other part is as it was"


def test_a_lost_tail_is_noticed_even_in_part(shelf: Shelf) -> None:
    name = shelf.keep(bytes_of(100))
    place = shelf.place(name)
    lost = Place(place.segment + 5, 0, 100, place.checksum)
    shelf.engine.write([(local_keys.place_key(name, 0), lost.pack())])
    with pytest.raises(BlobDamaged):
        shelf.store.read(name, 10, 20)


@pytest.mark.parametrize("size", [0, 1, 100, PART - 1])
def test_of_a_blob_of_one_part_its_place_alone_is_looked_up(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    data = bytes_of(size)
    name = shelf.keep(data)
    asked: list[bytes] = []
    get = shelf.engine.get

    def noted(key: bytes) -> bytes | None:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(shelf.engine, "get", noted)
    for start, length in ((0, size), (0, PART), (1, 5), (size, 5), (3 * PART, 5), (0, 0)):
        assert shelf.store.read(name, start, length) == data[start : start + length]
    assert set(asked) == {local_keys.place_key(name, 0)}
    assert len(asked) == 6


def test_a_missing_place_is_damage(shelf: Shelf) -> None:
    name = shelf.keep(bytes_of(2 * PART))
    shelf.engine.write((), [local_keys.place_key(name, PART)])
    for start, length in ((PART, 5), (0, 2 * PART)):
        with pytest.raises(BlobDamaged):
            shelf.store.read(name, start, length)


def test_descriptors_are_bounded(tmp_path: Path) -> None:
    shelf = Shelf(DirectoryFiles(tmp_path), segment_bytes_max=10)
    names = [shelf.keep(bytes_of(10, seed)) for seed in range(READ_FILES_MAX + 10)]
    for name in names * 2:
        shelf.store.read(name, 0, 10)
    assert isinstance(shelf.files, DirectoryFiles)
    assert len(shelf.files._readers) == READ_FILES_MAX
    shelf.store.sync(shelf.store.take_unsynced()[0])
    shelf.store.take_unsynced()
    assert len(shelf.files._writers) == 1, "synced segments are closed"
    shelf.keep(b"goes on")
    shelf.store.close()


def test_a_directory_is_private(tmp_path: Path) -> None:
    shelf = Shelf(DirectoryFiles(tmp_path))
    shelf.keep(b"secret")
    (path,) = tmp_path.glob("*.blobs")
    assert path.stat().st_mode & 0o077 == 0
