"""Gaps of a log filled from other replicas: exactly what was there, or what a leader has."""

from random import Random

import pytest

from raft.configs import encode_membership
from raft.damage import LogDamaged
from raft.model import Entry, HardState, Index, Membership, Persist, SnapshotMeta
from raft.recovery import WalCorrupt
from raft.repair import LogAsk, LogLacks, LogPiece, Mender
from raft.segment import BLOCK_BYTES
from raft.state import Role
from tests.raft.mends import Damaged, Whole, damaged, mended, reopen, repair_from, runs_of
from tests.raft.story import LogStory, entries, entry, step


def written(last: Index, *, per_flush: int = 1, term: int = 1) -> LogStory:
    """Entries 1 to `last`, each flush in a block of its own: block n holds entry n."""
    story = LogStory()
    for index in range(1, last + 1, per_flush):
        until = min(index + per_flush - 1, last)
        story.write(step(*entries(index, until, term)))
    return story


def hurt(story: LogStory, *blocks: int, segment: int = -1) -> None:
    """Blocks of a segment are overwritten."""
    file = story.disk._names[f"wal/{story.files()[segment]}"]
    for block in blocks:
        file.write_at(block * BLOCK_BYTES, [b"\xee" * BLOCK_BYTES])
    file.sync_data()


def test_a_gap_is_named_and_filled() -> None:
    story = written(9)
    hurt(story, 3, 4, 7)
    log = damaged(story)
    assert [(gap.low, gap.anchor) for gap in log.gaps] == [(3, 5), (7, 8)]
    assert "offset 12288: damaged, though synced" in log.gaps[0].why
    assert mended(story, Whole(written(9))) == "mended"
    assert story.read() == list(entries(1, 9)) and not story.log.head_in_doubt


def test_what_was_written_after_the_mending_stays() -> None:
    story = written(5)
    hurt(story, 2)
    assert mended(story, Whole(written(5))) == "mended"
    story.write(step(*entries(6, 7)))
    story.write(step(entry(6, 2), truncate_from=6))
    for _ in range(2):
        assert reopen(story).last == 6
        assert story.read() == [*entries(1, 5), entry(6, 2)]
        assert story.log.term_runs == ((1, 1), (6, 2))


def test_taking_back_into_a_gap_that_was_filled() -> None:
    story = written(9)
    hurt(story, 4, 5)
    assert mended(story, Whole(written(9))) == "mended"
    story.write(step(entry(5, 3), truncate_from=5))
    assert reopen(story).last == 5
    assert story.read() == [*entries(1, 4), entry(5, 3)]


def test_damage_of_what_was_brought_back_is_mended_again() -> None:
    story = written(5)
    hurt(story, 2)
    source = Whole(written(5))
    assert mended(story, source) == "mended"
    story.write(step(entry(6)))
    hurt(story, 1, segment=1)
    assert mended(story, source) == "mended"
    assert story.read() == list(entries(1, 6))


def test_a_crash_before_all_was_brought_back_changes_nothing() -> None:
    story = written(9)
    hurt(story, 3, 6)
    first = damaged(story)
    assert damaged(story).gaps == first.gaps
    assert story.files() == story.files()[:1]


@pytest.mark.parametrize("segment_gone", [False, True])
def test_a_segment_without_its_header_or_its_file(segment_gone: bool) -> None:
    story = written(3)
    story.open()
    story.write(step(*entries(4, 6)))
    story.open()
    story.write(step(entry(7)))
    if segment_gone:
        story.disk.remove(f"wal/{story.files()[1]}")
        story.disk.sync_directory("wal")
    else:
        hurt(story, 0, segment=1)
    assert [(gap.low, gap.anchor) for gap in damaged(story).gaps] == [(4, 7)]
    source = written(7)
    assert mended(story, Whole(source)) == "mended"
    assert story.read() == source.read()


def test_the_only_header_gone_leaves_the_vote_and_an_end_in_doubt() -> None:
    story = written(3)
    story.write(step(hard_state=HardState(4, 9)))
    hurt(story, 0)
    log = reopen(story)
    assert (log.last, log.head_in_doubt, log.hard_state) == (0, True, HardState(4, 9))


