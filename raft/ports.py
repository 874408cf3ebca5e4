"""What the driver needs from the house, what it tells it, and how it says no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from raft.messages import Message
from raft.model import Entry, Index, Persist, ReplicaId, Term
from raft.progress import Sending
from raft.state import Role


class NoLeader(Exception):
    """No leader is known, so nobody can order a write or confirm a read."""


class TooBusy(Exception):
    """As much is under way as may be; try again shortly."""


class EntryTooLarge(Exception):
    """A payload that no replica would accept, now or later."""


class ReadTimeout(Exception):
    """A leader is known, but the answer did not come in time."""


class StateAheadOfLog(Exception):
    """The state machine has applied entries that the log does not hold: it is another's state."""


class Transport(Protocol):
    """Takes messages to other replicas. May drop, delay and repeat them, and never blocks."""

    def send(self, to: ReplicaId, messages: Sequence[Message]) -> None:
        """Queue these for one replica, or drop them."""
        ...


class StateMachine(Protocol):
    """What the log is for."""

    @property
    def applied_index(self) -> Index:
        """The last entry whose effect is kept; read once, at the start."""
        ...

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take the next entries, in order and without gaps; NOOP entries only move the index."""
        ...


class LogWriter(Protocol):
    """Carries steps to LogStorage in order, apart from the driver's task."""

    def submit(self, step: Persist) -> None:
        """Queue one step; never blocks."""
        ...

    async def run(
        self,
        on_durable: Callable[[int], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Write until cancelled, calling back on the loop with the last finished step's number.

        Raises DiskFailed.
        """
        ...


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A leader's view of one follower."""

    replica: ReplicaId
    match: Index
    lag: int
    sending: Sending
    heard_ms_ago: int


@dataclass(frozen=True, slots=True)
class Status:
    """One replica at one moment. `peers` is empty unless it leads."""

    replica: ReplicaId
    role: Role
    term: Term
    leader: ReplicaId  # 0 while none is known
    commit: Index
    applied: Index
    durable: Index
    last: Index
    voters: tuple[ReplicaId, ...]
    learners: tuple[ReplicaId, ...]
    peers: tuple[PeerStatus, ...]
    uncommitted_bytes: int
    messages_dropped: int
    proposals_dropped: int
    is_disk_silent: bool  # our own disk has owed an answer for an election timeout
