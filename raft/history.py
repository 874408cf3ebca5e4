"""What a damaged log still tells: entries in order, with gaps where bytes do not read back.

Records are taken in the order of the segments. Where something in between cannot be read, `lose`
says so: entries, taking back, snapshots may have stood there. What comes after it shows how much:

    ..., 98, 99, 100   [ ??? ]   111, 112, ...      gap: 101 to 110, proven by its anchor 111
    ..., 98, 99, 100   [ ??? ]   101, ...           a gap of no entries: only that 101 follows 100

The anchor is the first entry behind a gap. By Log Matching (paper 5.3) every log that holds the
anchor holds the same entries before it, so any replica that has it can say what stood in the gap;
and where the anchor has the term of the entry before the gap, nothing can have been replaced.
Entries brought back stand as copies (MEND) in a later segment, the anchor's own copy the last of
them, and close the gap whenever the log is read again.

What is lost behind all that reads back has no anchor: nobody can tell how much it was.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from raft.configs import decode_membership
from raft.model import Entry, EntryKind, Index, Membership, SnapshotMeta, Term
from raft.positions import Positions


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries `low` to the one before `anchor` do not read back; none, when they are equal."""

    low: Index
    anchor: Index
    anchor_term: Term
    why: str  # where the damage is


@dataclass(frozen=True, slots=True)
class _Copy:
    """An entry that was brought back, and where it stands."""

    term: Term
    sequence: int
    offset: int
    membership: Membership | None


