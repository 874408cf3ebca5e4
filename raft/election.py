"""Paper 5.2, thesis 9.6: pre-vote, campaign, counting votes, and refusing to vote.

Pre-vote asks whether a majority would vote, before any term is raised, so a replica that was cut
off does not unseat a leader when it returns. Inside the lease of a leader that was heard lately
nobody votes (thesis 4.2.3). A request of an older term is answered with our own term: otherwise a
replica that fell behind in terms while pre-voting could ask for ever (etcd 8243, 8501).
"""

from typing import Final

from raft.messages import TimeoutNow, VoteReply, VoteRequest
from raft.model import NOBODY, Term
from raft.quorum import Vote, vote_result
from raft.replication import start_term
from raft.state import (
    Role,
    State,
    become_candidate,
    become_follower,
    become_leader,
    become_pre_candidate,
    draw_election_deadline,
    send,
    send_when_durable,
    set_hard_state,
)

# How often a replica without its state lets an election pass.
LEAVE_IT_TO_OTHERS: Final = 0.75


def on_election_timeout(state: State) -> None:
    """No leader was heard for too long: ask around, unless we may not or could not lead."""
    if not may_campaign(state):
        # Who led is not known any more; a learner that was removed unheard must get to ask.
        become_follower(state, state.term, NOBODY)
        return
    if state.is_disk_silent:
        draw_election_deadline(state)
        return
    if state.lacks_state and state.random.random() < LEAVE_IT_TO_OTHERS:
        # We could not serve anything; but if our log is the longest, nobody else can lead.
        draw_election_deadline(state)
        return
    become_pre_candidate(state)
    state.votes[state.replica] = True
    if vote_result(state.membership, state.votes) is Vote.WON:
        campaign(state, handover=False)
        return
    _ask_all(state, pre=True, handover=False)


def may_campaign(state: State) -> bool:
    """Voters may; and who was one until a change that is not known to have committed: if only
    we have the entry that removes us, nobody else can be elected (thesis 4.2.2). After a start the
    commit index may not reach back to when we were made one. But nobody whose log may be shorter
    than what it acknowledged."""
    counts = state.configs.any_counts(state.replica, since=state.commit)
    return counts and not state.is_installing and not state.log.head_in_doubt


def campaign(state: State, *, handover: bool) -> None:
    """Open a term with a vote for ourselves and ask for the others'."""
    if not may_campaign(state):
        return
    become_candidate(state)
    # Our own vote is a message to ourselves, so that it counts only when the disk has it.
    own = VoteReply(state.group, state.replica, state.replica, state.term, pre=False, granted=True)
    send_when_durable(state, own)
    _ask_all(state, pre=False, handover=handover)


def _ask_all(state: State, *, pre: bool, handover: bool) -> None:
    for replica in state.membership.everyone:
        if replica == state.replica or not state.membership.counts(replica):
            continue
        request = VoteRequest(
            state.group,
            state.replica,
            replica,
            state.term + 1 if pre else state.term,
            pre=pre,
            handover=handover,
            last_index=state.log.last,
            last_term=state.log.last_term,
        )
        if pre:
            send(state, request)
        else:
            send_when_durable(state, request)


def is_leader_alive(state: State) -> bool:
    """Whether a leader's lease still runs here: votes are refused then (thesis 4.2.3)."""
    if state.role is Role.LEADER:
        return True
    return state.leader != NOBODY and (
        state.now_ms - state.heard_leader_ms < state.config.election_ms_min
    )


def on_vote_request(state: State, request: VoteRequest) -> None:
    """Grant to a log that covers ours, once a term (paper 5.4.1); the term rule ran before."""
    # A log that may have been longer than it is can judge nobody's (consensus 3, recovering head).
    log_covers = not state.log.head_in_doubt and state.log.is_covered_by(
        request.last_term, request.last_index
    )
    if request.pre:
        granted = request.term > state.term and log_covers
        term = request.term if granted else state.term
        send(state, _answer(state, request, term, granted))
        return
    free = state.vote == request.sender or (state.vote == NOBODY and state.leader == NOBODY)
    granted = free and log_covers
    if granted:
        set_hard_state(state, state.term, request.sender)
        draw_election_deadline(state)
    send_when_durable(state, _answer(state, request, state.term, granted))


def refuse_old_term(state: State, request: VoteRequest) -> None:
    """Let the asker learn our term, so that it can catch up."""
    send(state, _answer(state, request, state.term, granted=False))


def _answer(state: State, request: VoteRequest, term: Term, granted: bool) -> VoteReply:
    return VoteReply(
        state.group, state.replica, request.sender, term, pre=request.pre, granted=granted
    )


def on_vote_reply(state: State, reply: VoteReply) -> None:
    """Count one vote of the election that is under way."""
    asking = Role.PRE_CANDIDATE if reply.pre else Role.CANDIDATE
    term = state.term + 1 if reply.pre and reply.granted else state.term
    if state.role is not asking or reply.term != term:
        return  # an answer to an election that is over
    if reply.sender == state.replica:
        draw_election_deadline(state)  # our requests leave only now, with our own vote on disk
    state.votes.setdefault(reply.sender, reply.granted)
    match vote_result(state.membership, state.votes):
        case Vote.WON if reply.pre:
            campaign(state, handover=False)
        case Vote.WON:
            become_leader(state)
            start_term(state)
        case Vote.LOST:
            become_follower(state, state.term, NOBODY)
        case Vote.OPEN:
            pass


def on_timeout_now(state: State, message: TimeoutNow) -> None:
    """The leader hands over to us: campaign without asking first (thesis 3.10)."""
    if state.role is not Role.LEADER and message.sender == state.leader:
        campaign(state, handover=True)
