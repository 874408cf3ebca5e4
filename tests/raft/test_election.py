"""Elections: pre-vote, votes, leases, hand-over, and who must not lead."""

from random import Random

from raft.config import RaftConfig
from raft.configs import Configs, encode_membership
from raft.core import Core
from raft.log import RaftLog
from raft.messages import Append, Heartbeat, TimeoutNow, VoteReply, VoteRequest
from raft.model import NOBODY, Entry, EntryKind, HardState, Membership
from raft.stable import MemoryLog
from raft.state import Role
from tests.raft.story import Council, entry, step


def ask(
    sender: int, to: int, term: int, *, pre: bool = False, last: tuple[int, int] = (0, 0)
) -> VoteRequest:
    return VoteRequest(0, sender, to, term, pre, False, last_index=last[1], last_term=last[0])


def answers(core: Core, now_ms: int = 0) -> list[VoteReply]:
    """The votes this core gives out, once its disk is done."""
    ready = core.ready(now_ms)
    sent = list(ready.send)
    if ready.persist is not None:
        assert not [m for m in sent if isinstance(m, VoteReply) and not m.pre], "too early"
        core.persisted(ready.persist.number, now_ms)
        sent += core.ready(now_ms).send
    return [message for message in sent if isinstance(message, VoteReply)]


def test_somebody_is_elected_and_only_one() -> None:
    council = Council()
    council.pass_ms(900)
    roles = council.roles()
    assert roles.count(Role.LEADER) == 1 and roles.count(Role.FOLLOWER) == 2
    assert council.terms() == [1, 1, 1]


def test_a_restarted_replica_waits_its_time_and_no_longer() -> None:
    council = Council()
    council.elect(1)
    config = council.config
    council.cut.add(1)
    for replica in (2, 3):
        council.restart(replica)
    restarted_ms = council.now_ms
    council.pass_ms(config.election_ms_min - 15)
    assert [m for m in council.sent if isinstance(m, VoteRequest) and m.term > 1] == []
    while council.cores[2].state.term == council.cores[3].state.term == 1:
        council.pass_ms(15)
    assert council.now_ms - restarted_ms <= config.election_ms_max + 15


def test_a_single_voter_elects_itself_after_its_disk_agrees() -> None:
    council = Council(size=1)
    council.stuck_disks.add(1)
    council.pass_ms(300)
    council.cores[1].state.election_due_ms = council.now_ms
    council.pass_ms(30)
    assert council.roles() == [Role.CANDIDATE]
    council.stuck_disks.clear()
    council.settle()
    assert council.roles() == [Role.LEADER]
    assert council.cores[1].state.commit == 1


def test_a_vote_waits_for_the_disk() -> None:
    core = Council().cores[1]
    core.step(ask(2, 1, 5), 0)
    ready = core.ready(0)
    assert ready.send == ()
    assert ready.persist is not None and ready.persist.hard_state == HardState(5, 2)
    core.persisted(ready.persist.number, 0)
    assert core.ready(0).send == (VoteReply(0, 1, 2, 5, pre=False, granted=True),)


def test_one_vote_a_term_but_the_same_one_again() -> None:
    core = Council().cores[1]
    core.step(ask(2, 1, 5), 0)
    assert [reply.granted for reply in answers(core)] == [True]
    core.step(ask(3, 1, 5), 0)
    assert [reply.granted for reply in answers(core)] == [False]
    core.step(ask(2, 1, 5), 0)
    assert [reply.granted for reply in answers(core)] == [True]


def test_no_vote_for_a_log_that_lacks_entries() -> None:
    council = Council()
    council.storage[1].write([step(entry(1), entry(2, term=2), hard_state=HardState(2, 0))])
    council.restart(1)
    core = council.cores[1]
    for term, last, granted in ((3, (1, 9), False), (4, (2, 1), False), (5, (2, 2), True)):
        core.step(ask(2, 1, term, last=last), 0)
        assert [reply.granted for reply in answers(core)] == [granted], last


def test_a_pre_vote_changes_no_term() -> None:
    core = Council().cores[1]
    core.step(ask(2, 1, 9, pre=True), 0)
    assert answers(core) == [VoteReply(0, 1, 2, 9, pre=True, granted=True)]
    assert (core.state.term, core.state.vote) == (0, NOBODY)


def test_a_replica_that_was_cut_off_does_not_unseat_the_leader() -> None:
    """etcd 9333: without pre-vote it would come back with a higher term."""
    council = Council()
    council.elect(1)
    council.cut.add(3)
    council.pass_ms(5000)
    assert council.cores[3].state.term == 1
    council.cut.clear()
    council.pass_ms(2000)
    assert council.leader() == 1 and council.terms() == [1, 1, 1]


