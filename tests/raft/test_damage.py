"""Every kind of damage at every place of a log: all of it, gaps that can be filled, or doubt.

Never an entry that is not the one that was written; never one missing that was acknowledged, unless
the log knows that it may be. What is damaged is then mended from a replica that has it all, and is
just what it was.
"""

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import pytest

from raft.disk import DiskFailed
from raft.history import History
from raft.model import KIB, Entry, EntryKind, HardState, Index, Persist, Term
from raft.recovery import Recovered, WalCorrupt, recover
from raft.segment import BLOCK_BYTES
from tests.raft.mends import Whole, mended
from tests.raft.story import CLUSTER, LogStory, entries, entry, step
from tests.simulation.disk import SECTOR_BYTES, SimFile

SEGMENT: Final = 24 * KIB
# How many of the pairs of plain sectors are exchanged, and in how many tests.
PLAIN_SHARE: Final = float(os.environ.get("DAMAGE_SHARE", "0.05"))
PORTIONS: Final = 4
# A log is cut at every byte when all pairs are wanted too (`make damage`), else at one in so many.
CUT_EVERY: Final = 1 if PLAIN_SHARE >= 1 else 7


def written(flushes: int, payload: int, *, boots: int = 1) -> LogStory:
    """A log of several boots, terms, and a lost argument with another leader."""
    story = LogStory(segment_bytes=SEGMENT)
    index, term = 1, 1
    for number in range(flushes):
        if number % max(flushes // boots, 2) == 2:
            story.open()
        if number % 4 == 3:
            term += 1
            hard_state = HardState(term, 7)
            # Two entries of the leader before give way to one of the new.
            story.write(step(entry(index, term, b"n" * payload), hard_state=hard_state))
            story.write(step(entry(index, term + 1, b"t" * payload), truncate_from=index))
            term += 1
            index += 1
        else:
            body = bytes([number]) * payload
            story.write(step(*(Entry(index + i, term, EntryKind.NORMAL, body) for i in range(2))))
            index += 2
    return story


@dataclass(frozen=True)
class Truth:
    """What a log holds, and where."""

    files: dict[str, bytes]
    last: Index
    terms: tuple[int, ...]
    hard_state: HardState
    ever: frozenset[tuple[Index, int]]  # (index, term) of all that was written


def read_again(story: LogStory) -> Recovered:
    return recover(story.disk, "wal", cluster=CLUSTER, replica=7, segment_bytes=story.segment_bytes)


def truth_of(story: LogStory) -> Truth:
    ever: set[tuple[Index, int]] = set()
    take, take_many = History.take_entry, History.take_entries

    def noting(self: History, entry: Entry, sequence: int, offset: int) -> None:
        ever.add((entry.index, entry.term))
        take(self, entry, sequence, offset)

    def noting_many(
        self: History, first: Index, term: Term, sequence: int, places: Sequence[int]
    ) -> None:
        ever.update((first + count, term) for count in range(len(places)))
        take_many(self, first, term, sequence, places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "take_entry", noting)
        patch.setattr(History, "take_entries", noting_many)
        found = read_again(story)
    assert found.is_whole and not found.head_in_doubt
    files = {name: bytes(story.disk._names[f"wal/{name}"].cache) for name in story.files()}
    last = found.positions.last
    return Truth(files, last, terms_of(found), found.hard_state, frozenset(ever))


def terms_of(found: Recovered) -> tuple[int, ...]:
    terms = array("Q", [0]) * found.positions.last
    for first, term in found.term_runs:
        for index in range(first, found.positions.last + 1):
            terms[index - 1] = term
    return tuple(terms)


def judge(story: LogStory, truth: Truth, what: object) -> str:
    """What became of the log; fails when it is not what may be."""
    try:
        found = read_again(story)
    except WalCorrupt:
        return "refused"
    last = found.positions.last
    assert last <= truth.last, what
    missing = {i for gap in found.gaps for i in range(gap.low, gap.anchor)}
    terms = terms_of(found)
    unsure = max((gap.low for gap in found.gaps), default=0)
    if found.lost is not None or found.head_in_doubt:
        unsure = last + 1
    for index in range(1, last + 1):
        if index in missing:
            continue
        assert (index, terms[index - 1]) in truth.ever, what
        # Before damage entries may stand that were replaced in it: the anchor's owner tells.
        assert index < unsure or terms[index - 1] == truth.terms[index - 1], (what, index)
    if not found.hard_state_lost:
        assert found.hard_state == truth.hard_state, what
    if found.is_whole and not found.head_in_doubt:
        assert last == truth.last and terms == truth.terms, (what, "entries are missing")
        return "whole"
    return "doubt" if not found.gaps else "gaps" if found.lost is None else "gaps and doubt"


class Patient:
    """One log, hurt and restored over and over."""

    def __init__(self, story: LogStory) -> None:
        self.story = story
        self.truth = truth_of(story)
        self.outcomes: Counter[str] = Counter()

    def file(self, name: str) -> SimFile:
        return self.story.disk._names[f"wal/{name}"]

    def sees(self, name: str, content: bytes, what: object) -> str:
        """The log with this in the place of one file."""
        file = self.file(name)
        file.cache = bytearray(content)
        try:
            outcome = judge(self.story, self.truth, (name, what))
        finally:
            file.cache = bytearray(self.truth.files[name])
        self.outcomes[outcome] += 1
        return outcome

    def sectors(self) -> Iterator[tuple[str, int]]:
        """All sectors that hold anything, and one behind."""
        for name, data in self.truth.files.items():
            used = len(data.rstrip(b"\0"))
            for at in range(0, min(used + SECTOR_BYTES, len(data)), SECTOR_BYTES):
                yield name, at


@pytest.fixture(scope="module")
def large() -> Patient:
    """64 KiB and more."""
    patient = Patient(written(16, 1950, boots=2))
    used = sum(len(data.rstrip(b"\0")) for data in patient.truth.files.values())
    assert used >= 64 * KIB and len(patient.truth.files) > 4
    return patient


def small() -> Patient:
    """About 8 KiB in one segment: its header, entries of two flushes, a seal."""
    story = LogStory(segment_bytes=SEGMENT)
    story.write(step(*entries(1, 8), hard_state=HardState(3, 7)))
    story.write(step(entry(9, 2, b"q" * 3000), entry(10, 2, b"r" * 900)))
    return Patient(story)


def test_every_bit_of_a_small_log() -> None:
    patient = small()
    (name,) = patient.truth.files
    data = bytearray(patient.truth.files[name])
    file = patient.file(name)
    file.cache = data
    whole = bytes(data)
    for at in range(len(whole.rstrip(b"\0"))):
        if not any(whole[max(at - 8, 0) : at + 9]):
            continue  # within the zeros that fill a block nobody looks
        for bit in range(8):
            data[at] ^= 1 << bit
            patient.outcomes[judge(patient.story, patient.truth, (at, bit))] += 1
            data[at] ^= 1 << bit
    assert patient.outcomes["refused"] == 0
    assert min(patient.outcomes["gaps"], patient.outcomes["doubt"]) > 1000


def test_a_sample_of_the_bits_of_a_large_log(large: Patient) -> None:
    chance = Random(5)
    outcomes: Counter[str] = Counter()
    for name, at in large.sectors():
        for _ in range(12):
            data = bytearray(large.truth.files[name])
            bit = chance.randrange(at * 8, (at + SECTOR_BYTES) * 8)
            data[bit // 8] ^= 1 << bit % 8
            outcomes[large.sees(name, bytes(data), bit)] += 1
    assert outcomes["refused"] == 0 and outcomes["gaps"] > 500


def test_a_log_cut_at_every_byte() -> None:
    story = LogStory(segment_bytes=96 * KIB)
    for index in range(1, 11, 2):
        payload = bytes([index]) * (1 << 12) + b"." * 2400
        hard_state = HardState(index, 7)
        story.write(
            step(*(entry(index + i, index, payload) for i in (0, 1)), hard_state=hard_state)
        )
    patient = Patient(story)
    ((name, data),) = patient.truth.files.items()
    used = len(data.rstrip(b"\0"))
    assert used > 64 * KIB
    for at in range(0, used, CUT_EVERY):
        patient.sees(name, data[:at], at)
    assert set(patient.outcomes) == {"doubt"}  # no crash makes a file shorter


def test_any_of_several_segments_cut(large: Patient) -> None:
    outcomes: Counter[str] = Counter()
    for name, data in large.truth.files.items():
        for at in range(0, len(data.rstrip(b"\0")), 61):
            outcomes[large.sees(name, data[:at], at)] += 1
    assert outcomes["refused"] == 0 and outcomes["gaps"] > 300


def test_every_sector_zeroed(large: Patient) -> None:
    """As a write leaves it that never reached the disk."""
    for name, at in large.sectors():
        data = bytearray(large.truth.files[name])
        data[at : at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
        large.sees(name, bytes(data), ("zeroed", at))


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_every_sector_in_the_place_of_every_other(large: Patient, portion: int) -> None:
    """Duplicated either way, and swapped, over all segments; `make damage` takes every pair."""
    places = list(large.sectors())
    chance = Random(8 + portion)
    large.outcomes.clear()
    for number in range(portion, len(places), PORTIONS):
        for other in places[:number]:
            # Bodies of flushes, past their first sectors, are all alike to a reader.
            plain = places[number][1] % BLOCK_BYTES and other[1] % BLOCK_BYTES
            if not plain or chance.random() < PLAIN_SHARE:
                exchange(large, places[number], other)
    assert large.outcomes["refused"] == 0 and large.outcomes["gaps"] > 100


def exchange(patient: Patient, one: tuple[str, int], other: tuple[str, int]) -> None:
    """Each of two sectors in the place of the other, and both."""
    files = patient.truth.files
    held = [files[name][at : at + SECTOR_BYTES] for name, at in (one, other)]
    if held[0] == held[1]:
        return
    for (name, at), theirs in ((one, held[1]), (other, held[0])):
        hurt = bytearray(files[name])
        hurt[at : at + SECTOR_BYTES] = theirs
        patient.sees(name, bytes(hurt), ("duplicate", one, other, at))
    (name, at), (second_name, there) = one, other
    second = bytearray(files[second_name])
    second[there : there + SECTOR_BYTES] = held[0]
    first = second if name == second_name else bytearray(files[name])
    first[at : at + SECTOR_BYTES] = held[1]
    patient.file(second_name).cache = second
    try:
        patient.sees(name, bytes(first), ("swap", one, other))
    finally:
        patient.file(second_name).cache = bytearray(files[second_name])


def test_a_seal_that_a_flush_never_replaced_does_not_end_the_log() -> None:
    """The first sector of a flush was not written: what stood there says that all is synced."""
    story = LogStory(segment_bytes=SEGMENT)
    file = story.disk._names[f"wal/{story.files()[0]}"]
    for index in (1, 2, 3):
        at = index * BLOCK_BYTES
        before = bytes(file.cache[at : at + SECTOR_BYTES])
        story.write(step(entry(index, payload=b"v" * 2000)))
        if index == 2:
            file.cache[at : at + SECTOR_BYTES] = before
    found = read_again(story)
    assert [(gap.low, gap.anchor) for gap in found.gaps] == [(2, 3)]


def test_damage_anywhere_is_mended_from_a_replica_that_has_it_all(large: Patient) -> None:
    """Not only told: the log is what it was, on the disk too, after every kind of damage."""
    source = Whole(large.story)
    chance = Random(4)
    places = list(large.sectors())
    kinds: Counter[str] = Counter()
    for number in range(160):
        story = copied(large)
        for name, at in chance.sample(places, chance.choice([1, 2, 5])):
            file = story.disk._names[f"wal/{name}"]
            octets = chance.choice([1, 30, SECTOR_BYTES])
            file.cache[at : at + octets] = chance.randbytes(octets)
        what = mended(story, source)
        kinds[what] += 1
        assert what in ("whole", "mended", "doubt"), number
        log = story.log
        assert log.hard_state == large.truth.hard_state, number
        assert log.read(1, log.last, 1 << 30) == source.entries[: log.last], number
        assert log.last == large.truth.last or log.head_in_doubt, number
    assert kinds["mended"] > 50 and kinds["doubt"] > 5


def copied(patient: Patient) -> LogStory:
    story = LogStory(segment_bytes=SEGMENT)
    story.log.close()
    for path in [f"wal/{name}" for name in story.disk.list_names("wal")]:
        story.disk.remove(path)
    names = [*patient.truth.files, "vote"]
    for name in names:
        content = bytes(patient.story.disk._names[f"wal/{name}"].cache)
        file = story.disk.create_zeroed(f"wal/{name}", len(content))
        file.write_at(0, [content])
        file.sync_data()
    story.disk.sync_directory("wal")
    return story


def test_a_hundred_octets_anywhere_in_the_directory(large: Patient) -> None:
    source = Whole(large.story)
    for seed in range(20):
        story, chance = copied(large), Random(seed)
        for _ in range(100):
            files = list(story.disk._names.values())
            (file,) = chance.choices(files, [len(file.cache) for file in files])
            at = chance.randrange(len(file.cache))
            file.cache[at] ^= chance.randrange(1, 256)
        mended(story, source)
        log = story.log
        assert log.read(1, log.last, 1 << 30) == source.entries[: log.last]
        assert log.last == large.truth.last or log.head_in_doubt


def test_an_error_at_every_fdatasync_loses_nothing_acknowledged() -> None:
    """EIO at the first, the second, ... until no write is left to fail; every time a new boot."""
    steps: list[Persist] = [
        step(entry(1), hard_state=HardState(1, 7)),
        *(step(entry(index, payload=b"e" * 3000)) for index in range(2, 12)),
        step(entry(11, 2), truncate_from=11, hard_state=HardState(2, 7)),
    ]
    for failing in range(1, 100):
        story = LogStory(segment_bytes=SEGMENT)
        first, acknowledged = story.disk.syncs, 0
        try:
            for one in steps:
                story.disk.fail_next_sync = story.disk.syncs - first + 1 == failing
                story.write(one)
                acknowledged += 1
        except DiskFailed:
            pass
        story.disk.fail_next_sync = False
        story.disk.cut_power()
        story.open()
        held = story.read()
        assert len(held) >= min(acknowledged, 10), failing
        if acknowledged:
            assert story.log.hard_state.term >= 1, failing
        if acknowledged == len(steps):
            assert held[-1].term == 2 and story.log.hard_state == HardState(2, 7)
            break
    else:
        pytest.fail("writes never ended")
