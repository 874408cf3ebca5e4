"""Paper 6: changes of membership, as the leader makes them, by joint consensus.

A change of voters goes through a joint configuration, in which majorities of the old and of the
new voters must both agree; when it has committed, the leader leaves it by itself. Who takes over
in between finds it in its log and does the same. Learners come and go in one step, since they
never count. What keeps this safe, lettered as in the design:

    (a) both majorities decide inside a joint change                       quorum.agreed
    (b) learners are never counted                                         quorum.agreed
    (c) one configuration at a time is not committed, or joint             refused here
    (d) none before this leader committed an entry of its own term         refused here
    (e) an id that was removed never comes back                            refused here
    (f) no change that leaves voters without a majority we can reach,
        unless an operator insists                                         refused here
    (g) a learner is promoted when it is near our end and was just heard   refused here
    (h) truncation brings the configuration before back                    configs.Configs

A leader that is no voter any more goes on until the change that says so has committed, then asks
the furthest voter to take over. Replicas that are out are sent the log a little longer, so that
they learn it; after that nobody listens to them.
"""

from dataclasses import dataclass
from typing import Final

from raft.configs import CONTEXT_BYTES_MAX, MEMBERS_MAX, REMOVED_MAX, encode_membership
from raft.messages import TimeoutNow
from raft.model import NOBODY, EntryKind, Index, Membership, ReplicaId
from raft.progress import Progress
from raft.quorum import agreed
from raft.replication import append_payloads, send_heartbeats
from raft.state import Role, State, become_follower, send

# A departed replica whose configuration is not committed yet has no end of its farewell.
_NOT_YET: Final = -1


class ChangeRefused(Exception):
    """The membership stays as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator, or the house, wants changed; all of it, or nothing."""

    learners: frozenset[ReplicaId] = frozenset()  # to add
    promote: frozenset[ReplicaId] = frozenset()
    remove: frozenset[ReplicaId] = frozenset()
    contexts: tuple[tuple[ReplicaId, bytes], ...] = ()  # in place of what members had
    force: bool = False  # even when the voters that remain cannot be reached


def propose(state: State, change: Change) -> Index:
    """Append the configuration that begins this change; raises ChangeRefused."""
    _check_moment(state)
    _check_members(state, change)
    after = target(state.membership, change)
    _check_result(state, change, after)
    if after.voters != state.membership.voters:
        return _append(state, _joint(state.membership, after))
    return _append(state, after)


def target(before: Membership, change: Change) -> Membership:
    """What is to stand when the change is over."""
    voters = (before.voters | change.promote) - change.remove
    learners = (before.learners | change.learners) - change.promote - change.remove
    contexts = {**dict(before.contexts), **dict(change.contexts)}
    return Membership(
        voters=voters,
        learners=learners,
        removed=before.removed | change.remove,
        contexts=tuple(sorted(item for item in contexts.items() if item[0] in voters | learners)),
    )


def _joint(before: Membership, after: Membership) -> Membership:
    """Both sets of voters; nobody who still counts is called removed, or loses its context."""
    kept = dict(before.contexts) | dict(after.contexts)
    members = after.voters | before.voters | after.learners
    return Membership(
        voters=after.voters,
        outgoing=before.voters,
        learners=after.learners,
        removed=after.removed - before.voters,
        contexts=tuple(sorted(item for item in kept.items() if item[0] in members)),
    )


def left(joint: Membership) -> Membership:
    """What follows a joint configuration: the new voters alone."""
    members = joint.voters | joint.learners
    return Membership(
        voters=joint.voters,
        learners=joint.learners,
        removed=joint.removed | (joint.outgoing - joint.voters),
        contexts=tuple(item for item in joint.contexts if item[0] in members),
    )


def _refuse_if(wrong: bool, reason: str) -> None:
    if wrong:
        raise ChangeRefused(reason)


def _check_moment(state: State) -> None:
    _refuse_if(state.role is not Role.LEADER, "this replica does not lead")
    _refuse_if(state.handover is not None, "leadership is being handed over")
    _refuse_if(
        state.commit < state.term_start, "the leader has not committed in its term yet"
    )  # (d)
    _refuse_if(
        state.configs.active_index > state.commit or state.membership.is_joint,
        "another change of membership is under way",
    )  # (c)


