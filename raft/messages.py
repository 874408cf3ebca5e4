"""One frozen struct per thing replicas say to each other, and their union.

Every message names its group (0 until accounts are spread over groups), its two ends and its
sender's term. The cluster id is put on and checked by `wire`, which refuses what is unknown.
"""

from typing import TypeAlias

from msgspec import Struct

from raft.model import Entry, Index, ReplicaId, Term


class _Message(Struct, frozen=True, gc=False):
    group: int
    sender: ReplicaId
    to: ReplicaId
    term: Term


class VoteRequest(_Message, frozen=True, gc=False):
    """Paper 5.2, 5.4.1. With `pre`, term is the one the sender would campaign in (thesis 9.6).

    `handover` says that the leader itself asked for this election, so its lease does not count.
    """

    pre: bool
    handover: bool
    last_index: Index
    last_term: Term


class VoteReply(_Message, frozen=True, gc=False):
    """A granted pre-vote carries the term asked about; a refusal carries the voter's own."""

    pre: bool
    granted: bool


class Append(_Message, frozen=True, gc=False):
    """Paper 5.3: the entries after (previous_index, previous_term), and what is committed."""

    previous_index: Index
    previous_term: Term
    commit: Index
    entries: tuple[Entry, ...]


class AppendReply(_Message, frozen=True, gc=False):
    """Everything up to `match` is durable here and equal to the leader's log."""

    match: Index


class AppendReject(_Message, frozen=True, gc=False):
    """The entry at `rejected` differs or is missing; the logs may agree at the hint or before.

    The hint is the follower's last entry at or before `rejected` whose term is not above the one
    the leader named, which skips a whole conflicting term in one round trip.
    """

    rejected: Index
    hint_index: Index
    hint_term: Term


class Heartbeat(_Message, frozen=True, gc=False):
    """I lead, this much is committed. Answers to `round` prove it to readers; 0 asks for none."""

    commit: Index
    round: int


class HeartbeatReply(_Message, frozen=True, gc=False):
    """When this was sent, the sender of the heartbeat still led its term."""

    round: int


class SnapshotOffer(_Message, frozen=True, gc=False):
    """The leader's log begins behind this committed entry: fetch a state that has it (paper 7).

    Answered like an Append once the follower has it, not at all before.
    """

    index: Index
    index_term: Term


class Propose(_Message, frozen=True, gc=False):
    """Payloads for the leader to append; lost without an answer if it does not lead."""

    payloads: tuple[bytes, ...]


class ReadRequest(_Message, frozen=True, gc=False):
    """A follower asks how far it must apply before it may answer reads (thesis 6.4)."""

    ticket: int


class ReadReply(_Message, frozen=True, gc=False):
    """Whoever asked with this ticket or an earlier one may read at `index`."""

    ticket: int
    index: Index


class TimeoutNow(_Message, frozen=True, gc=False):
    """The leader hands over: campaign at once (thesis 3.10)."""


Message: TypeAlias = (
    VoteRequest
    | VoteReply
    | Append
    | AppendReply
    | AppendReject
    | Heartbeat
    | HeartbeatReply
    | SnapshotOffer
    | Propose
    | ReadRequest
    | ReadReply
    | TimeoutNow
)


def payload_bytes(message: Message) -> int:
    """How many bytes of memory a message holds, roughly: what bounded queues count."""
    match message:
        case Append():
            return 64 + sum([len(entry.payload) + 64 for entry in message.entries])
        case Propose():
            return 64 + sum([len(payload) + 48 for payload in message.payloads])
        case _:
            return 64
