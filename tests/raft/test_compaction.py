"""The log on disk loses its front: whole segments, when it is safe, whatever breaks meanwhile."""

from random import Random

import pytest

from raft.model import KIB, Entry, EntryKind, HardState, Membership, Persist, SnapshotMeta
from raft.recovery import WalCorrupt, recover
from raft.stable import DurableLog, LogStorage, MemoryLog, open_log
from tests.simulation.disk import Crashed, SimDisk

CLUSTER = b"compacted-logs-1"
MEMBERS = Membership(frozenset({1, 2, 3}), contexts=((1, b"one"),))
SEGMENT_BYTES = 32 * KIB


class Story:
    """A log of one replica, written in numbers of entries."""

    def __init__(self, seed: int = 1) -> None:
        self.disk = SimDisk(Random(seed))
        self.number = 0
        self.log = self.reopen()

    def reopen(self) -> DurableLog:
        self.log = open_log(
            self.disk,
            "wal",
            cluster=CLUSTER,
            replica=1,
            random=Random(7),
            segment_bytes=SEGMENT_BYTES,
        )
        return self.log

    def step(self, entries: tuple[Entry, ...] = (), meta: SnapshotMeta | None = None) -> Persist:
        self.number += 1
        return Persist(self.number, None, None, entries, meta)

    def write(self, count: int, *, term: int = 1, size: int = 900) -> None:
        for _ in range(count):
            index = self.log.last + 1
            self.log.write([self.step((entry(index, term, size),))])

    def compact(self, index: int, term: int = 1) -> None:
        self.log.write([self.step(meta=SnapshotMeta(index, term, MEMBERS))])

    def segments(self) -> int:
        return sum(name.endswith(".wal") for name in self.disk.list_names("wal"))

    def payloads(self) -> list[bytes]:
        log = self.log
        if log.last == log.start:
            return []
        return [e.payload for e in log.read(log.start + 1, log.last, 1 << 30)]


def entry(index: int, term: int = 1, size: int = 900) -> Entry:
    return Entry(index, term, EntryKind.NORMAL, b"%d " % index + b"." * size)


def expected(first: int, last: int) -> list[bytes]:
    return [entry(index).payload for index in range(first, last + 1)]


def test_whole_segments_go_and_the_rest_reads_back() -> None:
    story = Story()
    story.log.write([Persist(1, HardState(4, 2), None, ())])
    story.write(200)
    before = story.segments()
    story.compact(150)
    assert story.segments() < before - 15
    for _ in range(3):
        assert (story.log.start, story.log.last) == (150, 200)
        assert story.payloads() == expected(151, 200)
        assert story.log.snapshot == SnapshotMeta(150, 1, MEMBERS)
        assert story.log.hard_state == HardState(4, 2)
        story.reopen()
    assert story.log.term_runs == ((150, 1),)


def test_a_log_may_hold_nothing_but_its_start() -> None:
    story = Story()
    story.write(40)
    story.compact(40)
    for _ in range(4):  # every start begins a segment; old ones go
        story.reopen()
        assert (story.log.start, story.log.last, story.payloads()) == (40, 40, [])
        assert story.segments() <= 2
    story.write(3, term=2)
    story.reopen()
    assert story.payloads() == expected(41, 43)
    assert story.log.term_runs == ((40, 1), (41, 2))


def test_a_snapshot_further_than_the_log_begins_it_anew() -> None:
    story = Story()
    story.write(10)
    story.log.write([Persist(99, HardState(6), 8, (), SnapshotMeta(500, 6, MEMBERS))])
    story.log.write([story.step((entry(501, 6),))])
    story.reopen()
    assert (story.log.start, story.log.last) == (500, 501)
    assert story.log.term_runs == ((500, 6),) and story.log.hard_state == HardState(6)
    assert story.payloads() == [entry(501).payload]


