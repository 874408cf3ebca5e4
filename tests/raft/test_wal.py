"""The log survives restarts, tears and rot: no wrong entry, no acknowledged one missing."""

from random import Random

import pytest

from raft import readback
from raft.disk import DiskFailed
from raft.model import MIB, HardState
from raft.recovery import WalCorrupt, WrongLog
from raft.segment import BLOCK_BYTES
from raft.stable import open_log
from raft.wal import BULK_FLUSH_BYTES
from tests.raft.story import CLUSTER, LogStory, entries, entry, step
from tests.simulation.disk import SECTOR_BYTES, Crashed, SimDisk, SimFile


def test_what_was_written_is_there_after_a_restart() -> None:
    story = LogStory()
    story.write(step(*entries(1, 3), hard_state=HardState(1, 7)), step(*entries(4, 5)))
    story.open()
    assert story.read() == list(entries(1, 5))
    assert story.log.hard_state == HardState(1, 7)
    assert story.log.term_runs == ((1, 1),)


def test_a_newer_leaders_entries_take_the_place_of_others() -> None:
    story = LogStory()
    story.write(step(*entries(1, 5)))
    story.write(step(*entries(3, 4, term=2), truncate_from=3))
    expected = [*entries(1, 2), *entries(3, 4, term=2)]
    assert story.read() == expected
    story.open()
    assert story.read() == expected
    assert story.log.term_runs == ((1, 1), (3, 2))


def test_two_steps_that_contradict_each_other_may_share_a_flush() -> None:
    story = LogStory()
    story.write(step(*entries(1, 9)), step(*entries(7, 8, term=2), truncate_from=7))
    expected = [*entries(1, 6), *entries(7, 8, term=2)]
    story.open()
    story.open()
    assert story.read() == expected


def test_a_flush_that_was_never_sealed_may_take_back_what_it_wrote_and_more() -> None:
    story = LogStory()
    story.write(step(*entries(1, 6)))
    story.disk.crash_next_sync = True
    with pytest.raises(Crashed):
        story.write(step(*entries(7, 9)), step(*entries(3, 4, term=2), truncate_from=3))
    story.disk.crash_next_sync = False
    expected = [*entries(1, 2), *entries(3, 4, term=2)]
    for _ in range(2):
        story.open()
        assert story.read() == expected


def test_every_boot_begins_a_segment_of_its_own() -> None:
    story = LogStory()
    story.write(step(entry(1)))
    assert story.open().last == 1
    assert len(story.files()) == 2


def test_term_and_vote_go_along_from_segment_to_segment() -> None:
    story = LogStory()
    story.write(step(entry(1), hard_state=HardState(4, 7)))
    for _ in range(3):
        assert story.open().hard_state == HardState(4, 7)


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_takes_nothing_that_was_acknowledged(seed: int) -> None:
    """Whatever of the names and sectors that were not synced had reached the disk."""
    story = LogStory(segment_bytes=16 * 1024)
    story.disk = SimDisk(Random(seed))
    story.open()
    for index in range(1, 7):
        story.write(step(entry(index, payload=bytes(2000)), hard_state=HardState(index, 7)))
    story.disk.cut_power()
    story.open()
    assert story.read() == [entry(index, payload=bytes(2000)) for index in range(1, 7)]
    assert story.log.hard_state == HardState(6, 7)


def test_segments_rotate_and_entries_are_read_back_across_them() -> None:
    story = LogStory(segment_bytes=32 * 1024)
    for index in range(1, 60):
        story.write(step(entry(index, payload=bytes([index]) * 900)))
        if story.log.needs_spare:
            story.log.prepare()
    assert len(story.files()) > 5
    assert [e.payload[0] for e in story.read()] == list(range(1, 60))
    story.open()
    assert [e.payload[0] for e in story.read()] == list(range(1, 60))
    assert len(story.log.read(1, 59, 2000)) == 2
    assert len(story.log.read(1, 59, 1)) == 1


def test_a_large_step_is_cut_into_flushes() -> None:
    story = LogStory(segment_bytes=32 * 1024)
    many = tuple(entry(index, payload=bytes(1000)) for index in range(1, 101))
    story.write(step(*many, hard_state=HardState(1, 1)))
    story.open()
    assert story.read() == list(many)


def test_an_entry_larger_than_a_read_chunk_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "READ_CHUNK_BYTES", 64)
    story = LogStory()
    story.write(step(entry(1, payload=bytes(5000)), entry(2)))
    assert story.read() == [entry(1, payload=bytes(5000)), entry(2)]


def test_no_more_is_read_from_the_disk_than_may_be_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    story = LogStory()
    story.write(step(*entries(1, 60)))
    asked: list[int] = []
    read_at = SimFile.read_at

    def counted(file: SimFile, offset: int, length: int) -> bytes:
        asked.append(length)
        return read_at(file, offset, length)

    monkeypatch.setattr(SimFile, "read_at", counted)
    assert story.log.read(7, 7, 1) == [entry(7)]
    assert asked == [readback.RECORD_BYTES_SMALL + 1]
    story.log.read(1, 60, 10 * readback.READ_CHUNK_BYTES)
    assert asked[1:] == [readback.READ_CHUNK_BYTES]