def test_a_vote_stands_in_two_places_and_either_is_enough() -> None:
    story = written(2)
    story.write(step(hard_state=HardState(5, 8)))
    story.disk._names["wal/vote"].cache[:] = b"\xee" * 2 * BLOCK_BYTES
    assert reopen(story).hard_state == HardState(5, 8)
    reopen(story)  # and from the header of a segment alone
    story.disk._names["wal/vote"].cache[:] = b"\xee" * 2 * BLOCK_BYTES
    assert reopen(story).hard_state == HardState(5, 8)
    story.write(step(hard_state=HardState(6, 9)))
    hurt(story, 1, 2)
    log = reopen(story)
    assert (log.hard_state, log.head_in_doubt) == (HardState(6, 9), True)


def test_a_vote_lost_in_both_places_is_refused() -> None:
    story = written(2)
    story.write(step(hard_state=HardState(5, 8)))
    hurt(story, 3)
    story.disk.remove("wal/vote")
    with pytest.raises(WalCorrupt, match="a vote may have stood there"):
        reopen(story)


def test_two_replicas_damaged_in_different_places_mend_each_other() -> None:
    mine, theirs = written(9), written(9)
    hurt(mine, 3, 4)
    hurt(theirs, 6, 7)
    here, there = damaged(mine), damaged(theirs)
    assert mended(mine, Damaged(there)) == "mended"
    assert mended(theirs, Damaged(here)) == "mended"
    assert mine.read() == theirs.read() == list(entries(1, 9))


def test_all_but_one_damaged_in_the_same_place() -> None:
    mine, theirs = written(9), written(9)
    hurt(mine, 3)
    hurt(theirs, 3)
    here, there = damaged(mine), damaged(theirs)
    assert repair_from(here, Damaged(there)) is None  # it waits for the third
    assert mended(mine, Damaged(there), Whole(written(9))) == "mended"
    assert mine.read() == list(entries(1, 9))


def test_what_a_gap_had_replaced_is_replaced_again() -> None:
    """The damaged flush took back 3 and 4, and wrote others: the gap grows down to where both
    logs agree."""
    mine = written(4)
    mine.write(step(*entries(3, 5, 2), truncate_from=3))
    mine.write(step(entry(6, 3)))
    source = LogStory()
    source.write(step(*entries(1, 2), *entries(3, 5, 2), entry(6, 3)))
    hurt(mine, 5)
    log = damaged(mine)
    assert [(gap.low, gap.anchor) for gap in log.gaps] == [(5, 6)]
    assert mended(mine, Whole(source)) == "mended"
    assert mine.read() == source.read()
    assert mine.log.term_runs == ((1, 1), (3, 2), (6, 3))


def test_a_gap_that_grows_takes_the_one_below_it_along() -> None:
    mine = written(6)
    mine.write(step(*entries(2, 8, 2), truncate_from=2))
    mine.write(step(entry(9, 3)))
    source = LogStory()
    source.write(step(entry(1), *entries(2, 8, 2), entry(9, 3)))
    hurt(mine, 3, 7)
    assert mended(mine, Whole(source)) == "mended"
    assert mine.read() == source.read()


def test_copies_do_not_stand_behind_entries_that_had_been_replaced() -> None:
    """The gap was filled behind 3 and 4 of term 2; then the flush that wrote these, and took back
    others, rots as well, and those come to light again."""
    mine = written(8)
    mine.write(step(*entries(3, 4, 2), truncate_from=3))
    mine.write(step(*entries(5, 6, 2)))
    mine.write(step(entry(7, 2)))
    source = LogStory()
    source.write(step(*entries(1, 2), *entries(3, 7, 2)))
    hurt(mine, 10)
    assert mended(mine, Whole(source)) == "mended"
    hurt(mine, 9, segment=0)
    assert mended(mine, Whole(source)) == "mended"
    assert mine.read() == source.read()
    assert mine.log.term_runs == ((1, 1), (3, 2))


