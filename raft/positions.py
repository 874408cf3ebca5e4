"""Where every entry of the log stands on the disk: one u64 each, segment sequence << 32 | offset.

The writer thread appends, truncates and forgets; the loop reads positions of durable entries only,
which are not changed meanwhile. Forgetting puts a new pair in the place of the old one, in one
assignment, so that a reader never sees an array with another's beginning.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from raft.model import Index

_OFFSET_BITS: Final = 32
_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1


class Positions:
    """Places of the entries after `start`."""

    def __init__(self) -> None:
        """A log from its first entry on."""
        self._held: tuple[Index, array[int]] = (0, array("Q"))
        self._has_copies = False  # entries brought back into a gap stand behind what follows them

    @property
    def start(self) -> Index:
        """The entry before the first that has a place."""
        return self._held[0]

    @property
    def last(self) -> Index:
        """The last entry that has a place; `start` when none has."""
        start, places = self._held
        return start + len(places)

    def put(self, index: Index, sequence: int, offset: int) -> None:
        """Entry `index` is the next one, or replaces an equal one that was copied."""
        start, places = self._held
        at = index - start - 1
        if at < 0:
            return  # a copy of what is forgotten
        assert at <= len(places), (index, start, len(places))
        place = sequence << _OFFSET_BITS | offset
        if at < len(places):
            places[at] = place
        else:
            places.append(place)

    def extend(self, first: Index, sequence: int, offsets: Sequence[int]) -> None:
        """Entries from `first` on, the next one, stand at these offsets."""
        start, places = self._held
        assert first == start + len(places) + 1, (first, start, len(places))
        base = sequence << _OFFSET_BITS
        places.extend([base | offset for offset in offsets])

    def replace(self, index: Index, sequence: int, offset: int) -> None:
        """Entry `index` stands here from now on: it was brought back."""
        start, places = self._held
        places[index - start - 1] = sequence << _OFFSET_BITS | offset
        self._has_copies = True

    def leave_out(self, count: int) -> None:
        """So many entries follow that stand nowhere: place 0, of no segment."""
        self._held[1].extend(array("Q", [0]) * count)

    def extend_front(self, start: Index) -> None:
        """The log begins behind an earlier entry; what is between stands in no place yet."""
        held, places = self._held
        self._held = (start, array("Q", [0]) * (held - start) + places)

    def truncate(self, first: Index) -> None:
        """Forget entries from `first` on, and know where the log goes on."""
        start, places = self._held
        if first > start:
            del places[first - start - 1 :]
        else:
            self._held = (first - 1, array("Q"))

    def forget(self, upto: Index) -> None:
        """The log begins behind `upto`, whatever it held."""
        start, places = self._held
        if upto > start:
            self._held = (upto, places[upto - start :])

    def place(self, index: Index) -> tuple[int, int]:
        """(segment sequence, offset) of an entry."""
        start, places = self._held
        assert index > start, (index, start)
        place = places[index - start - 1]
        return place >> _OFFSET_BITS, place & _OFFSET_MASK

    def first_in(self, sequence: int) -> Index:
        """The first entry from which on all stand in this segment or a later one; `last` + 1 if
        none does.

        Places never fall along the log, but for what was brought back into gaps: what is
        appended, or copied, goes behind all there is.
        """
        start, places = self._held
        bound = sequence << _OFFSET_BITS
        if not self._has_copies:
            return start + 1 + bisect_left(places, bound)
        at = len(places)
        while at and places[at - 1] >= bound:
            at -= 1
        return start + 1 + at

    def oldest_after(self, index: Index) -> int:
        """The oldest segment in which an entry behind `index` stands; there is one."""
        start, places = self._held
        if not self._has_copies:
            return places[index - start] >> _OFFSET_BITS
        return min(places[index - start :]) >> _OFFSET_BITS