def test_nobody_votes_while_a_leader_is_heard() -> None:
    council = Council()
    council.elect(1)
    core = council.cores[2]
    for pre in (True, False):
        core.step(ask(3, 2, 7, pre=pre, last=(1, 99)), council.now_ms)
        assert answers(core, council.now_ms) == []
    assert core.state.term == 1


def test_a_request_of_an_older_term_is_told_ours() -> None:
    """etcd 8243: otherwise a pre-candidate of an older term asks for ever."""
    council = Council()
    council.storage[1].write([step(hard_state=HardState(8, 0))])
    council.restart(1)
    for pre in (True, False):
        council.cores[1].step(ask(2, 1, 3, pre=pre), 0)
        assert answers(council.cores[1]) == [VoteReply(0, 1, 2, 8, pre=pre, granted=False)]


def test_a_leader_of_an_older_term_is_told_ours_and_follows() -> None:
    council = Council()
    council.elect(1)
    council.storage[3].write([step(hard_state=HardState(8, 0))])
    council.restart(3)
    council.pass_ms(2500)
    assert min(council.terms()) > 8
    assert council.cores[council.leader()].state.commit >= 2


def test_a_leader_without_a_majority_steps_down() -> None:
    council = Council()
    council.elect(1)
    council.cut |= {2, 3}
    council.pass_ms(council.config.election_ms_max + 100)
    assert council.cores[1].state.role is not Role.LEADER
    assert council.cores[1].state.leader == NOBODY


def test_a_leader_whose_disk_hangs_makes_way_and_does_not_campaign() -> None:
    council = Council()
    council.elect(1)
    council.stuck_disks.add(1)
    council.propose(1, b"stuck here")
    council.pass_ms(3000)
    assert council.leader() != 1
    assert council.propose(council.leader(), b"goes on")
    assert council.payloads(council.leader())[-1] == b"goes on"
    council.stuck_disks.clear()
    council.pass_ms(500)
    assert council.payloads(1)[-1] == b"goes on"


def test_a_replica_whose_disk_hangs_does_not_even_ask_for_votes() -> None:
    council = Council()
    council.elect(1)
    council.stuck_disks.add(2)
    council.propose(1, b"stuck at 2")
    council.pass_ms(council.config.election_ms_min)
    follower = council.cores[2]
    council.now_ms += council.config.election_ms_max
    follower.tick(council.now_ms)
    assert follower.state.is_disk_silent and follower.state.role is Role.FOLLOWER
    assert not follower.ready(council.now_ms).send


def test_leadership_is_handed_over_at_once() -> None:
    council = Council()
    leader = council.elect(1)
    council.propose(1, b"before")
    assert leader.hand_over(3, council.now_ms)
    council.settle()
    assert council.leader() == 3
    assert leader.state.role is Role.FOLLOWER and leader.state.handover is None


def test_a_hand_over_waits_until_the_target_has_everything() -> None:
    council = Council()
    leader = council.elect(1)
    council.propose(1, b"here")
    council.stuck_disks.add(3)
    council.propose(1, b"on its way")
    assert leader.hand_over(3, council.now_ms)
    council.settle()
    assert not any(isinstance(message, TimeoutNow) for message in council.sent)
    council.stuck_disks.clear()
    council.settle()
    assert council.leader() == 3


def test_handing_over_is_refused_to_whoever_lags_or_does_not_vote() -> None:
    council = Council()
    leader = council.elect(1)
    assert not leader.hand_over(9, council.now_ms)
    assert not leader.hand_over(1, council.now_ms)
    council.cut.add(3)
    council.propose(1, *[b"x"] * (council.config.transfer_lag_max + 1))
    assert not leader.hand_over(3, council.now_ms)
    assert not council.cores[2].hand_over(3, council.now_ms)


def test_a_hand_over_that_fails_ends_by_itself() -> None:
    """hashicorp/raft 696: "transfer in progress" for ever."""
    council = Council()
    leader = council.elect(1)
    council.drop = lambda message: isinstance(message, TimeoutNow)
    assert leader.hand_over(3, council.now_ms)
    assert not council.propose(1, b"waits")
    council.pass_ms(council.config.election_ms_max + 20)
    assert leader.state.role is Role.LEADER and leader.state.handover is None
    assert council.propose(1, b"goes on")


def test_a_hand_over_is_forgotten_when_the_role_changes() -> None:
    council = Council()
    leader = council.elect(1)
    council.drop = lambda message: isinstance(message, TimeoutNow)
    leader.hand_over(3, council.now_ms)
    leader.step(Heartbeat(0, 2, 1, 9, commit=0, round=1), council.now_ms)
    assert leader.state.handover is None


