"""A log that lost acknowledged entries at its end: seen, cut, remembered, kept out of elections."""

from collections.abc import Callable
from random import Random

import pytest

from raft.model import Membership, Persist, SnapshotMeta
from raft.progress import Sending
from raft.recovery import WalCorrupt
from raft.segment import BLOCK_BYTES
from raft.stable import DurableLog, open_log
from raft.state import Role
from tests.raft.story import CLUSTER, Council, LogStory, entries, entry, step
from tests.simulation.disk import Crashed


def reopen(story: LogStory, *, others: bool = True) -> DurableLog:
    """The next boot of a replica that has, or has no, others to learn from."""
    return open_log(
        story.disk,
        "wal",
        cluster=CLUSTER,
        replica=7,
        random=Random(9),
        segment_bytes=story.segment_bytes,
        head_may_be_lost=others,
    )


def written() -> LogStory:
    """Three flushes and a seal: blocks 1, 2, 3 and 4 of the newest segment."""
    story = LogStory()
    for index in (1, 2, 3):
        story.write(step(*entries(index, index)))
    return story


def fill(block: int, blocks: int, octet: int) -> Callable[[LogStory], None]:
    def hurt(story: LogStory) -> None:
        file = story.disk.open(f"wal/{story.files()[-1]}")
        file.write_at(block * BLOCK_BYTES, [bytes([octet]) * blocks * BLOCK_BYTES])
        file.sync_data()

    return hurt


def cut_at(octets: int) -> Callable[[LogStory], None]:
    def hurt(story: LogStory) -> None:
        file = story.disk.open(f"wal/{story.files()[-1]}")
        del file.cache[octets:], file.stored[octets:]

    return hurt


@pytest.mark.parametrize(
    ("hurt", "last"),
    [
        (fill(3, 1, 0xEE), 2),  # the seal says that this flush was synced
        (fill(3, 1, 0), 2),
        (fill(3, 2, 0xEE), 2),  # no write of ours puts such bytes there
        (fill(4, 1, 0xEE), 3),
        (cut_at(4 * BLOCK_BYTES), 3),
        (cut_at(3 * BLOCK_BYTES + 60), 2),
        (cut_at(BLOCK_BYTES), 0),
    ],
)
def test_a_lost_end_is_cut_and_the_head_in_doubt(
    hurt: Callable[[LogStory], None], last: int
) -> None:
    story = written()
    hurt(story)
    log = reopen(story)
    assert (log.last, log.head_in_doubt) == (last, True)
    log.write([step(*entries(last + 1, last + 1, term=2))])
    again = reopen(story)
    assert (again.last, again.head_in_doubt) == (last + 1, True)  # over a restart
    again.restore_head()
    assert not again.head_in_doubt and not reopen(story).head_in_doubt


def test_what_a_crash_explains_is_in_no_doubt() -> None:
    story = written()
    fill(4, 1, 0)(story)  # a power cut before the seal reached the disk
    assert not reopen(story).head_in_doubt
    story = written()
    file = story.disk.open(f"wal/{story.files()[-1]}")
    file.write_at(3 * BLOCK_BYTES + 60, [bytes(2 * BLOCK_BYTES)])  # or before the flush had
    file.sync_data()
    log = reopen(story)
    assert (log.last, log.torn_at, log.head_in_doubt) == (2, 3 * BLOCK_BYTES, False)


def test_a_power_cut_never_leaves_a_head_in_doubt() -> None:
    for seed in range(200):
        story = written()
        story.disk._random = Random(seed)
        story.disk.crash_next_sync = True
        with pytest.raises(Crashed):
            story.write(step(*(entry(index, payload=b"\xaa" * 900) for index in range(4, 20))))
        story.disk.crash_next_sync = False
        story.disk.cut_power()
        assert not reopen(story).head_in_doubt, seed


def test_who_has_no_others_is_told_of_the_damage_instead() -> None:
    story = written()
    fill(3, 1, 0xEE)(story)
    with pytest.raises(WalCorrupt, match="offset 12288: damaged, though synced"):
        reopen(story, others=False)


def behind_a_snapshot(*voters: int) -> LogStory:
    """Entry 3 alone, behind a snapshot that says who votes: blocks 1 to 4 hold 1, 2, it, 3."""
    story = LogStory()
    for index in (1, 2):
        story.write(step(*entries(index, index)))
    meta = SnapshotMeta(2, 1, Membership(frozenset(voters)))
    story.write(Persist(1, None, None, (), meta))
    story.write(step(*entries(3, 3)))
    return story


def test_a_log_behind_a_snapshot_loses_its_end_but_never_its_start() -> None:
    story = behind_a_snapshot(7, 8, 9)
    fill(4, 1, 0xEE)(story)
    log = reopen(story)
    assert (log.start, log.last, log.head_in_doubt) == (2, 2, True)
    assert log.snapshot is not None and log.term_runs == ((2, 1),)
    log.write([step(*entries(3, 4, term=2))])
    again = reopen(story)
    assert (again.start, again.last, again.head_in_doubt) == (2, 4, True)


