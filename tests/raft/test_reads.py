"""Read indexes: confirmed by a round, shared by those who wait, never by a late answer."""

from raft.messages import Heartbeat, HeartbeatReply, ReadReply, ReadRequest
from raft.state import Role
from tests.raft.story import Council


def test_a_leaders_reader_waits_for_one_round() -> None:
    council = Council()
    leader = council.elect(1)
    council.propose(1, b"a")
    ticket = leader.take_read_ticket(council.now_ms)
    ready = leader.ready(council.now_ms)
    assert ready.reads is None
    assert [type(m) for m in ready.send] == [Heartbeat, Heartbeat]
    council.mail.extend(ready.send)
    council.settle()
    assert council.confirmed[1] == [(ticket, 2)]


def test_a_followers_reader_asks_the_leader() -> None:
    council = Council()
    council.elect(1)
    council.propose(1, b"a")
    ticket = council.cores[2].take_read_ticket(council.now_ms)
    council.settle()
    assert council.confirmed[2] == [(ticket, 2)]


def test_a_single_voter_confirms_at_once() -> None:
    council = Council(size=1)
    leader = council.elect(1)
    ticket = leader.take_read_ticket(council.now_ms)
    ready = leader.ready(council.now_ms)
    assert ready.reads is not None and (ready.reads.ticket, ready.reads.index) == (ticket, 1)
    assert ready.send == ()


def test_many_readers_share_a_round() -> None:
    council = Council()
    leader = council.elect(1)
    council.sent.clear()
    for _ in range(50):
        ticket = leader.take_read_ticket(council.now_ms)
    council.settle()
    assert [confirmed for confirmed, _ in council.confirmed[1]] == [ticket]
    assert len([m for m in council.sent if isinstance(m, Heartbeat)]) == 2


def test_who_comes_during_a_round_waits_for_the_next() -> None:
    council = Council()
    leader = council.elect(1)
    first = leader.take_read_ticket(council.now_ms)
    council.mail.extend(leader.ready(council.now_ms).send)
    second = leader.take_read_ticket(council.now_ms)
    council.settle()
    assert [ticket for ticket, _ in council.confirmed[1]] == [first, second]


def test_an_isolated_leader_confirms_nothing() -> None:
    council = Council()
    leader = council.elect(1)
    council.cut |= {2, 3}
    leader.take_read_ticket(council.now_ms)
    council.pass_ms(3000)
    assert council.confirmed[1] == [] and leader.state.role is not Role.LEADER


def test_an_answer_to_an_earlier_round_does_not_confirm_this_one() -> None:
    """etcd 20418: a late answer after a pause."""
    council = Council()
    leader = council.elect(1)
    council.cut |= {2, 3}
    leader.take_read_ticket(council.now_ms)
    council.settle()
    assert leader.state.reads.running is not None
    stale = leader.state.reads.running.number - 1
    for replica in (2, 3):
        leader.step(HeartbeatReply(0, replica, 1, leader.state.term, stale), council.now_ms)
        leader.step(HeartbeatReply(0, replica, 1, leader.state.term - 1, 99), council.now_ms)
    council.settle()
    assert council.confirmed[1] == []


def test_a_new_leader_lets_readers_wait_for_its_first_commit() -> None:
    council = Council()
    council.elect(1)
    council.propose(1, b"old")
    council.stuck_disks |= {1, 2, 3}
    council.cut.add(1)
    new = council.cores[2]
    council.stuck_disks.clear()
    council.pass_ms(400)
    new.state.election_due_ms = council.now_ms
    council.stuck_disks.clear()
    new.tick(council.now_ms)
    ticket = new.take_read_ticket(council.now_ms)
    council.pass_ms(1500)
    if council.leader() == 2:
        assert council.confirmed[2][0] == (ticket, new.state.term_start)


def test_a_lost_question_is_asked_again() -> None:
    council = Council()
    council.elect(1)
    council.drop = lambda m: isinstance(m, ReadRequest)
    ticket = council.cores[2].take_read_ticket(council.now_ms)
    council.settle()
    council.drop = lambda m: False
    council.pass_ms(council.config.heartbeat_ms + 20)
    assert [confirmed for confirmed, _ in council.confirmed[2]] == [ticket]


def test_readers_survive_a_change_of_leader() -> None:
    council = Council()
    council.elect(1)
    council.cut.add(1)
    ticket = council.cores[2].take_read_ticket(council.now_ms)
    council.pass_ms(3000)
    assert council.leader() != 1
    assert council.confirmed[2][-1][0] == ticket


def test_an_answer_for_another_boot_fits_nobody() -> None:
    council = Council()
    council.elect(1)
    old = council.cores[2].take_read_ticket(council.now_ms)
    council.restart(2)
    council.cores[2].take_read_ticket(council.now_ms)
    council.cores[2].step(ReadReply(0, 1, 2, 1, old, 99), council.now_ms)
    assert council.cores[2].ready(council.now_ms).reads is None