def test_old_files_open_for_reading_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "OPEN_FILES_MAX", 2)
    story = LogStory(segment_bytes=16 * 1024)
    for index in range(1, 30):
        story.write(step(entry(index, payload=bytes(1500))))
    story.read()
    assert len(story.log._readback._readers) == 2


def test_a_failed_fsync_is_final() -> None:
    story = LogStory()
    story.disk.fail_next_sync = True
    with pytest.raises(DiskFailed, match="EIO"):
        story.write(step(entry(1)))
    with pytest.raises(DiskFailed, match="earlier error"):
        story.write(step(entry(1)))


def test_pages_called_clean_by_a_failed_fsync_are_written_again() -> None:
    """fsyncgate: after the error the cache shows data that is not on the disk."""
    story = LogStory()
    story.write(step(entry(1)))
    story.disk.fail_next_sync = True
    with pytest.raises(DiskFailed):
        story.write(step(entry(2)))
    found = story.open().last
    story.disk.cut_power()
    assert story.open().last == found


@pytest.mark.parametrize("seed", range(20))
def test_what_a_boot_has_found_is_there_after_a_power_cut(seed: int) -> None:
    """It may have stood in the cache alone; once it was found, others are told of it."""
    story = LogStory()
    story.disk = SimDisk(Random(seed))
    story.open()
    story.write(step(entry(1)))
    story.disk.crash_next_sync = True
    with pytest.raises(Crashed):
        story.write(step(entry(2, payload=bytes(3000)), hard_state=HardState(3, 7)))
    story.disk.crash_next_sync = False
    found = story.open()
    last, hard_state = found.last, found.hard_state
    story.disk.cut_power()
    assert (story.open().last, story.log.hard_state) == (last, hard_state)


def test_a_torn_tail_is_forgotten_and_its_place_told() -> None:
    story = LogStory()
    story.write(step(entry(1)))
    story.disk.crash_next_sync = True
    with pytest.raises(Crashed):
        story.write(step(entry(2, payload=b"x" * 3000)))
    story.disk.crash_next_sync = False
    name = f"wal/{story.files()[-1]}"
    story.disk._names[name].write_at(BLOCK_BYTES * 2 + 1024, [bytes(512)])
    assert story.open().last == 1
    assert story.log.torn_at == BLOCK_BYTES * 2


def test_the_log_of_another_replica_is_refused() -> None:
    story = LogStory()
    with pytest.raises(WrongLog, match="belongs to replica 7"):
        open_log(story.disk, "wal", cluster=CLUSTER, replica=8, random=Random(1))
    with pytest.raises(WrongLog):
        open_log(story.disk, "wal", cluster=b"another-cluster!", replica=7, random=Random(1))


