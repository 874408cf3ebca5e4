"""The consensus core: time, messages and finished disk work in; a Ready out. No I/O.

The rule of terms and the table of what handles which message are here; the rest is one file per
section of the paper. Every call takes the time of its event, in whole milliseconds that never go
back. A core belongs to one task.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from raft import election, following, membership, reads, replication, snapshots
from raft.config import RaftConfig
from raft.configs import Configs
from raft.log import RaftLog
from raft.messages import (
    Append,
    AppendReject,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    Propose,
    ReadReply,
    ReadRequest,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.model import (
    ENTRY_HEADER_BYTES,
    NOBODY,
    Entry,
    EntryKind,
    HardState,
    Index,
    ReplicaId,
    SnapshotMeta,
    Term,
)
from raft.ready import NOTHING, Ready
from raft.state import (
    Reads,
    Role,
    State,
    become_follower,
    draw_election_deadline,
    finish_flushes,
    has_persist,
    send,
    take_persist,
)

# Tickets of readers start at random multiples of this, so that an answer meant for an earlier
# boot of the same replica fits no reader of this one.
_TICKETS_PER_BOOT: Final = 1 << 32


def entry_fits(config: RaftConfig, payload: bytes) -> bool:
    """Whether a payload makes an entry that every replica can store and read back."""
    return len(payload) + ENTRY_HEADER_BYTES <= config.entry_bytes_max


def _on_propose(state: State, message: Propose) -> None:
    if state.role is not Role.LEADER or state.handover is not None or state.refuses_payloads:
        return
    if state.uncommitted_bytes >= state.config.uncommitted_bytes_max:
        return
    payloads = [p for p in message.payloads if entry_fits(state.config, p)]
    if payloads:
        replication.append_payloads(state, EntryKind.NORMAL, payloads)


_HANDLERS: Final[dict[type[Any], Callable[[State, Any], None]]] = {
    VoteRequest: election.on_vote_request,
    VoteReply: election.on_vote_reply,
    Append: following.on_append,
    AppendReply: replication.on_append_reply,
    AppendReject: replication.on_append_reject,
    Heartbeat: following.on_heartbeat,
    HeartbeatReply: replication.on_heartbeat_reply,
    SnapshotOffer: following.on_snapshot_offer,
    Propose: _on_propose,
    ReadRequest: reads.on_read_request,
    ReadReply: reads.on_read_reply,
    TimeoutNow: election.on_timeout_now,
}
# Whoever sends these leads its term.
_LEADER_SAYS: Final = (Append, Heartbeat, SnapshotOffer)
# These say nothing about an election: their term neither raises ours nor makes them stale.
_TERMLESS: Final = (Propose, ReadRequest, ReadReply)


class Core:
    """One replica of one group."""

    def __init__(
        self,
        *,
        config: RaftConfig,
        replica: ReplicaId,
        configs: Configs,
        log: RaftLog,
        hard_state: HardState,
        applied: Index,
        random: Random,
        now_ms: int,
        group: int = 0,
    ) -> None:
        """Start as a follower of what the disk remembers; the first election waits its time."""
        assert applied <= log.last, (applied, log.last)
        base = random.getrandbits(30) * _TICKETS_PER_BOOT + 1
        self.state: Final = State(
            config=config,
            replica=replica,
            group=group,
            configs=configs,
            log=log,
            random=random,
            reads=Reads(base=base, ticket=base, answered=base),
            term=hard_state.term,
            vote=hard_state.vote,
            # What was applied, or is forgotten, had been committed.
            commit=max(applied, log.start),
            applied=applied,
            now_ms=now_ms,
        )
        draw_election_deadline(self.state)

    def tick(self, now_ms: int) -> None:
        """Time has passed: heartbeat, campaign, or give up leading."""
        state = self._at(now_ms)
        if state.role is Role.LEADER:
            self._tick_leader(state)
        elif now_ms >= state.election_due_ms:
            election.on_election_timeout(state)

    @property
    def due_ms(self) -> int:
        """When a tick has something to do, as far as is known now."""
        state = self.state
        return state.heartbeat_due_ms if state.role is Role.LEADER else state.election_due_ms

    def _tick_leader(self, state: State) -> None:
        silent_ms = state.now_ms - replication.quorum_heard_ms(state)
        if silent_ms >= state.config.election_ms_max or state.is_disk_overtaken:
            # CheckQuorum: without a majority, or with a stuck disk, somebody else must lead.
            become_follower(state, state.term, NOBODY)
            return
        if state.handover is not None and state.now_ms >= state.handover.until_ms:
            state.handover = None  # it failed; go on leading
        if state.now_ms >= state.heartbeat_due_ms:
            replication.send_heartbeats(state)

    def step(self, message: Message, now_ms: int) -> None:
        """Handle one message. What is not for us, or is out of date, changes nothing."""
        state = self._at(now_ms)
        if message.to != state.replica or message.group != state.group:
            return
        # Whoever knows the cluster's key is heard, member or not: a leader or candidate may be of
        # a configuration that has not reached us yet (paper 6). Only the removed are not, except
        # for a leader's last word: that somebody else shall lead.
        if type(message) is not TimeoutNow and membership.is_out(state, message.sender):
            return
        if type(message) in _TERMLESS or self._accept_term(state, message):
            _HANDLERS[type(message)](state, message)

    def _accept_term(self, state: State, message: Message) -> bool:
        """Paper 5.1: a newer term makes us follow; an older one is told ours or is ignored."""
        if isinstance(message, VoteRequest):
            if message.term < state.term:
                election.refuse_old_term(state, message)
                return False
            if not message.handover and election.is_leader_alive(state):
                # Thesis 4.2.3; within one term the answer could only be no.
                return False
            if message.term > state.term and not message.pre:
                become_follower(state, message.term, NOBODY)
            return True
        if message.term < state.term:
            if isinstance(message, _LEADER_SAYS):
                # A leader of an older term that never hears of ours would lead on, deaf.
                hint = AppendReject(state.group, state.replica, message.sender, state.term, 0, 0, 0)
                send(state, hint)
            return False
        if message.term > state.term:
            if isinstance(message, VoteReply) and message.pre and message.granted:
                return True  # it speaks of the term we would open
            is_leader = isinstance(message, _LEADER_SAYS)
            become_follower(state, message.term, message.sender if is_leader else NOBODY)
        return True

    def propose(self, payloads: Sequence[bytes], now_ms: int) -> bool:
        """Append payloads as leader, or pass them to the leader. False: nobody takes them."""
        state = self._at(now_ms)
        if state.role is Role.LEADER:
            if state.handover is not None or state.refuses_payloads:
                return False
            replication.append_payloads(state, EntryKind.NORMAL, list(payloads))
            return True
        if state.leader == NOBODY:
            return False
        send(
            state,
            Propose(state.group, state.replica, state.leader, state.term, tuple(payloads)),
        )
        return True

    def take_read_ticket(self, now_ms: int) -> int:
        """Register readers; a later Ready says from which index their ticket may read."""
        return reads.take_ticket(self._at(now_ms))

    def hand_over(self, target: ReplicaId, now_ms: int) -> bool:
        """Begin to transfer leadership; False when the target cannot take it soon."""
        return replication.start_handover(self._at(now_ms), target)

    def change_membership(self, change: membership.Change, now_ms: int) -> Index:
        """Begin a change as leader; the index of its first entry. Raises ChangeRefused."""
        return membership.propose(self._at(now_ms), change)

    def peer_lost(self, replica: ReplicaId, now_ms: int) -> None:
        """A hint that a replica's process died: if it led, campaign soon instead of waiting.

        Only a hint: pre-vote still needs a majority that lost the leader too. If it followed us, it
        may come back with less than it had (a damaged disk), so what it had counts no more.
        """
        state = self._at(now_ms)
        if (progress := state.progress.get(replica)) is not None:
            progress.restart()
            state.appends_due = True
        if state.role is Role.FOLLOWER and state.leader == replica:
            state.heard_leader_ms = now_ms - state.config.election_ms_min
            soon = state.random.randint(state.config.tick_ms, 2 * state.config.heartbeat_ms)
            state.election_due_ms = min(state.election_due_ms, now_ms + soon)

    def persisted(self, number: int, now_ms: int) -> None:
        """The disk has finished every step up to `number`."""
        state = self._at(now_ms)
        for answer in finish_flushes(state, number):
            if answer.to == state.replica:
                self.step(answer, now_ms)
            else:
                send(state, answer)
        replication.commit_what_is_agreed(state)
        state.log.trim(state.commit)

    @property
    def is_idle(self) -> bool:
        """Whether a turn would find nothing to do."""
        state, reads = self.state, self.state.reads
        if state.role is Role.LEADER and (
            state.appends_due
            or reads.running is not None
            or reads.waiting_remote
            or membership.is_under_way(state)
        ):
            return False
        return not (
            state.outbox
            or state.applied < state.commit
            or reads.ticket != reads.answered
            or reads.confirmed
            or has_persist(state)
        )

    def ready(self, now_ms: int) -> Ready:
        """Take the work of this turn."""
        state = self._at(now_ms)
        if state.role is Role.LEADER:
            membership.advance(state)
        reads.advance(state)
        if state.appends_due:
            replication.send_due_appends(state)
        persist = take_persist(state)
        if persist is None and not state.outbox and state.reads.confirmed is None:
            return NOTHING
        send_now, state.outbox = tuple(state.outbox), []
        confirmed, state.reads.confirmed = state.reads.confirmed, None
        return Ready(persist, send_now, confirmed)

    @property
    def applicable(self) -> Index:
        """The last entry that may be applied: committed, and on our own disk too.

        Applying ahead of our own disk could leave, after a crash, a state machine that knows
        more than its log.
        """
        return min(self.state.commit, self.state.log.durable)

    def take_committed(self) -> Sequence[Entry]:
        """The next entries to apply, bounded in number and bytes; empty when there are none."""
        state = self.state
        config = state.config
        if state.applied >= state.commit or state.lacks_state:
            return ()
        high = min(self.applicable, state.applied + config.apply_entries_max)
        entries = state.log.slice(state.applied + 1, high, config.apply_bytes_max)
        if entries:
            assert entries[0].index == state.applied + 1, (entries[0].index, state.applied)
            state.applied = entries[-1].index
        return entries

    @property
    def snapshot_wanted(self) -> Index:
        """A snapshot of this index or later is needed here; 0 when none is."""
        return snapshots.wanted(self.state)

    def compact(self, upto: Index) -> None:
        """Forget entries up to `upto`: applied, and made durable by the state machine."""
        if upto > self.state.log.start:
            snapshots.compact(self.state, upto)

    def begin_install(self, index: Index) -> bool:
        """Hold apply and elections while a snapshot is put in place; False: it is too old."""
        return snapshots.begin_install(self.state, index)

    def snapshot_installed(self, meta: SnapshotMeta, seen_term: Term, now_ms: int) -> None:
        """The state machine is at the snapshot, and stays there after a crash."""
        snapshots.install(self._at(now_ms), meta, seen_term)

    def _at(self, now_ms: int) -> State:
        assert now_ms >= self.state.now_ms, (now_ms, self.state.now_ms)
        self.state.now_ms = now_ms
        return self.state