def _check_members(state: State, change: Change) -> None:
    membership = state.membership
    members = frozenset(membership.everyone)
    _refuse_if(bool(change.learners & membership.removed), "that replica was removed")  # (e)
    _refuse_if(bool(change.learners & members), "that replica is a member already")
    _refuse_if(NOBODY in change.learners, "0 is nobody's id")
    _refuse_if(not change.remove <= members, "that replica is no member")
    _refuse_if(not change.promote <= membership.learners, "that replica is no learner")
    _refuse_if(bool(change.promote & change.remove), "one replica cannot come and go at once")
    known = members | change.learners
    _refuse_if(not {replica for replica, _ in change.contexts} <= known, "a note on no member")
    for replica in sorted(change.promote):
        _check_caught_up(state, state.progress[replica])


def _check_caught_up(state: State, learner: Progress) -> None:
    """(g): a voter that has to catch up first would be counted on and could not answer."""
    behind = state.commit - learner.match
    _refuse_if(
        not _is_heard(state, learner) or behind > state.config.promote_lag_max,
        f"the learner is {behind} entries behind, or silent",
    )


def _is_heard(state: State, progress: Progress) -> bool:
    """It acknowledged entries in this term, and spoke within an election timeout."""
    silent_ms = state.now_ms - progress.heard_ms
    return progress.match > 0 and silent_ms < state.config.election_ms_max


def _check_result(state: State, change: Change, after: Membership) -> None:
    _refuse_if(not after.voters, "the last voter cannot be removed")
    _refuse_if(len(after.everyone) > MEMBERS_MAX, "the cluster has as many members as it may")
    _refuse_if(len(after.removed) > REMOVED_MAX, "too many replicas were removed over the years")
    _refuse_if(
        any(len(context) > CONTEXT_BYTES_MAX for _, context in after.contexts),
        "a note on a member is too long",
    )
    _refuse_if(after == state.membership, "nothing would change")
    changes_voters = after.voters != state.membership.voters
    _refuse_if(
        changes_voters and not change.force and not _is_reachable(state, after),
        "the voters that would remain cannot reach a majority of themselves now",
    )  # (f)


def _is_reachable(state: State, membership: Membership) -> bool:
    heard = {p.replica: int(_is_heard(state, p)) for p in state.progress.values()}
    heard[state.replica] = 1
    return agreed(membership, heard) == 1


def _append(state: State, membership: Membership) -> Index:
    """The configuration counts from here on."""
    append_payloads(state, EntryKind.CONFIG, [encode_membership(membership)])
    assert state.membership == membership, (state.membership, membership)
    members = frozenset(membership.everyone)
    for replica in membership.everyone:
        if replica != state.replica and replica not in state.progress:
            never_ms = state.now_ms - state.config.election_ms_max
            state.progress[replica] = Progress(replica, state.log.last, never_ms)
    for replica in state.progress.keys() - members:
        state.departing.setdefault(replica, _NOT_YET)
    if state.handover is not None and state.handover.target not in membership.voters:
        state.handover = None
    return state.log.last


def is_under_way(state: State) -> bool:
    """Whether a leader has a change to go on with, or its own place to give up."""
    members = state.membership
    return bool(state.departing) or members.is_joint or not members.counts(state.replica)


def advance(state: State) -> None:
    """What follows from a configuration that has committed; called once a turn."""
    if state.role is not Role.LEADER or state.configs.active_index > state.commit:
        return
    if state.departing:
        _say_farewell(state)
    if state.commit < state.term_start:
        return
    if state.membership.is_joint:
        _append(state, left(state.membership))
    elif not state.membership.counts(state.replica):
        _resign(state)


def _say_farewell(state: State) -> None:
    """The departed learn that they are, or have had the time to."""
    for replica in sorted(state.departing):
        progress = state.progress[replica]
        if state.departing[replica] == _NOT_YET:
            state.departing[replica] = state.now_ms + state.config.election_ms_max
            state.appends_due = True
        knows = progress.told_commit >= state.configs.active_index
        if knows or state.now_ms >= state.departing[replica]:
            del state.departing[replica], state.progress[replica]


def _resign(state: State) -> None:
    """We are out, and that is committed: a voter takes over at once instead of timing out."""
    voters = [p for p in state.progress.values() if p.replica in state.membership.voters]
    send_heartbeats(state)  # they learn what is committed
    best = max(voters, key=lambda p: (p.match, p.heard_ms, p.replica))
    send(state, TimeoutNow(state.group, state.replica, best.replica, state.term))
    become_follower(state, state.term, NOBODY)


def is_out(state: State, replica: ReplicaId) -> bool:
    """Whether a committed configuration has removed this replica, so that it has no say.

    One that is still sent its farewell is listened to, so that it gets it.
    """
    return replica in state.configs.at(state.commit).removed and replica not in state.progress
