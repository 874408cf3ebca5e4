"""Paper 7: a log that begins behind a snapshot. Offering one, taking one, and forgetting entries.

The state machine keeps its own state durable, so nothing is written here: to compact is to say
that the log begins behind an entry whose effects are safe. A follower that needs what is forgotten
is sent a SnapshotOffer instead; its house fetches the state of a replica that has it and puts it in
place, durably, before the log hears of it (`install`). A replica whose own state was lost wants one
without being offered any, since its log does not reach back.

Invariant (7 of the design): start <= applied <= commit <= last, but for a replica that lacks its
state: it applies nothing, seldom campaigns, and goes on storing entries and voting, since its log
is whole. It may even lead, if nobody else can be elected, until others have a state to give.
"""

from raft.messages import SnapshotOffer
from raft.model import NOBODY, Index, SnapshotMeta, Term
from raft.progress import Progress, Sending
from raft.state import Role, State, become_follower, send


def offer(state: State, progress: Progress) -> None:
    """The follower needs entries that we no longer have."""
    progress.sending = Sending.SNAPSHOT
    progress.inflight.clear()
    progress.inflight_bytes = 0
    log = state.log
    send(
        state,
        SnapshotOffer(
            state.group,
            state.replica,
            progress.replica,
            state.term,
            log.start,
            log.term(log.start),
        ),
    )


def wanted(state: State) -> Index:
    """A snapshot of this index or later is needed here; 0 when none is."""
    lacking = state.log.start if state.applied < state.log.start else 0
    offered = state.offered if state.offered > state.commit else 0
    return max(lacking, offered)


def compact(state: State, upto: Index) -> None:
    """Forget entries up to `upto`, whose effects the state machine has made durable."""
    assert upto <= state.applied, (upto, state.applied)
    state.log.compact(upto)
    state.configs.settle(upto)
    state.snapshot_due = SnapshotMeta(upto, state.log.term(upto), state.configs.at(upto))


def begin_install(state: State, index: Index) -> bool:
    """Hold apply and elections while a state is put in place; False when it is not needed."""
    if index <= state.applied or index < state.log.start:
        return False
    if state.role is Role.LEADER and not state.log.start <= index <= state.log.last:
        return False  # not a state of our log, so we shall not lead for long
    state.is_installing = True
    return True


def install(state: State, meta: SnapshotMeta, seen_term: Term) -> None:
    """The state of a snapshot is in place and durable: go on behind it.

    `seen_term` is the term of whoever gave it, when it did. No leader of an earlier term is
    followed from here on: it might lack entries of the snapshot, which were committed by then.
    """
    assert state.is_installing
    state.is_installing = False
    if seen_term > state.term:
        become_follower(state, seen_term, NOBODY)
    log = state.log
    if not log.matches(meta.index, meta.term):
        # Up to the commit index ours is in the snapshot; beyond, what differs was never committed.
        assert meta.index > state.commit, (meta, state.commit)
        if log.last > state.commit:
            log.truncate(state.commit + 1)
        log.reset(meta.index, meta.term)
        state.configs.install(meta.index, meta.membership)
        state.snapshot_due = meta
    state.applied = meta.index
    state.commit = max(state.commit, meta.index)
