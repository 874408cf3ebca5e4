"""What a damaged log still tells: entries in order, with gaps where bytes do not read back.

Records are taken in the order of the segments. Where something in between cannot be read, `lose`
says so: entries, taking back, snapshots may have stood there. What comes after it shows how much:

    ..., 98, 99, 100   [ ??? ]   111, 112, ...      gap: 101 to 110, proven by its anchor 111
    ..., 98, 99, 100   [ ??? ]   101, ...           a gap of no entries: only that 101 follows 100

The anchor is the first entry behind a gap. By Log Matching (paper 5.3) every log that holds the
anchor holds the same entries before it, so any replica that has it can say what stood in the gap;
and where the anchor has the term of the entry before the gap, nothing can have been replaced.
Entries brought back stand as copies in a later segment, behind a record that numbers their repair,
and close the gap whenever the log is read again. The first of them is the entry before the gap, the
last is the anchor: both must be what the log has there, since more may have rotted by then, and
entries that had been replaced may have come to light again. Copies of two repairs are never mixed.

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
    copies: dict[int, dict[Index, _Copy]] = field(default_factory=dict)  # by number of the repair
    repair: int = 0  # whose copies are being read
    _may_close: bool = False  # gaps, copies or the start have changed since gaps were closed

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
            self.is_front_open, self._may_close = False, True
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

    def take_entries(self, first: Index, term: Term, sequence: int, places: Sequence[int]) -> None:
        """The next entries, from `first` on, all of one term and none of them a configuration."""
        for count, place in enumerate(places):
            index = first + count
            usual = index == self.positions.last + 1 and term == self.last_term
            if usual and self.lost is None and not self.is_front_open:
                self.positions.extend(index, sequence, places[count:])
                break
            self.take_entry(Entry(index, term, EntryKind.NORMAL, b""), sequence, place)

    def _find_gap(self, entry: Entry) -> bool:
        """Something was lost before this entry: what of the log before it is missing?"""
        why = self.lost or ""
        if entry.index <= self.positions.last:
            self._cut(entry.index)
        self.lost = None  # this entry will show what is missing, of gaps that were cut as well
        low = self.positions.last + 1
        if entry.index == low and self.last_term == entry.term:
            return False
        self.positions.leave_out(entry.index - low)
        self._may_close = True
        self.gaps.append(Gap(low, entry.index, entry.term, why))
        return True

    def take_truncate(self, first: Index) -> None:
        """Entries from `first` on were taken back."""
        if first > self.positions.last + 1 and not self.is_front_open:  # else of removed segments
            self.lose(f"entries from {first} on are taken back, and {self.positions.last} is last")
        self._cut(first)

    def _cut(self, first: Index) -> None:
        self._may_close = True
        while self.gaps and self.gaps[-1].anchor >= first:
            gap = self.gaps.pop()
            self.lose(gap.why)  # another entry will have to say what is missing
            first = min(first, gap.low)
        if first <= self.positions.last:
            self.positions.truncate(first)
            del self.term_runs[bisect_left(self.term_runs, (first, 0)) :]
            while self.configs and self.configs[-1][0] >= first:
                self.configs.pop()
        for copies in self.copies.values():
            for index in [index for index in copies if index >= first]:
                del copies[index]

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
        self.snapshot, self._may_close = meta, True
        if meta.index >= self.positions.last and not self.is_front_open:
            # Nothing before it is left, so its term is the last one.
            self.gaps.clear()
            self.positions.truncate(meta.index + 1)
            self.positions.forget(meta.index)
            self.term_runs[:] = [(meta.index, meta.term)]

    def take_mend(self, repair: int) -> None:
        """The copies that follow were brought back by the repair of this number."""
        self.repair = repair

    def take_copy(self, entry: Entry, sequence: int, offset: int) -> None:
        """An entry that was brought back into a gap, the one before it, or the anchor behind."""
        membership = None
        if entry.kind is EntryKind.CONFIG:
            membership = decode_membership(entry.payload)
        self._may_close = True
        copies = self.copies.setdefault(self.repair, {})
        copies[entry.index] = _Copy(entry.term, sequence, offset, membership)

    def close_gaps(self) -> None:
        """Put copies where entries are missing, if all of a gap and what it joins are there."""
        if not self.copies or not self._may_close:
            return
        self._may_close = False
        kept: list[Gap] = []
        before = self.positions.start + 1
        while self.gaps:
            gap, is_joined = self._close(self.gaps[-1])
            low = gap.low
            while self.gaps and self.gaps[-1].anchor >= gap.anchor:
                low = min(low, self.gaps.pop().low)  # what was put back stands for its anchor too
            if not is_joined:
                kept.append(Gap(low, gap.anchor, gap.anchor_term, gap.why))
            elif gap.anchor == self.start + 1 > before:  # nothing counts before the log's start
                kept.append(Gap(before, gap.anchor, gap.anchor_term, gap.why))
                break
        self.gaps = kept[::-1]

    def _close(self, gap: Gap) -> tuple[Gap, bool]:
        """What is left of a gap, whose anchor is the first entry that was put back; and whether
        that follows what is before it, so that nothing is left."""
        left, is_joined = gap, False
        repairs = list(reversed(self.copies.values()))
        while not is_joined and repairs:
            copies = repairs.pop(0)
            first, is_joined = self._first_known(left, copies)
            if first == left.anchor:
                continue
            self._put_back({i: copies[i] for i in range(first, left.anchor + 1)})
            left = Gap(min(gap.low, first), first, copies[first].term, gap.why)
            repairs = list(reversed(self.copies.values()))  # which of them goes on from here?
        return left, is_joined

    def _first_known(self, gap: Gap, copies: dict[Index, _Copy]) -> tuple[Index, bool]:
        """From where on these copies stand for what the log has before the anchor, and whether that
        follows what is before it.

        It does behind the newest entry in which both agree, and with which, by Log Matching, they
        agree in all before. Copies that belong to another anchor stand for nothing.
        """
        anchor, base = copies.get(gap.anchor), max(self.positions.start, self.start)
        if anchor is None or anchor.term != gap.anchor_term:
            return gap.anchor, False
        index = gap.anchor - 1
        while index > base:
            copy = copies.get(index)
            if copy is None:
                return index + 1, False
            if index < gap.low and self._term(index) == copy.term:
                break
            index -= 1
        return index + 1, True

    def _term(self, index: Index) -> Term | None:
        """The term of an entry that reads back."""
        return None if self._is_missing(index) else self._run_term(index)

    def _run_term(self, index: Index) -> Term:
        return self.term_runs[bisect_left(self.term_runs, (index + 1, 0)) - 1][1]

    def _is_missing(self, index: Index) -> bool:
        return any(gap.low <= index < gap.anchor for gap in self.gaps)

    def _put_back(self, found: dict[Index, _Copy]) -> None:
        """Let these, the last of which is an anchor, stand in the log."""
        self._may_close = True  # a gap behind them may end in what they brought
        first, anchor = min(found), max(found)
        for index, copy in found.items():
            if index < anchor:  # which stays where it was, so that its segment stays too
                self.positions.replace(index, copy.sequence, copy.offset)
        behind = [run for run in self.term_runs if run[0] > anchor]
        del self.term_runs[bisect_left(self.term_runs, (first, 0)) :]
        for index, term in [*((index, copy.term) for index, copy in found.items()), *behind]:
            if self.last_term != term:
                self.term_runs.append((index, term))
        kept = [held for held in self.configs if held[0] not in found]
        kept += [(index, c.membership) for index, c in found.items() if c.membership is not None]
        self.configs = sorted(kept, key=lambda held: held[0])

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
                self._open_front(start, front)
        elif start > self.positions.start:
            self._check_start(front)
        self.copies.clear()
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

    def _open_front(self, start: Index, why: str) -> None:
        """What stood behind `start` went with a damaged segment; if it was brought back, it stands
        in a later one."""
        first, term = self.positions.start + 1, self.term_runs[0][1]
        if self.gaps and self.gaps[0].low == first:
            first = self.gaps.pop(0).anchor
        self.positions.extend_front(start)
        self.gaps.insert(0, Gap(start + 1, first, term, why))
        self._may_close = True
        self.close_gaps()

    def _check_start(self, why: str) -> None:
        """What follows the entry behind which the log begins is what follows it here, if that entry
        is the same; else it had been replaced, and what replaced it does not read back."""
        meta = self.snapshot
        if meta is None or meta.index >= self.positions.last or self._is_missing(meta.index):
            return
        if self._term(meta.index) == meta.term:
            return
        later = [place for place, gap in enumerate(self.gaps) if gap.anchor > meta.index]
        if later:
            gap = self.gaps[later[0]]
            self.gaps[later[0]] = Gap(meta.index + 1, gap.anchor, gap.anchor_term, gap.why)
        else:
            self._cut(meta.index + 1)
            self.lose(why)