def test_the_membership_in_the_log_says_whether_there_are_others() -> None:
    story = behind_a_snapshot(7, 8, 9)  # it has grown since its file was written
    fill(4, 1, 0xEE)(story)
    assert reopen(story, others=False).head_in_doubt
    story = behind_a_snapshot(7)  # it has shrunk: nobody else has what is damaged
    fill(4, 1, 0xEE)(story)
    with pytest.raises(WalCorrupt, match="offset 16384: damaged, though synced"):
        reopen(story)


def test_damage_before_the_last_flush_is_refused_with_others_too() -> None:
    story = written()
    fill(2, 1, 0xEE)(story)
    with pytest.raises(WalCorrupt, match="offset 8192"):
        reopen(story)


def test_a_replica_that_forgot_neither_votes_nor_leads() -> None:
    council = Council(3)
    council.elect(1)
    council.cut = {3}
    council.propose(1, b"kept")
    forgetful = council.storage[2]
    del forgetful._entries[1:]
    forgetful.doubt_head()
    council.restart(2)
    council.cut = {1}  # 2 and 3 are a majority, and neither has the entry
    council.pass_ms(10_000)
    assert Role.LEADER not in council.roles()[1:]
    council.cut = set()
    council.pass_ms(3_000)
    assert council.leader() == 1
    council.settle()
    forgetful.restore_head()
    council.cut = {1}
    council.pass_ms(5_000)
    assert council.leader() in (2, 3)
    assert council.payloads(council.leader()) == [b"kept"]


def council_of_a_forgetful() -> Council:
    """1 leads; 2 has acknowledged two writes and comes back without them."""
    council = Council(3)
    council.elect(1)
    council.propose(1, b"a", b"b")
    forgetful = council.storage[2]
    del forgetful._entries[1:]
    forgetful.doubt_head()
    council.restart(2)
    return council


def test_a_leader_that_hears_of_a_lost_process_asks_what_is_left() -> None:
    council = council_of_a_forgetful()
    leader, forgetful = council.cores[1], council.storage[2]
    leader.peer_lost(2, council.now_ms)
    council.pass_ms(1_000)
    assert forgetful.last == council.storage[1].last
    assert council.payloads(2) == [b"a", b"b"] and leader.state.role is Role.LEADER


def test_a_leader_that_heard_of_nothing_learns_from_a_refusal_what_is_left() -> None:
    """What it counts as acknowledged is refused, so it counts no more."""
    council = council_of_a_forgetful()
    council.propose(1, b"c")
    council.pass_ms(1_000)
    assert council.payloads(2) == [b"a", b"b", b"c"] and council.cores[1].state.role is Role.LEADER


def test_who_lost_its_end_behind_a_compacted_log_is_offered_a_snapshot() -> None:
    """Entries that the leader has forgotten cannot be sent again; there is no first one."""
    council = Council(3)
    leader = council.elect(1)
    council.propose(1, b"a", b"b")
    council.cores[2].compact(2)
    council.settle()
    council.propose(1, b"c")
    forgetful = council.storage[2]
    assert (forgetful._start, forgetful.last) == (2, 4)
    del forgetful._entries[:]
    forgetful.doubt_head()
    leader.compact(4)
    council.restart(2)
    again = council.cores[2]
    assert (again.state.log.start, again.state.log.last, again.state.commit) == (2, 2, 2)
    leader.peer_lost(2, council.now_ms)
    council.pass_ms(1_000)
    assert again.snapshot_wanted == 4 and again.state.role is Role.FOLLOWER
    assert again.begin_install(4)
    council.cut = {1}
    council.pass_ms(2_000)
    assert again.state.role is not Role.LEADER  # neither while it installs nor in doubt
    council.cut = set()
    meta = SnapshotMeta(4, leader.state.log.term(4), Membership(frozenset({1, 2, 3})))
    again.snapshot_installed(meta, leader.state.term, council.now_ms)
    council.pass_ms(2_000)
    council.propose(council.leader(), b"d")
    assert council.payloads(2) == [b"d"] and forgetful.head_in_doubt
    assert council.leader() != 2


def test_a_link_that_breaks_while_a_snapshot_is_offered_changes_nothing() -> None:
    council = Council(3)
    leader = council.elect(1)
    council.cut = {3}
    council.propose(1, b"a", b"b")
    leader.compact(3)
    council.cut = set()
    council.pass_ms(200)
    assert leader.state.progress[3].sending is Sending.SNAPSHOT
    for _ in range(5):
        leader.peer_lost(3, council.now_ms)
        council.pass_ms(200)
    assert leader.state.progress[3].sending is Sending.SNAPSHOT
    behind = council.cores[3]
    assert behind.snapshot_wanted == 3 and behind.begin_install(3)
    meta = SnapshotMeta(3, leader.state.log.term(3), Membership(frozenset({1, 2, 3})))
    behind.snapshot_installed(meta, leader.state.term, council.now_ms)
    leader.peer_lost(3, council.now_ms)  # and once more, when it has it
    council.pass_ms(200)
    assert leader.state.progress[3].sending is Sending.REPLICATE
    council.propose(1, b"c")
    assert council.payloads(3) == [b"c"]