def test_only_the_leader_may_ask_for_an_election() -> None:
    council = Council()
    council.elect(1)
    council.cores[2].step(TimeoutNow(0, 3, 2, 1), council.now_ms)
    assert council.cores[2].state.role is Role.FOLLOWER


def test_a_lost_connection_to_the_leader_shortens_the_wait() -> None:
    council = Council()
    council.elect(1)
    council.cut.add(1)
    for replica in (2, 3):
        council.cores[replica].peer_lost(1, council.now_ms)
    council.pass_ms(2 * council.config.heartbeat_ms + 30)
    assert council.leader() in (2, 3)


def test_a_false_alarm_of_one_replica_changes_nothing() -> None:
    council = Council()
    council.elect(1)
    council.cores[2].peer_lost(1, council.now_ms)
    council.pass_ms(1000)
    assert council.leader() == 1 and council.terms() == [1, 1, 1]


def test_an_answer_to_an_election_that_is_over_is_not_counted() -> None:
    council = Council(size=5)
    core = council.cores[1]
    core.state.election_due_ms = 0
    core.tick(0)
    core.step(VoteReply(0, 2, 1, 0, pre=False, granted=True), 0)
    core.step(VoteReply(0, 3, 1, 7, pre=True, granted=True), 0)
    assert core.state.role is Role.PRE_CANDIDATE
    assert core.state.votes == {1: True}


def test_the_removed_and_misdirected_messages_are_ignored() -> None:
    core = Council().cores[1]
    core.state.configs.install(0, Membership(frozenset({1, 2, 3}), removed=frozenset({9})))
    core.step(ask(9, 1, 5), 0)
    core.step(ask(2, 3, 5), 0)
    core.step(Append(1, 2, 1, 5, 0, 0, 0, ()), 0)
    assert core.state.term == 0 and core.ready(0).send == ()


def test_who_counts_in_a_configuration_that_we_do_not_have_yet_is_heard() -> None:
    core = Council().cores[1]
    core.step(ask(9, 1, 5), 0)
    assert core.state.term == 5


def test_a_learner_that_hears_no_leader_for_long_knows_of_none() -> None:
    """It never campaigns, but if it was removed unheard it must learn to ask."""
    learner = Core(
        config=RaftConfig(),
        replica=5,
        configs=Configs(Membership(frozenset({1, 2, 3}), learners=frozenset({5}))),
        log=RaftLog(
            MemoryLog(cluster=bytes(16), replica=5),
            last=0,
            term_runs=(),
            start=0,
            window_bytes_max=1,
        ),
        hard_state=HardState(1, NOBODY),
        applied=0,
        random=Random(1),
        now_ms=0,
    )
    learner.step(Heartbeat(0, 1, 5, 1, 0, 0), 1)
    assert learner.state.leader == 1
    for _ in range(3):
        now_ms = learner.due_ms
        learner.tick(now_ms)
    assert (learner.state.leader, learner.state.role) == (NOBODY, Role.FOLLOWER)
    assert learner.ready(now_ms).send == ()
    learner.step(Heartbeat(0, 2, 5, 1, 0, 0), now_ms)
    assert learner.state.leader == 2


def test_a_replica_that_lost_its_rows_may_still_finish_its_own_removal() -> None:
    """It knows of nothing that was committed, and what its cluster was formed with has no place for
    it; but nobody else has the entry that it must commit to be gone."""
    here = Membership(frozenset({3}), learners=frozenset({2}))
    joint = Membership(frozenset({2}), outgoing=frozenset({3}))
    gone = Membership(frozenset({2}), removed=frozenset({3}))
    storage = MemoryLog(cluster=bytes(16), replica=3)
    held = [
        Entry(index, 1, EntryKind.CONFIG, encode_membership(membership))
        for index, membership in enumerate((here, joint, gone), 1)
    ]
    storage.write([step(*held)])
    core = Core(
        config=RaftConfig(),
        replica=3,
        configs=Configs(Membership(frozenset()), entries=storage.configs),
        log=RaftLog(storage, last=3, term_runs=((1, 1),), start=0, window_bytes_max=1),
        hard_state=HardState(1, NOBODY),
        applied=0,
        random=Random(1),
        now_ms=0,
    )
    core.tick(core.due_ms)
    assert core.state.role is Role.PRE_CANDIDATE
    asked = core.ready(core.state.now_ms).send
    assert [message.to for message in asked if isinstance(message, VoteRequest)] == [2]
