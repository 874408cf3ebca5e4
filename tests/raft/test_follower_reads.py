"""A follower's question is its vote of confidence: among three, two messages make a read."""

import pytest

from raft.messages import Heartbeat, ReadReply, ReadRequest
from raft.model import Membership, ReplicaId
from raft.progress import Progress
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


def is_answered_at_once(membership: Membership, asker: ReplicaId) -> bool:
    """Whether leader 1 answers the asker's question without a round, under this membership."""
    council = Council()
    leader = council.elect(1)
    state = leader.state
    state.configs.install(state.commit, membership)
    for replica in set(membership.everyone) - {1}:
        state.progress.setdefault(replica, Progress(replica, state.log.last, council.now_ms))
    leader.step(ReadRequest(0, asker, 1, state.term, 5), council.now_ms)
    return any(isinstance(message, ReadReply) for message in leader.ready(council.now_ms).send)


def test_a_learner_is_no_half_of_a_majority() -> None:
    two = Membership(frozenset({1, 2}), learners=frozenset({3}))
    assert is_answered_at_once(two, 2)
    assert not is_answered_at_once(two, 3)


@pytest.mark.parametrize(("asker", "at_once"), [(2, True), (3, False), (4, False), (5, False)])
def test_in_a_joint_change_both_halves_must_have_their_majority(
    asker: ReplicaId, at_once: bool
) -> None:
    """3 counts among the old voters only, 4 among the new ones only, 5 nowhere."""
    joint = Membership(frozenset({1, 2, 4}), outgoing=frozenset({1, 2, 3}), learners=frozenset({5}))
    assert is_answered_at_once(joint, asker) is at_once


def test_a_leader_on_its_way_out_is_no_half_either() -> None:
    assert not is_answered_at_once(Membership(frozenset({2, 3, 4})), 2)
