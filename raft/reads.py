"""Thesis 6.4: linearizable reads without writing. How far must a reader wait for apply?

The leader notes its commit index, proves by one round of heartbeats that it still leads, and then
tells the index. One round runs at a time and serves everybody who waited when it began, local
readers and followers alike; who comes later shares the next. Round numbers grow within a term and
answers carry the term, so a late answer cannot confirm a later round (etcd 20418). A leader that
has not yet committed in its own term does not know the commit index, and lets readers wait.

A follower's question names its term, and says thereby that it had followed no newer leader when
its readers came. That is all that its answer to a heartbeat would prove; where asker and leader
are a majority, as among three, the leader answers at once and no round is held.

Readers are tickets that only grow: confirming one confirms all earlier ones.
"""

from raft.messages import ReadReply, ReadRequest
from raft.model import NOBODY, Index, ReadsConfirmed, ReplicaId
from raft.quorum import agreed
from raft.replication import send_heartbeats
from raft.state import Role, Round, State, send


def take_ticket(state: State) -> int:
    """Register one local reader, or a batch of them."""
    state.reads.ticket += 1
    return state.reads.ticket


def knows_commit(state: State) -> bool:
    """Whether this leader has committed in its own term (thesis 6.4, step 1)."""
    return state.role is Role.LEADER and state.commit >= state.term_start


def on_read_request(state: State, request: ReadRequest) -> None:
    """A follower's readers join the next round; its newest ticket stands for all of them."""
    if state.role is not Role.LEADER or request.sender not in state.progress:
        return  # it asks again
    if request.term == state.term and knows_commit(state) and _are_majority(state, request.sender):
        _answer(state, request.sender, request.ticket, state.commit)
        return
    waiting = state.reads.waiting_remote
    waiting[request.sender] = max(request.ticket, waiting.get(request.sender, 0))


def _are_majority(state: State, replica: ReplicaId) -> bool:
    """Whether this replica and the leader are a majority by themselves."""
    return agreed(state.membership, {state.replica: 1, replica: 1}) == 1


def _answer(state: State, replica: ReplicaId, ticket: int, index: Index) -> None:
    send(state, ReadReply(state.group, state.replica, replica, state.term, ticket, index))


def on_read_reply(state: State, reply: ReadReply) -> None:
    """Our readers may go on. Any leader's word is good: its round began after we asked."""
    reads = state.reads
    if reads.answered < reply.ticket <= reads.ticket:
        _confirm(state, reply.ticket, reply.index)


def advance(state: State) -> None:
    """Finish a confirmed round, start the next, or ask the leader; called once a turn."""
    reads = state.reads
    if reads.ticket == reads.answered and reads.running is None and not reads.waiting_remote:
        return  # nobody reads
    if state.role is Role.LEADER:
        _finish_round(state)
        _start_round(state)
    elif state.leader != NOBODY:
        _ask_leader(state)


def _finish_round(state: State) -> None:
    running = state.reads.running
    if running is None:
        return
    acked = {p.replica: p.acked_round for p in state.progress.values()}
    acked[state.replica] = running.number
    if agreed(state.membership, acked) < running.number:
        return
    state.reads.running = None
    if running.ticket > state.reads.answered:
        _confirm(state, running.ticket, running.index)
    for replica, ticket in running.remote.items():
        _answer(state, replica, ticket, running.index)


def _start_round(state: State) -> None:
    reads = state.reads
    anybody = reads.ticket > reads.answered or reads.waiting_remote
    if reads.running is not None or not anybody or not knows_commit(state):
        return
    remote, reads.waiting_remote = reads.waiting_remote, {}
    reads.round_number += 1
    reads.running = Round(reads.round_number, state.commit, reads.ticket, remote)
    if state.progress:
        send_heartbeats(state)
    _finish_round(state)  # a single voter needs nobody


def _ask_leader(state: State) -> None:
    reads = state.reads
    if reads.ticket == reads.answered:
        return
    is_due = state.now_ms - reads.asked_ms >= state.config.heartbeat_ms
    if reads.asked > reads.answered and not is_due:
        return  # one question at a time; it is asked again when lost
    reads.asked, reads.asked_ms = reads.ticket, state.now_ms
    request = ReadRequest(state.group, state.replica, state.leader, state.term, reads.ticket)
    send(state, request)


def _confirm(state: State, ticket: int, index: Index) -> None:
    state.reads.answered = ticket
    state.reads.confirmed = ReadsConfirmed(ticket, index)
