"""Replication: windows, lost messages, conflicting logs, and when something is committed."""

from collections.abc import Sequence

from raft.config import RaftConfig
from raft.messages import (
    Append,
    AppendReject,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    Propose,
)
from raft.model import ENTRY_HEADER_BYTES, Entry, EntryKind, HardState
from raft.progress import Sending
from raft.state import Role
from tests.raft.story import Council, entries, entry, step


def test_a_write_reaches_everybody_in_order() -> None:
    council = Council()
    council.elect(1)
    council.propose(1, b"a", b"b")
    council.propose(1, b"c")
    for replica in council.members:
        assert council.payloads(replica) == [b"a", b"b", b"c"]


def test_a_term_opens_with_a_noop() -> None:
    council = Council()
    council.elect(1)
    assert [e.kind for e in council.applied[2]] == [EntryKind.NOOP]


def test_a_follower_passes_proposals_to_the_leader() -> None:
    council = Council()
    assert not council.propose(2, b"nobody leads yet")
    council.elect(1)
    assert council.propose(2, b"from afar")
    assert council.payloads(3) == [b"from afar"]


def test_the_leader_drops_what_is_too_large_or_too_much() -> None:
    config = RaftConfig(entry_bytes_max=200, uncommitted_bytes_max=400)
    council = Council(config=config)
    council.elect(1)
    council.propose(2, b"x" * (200 - ENTRY_HEADER_BYTES + 1), b"fits")
    assert council.payloads(1) == [b"fits"]
    council.cut |= {2, 3}
    for _ in range(9):
        council.propose(1, b"y" * 100)
    at_limit = council.cores[1].state.log.last
    council.cut = {3}
    council.drop = lambda message: not isinstance(message, Propose)
    council.propose(2, b"one too many")
    assert council.cores[1].state.log.last == at_limit


def test_our_own_disk_is_counted_only_when_it_is_done() -> None:
    """etcd 14370: a cluster of one applied before its fsync."""
    council = Council(size=1)
    council.elect(1)
    council.stuck_disks.add(1)
    council.propose(1, b"not yet")
    assert council.payloads(1) == []
    council.stuck_disks.clear()
    council.settle()
    assert council.payloads(1) == [b"not yet"]


def test_two_disks_of_three_commit_but_the_third_applies_only_its_own() -> None:
    council = Council()
    council.elect(1)
    council.stuck_disks.add(1)
    council.propose(1, b"two have it")
    assert council.payloads(2) == council.payloads(3) == [b"two have it"]
    assert council.cores[1].state.commit == 2
    assert council.payloads(1) == []  # a state machine never knows more than its log


def test_one_disk_of_three_commits_nothing_though_the_leader_has_it_in_memory() -> None:
    council = Council()
    leader = council.elect(1)
    council.stuck_disks |= {1, 2}
    council.propose(1, b"only 3 has it")
    assert leader.state.progress[3].match == 2 and leader.state.log.last == 2
    assert leader.state.commit == 1
    council.stuck_disks.remove(1)
    council.settle()
    assert leader.state.commit == 2


def test_an_entry_of_an_older_term_commits_only_with_one_of_ours() -> None:
    """Paper 5.4.2, figure 8."""
    council = Council()
    for replica in (1, 2):
        council.storage[replica].write([step(entry(1, term=2), hard_state=HardState(2, 0))])
        council.restart(replica)
    council.drop = lambda m: isinstance(m, Append) and any(e.term == 3 for e in m.entries)
    leader = council.elect(1)
    assert leader.state.term == 3
    leader.step(AppendReply(0, 2, 1, 3, match=1), council.now_ms)
    assert leader.state.log.durable == 2 and leader.state.commit == 0
    council.drop = lambda m: False
    council.pass_ms(300)
    assert leader.state.commit == 2


def test_conflicting_logs_are_found_in_one_question_a_term() -> None:
    council = Council()
    council.storage[1].write(
        [step(*entries(1, 40), *entries(41, 41, term=5), hard_state=HardState(5, 0))]
    )
    council.storage[2].write(
        [step(*entries(1, 30), *entries(31, 90, term=3), hard_state=HardState(5, 0))]
    )
    for replica in (1, 2):
        council.restart(replica)
    council.elect(1)
    council.pass_ms(300)
    assert council.storage[2].read(1, 42, 1 << 30) == council.storage[1].read(1, 42, 1 << 30)
    assert len([m for m in council.sent if isinstance(m, AppendReject) and m.sender == 2]) <= 3


