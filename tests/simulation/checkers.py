"""What must hold after every event, recomputed from what the disks hold and not from what the
replicas say of themselves. The numbers are those of the invariant table in the design.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from raft.messages import AppendReply, Message, VoteReply
from raft.model import Entry, EntryKind, HardState, Index, Membership, Persist, ReplicaId, Term
from raft.stable import LogStorage
from raft.state import Role, State
from tests.simulation.memberships import Memberships, decides


class Violation(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, what: str, *details: object) -> None:
    """Like assert, but a name of its own in the report."""
    if not holds:
        raise Violation(f"{what}: {details}"[:2000])


@dataclass(slots=True)
class Shadow:
    """What one replica's disk holds for certain: replayed from steps whose fsync returned."""

    truth: Sequence[Entry]  # what was committed, in whose place snapshots stand
    hard_state: HardState = field(default_factory=HardState)
    terms: list[Term] = field(default_factory=list)
    start: Index = 0  # up to here the disk has a state, and no entries

    def write(self, steps: Iterable[Persist]) -> None:
        """These steps are durable now."""
        for step in steps:
            if step.hard_state is not None:
                self.hard_state = step.hard_state
            if step.truncate_from is not None:
                del self.terms[step.truncate_from - 1 :]
            if step.snapshot is not None:
                self.start = step.snapshot.index
                self.terms += [entry.term for entry in self.truth[len(self.terms) : self.start]]
            self.terms += [entry.term for entry in step.entries]

    def after(self, steps: Iterable[Persist]) -> "Shadow":
        """What it would hold, had these become durable too."""
        other = Shadow(self.truth, self.hard_state, list(self.terms), self.start)
        other.write(steps)
        return other

    def mark(self, steps: Sequence[Persist]) -> "Mark":
        """What is to be known to take these steps back, which are about to become durable."""
        kept = len(self.terms)
        for step in steps:
            if step.truncate_from is not None:
                kept = min(kept, step.truncate_from - 1)
        has_snapshot = any(step.snapshot is not None for step in steps)
        return Mark(self.start, kept, self.terms[kept:], has_snapshot)

    def back_at(self, mark: "Mark") -> "list[Shadow]":
        """What it may hold without the last flush; of a vote there is another copy."""
        terms = self.terms[: mark.kept] + mark.taken_back
        before = Shadow(self.truth, self.hard_state, terms, mark.start)
        if not mark.has_snapshot:
            return [before]
        return [before, Shadow(self.truth, self.hard_state, terms[: mark.start], mark.start)]

    def is_what_reads_back(self, storage: LogStorage, *, rotten: bool = False) -> bool:
        """Whether a log that was opened holds just this.

        A `rotten` one may have lost the record that says where it begins. The one before it is
        good then, if what is between them was brought back as it had been committed.
        """
        start = _start_of(storage)
        if start != self.start:
            between = [entry.term for entry in self.truth[start : self.start]]
            if not rotten or start > self.start or self.terms[start : self.start] != between:
                return False
        return (storage.hard_state, _terms_of(storage)) == (self.hard_state, self.terms[start:])


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a shadow stood: its start, and what followed the terms that it kept."""

    start: Index
    kept: int
    taken_back: list[Term]
    has_snapshot: bool  # and so the segments before it are gone, as soon as it was durable


def _start_of(storage: LogStorage) -> Index:
    return 0 if storage.snapshot is None else storage.snapshot.index


def _terms_of(storage: LogStorage) -> list[Term]:
    runs = [*storage.term_runs, (storage.last + 1, 0)]
    terms: list[Term] = []
    for (start, term), (following, _) in pairwise(runs):
        terms += [term] * (following - max(start, _start_of(storage) + 1))
    return terms


class Checker:
    """Sees everything that happens to all replicas of one run."""

    def __init__(self, voters: Sequence[ReplicaId], *, founding: Membership | None = None) -> None:
        """`founding` is given where the cluster is formed with more than voters."""
        self.memberships = Memberships(founding or Membership(frozenset(voters)))
        voters = self.memberships.founding.everyone
        self.applied: list[Entry] = []
        self.applied_at: dict[bytes, Index] = {}
        # From which entry on a leader of which term, or of one before it, has committed them.
        self._committed_in: list[tuple[Index, Term]] = []
        self.shadows = {voter: Shadow(self.applied) for voter in voters}
        self._leaders: dict[Term, ReplicaId] = {}
        self._newest_term = 0  # that anybody has led
        self._entries: dict[tuple[Index, Term], tuple[Term, EntryKind, bytes]] = {}
        self._votes: dict[tuple[ReplicaId, Term], ReplicaId] = {}
        self.applied_by = dict.fromkeys(voters, 0)
        self._commits = dict.fromkeys(voters, 0)
        self._terms = dict.fromkeys(voters, 0)
        self._installed: dict[ReplicaId, Index] = {}
        self._marks: dict[ReplicaId, Mark] = {}
        self._pledged: dict[ReplicaId, list[Term]] = {}
        self._cut_back: dict[ReplicaId, list[Shadow]] = {}
        self.proposed: set[bytes] | None = None  # all that clients asked for, where that is known

    def join(self, replica: ReplicaId) -> None:
        """One more replica, of which nothing is known yet."""
        self.shadows[replica] = Shadow(self.applied)
        self.applied_by[replica] = self._commits[replica] = self._terms[replica] = 0
        self.memberships.started([replica], {})

    # --- one replica, after an event ---

    def after_event(self, state: State) -> None:
        """1, 3, 5, 6, 7: leaders, commits and cursors of the replica that just moved."""
        replica, log = state.replica, state.log
        if state.term != self._terms[replica]:
            require(state.term > self._terms[replica], "6: term went back", replica)
            self._terms[replica] = state.term
        self.memberships.check_active(state)
        if state.role is Role.LEADER and self._leaders.get(state.term) != replica:
            self._new_leader(state)
        if state.commit != self._commits[replica]:
            require(state.commit > self._commits[replica], "6: commit went back", replica)
            if state.role is Role.LEADER:
                self._check_quorum(state)
            self._commits[replica] = state.commit
        if not log.durable <= log.handed <= log.last:
            raise Violation(f"7: cursors out of order: {replica}")
        if not state.applied <= state.commit <= log.last:
            raise Violation(f"7: commit out of range: {replica}")
        if log.start > state.applied and not state.lacks_state:
            raise Violation(f"7: too much forgotten: {replica}")

    def _new_leader(self, state: State) -> None:
        earlier = self._leaders.setdefault(state.term, state.replica)
        self._newest_term = max(self._newest_term, state.term)
        require(earlier == state.replica, "1: two leaders", state.term, earlier, state.replica)
        granted = [
            voter
            for voter in self.shadows
            if self._votes.get((voter, state.term)) == state.replica
            or (voter == state.replica and self.shadows[voter].hard_state.vote == voter)
        ]
        require(
            decides(self.memberships.active(state.replica), granted),
            "10: elected by those who do not count",
            state.replica,
            state.term,
            granted,
        )
        committed = self._committed_before(state.term)
        if committed > state.log.start:
            last = self.applied[committed - 1]
            require(
                state.log.matches(last.index, last.term),
                "3: a leader lacks a committed entry",
                state.replica,
                state.term,
                last.index,
                last.term,
            )

    def _committed_before(self, term: Term) -> Index:
        """The last entry that was surely committed in an earlier term. Whoever is elected so late
        that somebody leads a later term already need not have what that one has committed."""
        last = len(self.applied)
        for first, of_term in reversed(self._committed_in):
            if of_term < term:
                break
            last = first - 1
        return last

    def _check_quorum(self, state: State) -> None:
        index, term = state.commit, state.log.term(state.commit)
        if self._installed.get(state.replica) == index:
            return  # it leads without a state of its own, and was just given one
        # The history that makes this fatal (paper, figure 8) is rare; the rule is checked itself.
        require(term == state.term, "5: an older term's entry was committed by counting", index)
        holders = [
            voter
            for voter, shadow in self.shadows.items()
            if shadow.terms[index - 1 : index] == [term]
            or (voter in self._pledged and self._pledged[voter][index - 1 : index] == [term])
        ]
        require(
            decides(self.memberships.active(state.replica), holders),
            "5: committed without a majority of disks",
            state.replica,
            index,
            holders,
        )

    # --- single happenings ---

    def installed(self, replica: ReplicaId, index: Index) -> None:
        """A state of another replica was put in place here, and so what it holds is committed."""
        require(index <= len(self.applied), "37: a snapshot of the future", replica, index)
        self._installed[replica] = index

    def handed(self, state: State, step: Persist) -> None:
        """2: equal (index, term) means equal entry and equal predecessor, so an equal log."""
        self.memberships.handed(state, step)
        for entry in step.entries:
            if entry.index > state.log.last or state.log.term(entry.index) != entry.term:
                continue
            what = (state.log.term(entry.index - 1), entry.kind, entry.payload)
            known = self._entries.setdefault((entry.index, entry.term), what)
            require(known == what, "2: logs differ", state.replica, entry.index, entry.term)

    def durable(self, replica: ReplicaId, steps: Sequence[Persist]) -> None:
        """The fsync of these steps returned."""
        shadow = self.shadows[replica]
        self._marks[replica] = shadow.mark(steps)
        shadow.write(steps)

    def has_written(self, replica: ReplicaId) -> bool:
        """Whether its log has had a write since it was opened."""
        return replica in self._marks

    def head_damaged(self, replica: ReplicaId) -> None:
        """Its disk may hold all from now on, or all but the last flush.

        What it had acknowledged counts as held: it elects nobody before it has it back."""
        shadow = self.shadows[replica]
        self._pledged[replica] = list(shadow.terms)
        self._cut_back[replica] = shadow.back_at(self._marks[replica])

    def head_restored(self, replica: ReplicaId) -> None:
        """Whatever of its lost end was committed, it has again."""
        self._pledged.pop(replica, None)

    def sent(self, state: State, message: Message) -> None:
        """8, 11: no promise leaves before the disk holds it, and none is given twice."""
        shadow = self.shadows[message.sender]
        if isinstance(message, VoteReply) and message.granted and not message.pre:
            key = (message.sender, message.term)
            earlier = self._votes.setdefault(key, message.to)
            require(earlier == message.to, "8: voted twice", key, earlier, message.to)
            require(
                shadow.hard_state.term > message.term
                or shadow.hard_state == HardState(message.term, message.to),
                "11: a vote left before its fsync",
                message,
                shadow.hard_state,
            )
        if isinstance(message, AppendReply) and message.term == state.term:
            require(
                len(shadow.terms) >= message.match,
                "11: an acknowledgement left before its fsync",
                message,
            )

    def apply(self, replica: ReplicaId, entries: Sequence[Entry]) -> None:
        """4: every replica applies the same entries in the same order, each once a boot."""
        for entry in entries:
            require(
                entry.index == self.applied_by[replica] + 1,
                "4: applied out of order",
                replica,
                entry.index,
            )
            self.applied_by[replica] = entry.index
            if entry.index <= len(self.applied):
                known = self.applied[entry.index - 1]
                require(known == entry, "4: different entries applied", replica, known, entry)
                continue
            self.applied.append(entry)
            if not self._committed_in or self._committed_in[-1][1] != self._newest_term:
                self._committed_in.append((entry.index, self._newest_term))
            self.memberships.applied(entry)
            if entry.kind is EntryKind.NORMAL:
                # A repeated Propose may be applied twice here: ids inside payloads, which the
                # state machine remembers, make that harmless one room further up.
                known_here = self.proposed is None or entry.payload in self.proposed
                require(known_here, "phantom", replica, entry.index)
                self.applied_at[entry.payload] = entry.index

    def confirmed(self, replica: ReplicaId, floor: Index, index: Index) -> None:
        """A reader sees all that anybody could have seen before it began."""
        require(index >= floor, "stale read", replica, floor, index)

    # --- restarts ---

    def restarted(
        self,
        replica: ReplicaId,
        storage: LogStorage,
        in_doubt: Sequence[Sequence[Persist]],
        mended: Sequence[Persist] = (),
        *,
        rotten: bool = False,
    ) -> None:
        """36, 6: the log reads back as synced, with or without the write under way.

        in_doubt: writes that were begun and never confirmed, in order. mended: what was written
        while the log was mended, perhaps more than once, whatever became of those. rotten: what
        was synced was damaged since.
        """
        allowed = [self.shadows[replica]]
        for steps in in_doubt:
            allowed.append(allowed[-1].after(steps))
        allowed += self._cut_back.get(replica, [])
        allowed += [shadow.after([step]) for step in mended for shadow in allowed]
        found = [shadow for shadow in allowed if shadow.is_what_reads_back(storage, rotten=rotten)]
        known = (_start_of(storage), storage.hard_state, _terms_of(storage))
        require(bool(found), "36: the log does not read back", replica, known, allowed)
        if replica in self._cut_back:
            is_told = storage.head_in_doubt
            require(is_told or found[0] is self.shadows[replica], "36: a lost end, untold", replica)
            if not is_told:
                self.head_restored(replica)
        self._marks.pop(replica, None)
        self._cut_back.pop(replica, None)
        self.shadows[replica] = found[0]
        self.shadows[replica].start = _start_of(storage)
        self.memberships.started([replica], {replica: list(storage.configs)})
        if storage.snapshot is not None:
            self.memberships.forgot(replica, storage.snapshot)
        self._terms[replica] = storage.hard_state.term
        self._commits[replica] = 0

    def lost_memory(self, replica: ReplicaId, applied: Index) -> None:
        """The state machine starts again from what it had kept."""
        self.applied_by[replica] = applied
