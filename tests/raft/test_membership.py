"""The leader's rules for changing who counts, each by its letter (consensus 1)."""

from collections.abc import Callable
from random import Random

import pytest

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.log import RaftLog
from raft.membership import Change, ChangeRefused, left, target
from raft.messages import Message, TimeoutNow
from raft.model import Membership, ReplicaId
from raft.stable import MemoryLog
from raft.state import Role

STEP_MS = 15
FOUNDERS = frozenset({1, 2, 3})


class Group:
    """Cores with perfect disks and a network that loses what is sent to or by the silent."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.silent: set[ReplicaId] = set()
        self.cores: dict[ReplicaId, Core] = {}
        self.storages: dict[ReplicaId, MemoryLog] = {}
        self.sent: list[Message] = []
        for replica in sorted(FOUNDERS):
            self.start(replica, Membership(FOUNDERS))
        self.run_until(lambda: self.leader is not None)
        self.run(10)

    def start(self, replica: ReplicaId, base: Membership) -> None:
        storage = self.storages.setdefault(replica, MemoryLog(cluster=b"c", replica=replica))
        self.cores[replica] = Core(
            config=RaftConfig(promote_lag_max=5),
            replica=replica,
            configs=Configs(base, entries=storage.configs),
            log=RaftLog(
                storage,
                last=storage.last,
                term_runs=storage.term_runs,
                window_bytes_max=1 << 20,
            ),
            hard_state=storage.hard_state,
            applied=0,
            random=Random(replica),
            now_ms=self.now_ms,
        )

    @property
    def leader(self) -> Core | None:
        leaders = [
            core
            for replica, core in self.cores.items()
            if core.state.role is Role.LEADER and replica not in self.silent
        ]
        return max(leaders, key=lambda core: core.state.term, default=None)

    @property
    def members(self) -> Membership:
        assert self.leader is not None
        return self.leader.state.membership

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.now_ms += STEP_MS
            messages: list[Message] = []
            for core in self.cores.values():
                core.tick(self.now_ms)
                ready = core.ready(self.now_ms)
                if ready.persist is not None:
                    self.storages[core.state.replica].write([ready.persist])
                    core.persisted(ready.persist.number, self.now_ms)
                messages += ready.send
                while core.take_committed():
                    pass
            self.sent += messages
            for message in messages:
                if {message.sender, message.to} & self.silent or message.to not in self.cores:
                    continue
                self.cores[message.to].step(message, self.now_ms)

    def run_until(self, done: Callable[[], bool]) -> None:
        for _ in range(400):
            if done():
                return
            self.run(1)
        raise AssertionError("it did not come to that")

    def change(self, change: Change) -> None:
        assert self.leader is not None
        self.leader.change_membership(change, self.now_ms)

    def join(self, replica: ReplicaId) -> None:
        """A new replica becomes a learner and catches up."""
        self.start(replica, Membership(frozenset()))
        self.change(Change(learners=frozenset({replica}), contexts=((replica, b"note"),)))
        self.run(10)

    def promote(self, replica: ReplicaId) -> None:
        self.change(Change(promote=frozenset({replica})))

    def remove(self, replica: ReplicaId, *, force: bool = False) -> None:
        self.change(Change(remove=frozenset({replica}), force=force))


@pytest.fixture
def group() -> Group:
    return Group()


def test_a_learner_gets_the_log_and_does_not_count(group: Group) -> None:
    group.join(4)
    assert group.members.learners == {4} and not group.members.counts(4)
    assert group.storages[4].last == group.storages[1].last
    assert dict(group.members.contexts)[4] == b"note"
    group.silent |= {2, 3} if group.leader is group.cores[1] else {1, 3}
    lone = group.leader
    assert lone is not None
    commit = lone.state.commit
    lone.propose([b"with a learner's help"], group.now_ms)
    group.run(20)
    assert lone.state.commit == commit  # (b)


def test_a_promotion_passes_through_a_joint_change(group: Group) -> None:
    group.join(4)
    group.promote(4)
    assert group.members.outgoing == FOUNDERS and group.members.voters == {1, 2, 3, 4}
    group.run(10)
    assert not group.members.is_joint and group.members.voters == {1, 2, 3, 4}
    assert all(core.state.membership == group.members for core in group.cores.values())


def test_a_joint_change_needs_both_majorities(group: Group) -> None:
    group.join(4)
    group.join(5)
    leader = group.leader
    assert leader is not None
    out = FOUNDERS - {leader.state.replica}
    group.change(Change(promote=frozenset({4, 5}), remove=out))
    group.silent |= out
    group.run(10)
    assert leader.state.membership.is_joint  # (a): the new three agree, of the old three only one
    group.silent.clear()
    group.run_until(lambda: group.leader is not None and not group.members.is_joint)
    assert group.members.removed == out


def test_who_leads_next_finishes_a_joint_change(group: Group) -> None:
    group.join(4)
    old = group.leader
    assert old is not None
    group.promote(4)
    group.run(1)  # the others have it; nobody knows that a majority has
    group.silent.add(old.state.replica)
    group.run_until(lambda: group.leader is not None and not group.members.is_joint)
    assert group.leader is not old
    assert group.members.voters == FOUNDERS | {4} and not group.members.removed


def test_one_change_at_a_time(group: Group) -> None:
    group.change(Change(learners=frozenset({4})))
    with pytest.raises(ChangeRefused, match="under way"):  # (c)
        group.change(Change(learners=frozenset({5})))


def test_no_change_before_the_leader_has_committed_in_its_term(group: Group) -> None:
    old = group.leader
    assert old is not None
    group.silent.add(old.state.replica)
    group.run_until(lambda: group.leader is not None)
    new = group.leader
    assert new is not None and new.state.commit < new.state.term_start
    with pytest.raises(ChangeRefused, match="has not committed in its term"):  # (d)
        group.change(Change(learners=frozenset({4})))


def test_a_removed_id_never_comes_back(group: Group) -> None:
    group.join(4)
    group.remove(4)
    group.run(10)
    with pytest.raises(ChangeRefused, match="was removed"):  # (e)
        group.change(Change(learners=frozenset({4})))


def test_voters_that_cannot_be_reached_are_not_left_alone_unless_forced(group: Group) -> None:
    leader = group.leader
    assert leader is not None
    dead, alive = sorted(FOUNDERS - {leader.state.replica})
    group.silent.add(dead)
    group.run(80)
    with pytest.raises(ChangeRefused, match="majority of themselves"):  # (f)
        group.remove(alive)
    group.remove(alive, force=True)


def test_a_learner_that_is_behind_or_silent_is_not_promoted(group: Group) -> None:
    group.join(4)
    group.silent.add(4)
    assert group.leader is not None
    group.leader.propose([b"."] * 6, group.now_ms)
    group.run(10)
    with pytest.raises(ChangeRefused, match="6 entries behind"):  # (g)
        group.promote(4)
    group.silent.clear()
    group.run(20)
    group.silent.add(4)
    group.run(80)
    with pytest.raises(ChangeRefused, match="or silent"):
        group.promote(4)


def test_the_configuration_before_comes_back_with_the_log(group: Group) -> None:
    old = group.leader
    assert old is not None
    group.silent.add(old.state.replica)
    old.change_membership(Change(learners=frozenset({4})), group.now_ms)
    assert old.state.membership.learners == {4}
    group.run_until(lambda: group.leader is not None)
    group.silent.clear()
    group.run(40)
    assert old.state.membership == Membership(FOUNDERS)  # (h)


def test_the_configuration_is_found_in_the_log_at_a_restart(group: Group) -> None:
    group.join(4)
    members = group.members
    group.start(2, Membership(frozenset({2})))  # whatever its file says now
    assert group.cores[2].state.membership == members


def test_a_removed_leader_makes_way_and_a_voter_takes_over(group: Group) -> None:
    leader = group.leader
    assert leader is not None
    group.remove(leader.state.replica)
    group.run(30)
    assert leader.state.role is Role.FOLLOWER
    assert group.members.voters == FOUNDERS - {leader.state.replica}
    assert any(isinstance(message, TimeoutNow) for message in group.sent)
    assert leader.state.replica in leader.state.membership.removed  # it knows


def test_who_alone_holds_the_entry_that_removes_it_leads_once_more(group: Group) -> None:
    """Thesis 4.2.2: its longer log keeps everybody else from being elected."""
    leader = group.leader
    assert leader is not None
    own = leader.state.replica
    other, third = sorted(FOUNDERS - {own})
    group.remove(third)
    group.run(30)
    group.remove(own)
    state = leader.state
    group.run_until(
        lambda: state.commit == state.configs.active_index and state.membership.is_joint
    )
    group.silent.add(own)
    group.run(60)
    assert state.membership.voters == {other} and group.cores[other].state.membership.is_joint
    group.silent.clear()
    group.run_until(lambda: group.leader is group.cores[other])
    group.run(10)
    assert group.members == state.membership and not group.members.is_joint


def test_a_removed_replica_that_never_heard_of_it_disturbs_nobody(group: Group) -> None:
    assert group.leader is not None
    gone = min(FOUNDERS - {group.leader.state.replica})
    group.silent.add(gone)
    group.run(5)
    group.remove(gone)
    group.run(100)
    term = group.leader.state.term
    group.silent.clear()
    group.run(200)
    assert group.leader.state.term == term
    assert group.cores[gone].state.role is not Role.LEADER


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change(learners=frozenset({0})), "nobody"),
        (Change(learners=frozenset({2})), "member already"),
        (Change(remove=frozenset({9})), "no member"),
        (Change(promote=frozenset({2})), "no learner"),
        (Change(remove=FOUNDERS), "last voter"),
        (Change(contexts=((9, b""),)), "no member"),
        (Change(contexts=((1, bytes(2000)),)), "too long"),
        (Change(), "nothing would change"),
        (Change(learners=frozenset(range(10, 200))), "as many members"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(
    group: Group, change: Change, why: str
) -> None:
    with pytest.raises(ChangeRefused, match=why):
        group.change(change)


def test_who_does_not_lead_changes_nothing(group: Group) -> None:
    follower = next(c for c in group.cores.values() if c.state.role is Role.FOLLOWER)
    with pytest.raises(ChangeRefused, match="does not lead"):
        follower.change_membership(Change(learners=frozenset({4})), group.now_ms)


def test_contexts_go_with_their_members() -> None:
    before = Membership(FOUNDERS, contexts=((1, b"a"), (2, b"b")))
    after = target(before, Change(remove=frozenset({1})))
    assert after.contexts == ((2, b"b"),) and after.removed == {1}
    joint = Membership(frozenset({2, 3}), outgoing=FOUNDERS, contexts=((1, b"a"), (2, b"b")))
    assert left(joint) == Membership(
        frozenset({2, 3}), removed=frozenset({1}), contexts=((2, b"b"),)
    )