@dataclass(slots=True)
class History:
    """The entries of a log as far as they are known."""

    positions: Positions = field(default_factory=Positions)
    term_runs: list[tuple[Index, Term]] = field(default_factory=list)
    configs: list[tuple[Index, Membership]] = field(default_factory=list)
    snapshot: SnapshotMeta | None = None  # the log begins behind it
    gaps: list[Gap] = field(default_factory=list)
    lost: str | None = None  # why what was read last is not all there was, until an entry shows
    is_front_open: bool = False  # earlier segments were removed: no entry has told yet how far
    copies: dict[Index, _Copy] = field(default_factory=dict)  # read, and no gap closed by them yet

    @property
    def start(self) -> Index:
        """The entry behind which the log begins."""
        return 0 if self.snapshot is None else self.snapshot.index

    @property
    def last_term(self) -> Term:
        """The term of the last entry that is known."""
        return self.term_runs[-1][1] if self.term_runs else 0

    def lose(self, why: str) -> None:
        """Something here does not read back."""
        if self.lost is None:
            self.lost = why

    def take_entry(self, entry: Entry, sequence: int, offset: int) -> None:
        """The next entry that reads back."""
        index = entry.index
        if self.is_front_open:
            self.is_front_open = False
            self.lost = None  # what is lost before it shows when it is known where the log begins
            self.positions.forget(index - 1)
        if index != self.positions.last + 1:
            self.lose(f"entry {index} follows entry {self.positions.last}")
        has_gap = self.lost is not None and self._find_gap(entry)
        self.positions.put(index, sequence, offset)
        if has_gap or self.last_term != entry.term:
            self.term_runs.append((index, entry.term))
        if entry.kind is EntryKind.CONFIG:
            self.configs.append((index, decode_membership(entry.payload)))

    def take_entries(
        self, entries: Sequence[tuple[Index, Term, int]], sequence: int, at: int
    ) -> None:
        """The next entries, none of them a configuration: (index, term, place behind `at`)."""
        for index, term, place in entries:
            usual = index == self.positions.last + 1 and term == self.last_term
            if usual and self.lost is None and not self.is_front_open:
                self.positions.put(index, sequence, at + place)
            else:
                self.take_entry(Entry(index, term, EntryKind.NORMAL, b""), sequence, at + place)

    def _find_gap(self, entry: Entry) -> bool:
        """Something was lost before this entry: what of the log before it is missing?"""
        why, self.lost = self.lost or "", None
        if entry.index <= self.positions.last:
            self._cut(entry.index)
        low = self.positions.last + 1
        follows = entry.index == low and self.last_term == entry.term
        if follows or entry.index == self.start + 1:
            return False
        self.positions.leave_out(entry.index - low)
        self.gaps.append(Gap(low, entry.index, entry.term, why))
        return True

    def take_truncate(self, first: Index) -> None:
        """Entries from `first` on were taken back."""
        if self.lost is None and first > self.positions.last + 1:
            self.lose(f"entries from {first} on are taken back, and {self.positions.last} is last")
        self._cut(first)

    def _cut(self, first: Index) -> None:
        while self.gaps and self.gaps[-1].anchor >= first:
            gap = self.gaps.pop()
            self.lose(gap.why)  # another entry will have to say what is missing
            first = min(first, gap.low)
        if first <= self.positions.last:
            self.positions.truncate(first)
            del self.term_runs[bisect_left(self.term_runs, (first, 0)) :]
            while self.configs and self.configs[-1][0] >= first:
                self.configs.pop()
        for index in [index for index in self.copies if index >= first]:
            del self.copies[index]

    def take_cut(self, first: Index) -> None:
        """What could not be read from `first` on was given up: the log ends before it."""
        self._cut(first)
        self.lost, self.is_front_open = None, False
        if self.positions.last >= first or self.positions.last < self.start:
            self.positions.truncate(self.start + 1)
        if self.positions.last == self.start:
            self.term_runs.clear()

    def take_snapshot(self, meta: SnapshotMeta) -> None:
        """The log begins behind this from now on."""
        self.snapshot = meta
        if meta.index >= self.positions.last and not self.is_front_open:
            # Nothing before it is left, so its term is the last one.
            self.gaps.clear()
            self.positions.truncate(meta.index + 1)
            self.positions.forget(meta.index)
            self.term_runs[:] = [(meta.index, meta.term)]

    def take_copy(self, entry: Entry, sequence: int, offset: int) -> None:
        """An entry that was brought back into a gap, or the anchor behind one."""
        membership = None
        if entry.kind is EntryKind.CONFIG:
            membership = decode_membership(entry.payload)
        self.copies[entry.index] = _Copy(entry.term, sequence, offset, membership)

    def close_gaps(self) -> None:
        """Put copies where entries are missing, if all of a gap and its anchor are there."""
        if not self.copies:
            return
        kept: list[Gap] = []
        floor = self.positions.last + 1
        for gap in reversed(self.gaps):
            if gap.low >= floor:
                continue  # the copies that closed the one behind it reach below it
            first = self._close(gap)
            if first is None:
                kept.append(gap)
            else:
                floor = first
        self.gaps = kept[::-1]

    def _close(self, gap: Gap) -> Index | None:
        """The first entry that was replaced; None when copies are missing."""
        anchor = self.copies.get(gap.anchor)
        if anchor is None or anchor.term != gap.anchor_term:
            return None
        first = gap.anchor
        while first - 1 in self.copies and first - 1 > self.positions.start:
            first -= 1
        if first > max(gap.low, self.start + 1):
            return None
        found = {index: self.copies.pop(index) for index in range(first, gap.anchor + 1)}
        for index, copy in found.items():
            if index < gap.anchor:  # which stays where it was, so that its segment stays too
                self.positions.replace(index, copy.sequence, copy.offset)
        behind = [run for run in self.term_runs if run[0] > gap.anchor]
        del self.term_runs[bisect_left(self.term_runs, (first, 0)) :]
        for index, term in [*((index, copy.term) for index, copy in found.items()), *behind]:
            if self.last_term != term:
                self.term_runs.append((index, term))
        kept = [held for held in self.configs if held[0] not in found]
        kept += [(index, c.membership) for index, c in found.items() if c.membership is not None]
        self.configs = sorted(kept, key=lambda held: held[0])
        return first

    def finish(self, front: str) -> None:
        """All is read: the log begins behind its snapshot, and gaps before that are none.

        `front` tells what is missing if entries behind the snapshot stood in removed segments.
        """
        start = self.start
        if self.is_front_open and self.snapshot is None:
            self.lose(front)  # nothing tells where the log begins, nor that it holds anything
        if self.positions.start > start:
            if self.positions.last == self.positions.start:
                self.positions.truncate(start + 1)
                self.term_runs.clear()
                self.lose(front)
            else:
                first = self.positions.start + 1
                self.gaps.insert(0, Gap(start + 1, first, self.term_runs[0][1], front))
                if start + 1 in self.copies and first in self.copies:
                    self.positions.extend_front(start)
                    self.close_gaps()
        self.gaps = [
            Gap(max(gap.low, start + 1), gap.anchor, gap.anchor_term, gap.why)
            for gap in self.gaps
            if gap.anchor > start + 1
        ]
        if self.snapshot is None:
            return
        self.positions.forget(start)
        self.configs = [held for held in self.configs if held[0] > start]
        later = [run for run in self.term_runs if run[0] > start]
        if later and later[0] == (start + 1, self.snapshot.term):
            del later[0]  # the same run
        self.term_runs = [(start, self.snapshot.term), *later]
