"""A log with gaps, before it is mended: what of it reads back, and for whom that is of use.

Nothing is written here and nobody votes with such a log. Its replica asks others for what is
missing, and answers them from what it has (raft/repair.py): replicas that are damaged in different
places mend each other, though none of them could lead.
"""

from bisect import bisect_right

from raft.disk import Disk
from raft.model import Entry, HardState, Index, SnapshotMeta, Term
from raft.readback import ReadBack
from raft.recovery import Recovered, WalCorrupt


class DamagedLog:
    """The entries that read back."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        found: Recovered,
        vote: HardState | None,
        segment_bytes: int,
    ) -> None:
        """As `recover` found it."""
        self._found = found
        self.gaps = tuple(found.gaps)
        self.configs = tuple(found.configs)
        self.snapshot: SnapshotMeta | None = found.snapshot
        self.hard_state = vote or found.hard_state
        self._starts = [first for first, _ in found.term_runs]
        self._readback = ReadBack(
            disk,
            directory,
            found.positions,
            names=found.names,
            salts=found.salts,
            segment_bytes=segment_bytes,
        )

    @property
    def start(self) -> Index:
        """The entry behind which the log begins."""
        return self._found.start

    @property
    def last(self) -> Index:
        """The last entry that reads back."""
        return self._found.positions.last

    def term(self, index: Index) -> Term | None:
        """The term of an entry that reads back, or of the start; None where nobody knows."""
        if not self.start <= index <= self.last:
            return None
        if any(gap.low <= index < gap.anchor for gap in self.gaps):
            return None
        if index == 0:
            return 0
        return self._found.term_runs[bisect_right(self._starts, index) - 1][1]

    def run_start(self, index: Index) -> Index:
        """The first entry of the run of equal terms that this one is in."""
        return self._starts[bisect_right(self._starts, index) - 1]

    def chain_start(self, index: Index) -> Index:
        """From where on up to this entry nothing is missing, nor in question."""
        return max((gap.anchor for gap in self.gaps if gap.anchor <= index), default=self.start)

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Entries that read back, as of any log."""
        return self._readback.read(low, high, bytes_max)

    def close(self) -> None:
        """Release the files."""
        self._readback.close()


class LogDamaged(WalCorrupt):
    """The log has gaps that other replicas may fill; `log` is what there is."""

    def __init__(self, log: DamagedLog) -> None:
        """Told like any damage: where it is."""
        super().__init__(log.gaps[0].why)
        self.log = log


def check_mendable(found: Recovered, *, others: bool, vote_is_known: bool) -> None:
    """Raise WalCorrupt unless what is missing can be brought back, or given up without harm."""
    if others and found.hard_state_lost and not vote_is_known:
        raise WalCorrupt(
            f"{found.why}: a vote may have stood there, and the file that repeats it is gone too"
        )
    if not others and not found.is_whole:
        raise WalCorrupt(found.why)
