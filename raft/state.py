"""The one mutable State of a replica, the transitions between roles, and the outbox.

Roles change only through become_*; each clears what belonged to the role that ends, so a handover
that was interrupted cannot stay "in progress". Fields of the two HardState values change only
here too (`set_hard_state`), and every answer that promises them is held until the disk has them.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

from raft.config import RaftConfig
from raft.configs import Configs
from raft.log import RaftLog
from raft.messages import AppendReply, Message
from raft.model import (
    NOBODY,
    Entry,
    HardState,
    Index,
    Membership,
    Persist,
    ReadsConfirmed,
    ReplicaId,
    SnapshotMeta,
    Term,
)
from raft.progress import Progress


class Role(Enum):
    """What a replica does in its term."""

    FOLLOWER = auto()
    PRE_CANDIDATE = auto()
    CANDIDATE = auto()
    LEADER = auto()


@dataclass(slots=True)
class Flush:
    """A step given to the writer: what it will make durable, and the answers that wait for it.

    `durable` falls when a later step takes entries back, so that an old acknowledgement cannot
    call an entry durable that has been replaced since (the ABA of asynchronous writes).
    """

    number: int
    durable: Index
    answers: list[Message]


@dataclass(slots=True)
class Handover:
    """A leader transfer under way (thesis 3.10)."""

    target: ReplicaId
    until_ms: int
    asked: bool = False


@dataclass(slots=True)
class Round:
    """Readers that wait for one round of heartbeats: ours, and one ticket for each follower."""

    number: int
    index: Index
    ticket: int
    remote: dict[ReplicaId, int]


@dataclass(slots=True)
class Reads:
    """Linearizable reads: who waits. `base` makes tickets of an earlier boot unknown."""

    base: int
    ticket: int  # the newest given out; all above `answered` wait
    answered: int
    asked: int = 0  # the ticket last sent to the leader, 0 for none
    asked_ms: int = 0
    round_number: int = 0  # of this term
    running: Round | None = None
    waiting_remote: dict[ReplicaId, int] = field(default_factory=dict)
    confirmed: ReadsConfirmed | None = None


@dataclass(slots=True)
class State:
    """Everything one replica knows. `now_ms` is the time of the event being handled."""

    config: RaftConfig
    replica: ReplicaId
    group: int
    configs: Configs
    log: RaftLog
    random: Random
    reads: Reads
    term: Term
    vote: ReplicaId
    commit: Index
    applied: Index  # handed to the state machine
    now_ms: int
    role: Role = Role.FOLLOWER
    leader: ReplicaId = NOBODY
    heard_leader_ms: int = 0
    election_due_ms: int = 0
    heartbeat_due_ms: int = 0
    votes: dict[ReplicaId, bool] = field(default_factory=dict)
    progress: dict[ReplicaId, Progress] = field(default_factory=dict)
    departing: dict[ReplicaId, int] = field(default_factory=dict)  # removed: told so until then
    term_start: Index = 0  # of the no-op that opened our own term as leader
    handover: Handover | None = None
    refuses_payloads: bool = False  # our disk is nearly full: nothing is appended for proposers
    appends_due: bool = False
    outbox: list[Message] = field(default_factory=list)
    held: list[Message] = field(default_factory=list)
    hard_state_dirty: bool = False
    flushes: deque[Flush] = field(default_factory=deque)
    flush_number: int = 0
    snapshot_due: SnapshotMeta | None = None  # the disk is to learn that the log begins there
    offered: Index = 0  # a leader's log begins behind this committed entry
    is_installing: bool = False  # a state is being put in place of ours
    disk_waiting_since_ms: int = 0  # meaningful while flushes is not empty
    disk_behind_since_ms: int = 0  # meaningful while commit is above what our disk has

    @property
    def membership(self) -> Membership:
        """Who counts now: the newest configuration of the log, committed or not (paper 6)."""
        return self.configs.active

    @property
    def lacks_state(self) -> bool:
        """What we have applied is gone, or about to be replaced: nothing can be applied."""
        return self.is_installing or self.applied < self.log.start

    @property
    def is_disk_silent(self) -> bool:
        """The disk has owed us an answer for an election timeout (consensus 1: hung disk)."""
        return bool(self.flushes) and (
            self.now_ms - self.disk_waiting_since_ms >= self.config.election_ms_min
        )

    @property
    def is_disk_overtaken(self) -> bool:
        """A majority has had for an election timeout what our own disk still owes us.

        Only then can somebody else lead better. When all disks are slow, or there is but ours,
        giving up would add an election, and its own writes, to every slow one.
        """
        return (
            self.is_disk_silent
            and self.commit > self.log.durable
            and self.now_ms - self.disk_behind_since_ms >= self.config.election_ms_min
        )

    @property
    def uncommitted_bytes(self) -> int:
        """Bytes of the log that no majority is known to have."""
        return self.log.bytes_between(self.commit + 1, self.log.last)


def send(state: State, message: Message) -> None:
    """Send with the next Ready, whatever the disk does."""
    state.outbox.append(message)


def send_when_durable(state: State, message: Message) -> None:
    """Send once everything decided up to now is on the disk."""
    if isinstance(message, AppendReply) and state.held:
        earlier = state.held[-1]
        if (
            isinstance(earlier, AppendReply)
            and (earlier.to, earlier.term) == (message.to, message.term)
            and earlier.match <= message.match
        ):
            state.held[-1] = message  # one answer for a burst
            return
    state.held.append(message)


def set_hard_state(state: State, term: Term, vote: ReplicaId) -> None:
    """Enter a term or give a vote; both reach the disk before any answer that tells them."""
    assert term > state.term or (term == state.term and state.vote in (NOBODY, vote)), (
        state.term,
        state.vote,
        term,
        vote,
    )
    if (term, vote) != (state.term, state.vote):
        state.term, state.vote = term, vote
        state.hard_state_dirty = True


def draw_election_deadline(state: State) -> None:
    """A new random pause before campaigning (paper 5.2)."""
    # One draw, and not randint's three calls: this is done for every heartbeat that is heard.
    config = state.config
    spread_ms = config.election_ms_max - config.election_ms_min + 1
    pause_ms = config.election_ms_min + int(state.random.random() * spread_ms)
    state.election_due_ms = state.now_ms + pause_ms


def _leave_role(state: State, role: Role, leader: ReplicaId) -> None:
    if state.leader != leader:
        state.reads.asked = 0  # the leader we asked is not the one to answer
    state.role = role
    state.leader = leader
    state.votes.clear()
    state.progress.clear()
    state.departing.clear()
    state.handover = None
    state.appends_due = False
    state.reads.running = None
    state.reads.waiting_remote.clear()
    draw_election_deadline(state)


def become_follower(state: State, term: Term, leader: ReplicaId) -> None:
    """Follow: in a newer term, after losing, or because a leader of this term spoke."""
    if term > state.term:
        set_hard_state(state, term, NOBODY)
    _leave_role(state, Role.FOLLOWER, leader)


def become_pre_candidate(state: State) -> None:
    """Ask whether an election could be won, without touching the term (thesis 9.6)."""
    _leave_role(state, Role.PRE_CANDIDATE, NOBODY)


def become_candidate(state: State) -> None:
    """Open a new term and vote for ourselves; the vote counts once it is on the disk."""
    _leave_role(state, Role.CANDIDATE, NOBODY)
    set_hard_state(state, state.term + 1, state.replica)


def become_leader(state: State) -> None:
    """Lead this term: nothing is known yet of what the others have."""
    assert state.role is Role.CANDIDATE, state.role
    _leave_role(state, Role.LEADER, state.replica)
    state.reads.round_number = 0
    state.term_start = state.log.last + 1
    state.disk_behind_since_ms = state.now_ms
    for replica in state.membership.everyone:
        if replica != state.replica:
            state.progress[replica] = Progress(replica, state.log.last + 1, state.now_ms)


def has_persist(state: State) -> bool:
    """Whether something waits for the disk, or for what is being written already."""
    log = state.log
    return bool(
        log.handed < log.last
        or log.truncated_from is not None
        or state.hard_state_dirty
        or state.held
        or state.snapshot_due
    )


def take_persist(state: State) -> Persist | None:
    """Gather what the disk must do since the last time; None when nothing waits for it."""
    if not has_persist(state):
        return None
    log = state.log
    truncate_from: Index | None = None
    entries: tuple[Entry, ...] = ()
    if log.handed < log.last or log.truncated_from is not None:
        truncate_from, entries = log.take_unhanded()
    hard_state = HardState(state.term, state.vote) if state.hard_state_dirty else None
    state.hard_state_dirty = False
    answers, state.held = state.held, []
    snapshot, state.snapshot_due = state.snapshot_due, None
    if truncate_from is not None:
        for flush in state.flushes:
            flush.durable = min(flush.durable, truncate_from - 1)
    if not entries and hard_state is None and truncate_from is None and snapshot is None:
        # Nothing new to write; answers wait only for what is being written already.
        if state.flushes:
            state.flushes[-1].answers.extend(answers)
        else:
            state.outbox.extend(answers)
        return None
    if not state.flushes:
        state.disk_waiting_since_ms = state.now_ms
    state.flush_number += 1
    state.flushes.append(Flush(state.flush_number, state.log.last, answers))
    return Persist(state.flush_number, hard_state, truncate_from, entries, snapshot)


def finish_flushes(state: State, number: int) -> list[Message]:
    """The disk has everything up to step `number`; gives back the answers that waited."""
    answers: list[Message] = []
    while state.flushes and state.flushes[0].number <= number:
        flush = state.flushes.popleft()
        # A truncation not handed to the writer yet lowers the log's own cursors already.
        durable = min(flush.durable, state.log.handed)
        if durable > state.log.durable:
            state.log.made_durable(durable)
        answers.extend(flush.answers)
    state.disk_waiting_since_ms = state.now_ms
    return answers