@pytest.mark.parametrize("octets", [BULK_FLUSH_BYTES // 2, BULK_FLUSH_BYTES])
@pytest.mark.parametrize("is_prepared", [True, False])
def test_where_large_flushes_go_by_the_next_segment_is_only_reserved(
    octets: int, is_prepared: bool
) -> None:
    story = LogStory(segment_bytes=4 * MIB)
    count = 10 * MIB // octets
    for index in range(1, count + 1):
        story.write(step(entry(index, payload=bytes([index]) * octets)))
        if is_prepared and story.log.needs_spare:
            story.log.prepare()
    assert len(story.files()) == 3
    assert story.disk.reserved == (2 if octets == BULK_FLUSH_BYTES else 0) + (
        octets == BULK_FLUSH_BYTES and is_prepared
    )
    story.open()
    assert [each.payload[0] for each in story.read()] == list(range(1, count + 1))


def test_a_missing_segment_is_refused() -> None:
    story = LogStory(segment_bytes=16 * 1024)
    for index in range(1, 12):
        story.write(step(entry(index, payload=bytes(1500))))
    story.disk.remove(f"wal/{story.files()[1]}")
    with pytest.raises(WalCorrupt, match="segment 2 is missing"):
        story.open()


def test_leftovers_of_a_death_while_rotating_are_removed() -> None:
    story = LogStory()
    story.log.prepare()
    story.open()
    assert not [name for name in story.disk.list_names("wal") if name.endswith(".tmp")]


# --- exhaustive damage on a small log ---


def small_log() -> LogStory:
    """Two segments; entries 1-2 in the first, 3-6 in three flushes of the second."""
    story = LogStory(segment_bytes=32 * 1024)
    story.write(step(*entries(1, 2), hard_state=HardState(1, 1)))
    story.open()
    story.write(step(entry(3), hard_state=HardState(2, 3)))
    story.write(step(entry(4, term=2, payload=b"p" * 700)))
    story.write(step(*entries(5, 6, term=2)))
    return story


WHOLE = [*entries(1, 3), entry(4, term=2, payload=b"p" * 700), *entries(5, 6, term=2)]
USED_BYTES = 5 * BLOCK_BYTES  # of the second segment: header, three flushes, seal


def reopened(story: LogStory) -> list[object] | None:
    """What the log holds when opened; None when it is refused."""
    try:
        story.open()
    except WalCorrupt:
        return None
    return list(story.read())


def restore(story: LogStory, path: str, data: bytes) -> None:
    """Undo damage and the boots that looked at it."""
    story.disk._names[path].cache[:] = data
    for name in story.files()[2:]:
        story.disk.remove(f"wal/{name}")


def test_a_zeroed_sector_anywhere_never_loses_an_acknowledged_entry() -> None:
    for position in range(2):
        story = small_log()
        path = f"wal/{story.files()[position]}"
        data = bytes(story.disk._names[path].cache)
        for at in range(0, USED_BYTES, SECTOR_BYTES):
            story.disk._names[path].cache[at : at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
            found = reopened(story)
            assert found is None or found == WHOLE, (position, at)
            restore(story, path, data)


def test_sectors_that_changed_places_are_noticed() -> None:
    story = small_log()
    path = f"wal/{story.files()[1]}"
    data = bytes(story.disk._names[path].cache)
    written = [at for at in range(0, USED_BYTES, SECTOR_BYTES) if any(data[at : at + SECTOR_BYTES])]
    for a in written:
        for b in written:
            cache = story.disk._names[path].cache
            cache[a : a + SECTOR_BYTES] = data[b : b + SECTOR_BYTES]
            found = reopened(story)
            assert found is None or found == WHOLE, (a, b)
            restore(story, path, data)


def test_a_file_cut_anywhere_gives_a_prefix_or_is_refused() -> None:
    """A cut takes the proof of what was synced with it: then the tail counts as torn."""
    story = small_log()
    path = f"wal/{story.files()[1]}"
    file = story.disk._names[path]
    data = bytes(file.cache)
    flush_ends = {2 * BLOCK_BYTES: 3, 3 * BLOCK_BYTES: 4, 4 * BLOCK_BYTES: 6}
    for at in [*range(200), *range(BLOCK_BYTES - 9, USED_BYTES, 7), USED_BYTES]:
        file.cache = bytearray(data[:at])
        found = reopened(story)
        if found is not None:
            assert found == WHOLE[: len(found)], at
            least = max((count for end, count in flush_ends.items() if end <= at), default=2)
            assert len(found) >= least, at
        file.cache = bytearray(data)
        restore(story, path, data)


def test_an_unsynced_tail_torn_at_every_sector_is_cut_or_whole() -> None:
    for mask in range(32):
        story = small_log()
        story.disk.crash_next_sync = True
        with pytest.raises(Crashed):
            story.write(step(entry(7, term=2, payload=b"q" * 2200)))
        story.disk.crash_next_sync = False
        file = story.disk._names[f"wal/{story.files()[1]}"]
        dirty = sorted(file.dirty)
        assert len(dirty) == 5
        file.store([sector for bit, sector in enumerate(dirty) if mask >> bit & 1])
        file.cache[:] = file.stored
        found = reopened(story)
        assert found is not None, mask
        assert found[:6] == WHOLE and len(found) == (7 if mask == 31 else 6), mask


def test_an_older_segment_in_the_place_of_a_newer_one_is_refused() -> None:
    story = small_log()
    first, second = story.files()
    older = bytes(story.disk._names[f"wal/{first}"].cache)
    story.disk._names[f"wal/{second}"].cache[:] = older
    with pytest.raises(WalCorrupt, match="offset 0: it is another segment, 1"):
        story.open()


@pytest.mark.parametrize("copy_at", [0, BLOCK_BYTES // 2])
def test_either_copy_of_a_segments_header_is_enough(copy_at: int) -> None:
    story = LogStory()
    story.write(step(entry(1), hard_state=HardState(3, 7)))
    story.disk.flip_bit(f"wal/{story.files()[-1]}", (copy_at + 20) * 8)
    assert story.open().hard_state == HardState(3, 7)
    assert story.read() == [entry(1)]


def test_a_block_of_an_older_segment_in_a_newer_one_is_never_read() -> None:
    """A misdirected write: the record is whole, has the right index, and is another segment's."""
    story = LogStory()
    story.write(step(entry(1), hard_state=HardState(1, 7)))
    story.open()
    story.write(step(entry(1, term=2), truncate_from=1))
    older, newer = (story.disk._names[f"wal/{name}"] for name in story.files())
    block = slice(BLOCK_BYTES, 2 * BLOCK_BYTES)
    newer.cache[block] = older.cache[block]
    with pytest.raises(WalCorrupt, match="damaged"):
        story.read()


def test_rot_found_when_an_old_entry_is_read_back_is_named() -> None:
    story = small_log()
    path = f"wal/{story.files()[1]}"
    at = bytes(story.disk._names[path].cache).index(b"ppp")
    story.disk.flip_bit(path, at * 8)
    with pytest.raises(WalCorrupt, match="is damaged"):
        story.read()
