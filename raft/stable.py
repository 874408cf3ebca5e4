"""LogStorage: what survives a restart. Durable on a disk, and its twin in memory for tests.

Both pass the same contract tests. Of snapshots the log only knows behind which one it begins.
"""

from collections.abc import Sequence
from random import Random
from typing import Protocol

from raft.configs import decode_membership
from raft.disk import Disk
from raft.mending import Repair
from raft.model import (
    Entry,
    EntryKind,
    HardState,
    Index,
    Membership,
    Persist,
    ReplicaId,
    SnapshotMeta,
    Term,
)
from raft.wal import SEGMENT_BYTES, Wal


class LogStorage(Protocol):
    """The log and the hard state of one replica."""

    @property
    def cluster(self) -> bytes:
        """Whose log this is."""
        ...

    @property
    def replica(self) -> ReplicaId:
        """Whose log this is."""
        ...

    @property
    def hard_state(self) -> HardState:
        """Term and vote as last written."""
        ...

    @property
    def last(self) -> Index:
        """The last entry written."""
        ...

    @property
    def snapshot(self) -> SnapshotMeta | None:
        """Behind which entry the log begins; None when it begins with the first."""
        ...

    def compaction_point(self, upto: Index, bytes_kept: int) -> Index:
        """How far the log could be forgotten, at most `upto` and keeping its newest bytes; no
        further than it is already when that frees nothing."""
        ...

    @property
    def term_runs(self) -> Sequence[tuple[Index, Term]]:
        """(first index, term) of each run of equal terms, as found when opened."""
        ...

    @property
    def head_in_doubt(self) -> bool:
        """Acknowledged entries may be missing at the end: no vote, no candidacy."""
        ...

    def doubt_head(self) -> None:
        """Remember that, durably."""
        ...

    def restore_head(self) -> None:
        """Something proposed after the loss has come back through the log: all is here again."""
        ...

    @property
    def configs(self) -> Sequence[tuple[Index, Membership]]:
        """The memberships of CONFIG entries and their indexes, as found when opened."""
        ...

    def write(self, steps: Sequence[Persist]) -> None:
        """Make these steps durable, in order; blocks; raises DiskFailed, which is final."""
        ...

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Durable entries low..high, cut after bytes_max but never empty."""
        ...

    @property
    def needs_spare(self) -> bool:
        """Whether `prepare` would save a later write from stalling."""
        ...

    def prepare(self) -> None:
        """Get the next file ready; may run beside `write`."""
        ...

    def close(self) -> None:
        """Release what is open; everything written is durable already."""
        ...


class DurableLog(Wal):
    """LogStorage on a disk."""

    @property
    def cluster(self) -> bytes:
        """As written in every segment."""
        return self._cluster

    @property
    def replica(self) -> ReplicaId:
        """As written in every segment."""
        return self._replica


def open_log(
    disk: Disk,
    directory: str,
    *,
    cluster: bytes,
    replica: ReplicaId,
    random: Random,
    segment_bytes: int = SEGMENT_BYTES,
    head_may_be_lost: bool = False,
    repair: Repair | None = None,
) -> DurableLog:
    """Recover or create the log in a directory; raises WalCorrupt, WrongLog or DiskFailed.

    `head_may_be_lost`: there are other voters, so a damaged end is cut and the head in doubt, and
    other gaps raise LogDamaged until `repair` fills them.
    """
    return DurableLog(
        disk,
        directory,
        cluster=cluster,
        replica=replica,
        random=random,
        segment_bytes=segment_bytes,
        head_may_be_lost=head_may_be_lost,
        repair=repair,
    )


class MemoryLog:
    """LogStorage that forgets when the process ends."""

    def __init__(self, *, cluster: bytes, replica: ReplicaId) -> None:
        """Start empty."""
        self.cluster = cluster
        self.replica = replica
        self.hard_state = HardState()
        self.head_in_doubt = False
        self.snapshot: SnapshotMeta | None = None
        self._start: Index = 0
        self._entries: list[Entry] = []

    @property
    def last(self) -> Index:
        """The last entry written."""
        return self._start + len(self._entries)

    @property
    def term_runs(self) -> Sequence[tuple[Index, Term]]:
        """(first index, term) of each run of equal terms."""
        runs: list[tuple[Index, Term]] = []
        if self.snapshot is not None:
            runs.append((self.snapshot.index, self.snapshot.term))
        for entry in self._entries:
            if not runs or runs[-1][1] != entry.term:
                runs.append((entry.index, entry.term))
        return runs

    @property
    def configs(self) -> Sequence[tuple[Index, Membership]]:
        """The memberships of CONFIG entries and their indexes."""
        return [
            (entry.index, decode_membership(entry.payload))
            for entry in self._entries
            if entry.kind is EntryKind.CONFIG
        ]

    def write(self, steps: Sequence[Persist]) -> None:
        """Keep them."""
        for step in steps:
            if step.hard_state is not None:
                self.hard_state = step.hard_state
            if step.truncate_from is not None:
                del self._entries[max(step.truncate_from - self._start - 1, 0) :]
            if step.snapshot is not None:
                self.snapshot = step.snapshot
                del self._entries[: step.snapshot.index - self._start]
                self._start = step.snapshot.index
            if step.entries:
                assert step.entries[0].index == self.last + 1, (step.entries[0], self.last)
                self._entries.extend(step.entries)

    def compaction_point(self, upto: Index, bytes_kept: int) -> Index:
        """Keeps whole entries."""
        size, point = 0, self.last
        while point > self._start and size < bytes_kept:
            size += len(self._entries[point - self._start - 1].payload)
            point -= 1
        return max(min(point, upto), self._start)

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Entries low..high, cut after bytes_max but never empty."""
        found: list[Entry] = []
        size = 0
        for entry in self._entries[low - self._start - 1 : high - self._start]:
            size += len(entry.payload)
            if found and size > bytes_max:
                break
            found.append(entry)
        return found

    def doubt_head(self) -> None:
        """As on a disk."""
        self.head_in_doubt = True

    def restore_head(self) -> None:
        """As on a disk."""
        self.head_in_doubt = False

    @property
    def needs_spare(self) -> bool:
        """Memory needs no preparing."""
        return False

    def prepare(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing is open."""
