"""Changes of membership in the simulation: who makes them, and what must hold of them (9, 10).

The checker follows every replica's configurations by the steps its disk is given, and counts
majorities by itself: nothing here trusts raft.quorum or what a replica says of itself.
"""

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Final

from raft.configs import decode_membership
from raft.membership import Change, ChangeRefused
from raft.model import Entry, EntryKind, Index, Membership, Persist, ReplicaId, SnapshotMeta
from raft.state import Role, State

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

# New replicas in one run: each has a disk, and all of the log to catch up with.
JOINERS_MAX: Final = 8
MEMBERS_MAX: Final = 7


class Wrong(AssertionError):
    """A configuration that must not be; the checker names it as any other violation."""


def majority_in(group: frozenset[ReplicaId], holders: Iterable[ReplicaId]) -> bool:
    """More than half of a group, which may be empty only outside a joint change."""
    return 2 * len(group & set(holders)) > len(group)


def decides(membership: Membership, holders: Iterable[ReplicaId]) -> bool:
    """Whether these are a quorum: of the voters and, in a joint change, of the outgoing too."""
    holders = list(holders)
    if not majority_in(membership.voters, holders):
        return False
    return not membership.outgoing or majority_in(membership.outgoing, holders)


class Memberships:
    """Every replica's configurations, and the one the cluster has committed last."""

    def __init__(self, founding: Membership) -> None:
        self.founding = founding
        self.committed = self.founding
        self._history: list[tuple[Index, Membership]] = [(0, self.founding)]
        self._of: dict[ReplicaId, list[tuple[Index, Membership]]] = {}
        self.started(founding.everyone, {})

    def started(
        self, replicas: Iterable[ReplicaId], found: dict[ReplicaId, list[tuple[Index, Membership]]]
    ) -> None:
        """Replicas begin, or begin again with what their logs hold."""
        for replica in replicas:
            is_founder = replica in self.founding.everyone
            base = self.founding if is_founder else Membership(frozenset())
            self._of[replica] = [(0, base), *found.get(replica, [])]

    def active(self, replica: ReplicaId) -> Membership:
        """What counts for a replica now."""
        return self._of[replica][-1][1]

    def handed(self, state: State, step: Persist) -> None:
        """The log of a replica changes; 9: a leader makes one configuration at a time."""
        known = self._of[state.replica]
        if step.truncate_from is not None:
            while known[-1][0] >= step.truncate_from:
                known.pop()
        if step.snapshot is not None:
            self.forgot(state.replica, step.snapshot)
            known = self._of[state.replica]
        for entry in step.entries:
            if entry.kind is not EntryKind.CONFIG:
                continue
            made_here = state.role is Role.LEADER and entry.term == state.term
            if made_here and known[-1][0] > state.commit:
                raise Wrong(f"9: two configurations at once: {known[-1]}, {entry}")
            known.append((entry.index, decode_membership(entry.payload)))

    def forgot(self, replica: ReplicaId, meta: SnapshotMeta) -> None:
        """A log begins behind a snapshot, which must know who counted there."""
        there = [membership for index, membership in self._history if index <= meta.index][-1]
        if meta.membership != there:
            raise Wrong(f"9: a snapshot of {meta.index} with the members {meta.membership}")
        later = [held for held in self._of[replica] if held[0] > meta.index]
        self._of[replica] = [(meta.index, there), *later]

    def check_active(self, state: State) -> None:
        """h: the configuration is the newest of the log, after truncation and restarts too."""
        held, known = state.configs.active, self._of[state.replica][-1][1]
        if held is not known and held != known:
            raise Wrong(f"9: not the newest of the log: {state.replica} {state.membership}")

    def applied(self, entry: Entry) -> None:
        """9, 10: each committed configuration shares a quorum with the next; nobody comes back."""
        if entry.kind is not EntryKind.CONFIG:
            return
        before, after = self.committed, decode_membership(entry.payload)
        if after.outgoing:
            overlaps = not before.outgoing and after.outgoing == before.voters
        else:
            overlaps = after.voters == before.voters
        if not overlaps:
            raise Wrong(f"9: quorums need not overlap: {before} then {after}")
        if before.removed - after.removed or before.removed & set(after.everyone):
            raise Wrong(f"10: a removed replica is back: {before} then {after}")
        self.committed = after
        self._history.append((entry.index, after))


class Reformer:
    """Draws changes and asks the leader for them."""

    def __init__(self, cluster: "Cluster", random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._joined = 0

    def act(self) -> None:
        """One change, if the leader takes it."""
        leader = self._cluster.leader()
        if leader is None or leader.core is None:
            return
        if self._cluster.now_us < leader.paused_until_us:
            return
        if self._cluster.is_hurt:
            return  # who has forgotten does not vote: the others may need everybody there is
        name, change = self._draw(leader.core.state.membership, leader.replica)
        try:
            leader.core.change_membership(change, leader.now_ms(self._cluster.now_us))
        except ChangeRefused:
            self._cluster.faults["change refused"] += 1
            return
        self._cluster.faults[name] += 1
        self._cluster.turn(leader)

    def _draw(self, now: Membership, leader: ReplicaId) -> tuple[str, Change]:
        random = self._random
        learners, voters = sorted(now.learners), sorted(now.voters)
        force = random.random() < 0.3
        choice = random.random()
        has_room = self._joined < JOINERS_MAX and len(now.everyone) < MEMBERS_MAX
        if has_room and choice < (0.3 if learners else 0.7):
            self._joined += 1
            joining = self._cluster.join()
            note = ((joining, b"%d" % joining),)
            return "learner", Change(learners=frozenset({joining}), contexts=note)
        choice = random.random()
        if learners and choice < 0.5:
            return "promotion", Change(promote=frozenset({random.choice(learners)}), force=force)
        if learners and choice < 0.75:
            out, joining = random.choice(voters), random.choice(learners)
            change = Change(promote=frozenset({joining}), remove=frozenset({out}), force=force)
            return "replacement", change
        if choice < 0.85:
            return "leader removed", Change(remove=frozenset({leader}), force=force)
        return "removal", Change(remove=frozenset({random.choice(now.everyone)}), force=force)
