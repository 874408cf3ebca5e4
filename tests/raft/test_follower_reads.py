"""A follower's question is its vote of confidence: among three, two messages make a read."""

from raft.messages import Heartbeat, ReadReply, ReadRequest
from tests.raft.story import Council


def test_among_three_the_leader_answers_a_follower_without_a_round() -> None:
    council = Council()
    council.elect(1)
    council.propose(1, b"a")
    council.sent.clear()
    ticket = council.cores[2].take_read_ticket(council.now_ms)
    council.settle()
    assert council.confirmed[2] == [(ticket, 2)]
    assert [type(message) for message in council.sent] == [ReadRequest, ReadReply]


def test_among_five_it_holds_a_round() -> None:
    council = Council(size=5)
    council.elect(1)
    council.sent.clear()
    ticket = council.cores[2].take_read_ticket(council.now_ms)
    council.settle()
    assert council.confirmed[2] == [(ticket, 1)]
    assert len([message for message in council.sent if isinstance(message, Heartbeat)]) == 4


def test_a_question_from_another_term_proves_nothing() -> None:
    council = Council()
    leader = council.elect(1)
    council.cut |= {2, 3}
    leader.step(ReadRequest(0, 2, 1, leader.state.term - 1, 5), council.now_ms)
    assert not [m for m in leader.ready(council.now_ms).send if isinstance(m, ReadReply)]


def test_a_leader_that_has_committed_nothing_of_its_term_answers_later() -> None:
    council = Council()
    leader = council.elect(1)
    council.cut |= {2, 3}
    leader.state.term_start = leader.state.log.last + 1
    leader.step(ReadRequest(0, 2, 1, leader.state.term, 5), council.now_ms)
    assert not [m for m in leader.ready(council.now_ms).send if isinstance(m, ReadReply)]
