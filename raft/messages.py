"""One frozen dataclass per thing replicas say to each other, and their union.

Every message names its group (0 until accounts are spread over groups), its two ends and its
sender's term. The cluster id is put on and checked by `wire`, which refuses what is unknown.
"""

from dataclasses import dataclass
from typing import TypeAlias

from raft.model import Entry, Index, ReplicaId, Term


@dataclass(frozen=True, slots=True)
class _Message:
    group: int
    sender: ReplicaId
    to: ReplicaId
    term: Term


@dataclass(frozen=True, slots=True)
class VoteRequest(_Message):
    """Paper 5.2, 5.4.1. With `pre`, term is the one the sender would campaign in (thesis 9.6).

    `handover` says that the leader itself asked for this election, so its lease does not count.
    """

    pre: bool
    handover: bool
    last_index: Index
    last_term: Term


@dataclass(frozen=True, slots=True)
class VoteReply(_Message):
    """A granted pre-vote carries the term asked about; a refusal carries the voter's own."""

    pre: bool
    granted: bool


@dataclass(frozen=True, slots=True)
class Append(_Message):
    """Paper 5.3: the entries after (previous_index, previous_term), and what is committed."""

    previous_index: Index
    previous_term: Term
    commit: Index
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class AppendReply(_Message):
    """Everything up to `match` is durable here and equal to the leader's log."""

    match: Index


@dataclass(frozen=True, slots=True)
class AppendReject(_Message):
    """The entry at `rejected` differs or is missing; the logs may agree at the hint or before.

    The hint is the follower's last entry at or before `rejected` whose term is not above the one
    the leader named, which skips a whole conflicting term in one round trip.
    """

    rejected: Index
    hint_index: Index
    hint_term: Term


@dataclass(frozen=True, slots=True)
class Heartbeat(_Message):
    """I lead, this much is committed. Answers to `round` prove it to readers; 0 asks for none."""

    commit: Index
    round: int


@dataclass(frozen=True, slots=True)
class HeartbeatReply(_Message):
    """When this was sent, the sender of the heartbeat still led its term."""

    round: int


@dataclass(frozen=True, slots=True)
class SnapshotOffer(_Message):
    """The leader's log begins behind this committed entry: fetch a state that has it (paper 7).

    Answered like an Append once the follower has it, not at all before.
    """

    index: Index
    index_term: Term


@dataclass(frozen=True, slots=True)
class Propose(_Message):
    """Payloads for the leader to append; lost without an answer if it does not lead."""

    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadRequest(_Message):
    """A follower asks how far it must apply before it may answer reads (thesis 6.4)."""

    ticket: int


@dataclass(frozen=True, slots=True)
class ReadReply(_Message):
    """Whoever asked with this ticket or an earlier one may read at `index`."""

    ticket: int
    index: Index


@dataclass(frozen=True, slots=True)
class TimeoutNow(_Message):
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