def test_a_lost_append_is_noticed_at_the_next_one() -> None:
    council = Council()
    leader = council.elect(1)
    council.drop = lambda m: isinstance(m, Append) and m.to == 3
    council.propose(1, b"lost")
    council.drop = lambda m: False
    council.propose(1, b"next")
    assert council.payloads(3) == [b"lost", b"next"]
    assert leader.state.progress[3].sending is Sending.REPLICATE


def test_a_lost_append_with_nothing_after_it_is_noticed_by_heartbeat() -> None:
    council = Council()
    council.elect(1)
    council.pass_ms(200)
    council.drop = lambda m: isinstance(m, Append) and m.to == 3
    council.propose(1, b"lost")
    council.drop = lambda m: False
    council.pass_ms(2 * council.config.heartbeat_ms + 30)
    assert council.payloads(3) == [b"lost"]


def test_a_window_that_is_sent_again_and_loses_something_again_is_noticed_by_heartbeat() -> None:
    """What it refuses may be of the first time, so it does not count at once."""
    council = Council(config=RaftConfig(append_bytes_max=1))
    leader = council.elect(1)
    lost: list[int] = []
    sent_again: list[int] = []

    def drop(message: Message) -> bool:
        if not isinstance(message, Append) or message.to != 3 or not message.entries:
            return False
        index = message.entries[0].index
        if (index == 4 and not lost) or (index == 6 and 6 in sent_again and lost == [4]):
            lost.append(index)
            return True
        sent_again.append(index)
        return False

    council.drop = drop
    council.propose(1, *(b"%d" % number for number in range(6)))
    assert lost == [4, 6] and leader.state.progress[3].match == 5
    council.pass_ms(3 * council.config.heartbeat_ms)
    assert council.payloads(3) == [b"%d" % number for number in range(6)]


def test_the_window_bounds_what_is_on_its_way() -> None:
    config = RaftConfig(inflight_messages_max=3, append_bytes_max=1)
    council = Council(config=config)
    leader = council.elect(1)
    council.cut.add(3)
    for number in range(20):
        council.propose(1, b"%d" % number)
    assert len(leader.state.progress[3].inflight) == 3
    council.cut.clear()
    council.pass_ms(300)
    assert council.payloads(3) == [b"%d" % n for n in range(20)]


def test_the_window_is_bounded_in_bytes_too() -> None:
    config = RaftConfig(inflight_bytes_max=1000, append_bytes_max=1)
    council = Council(config=config)
    leader = council.elect(1)
    council.cut.add(3)
    for _ in range(20):
        council.propose(1, bytes(300))
    progress = leader.state.progress[3]
    assert 1000 <= progress.inflight_bytes < 1000 + 400


def test_a_follower_that_slept_long_catches_up_from_the_disk() -> None:
    config = RaftConfig(window_bytes_max=500, append_bytes_max=1000)
    council = Council(config=config)
    leader = council.elect(1)
    council.cut.add(3)
    council.propose(1, *[bytes([n]) * 50 for n in range(200)])
    council.propose(1, b"last")
    assert leader.state.log.slice(5, 5, 1) == council.storage[1].read(5, 5, 1)
    council.cut.clear()
    council.pass_ms(400)
    assert council.payloads(3) == council.payloads(2) and len(council.payloads(3)) == 201


def test_what_is_applied_at_once_is_bounded_in_entries_and_bytes() -> None:
    config = RaftConfig(apply_entries_max=8, apply_bytes_max=1000)
    council = Council(config=config)
    core = council.elect(1)
    core.propose([bytes(300)] * 20 + [b""] * 20 + [bytes(3000)], council.now_ms)
    batches: list[list[int]] = []
    take = core.take_committed

    def taken() -> Sequence[Entry]:
        found = take()
        batches.append([len(entry.payload) for entry in found])
        return found

    core.take_committed = taken  # type: ignore[method-assign]
    council.settle()
    assert sum(map(len, batches)) == 41 and max(map(len, batches)) == 8
    assert all(sum(sizes) <= 1000 or len(sizes) == 1 for sizes in batches)


