"""Paper 5.3-5.4: the leader sends appends, reads replies, and commits.

A follower that lags is probed with one message at a time; once its log is known to match, Appends
follow each other within a window of messages and bytes. Nothing is sent again on a timer: a lost
Append shows when the next one is refused, or at the next heartbeat's answer.
"""

from raft.messages import Append, AppendReject, AppendReply, Heartbeat, HeartbeatReply, TimeoutNow
from raft.model import Entry, EntryKind, Index, ReplicaId
from raft.progress import Progress, Sending
from raft.quorum import agreed
from raft.snapshots import offer
from raft.state import Handover, Role, State, send


def start_term(state: State) -> None:
    """Open the term with a no-op: only an entry of our own term may commit (paper 5.4.2)."""
    append_payloads(state, EntryKind.NOOP, [b""])
    send_heartbeats(state)


def append_payloads(state: State, kind: EntryKind, payloads: list[bytes]) -> None:
    """Put payloads at the end of the leader's log; they leave with the next Ready."""
    assert state.role is Role.LEADER, state.role
    term = state.term
    first = state.log.last + 1
    entries = [Entry(first + i, term, kind, p) for i, p in enumerate(payloads)]
    state.log.append(entries)
    if kind is EntryKind.CONFIG:
        state.configs.append(entries)
    state.appends_due = True


def send_due_appends(state: State) -> None:
    """Send every follower what it lacks and its window allows, and news of the commit index."""
    state.appends_due = False
    for progress in state.progress.values():
        _send_appends(state, progress)
        commit = min(state.commit, progress.match)
        if commit > progress.told_commit:
            progress.told_commit = commit
            _send_heartbeat(state, progress, round_number=0)


def _send_appends(state: State, progress: Progress) -> None:
    config, log = state.config, state.log
    if progress.next <= log.start and progress.sending is not Sending.SNAPSHOT:
        offer(state, progress)
        return
    while progress.next <= log.last and progress.may_send(
        config.inflight_messages_max, config.inflight_bytes_max
    ):
        entries = log.slice(progress.next, log.last, config.append_bytes_max)
        _send_append(state, progress, tuple(entries))


def _send_append(state: State, progress: Progress, entries: tuple[Entry, ...]) -> None:
    previous = progress.next - 1
    commit = state.commit
    send(
        state,
        Append(
            state.group,
            state.replica,
            progress.replica,
            state.term,
            previous,
            state.log.term(previous),
            commit,
            entries,
        ),
    )
    progress.told_commit = max(progress.told_commit, min(commit, previous + len(entries)))
    if entries:
        size = state.log.bytes_between(entries[0].index, entries[-1].index)
        progress.sent(entries[-1].index, size or sum([len(entry.payload) for entry in entries]))


def send_heartbeats(state: State) -> None:
    """Tell everybody that we lead; carries the newest read round, so lost ones are repeated."""
    state.heartbeat_due_ms = state.now_ms + state.config.heartbeat_ms
    running = state.reads.running
    number = running.number if running else max(state.reads.round_number, 1)
    state.reads.round_number = max(state.reads.round_number, number)
    for progress in state.progress.values():
        _send_heartbeat(state, progress, number)


def _send_heartbeat(state: State, progress: Progress, round_number: int) -> None:
    # Never above its match: it could hold another leader's entry there (paper 5.3).
    commit = min(state.commit, progress.match)
    progress.told_commit = max(progress.told_commit, commit)
    send(
        state,
        Heartbeat(state.group, state.replica, progress.replica, state.term, commit, round_number),
    )


def heard(state: State, replica: ReplicaId) -> Progress | None:
    """The follower spoke in our term: it counts as reachable. None when we do not lead it."""
    progress = state.progress.get(replica)
    if state.role is not Role.LEADER or progress is None:
        return None
    progress.heard_ms = state.now_ms
    return progress


def on_append_reply(state: State, reply: AppendReply) -> None:
    """A follower has everything up to `match` on its disk."""
    progress = heard(state, reply.sender)
    if progress is None:
        return
    assert reply.match <= state.log.last, (reply, state.log.last)
    if progress.acknowledged(reply.match):
        commit_what_is_agreed(state)
        continue_handover(state)
    state.appends_due = True


def on_append_reject(state: State, reply: AppendReject) -> None:
    """The logs differ; go back to the end of the last term both can share (paper 5.3, end)."""
    progress = heard(state, reply.sender)
    if progress is None:
        return
    hint_index, _ = state.log.last_at_or_below(reply.hint_index, reply.hint_term)
    if progress.refused(reply.rejected, hint_index):
        state.appends_due = True


def on_heartbeat_reply(state: State, reply: HeartbeatReply) -> None:
    """The follower is there. If it has not moved since the last heartbeat, look what is lost."""
    progress = heard(state, reply.sender)
    if progress is None:
        return
    progress.acked_round = max(progress.acked_round, reply.round)
    if progress.match < state.log.last:
        if progress.sending is Sending.SNAPSHOT or progress.next <= state.log.start:
            offer(state, progress)
        elif progress.sending is Sending.PROBE:
            progress.probe_sent = False
            state.appends_due = True
        elif progress.match == progress.match_at_heartbeat:
            # An empty Append behind all that was sent: refused when something got lost.
            progress.stands_still()
            _send_append(state, progress, ())
    progress.match_at_heartbeat = progress.match


def commit_what_is_agreed(state: State) -> None:
    """Commit what a majority has on disk, if it is of our own term (paper 5.4.2, figure 8).

    Our own share is what our disk has finished, not what we have appended.
    """
    if state.role is not Role.LEADER:
        return
    reached: dict[ReplicaId, Index] = {p.replica: p.match for p in state.progress.values()}
    reached[state.replica] = state.log.durable
    index = agreed(state.membership, reached)
    if index > state.commit and state.log.term(index) == state.term:
        if state.commit <= state.log.durable < index:
            state.disk_behind_since_ms = state.now_ms
        state.commit = index
        state.appends_due = True


def quorum_heard_ms(state: State) -> int:
    """When a majority, ourselves included, was last known to be reachable."""
    times = {p.replica: p.heard_ms for p in state.progress.values()}
    times[state.replica] = state.now_ms
    return agreed(state.membership, times)


def start_handover(state: State, target: ReplicaId) -> bool:
    """Begin to hand over to a voter that is near our end; False when that cannot work."""
    progress = state.progress.get(target)
    if (
        state.role is not Role.LEADER
        or state.handover is not None
        or progress is None
        or target not in state.membership.voters
        or progress.sending is not Sending.REPLICATE
        or state.log.last - progress.match > state.config.transfer_lag_max
    ):
        return False
    state.handover = Handover(target, state.now_ms + state.config.election_ms_max)
    continue_handover(state)
    return True


def continue_handover(state: State) -> None:
    """Tell the target to campaign as soon as it has everything; proposals wait meanwhile."""
    handover = state.handover
    if handover is None or handover.asked:
        return
    if state.progress[handover.target].match == state.log.last:
        handover.asked = True
        send(state, TimeoutNow(state.group, state.replica, handover.target, state.term))