def hurt_entry(story: LogStory, index: Index) -> None:
    """The block in which an entry stands is overwritten."""
    sequence, offset = story.log._positions.place(index)
    segment = story.files().index(story.log._names[sequence])
    hurt(story, offset // BLOCK_BYTES, segment=segment)


def test_copies_of_two_repairs_are_never_taken_for_one() -> None:
    """A repair brings back 7; later entries from 5 on are replaced, and what replaced them rots; of
    the second repair, in which they are, the copies of 5 and 6 rot: the first one's 6 and the
    second one's 7 are no log."""

    def large(first: Index, last: Index, term: int) -> list[Entry]:
        return [entry(index, term, bytes([index]) * 1500) for index in range(first, last + 1)]

    mine, old, new = (LogStory(segment_bytes=16 * 1024) for _ in range(3))
    for one in large(1, 9, 1):
        mine.write(step(one))
        old.write(step(one))
    hurt_entry(mine, 7)
    assert mended(mine, Whole(old)) == "mended"
    for one in (*large(1, 4, 1), *large(5, 9, 2)):
        new.write(step(one))
    mine.write(step(*large(5, 6, 2), truncate_from=5))
    mine.write(step(*large(7, 8, 2)))
    mine.write(step(*large(9, 9, 2)))
    hurt_entry(mine, 5)
    hurt_entry(mine, 7)
    assert mended(mine, Whole(new)) == "mended" and mine.read() == new.read()
    for log in (mine, new):
        log.write(step(entry(10, 2)))
    hurt_entry(mine, 5)
    assert mended(mine, Whole(new)) == "mended"
    assert mine.read() == new.read() and runs_of(mine) == [(1, 1), (5, 2)]


def grown(random: Random) -> tuple[LogStory, LogStory]:
    """A log with a past of many boots and many entries that were replaced, and what came of it."""
    mine, truth, term = LogStory(segment_bytes=32 * 1024), [], 1
    for _ in range(random.randint(5, 40)):
        truncate_from = None
        if random.random() < 0.3:
            term += 1
            if truth and random.random() < 0.7:
                truncate_from = random.randint(max(1, len(truth) - 6), len(truth))
                del truth[truncate_from - 1 :]
        new = entries(len(truth) + 1, len(truth) + random.randint(1, 4), term)
        truth += new
        mine.write(step(*new, truncate_from=truncate_from))
        if random.random() < 0.2:
            reopen(mine)
    source = LogStory()
    source.write(step(*truth))
    return mine, source


def rot(random: Random, story: LogStory) -> None:
    """Some blocks, anywhere but in the newest segment."""
    for _ in range(random.randint(1, 4)):
        segment = random.randrange(len(story.files()) - 1)
        hurt(story, random.randrange(8), segment=segment)


@pytest.mark.parametrize("seed", range(100))
def test_rot_upon_rot_is_mended_to_the_very_log_that_was(seed: int) -> None:
    random = Random(seed)
    mine, source = grown(random)
    reopen(mine)
    start = 0
    for _ in range(5):
        for log in (mine, source):
            log.write(step(entry(log.log.last + 1, 50)))
        rot(random, mine)
        assert mended(mine, Whole(source)) in ("mended", "whole")
        assert mine.log.read(start + 1, mine.log.last, 1 << 30) == source.read()[start:]
        assert runs_of(mine) == list(mine.log.term_runs)
        if random.random() < 0.4:
            start = random.randint(start, mine.log.last - 1)
            meta = SnapshotMeta(start, source.read()[start - 1].term, MEMBERSHIP)
            if start:
                mine.write(Persist(1, None, None, (), meta))


def test_a_join_that_only_needs_proof() -> None:
    """A flush that held no entry, as far as anybody can tell; the next one is of another term."""
    mine = written(2)
    mine.write(step(hard_state=HardState(2, 7)))
    mine.write(step(entry(3, 2)))
    hurt(mine, 3)
    log = damaged(mine)
    assert [(gap.low, gap.anchor) for gap in log.gaps] == [(3, 3)]
    source = LogStory()
    source.write(step(*entries(1, 2), entry(3, 2)))
    assert mended(mine, Whole(source)) == "mended"
    assert mine.read() == source.read() and mine.log.hard_state == HardState(2, 7)


def test_a_flush_between_entries_of_one_term_needs_nobody() -> None:
    """Entries of one term follow each other in one leader's log: nothing can have changed."""
    mine = written(2)
    mine.write(step(hard_state=HardState(1, 9)))
    mine.write(step(entry(3)))
    hurt(mine, 3)
    assert mended(mine) == "whole"
    assert mine.read() == list(entries(1, 3)) and mine.log.hard_state == HardState(1, 9)


def test_an_anchor_that_a_leader_lacks_was_never_committed() -> None:
    mine = written(6)
    mine.write(step(entry(7, 4)))
    hurt(mine, 4)
    source = Whole(written(4))
    assert repair_from(damaged(mine), source) is not None  # all others lack it
    assert mended(mine, source) == "doubt"
    assert mine.read() == list(entries(1, 3))
    mine.write(step(*entries(4, 5)))
    assert reopen(mine).head_in_doubt and mine.read() == list(entries(1, 5))


def test_a_peer_that_lacks_is_no_proof_while_another_is_silent() -> None:
    mine = written(6)
    hurt(mine, 4)
    mender = Mender(damaged(mine))
    assert mender.hear(LogLacks(leads=False, is_whole=True)) is False
    assert not mender.end_round(asked=2) and mender.ask == LogAsk(4, 5, 1)
    mender.hear(LogLacks(leads=False, is_whole=False))
    mender.hear(LogLacks(leads=False, is_whole=True))
    assert not mender.end_round(asked=2)
    mender.hear(LogLacks(leads=True, is_whole=True))
    assert mender.end_round(asked=2) and mender.repair.cut == 4


def test_only_a_leader_that_could_know_the_anchor_is_a_proof() -> None:
    """One of an earlier term may have been deposed, and not have heard of it."""
    source = Whole(written(4))
    source.core.state.role, source.core.state.term = Role.LEADER, 5
    assert source.answer(LogAsk(3, 6, 6)) == LogLacks(leads=False, is_whole=True)
    assert source.answer(LogAsk(3, 6, 5)) == LogLacks(leads=True, is_whole=True)


MEMBERSHIP = Membership(frozenset({7, 8, 9}))


def test_a_gap_that_others_have_forgotten_begins_the_log_anew() -> None:
    mine = written(9)
    hurt(mine, 3, 4)
    assert mended(mine, Whole(written(9), start=6)) == "mended"
    log = mine.log
    assert (log.start, log.last, log.snapshot) == (6, 9, SnapshotMeta(6, 1, MEMBERSHIP))
    assert log.read(7, 9, 1 << 20) == list(entries(7, 9))


def test_a_log_that_begins_inside_the_gap_fills_the_rest() -> None:
    mine = written(9)
    hurt(mine, 3, 4, 5, 6)
    assert mended(mine, Whole(written(9), start=4)) == "mended"
    assert (mine.log.start, mine.log.last) == (4, 9)
    assert mine.log.read(5, 9, 1 << 20) == list(entries(5, 9))


def test_a_log_that_all_others_have_left_behind_is_begun_anew() -> None:
    mine = written(9)
    hurt(mine, 3, 4)
    assert mended(mine, Whole(written(25), start=20)) == "mended"
    assert (mine.log.start, mine.log.last) == (20, 20)


def test_entries_behind_one_that_lost_its_place_are_given_up() -> None:
    """Others begin at an entry of term 2 where ours is of term 1: nobody can commit what is behind
    ours any more."""
    mine, other = written(9), LogStory()
    other.write(step(*entries(1, 4), *entries(5, 12, 2)))
    hurt(mine, 3)
    assert mended(mine, Whole(other, start=7)) == "doubt"
    assert (mine.log.start, mine.log.last) == (7, 7)
    assert mine.log.term_runs == ((7, 2),)


def test_where_the_log_begins_is_lost() -> None:
    """The record of the snapshot is damaged, and the segments it spoke of are gone."""
    story = LogStory(segment_bytes=16 * 1024)
    for index in range(1, 8):
        story.write(step(entry(index, payload=b"s" * 3000)))
    story.write(Persist(1, None, None, (), SnapshotMeta(5, 1, MEMBERSHIP)))
    story.write(step(entry(8)))
    first = int(story.files()[0].split("-")[0], 16)
    assert first > 1
    source = LogStory(segment_bytes=64 * 1024)
    source.write(step(*(entry(i, payload=b"s" * 3000) for i in range(1, 8)), entry(8)))
    at = bytes(story.disk._names[f"wal/{story.files()[-1]}"].cache)
    hurt(story, at.index(encode_membership(MEMBERSHIP)) // BLOCK_BYTES)
    log = damaged(story)
    assert log.gaps[0].low == 1 and log.last == 8
    assert mended(story, Whole(source, start=5)) == "mended"
    assert (story.log.start, story.log.last) == (5, 8)
    assert story.log.read(6, 8, 1 << 20) == source.log.read(6, 8, 1 << 20)


def test_a_lone_voter_is_refused_with_the_place() -> None:
    story = written(5)
    hurt(story, 2)
    with pytest.raises(WalCorrupt, match="offset 8192: damaged, though synced") as refused:
        story.open()
    assert not isinstance(refused.value, LogDamaged)


def test_an_answer_that_is_no_chain_is_not_believed() -> None:
    mine = written(6)
    hurt(mine, 3, 4)
    mender = Mender(damaged(mine))
    assert mender.ask == LogAsk(3, 5, 1)
    lies: list[tuple[int, tuple[Entry, ...]]] = [
        (1, (entry(4),)),  # not what was asked for
        (1, (entry(3, 2),)),  # a later term than the anchor's
        (1, entries(3, 5)),  # the anchor itself
        (1, ()),
    ]
    for term, told in lies:
        assert not mender.hear(LogPiece(term, told)) and mender.ask == LogAsk(3, 5, 1)
    assert mender.hear(LogPiece(1, (entry(3),))) and mender.ask == LogAsk(4, 5, 1)


def test_more_than_memory_should_hold_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft.repair.REPAIR_BYTES_MAX", 100)
    mine = written(6)
    hurt(mine, 3, 4)
    mender = Mender(damaged(mine))
    assert mender.hear(LogPiece(1, (entry(3, payload=bytes(101)),)))
    assert mender.ask is None and mender.repair.cut == 3


def test_a_piece_is_bounded_in_entries_and_the_rest_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raft.repair.PIECE_ENTRIES_MAX", 2)
    mine = written(9)
    hurt(mine, 3, 4, 5, 6, 7)
    mender, source = Mender(damaged(mine)), Whole(written(9))
    for low in (3, 5, 7):
        assert mender.ask == LogAsk(low, 8, 1)
        assert mender.hear(source.answer(mender.ask))
    assert mender.ask is None
    assert [copy.index for copy in mender.repair.copies] == list(range(2, 9))  # and the joints


def test_copies_fill_more_than_a_segment() -> None:
    story = LogStory(segment_bytes=16 * 1024)
    source = LogStory(segment_bytes=16 * 1024)
    for log in (story, source):
        for index in range(1, 30):
            log.write(step(entry(index, payload=bytes([index]) * 1500)))
    for segment in range(1, 8):
        hurt(story, 0, segment=segment)
    assert mended(story, Whole(source)) == "mended"
    assert story.read() == source.read()
    files = story.files()
    story.write(Persist(1, None, None, (), SnapshotMeta(20, 1, MEMBERSHIP)))
    assert story.log.read(21, 29, 1 << 20) == source.log.read(21, 29, 1 << 20)
    assert len(story.files()) < len(files)  # and compaction keeps what stands in copies
    assert reopen(story).read(21, 29, 1 << 20) == source.log.read(21, 29, 1 << 20)