def test_heartbeats_are_answered_while_the_disk_is_slow() -> None:
    council = Council()
    council.elect(1)
    council.stuck_disks |= {2, 3}
    council.propose(1, b"slow")
    council.sent.clear()
    council.pass_ms(1000)
    assert council.leader() == 1
    assert any(isinstance(m, HeartbeatReply) for m in council.sent)
    assert not any(isinstance(m, AppendReply) for m in council.sent)


def test_a_burst_is_acknowledged_once() -> None:
    council = Council(config=RaftConfig(append_bytes_max=1))
    council.elect(1)
    council.sent.clear()
    council.propose(1, *[b"x"] * 10)
    assert len([m for m in council.sent if isinstance(m, Append) and m.to == 2]) == 10
    assert len([m for m in council.sent if isinstance(m, AppendReply) and m.sender == 2]) == 1


def test_an_old_flush_does_not_vouch_for_replaced_entries() -> None:
    """The ABA of asynchronous writes: flush A is confirmed after its entries were replaced."""
    core = Council().cores[3]
    core.step(Append(0, 1, 3, 1, 0, 0, 0, entries(1, 3)), 0)
    first = core.ready(0).persist
    core.step(Append(0, 2, 3, 2, 1, 1, 0, (entry(2, term=2), entry(3, term=2))), 0)
    second = core.ready(0).persist
    assert first is not None and second is not None and second.truncate_from == 2
    core.persisted(first.number, 0)
    assert core.state.log.durable == 1
    core.persisted(second.number, 0)
    assert core.state.log.durable == 3


def test_appends_that_arrive_twice_or_late_change_nothing() -> None:
    council = Council()
    council.elect(1)
    council.propose(1, b"a", b"b", b"c")
    appends = [m for m in council.sent if isinstance(m, Append) and m.to == 2]
    for append in [*appends, *reversed(appends)]:
        council.cores[2].step(append, council.now_ms)
    council.settle()
    assert council.payloads(2) == [b"a", b"b", b"c"]
    assert council.cores[2].state.log.last == council.cores[1].state.log.last


def test_an_append_that_comes_late_takes_nothing_back() -> None:
    council = Council()
    follower = council.cores[2]
    follower.step(Append(0, 1, 2, 1, 0, 0, 0, entries(1, 3)), 0)
    follower.step(Append(0, 1, 2, 1, 0, 0, 0, entries(1, 1)), 0)  # sent earlier, overtaken
    assert follower.state.log.last == 3


def test_a_follower_commits_no_further_than_the_append_has_matched() -> None:
    """Behind it may stand what a leader before has left, and nobody ever committed."""
    council = Council()
    council.storage[2].write([step(*entries(1, 3), hard_state=HardState(1, 0))])
    council.restart(2)
    follower = council.cores[2]
    follower.step(Append(0, 3, 2, 2, 1, 1, 3, ()), 0)
    assert (follower.state.log.last, follower.state.commit) == (3, 1)


def test_a_heartbeat_tells_no_commit_beyond_what_the_follower_confirmed() -> None:
    council = Council()
    council.elect(1)
    council.drop = lambda m: isinstance(m, Append) and m.to == 3
    council.propose(1, b"without 3")
    council.pass_ms(200)
    told = [m.commit for m in council.sent if isinstance(m, Heartbeat) and m.to == 3]
    assert council.cores[1].state.commit == 2 and max(told) == 1


def test_a_new_leader_finishes_what_the_old_one_began() -> None:
    council = Council()
    council.elect(1)
    council.drop = lambda m: isinstance(m, AppendReply)
    council.propose(1, b"on all disks, committed nowhere")
    council.cut.add(1)
    council.drop = lambda m: False
    council.pass_ms(2000)
    assert council.leader() in (2, 3)
    assert council.payloads(2) == council.payloads(3) == [b"on all disks, committed nowhere"]


def test_every_replica_can_be_restarted_in_turn() -> None:
    council = Council()
    council.elect(1)
    for round_number in range(6):
        assert council.propose(council.leader(), b"%d" % round_number)
        council.restart(round_number % 3 + 1)
        council.pass_ms(2500)
        assert council.cores[council.leader()].state.role is Role.LEADER
    for replica in council.members:
        assert council.payloads(replica) == [b"%d" % n for n in range(6)]