def test_how_far_to_forget_is_measured_in_bytes_and_whole_segments() -> None:
    story = Story()
    story.write(200)
    log = story.log
    assert log.compaction_point(200, 1 << 30) == 0
    point = log.compaction_point(200, 3 * SEGMENT_BYTES)
    assert 0 < point < 200
    assert log._positions.place(point + 1)[0] > log._positions.place(point)[0]
    assert log.compaction_point(50, 3 * SEGMENT_BYTES) == 50
    assert log.compaction_point(3, 0) == 0  # frees no segment
    story.compact(point)
    assert log.compaction_point(point, 3 * SEGMENT_BYTES) == point


def test_a_missing_segment_is_corruption_when_entries_stood_in_it() -> None:
    story = Story()
    story.write(200)
    story.compact(60)
    names = [name for name in story.disk.list_names("wal") if name.endswith(".wal")]
    story.disk.remove(f"wal/{names[3]}")
    with pytest.raises(WalCorrupt, match="missing"):
        story.reopen()


@pytest.mark.parametrize("seed", range(40))
def test_a_power_cut_in_a_compaction_loses_nothing_that_is_needed(seed: int) -> None:
    random = Random(seed)
    story = Story(seed)
    story.write(120)
    starts = [0]
    for point in (30, 70, 71, 110):
        if random.random() < 0.3:
            story.disk.crash_next_sync = True
        try:
            story.compact(point)
        except Crashed:
            break
        starts.append(point)
    maybe = [*starts[-1:], point]
    story.disk.crash_next_sync = False
    story.disk.cut_power()
    story.reopen()
    assert story.log.start in maybe and story.log.last == 120
    assert story.payloads() == expected(story.log.start + 1, 120)


def test_removals_that_a_power_cut_left_in_any_order_are_finished() -> None:
    story = Story()
    story.write(200)
    kept = {name: story.disk.open(f"wal/{name}") for name in story.disk.list_names("wal")}
    story.compact(190)
    first = sorted(kept)[2]  # one in the middle of the removed did not go
    story.disk._change(f"wal/{first}", kept[first])
    story.reopen()
    assert story.payloads() == expected(191, 200)
    assert first not in story.disk.list_names("wal")


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_both_kinds_of_storage_forget_alike(kind: str) -> None:
    log: LogStorage = MemoryLog(cluster=CLUSTER, replica=1) if kind == "memory" else Story().log
    log.write([Persist(1, None, None, tuple(entry(index) for index in range(1, 21)))])
    meta = SnapshotMeta(12, 1, MEMBERS)
    log.write([Persist(2, None, None, (), meta)])
    assert (log.last, log.snapshot) == (20, meta)
    assert [e.index for e in log.read(13, 20, 1 << 20)] == list(range(13, 21))
    log.write([Persist(3, None, 18, (entry(18, 2),))])
    assert (log.last, log.read(18, 18, 1)[0].term) == (18, 2)
    log.write([Persist(4, None, 13, (), SnapshotMeta(30, 3, MEMBERS))])
    assert log.last == 30
    log.write([Persist(5, None, None, (entry(31, 3),))])
    assert log.read(31, 31, 1)[0].term == 3


@pytest.mark.parametrize("seed", range(8))
def test_a_log_begun_anew_is_whole_at_every_later_start(seed: int) -> None:
    """What was taken back stood in segments that are gone: nothing of it is missing. And starts
    alone, each after a power cut, do not make it longer."""
    story = Story(seed)
    story.write(60)
    meta = SnapshotMeta(300, 3, MEMBERS)
    story.log.write([Persist(99, None, 40, (), meta)])
    for _ in range(6):
        story.disk.cut_power()
        found = recover(story.disk, "wal", cluster=CLUSTER, replica=1)
        assert found.is_whole and len(found.tail) <= 2
        log = story.reopen()
        assert (log.start, log.last, log.snapshot) == (300, 300, meta)
        assert not log.head_in_doubt
