"""Paper 5.3: appends and heartbeats as a follower sees them.

An acknowledgement waits for the disk; a refusal and the answer to a heartbeat do not, so a slow
disk never looks like a dead replica.
"""

from raft.messages import (
    Append,
    AppendReject,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    SnapshotOffer,
)
from raft.model import Entry, Index
from raft.state import (
    Role,
    State,
    become_follower,
    draw_election_deadline,
    send,
    send_when_durable,
)


def _follow(state: State, leader: int) -> None:
    assert state.role is not Role.LEADER, "two leaders in one term"
    if state.role is not Role.FOLLOWER or state.leader != leader:
        become_follower(state, state.term, leader)
    else:
        draw_election_deadline(state)
    state.heard_leader_ms = state.now_ms


def on_append(state: State, append: Append) -> None:
    """Take entries that follow ours; say where the logs may agree if they do not."""
    _follow(state, append.sender)
    log = state.log
    if append.previous_index < state.commit:
        # Ours up to the commit index are settled; let the leader go on from there.
        _acknowledge(state, append, state.commit)
        return
    if not log.matches(append.previous_index, append.previous_term):
        _refuse(state, append)
        return
    _store(state, append.previous_index, append.entries)
    last = append.previous_index + len(append.entries)
    state.commit = max(state.commit, min(append.commit, last))
    _acknowledge(state, append, last)


def _store(state: State, previous: Index, entries: tuple[Entry, ...]) -> None:
    """Append what is new; take our own back only where it conflicts (paper 5.3)."""
    log = state.log
    if previous < log.last:
        known = 0
        for entry in entries:
            if not log.matches(entry.index, entry.term):
                break
            known += 1
        entries = entries[known:]
        if entries and entries[0].index <= log.last:
            assert entries[0].index > state.commit, (entries[0], state.commit)
            log.truncate(entries[0].index)
            state.configs.truncate(entries[0].index)
    log.append(entries)
    state.configs.append(entries)


def _acknowledge(state: State, append: Append, match: Index) -> None:
    reply = AppendReply(state.group, state.replica, append.sender, state.term, match)
    send_when_durable(state, reply)


def _refuse(state: State, append: Append) -> None:
    hint_index, hint_term = state.log.last_at_or_below(append.previous_index, append.previous_term)
    send(
        state,
        AppendReject(
            state.group,
            state.replica,
            append.sender,
            state.term,
            append.previous_index,
            hint_index,
            hint_term,
        ),
    )


def on_snapshot_offer(state: State, message: SnapshotOffer) -> None:
    """The leader has forgotten what we would need next; or we have it, and it does not know."""
    _follow(state, message.sender)
    if state.log.matches(message.index, message.index_term):
        state.commit = max(state.commit, message.index)  # only what is committed is forgotten
    if message.index <= state.commit:
        reply = AppendReply(state.group, state.replica, message.sender, state.term, state.commit)
        send_when_durable(state, reply)
    else:
        state.offered = max(state.offered, message.index)


def on_heartbeat(state: State, heartbeat: Heartbeat) -> None:
    """The leader is alive, and knows that we hold what it says is committed."""
    _follow(state, heartbeat.sender)
    if heartbeat.commit <= state.log.last:
        state.commit = max(state.commit, heartbeat.commit)
    else:  # it knows what we had before our log lost its end, and will hear that it is gone
        assert state.log.head_in_doubt, (heartbeat, state.log.last)
    if heartbeat.round:
        reply = HeartbeatReply(
            state.group, state.replica, heartbeat.sender, state.term, heartbeat.round
        )
        send(state, reply)
