"""The log as the core sees it: terms of all entries, the newest entries, and three cursors.

    start ........ window ........ durable ... handed ... last
          (on disk)  (in memory)   (fsynced)   (given to the writer)

What is up to `start` is forgotten: a snapshot, or our own state, stands for it. Terms never fall
along the log, so they are kept as runs; a term is looked up without the disk. Only the newest
entries stay in memory (`window_bytes_max`); older ones are read back through the reader port.
Entries that are not durable or not committed never leave memory.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from raft.model import Entry, Index, Term

# Memory an entry takes beside its payload; counted so that empty entries are not free.
ENTRY_OVERHEAD_BYTES = 64


class EntryReader(Protocol):
    """Durable entries by index."""

    @property
    def head_in_doubt(self) -> bool:
        """Whether acknowledged entries may be missing at the end."""
        ...

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Entries low..high, cut after bytes_max but never empty when low <= high."""
        ...


class RaftLog:
    """Entries after `start`, with what is durable and what the writer has been given."""

    def __init__(
        self,
        reader: EntryReader,
        *,
        last: Index,
        term_runs: Sequence[tuple[Index, Term]],
        window_bytes_max: int,
        start: Index = 0,
    ) -> None:
        """Start from what recovery found: all of it durable, none of it in memory.

        With a start above 0 the first run of terms covers it.
        """
        assert start == 0 or term_runs[0][0] <= start, (start, term_runs)
        self.start: Index = start
        self._reader = reader
        self._window_bytes_max = window_bytes_max
        self._run_starts = [start for start, _ in term_runs]
        self._run_terms = [term for _, term in term_runs]
        self.last: Index = last
        self.durable: Index = last
        self.handed: Index = last
        self.truncated_from: Index | None = None  # the writer must take back from here
        self._window_first: Index = last + 1
        self._window: list[Entry] = []
        self._ends: list[int] = []  # bytes of the window up to and with each entry, cumulated
        self._dropped_bytes = 0

    @property
    def head_in_doubt(self) -> bool:
        """The log may be shorter than what this replica acknowledged."""
        return self._reader.head_in_doubt

    @property
    def last_term(self) -> Term:
        """The term of the last entry, 0 for an empty log."""
        return self._run_terms[-1] if self._run_terms else 0

    @property
    def term_runs(self) -> list[tuple[Index, Term]]:
        """(first index, term) of every run of equal terms."""
        return list(zip(self._run_starts, self._run_terms, strict=True))

    def term(self, index: Index) -> Term:
        """The term at an index of the log, its start included; 0 before the first entry."""
        assert self.start <= index <= self.last, (self.start, index, self.last)
        if index == 0:
            return 0
        return self._run_terms[bisect_right(self._run_starts, index) - 1]

    def matches(self, index: Index, term: Term) -> bool:
        """Whether this log has that entry (paper 5.3)."""
        return self.start <= index <= self.last and self.term(index) == term

    def last_at_or_below(self, index: Index, term: Term) -> tuple[Index, Term]:
        """The last entry up to `index` whose term is not above `term`; (0, 0) if there is none
        that is not forgotten."""
        index = min(index, self.last)
        run = bisect_right(self._run_starts, index) - 1
        while run >= 0 and self._run_terms[run] > term:
            index = self._run_starts[run] - 1
            run -= 1
        return (index, self._run_terms[run]) if run >= 0 and index >= self.start else (0, 0)

    def is_covered_by(self, last_term: Term, last_index: Index) -> bool:
        """Whether a log ending there is at least as new as this one (paper 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last)

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries at the end; they follow each other without a gap."""
        if not entries:
            return
        assert entries[0].index == self.last + 1, (entries[0].index, self.last)
        end = self._ends[-1] if self._ends else self._dropped_bytes
        last_term = self.last_term
        for entry in entries:
            if entry.term != last_term:
                assert entry.term > last_term, (entry.index, entry.term, last_term)
                last_term = entry.term
                self._run_starts.append(entry.index)
                self._run_terms.append(last_term)
            end += len(entry.payload) + ENTRY_OVERHEAD_BYTES
            self._ends.append(end)
        self._window.extend(entries)
        self.last = entries[-1].index

    def truncate(self, first: Index) -> None:
        """Take back entries from `first` on: another leader's log won (paper 5.3)."""
        assert self.start < first <= self.last, (self.start, first, self.last)
        keep = max(first - self._window_first, 0)
        del self._window[keep:]
        del self._ends[keep:]
        if keep == 0:
            self._window_first = first
            self._dropped_bytes = 0
        while self._run_starts and self._run_starts[-1] >= first:
            self._run_starts.pop()
            self._run_terms.pop()
        self.last = first - 1
        self.durable = min(self.durable, self.last)
        if first <= self.handed:
            self.handed = self.last
            earlier = self.truncated_from
            self.truncated_from = first if earlier is None else min(first, earlier)

    def compact(self, upto: Index) -> None:
        """Forget what is up to there: settled, applied, and durable elsewhere."""
        assert self.start < upto <= self.durable, (self.start, upto, self.durable)
        runs = bisect_right(self._run_starts, upto) - 1
        del self._run_starts[:runs]
        del self._run_terms[:runs]
        self._leave_window(upto + 1 - self._window_first)
        self.start = upto

    def reset(self, start: Index, term: Term) -> None:
        """Begin anew behind a snapshot that goes further than anything settled here."""
        assert start > self.last, (start, self.last)
        self._run_starts, self._run_terms = [start], [term]
        self.start = self.last = self.handed = start
        self._window, self._ends = [], []
        self._window_first, self._dropped_bytes = start + 1, 0

    def take_unhanded(self) -> tuple[Index | None, tuple[Entry, ...]]:
        """What the writer must do next: take back from an index, then append these."""
        truncate_from, self.truncated_from = self.truncated_from, None
        entries = tuple(self._window[self.handed + 1 - self._window_first :])
        self.handed = self.last
        return truncate_from, entries

    def made_durable(self, index: Index) -> None:
        """The disk holds everything up to `index`."""
        assert self.durable <= index <= self.handed, (self.durable, index, self.handed)
        self.durable = index

    def trim(self, settled: Index) -> None:
        """Let old entries up to `settled`, the commit index, leave memory if there are too many.

        What is not committed stays, so that its bytes can be counted against their limit.
        """
        if not self._ends or self._ends[-1] - self._dropped_bytes <= 2 * self._window_bytes_max:
            return
        # Half at a time, so that shifting the rest costs little per entry.
        count = bisect_right(self._ends, self._ends[-1] - self._window_bytes_max)
        self._leave_window(min(count, min(self.durable, settled) + 1 - self._window_first))

    def _leave_window(self, count: int) -> None:
        count = min(count, len(self._window))
        if count > 0:
            self._dropped_bytes = self._ends[count - 1]
            del self._window[:count]
            del self._ends[:count]
            self._window_first += count

    def slice(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        """Entries low..high, cut after bytes_max, but at least one when low <= high."""
        if low > high:
            return ()
        assert low > self.start and high <= self.last, (self.start, low, high, self.last)
        first = low - self._window_first
        if first < 0:
            return self._reader.read(low, min(high, self._window_first - 1), bytes_max)
        stop = high + 1 - self._window_first
        if self._ends[stop - 1] - self._bytes_before(first) > bytes_max:
            fitting = bisect_right(self._ends, self._bytes_before(first) + bytes_max)
            stop = min(stop, max(fitting, first + 1))
        return self._window[first:stop]

    def bytes_between(self, low: Index, high: Index) -> int:
        """Bytes of entries low..high that are in memory."""
        first = max(low - self._window_first, 0)
        stop = high + 1 - self._window_first
        if stop <= first:
            return 0
        return self._ends[stop - 1] - self._bytes_before(first)

    def _bytes_before(self, position: int) -> int:
        return self._ends[position - 1] if position else self._dropped_bytes
