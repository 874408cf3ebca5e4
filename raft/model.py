"""The words everybody in this room uses: terms, indexes, entries, who votes.

An entry is a tuple because there is one per write and it is sliced, never changed. Numbers of
EntryKind stand on disk and on the wire and are never given to another meaning.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

ReplicaId: TypeAlias = int  # u64, drawn once per data directory, never reused; 0 means nobody
Term: TypeAlias = int
Index: TypeAlias = int  # the first entry has index 1; 0 means "before the log"

NOBODY: Final[ReplicaId] = 0
KIB: Final = 1024
MIB: Final = 1024 * KIB
CLUSTER_ID_BYTES: Final = 16
# What an entry takes on the disk beside its payload; `entry_bytes_max` is meant with it.
ENTRY_HEADER_BYTES: Final = 32


class EntryKind(IntEnum):
    """What an entry is for."""

    NOOP = 0  # opens a leader's term, so that it can commit (paper 5.4.2, thesis 6.4)
    NORMAL = 1  # a payload for the state machine
    CONFIG = 2  # a membership, which counts from here on (paper 6; bytes in raft.configs)


# Kinds that this version understands; what holds another kind is refused, never skipped.
KINDS_KNOWN: Final = (EntryKind.NOOP, EntryKind.NORMAL, EntryKind.CONFIG)


class Entry(NamedTuple):
    """One place in the log. (index, term) names it for ever."""

    index: Index  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    term: Term
    kind: EntryKind
    payload: bytes


class HardState(Struct, frozen=True, gc=False):
    """What a replica must never forget, or it could vote twice in a term (paper 5.1)."""

    term: Term = 0
    vote: ReplicaId = NOBODY


@dataclass(frozen=True, slots=True)
class Membership:
    """Who counts. `outgoing` is not empty only inside a joint change (paper 6).

    `removed` are ids that were members and never may be again: their disks may have promised
    what later memberships do not count. `contexts` are the house's own notes on members, sorted
    by replica; consensus carries them and does not read them.
    """

    voters: frozenset[ReplicaId]
    outgoing: frozenset[ReplicaId] = frozenset()
    learners: frozenset[ReplicaId] = frozenset()
    removed: frozenset[ReplicaId] = frozenset()
    contexts: tuple[tuple[ReplicaId, bytes], ...] = ()

    @property
    def everyone(self) -> tuple[ReplicaId, ...]:
        """All who receive the log, in a fixed order, so that runs can be repeated."""
        return tuple(sorted(self.voters | self.outgoing | self.learners))

    def counts(self, replica: ReplicaId) -> bool:
        """Whether this replica's vote counts."""
        return replica in self.voters or replica in self.outgoing

    @property
    def is_joint(self) -> bool:
        """Two sets of voters must agree until the change is over."""
        return bool(self.outgoing)


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot stands for: everything up to this entry, under this membership."""

    index: Index
    term: Term
    membership: Membership


class ReadsConfirmed(Struct, frozen=True, gc=False):
    """Every local reader with this ticket or an earlier one may read at `index`."""

    ticket: int
    index: Index


class Persist(Struct, frozen=True, gc=False):
    """One step for the disk: written in this order, durable as one, then told to the core.

    `truncate_from` takes back entries that an earlier step may have written; after it, `snapshot`
    says that the log begins behind its index from now on, whatever it held up to there.
    """

    number: int
    hard_state: HardState | None
    truncate_from: Index | None
    entries: tuple[Entry, ...]
    snapshot: SnapshotMeta | None = None
