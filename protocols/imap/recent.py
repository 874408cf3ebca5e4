"""\\Recent as one session sees it (RFC 3501 2.3.2). IMAP4rev2 has it no more."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from protocols.imap.sets import Range


class Recents:
    """The messages that this session was the first to be told of."""

    __slots__ = ("_ranges", "_told", "decided")

    def __init__(self) -> None:
        self._ranges: list[Range] = []
        self._told = 0
        self.decided = 1
        """Of messages with lower UIDs it is known whether they are \\Recent here."""

    def decide(self, first: int, upto: int) -> None:
        """Of those decided on with this, up to the UID `upto`, those from `first` on are."""
        low = max(first, self.decided)
        if low < upto:
            if self._ranges and self._ranges[-1][1] == low - 1:
                low, _ = self._ranges.pop()
            self._ranges.append((low, upto - 1))
        self.decided = max(upto, self.decided)

    def __contains__(self, uid: int) -> bool:
        """Whether the message with this UID is \\Recent."""
        at = bisect_left(self._ranges, (uid + 1, 0)) - 1
        return at >= 0 and uid <= self._ranges[at][1]

    def places(self, uids: Sequence[int]) -> Iterator[Range]:
        """Where in these ascending UIDs those that are stand: first and end, one after another."""
        if not uids:
            return
        for low, high in self._ranges[max(bisect_left(self._ranges, (uids[0], 0)) - 1, 0) :]:
            first, end = bisect_left(uids, low), bisect_right(uids, high)
            if first < end:
                yield first, end
            if high >= uids[-1]:
                return

    def count(self, uids: Sequence[int], end: int) -> int:
        """How many of the first `end` of these ascending UIDs are."""
        return sum(
            bisect_left(uids, high + 1, 0, end) - bisect_left(uids, low, 0, end)
            for low, high in self._ranges
        )

    def news(self, uids: Sequence[int], end: int) -> bytes:
        """RFC 3501 7.3.2 RECENT, when the client knows of another number; else nothing."""
        count = self.count(uids, end)
        if count == self._told:
            return b""
        self._told = count
        return self.response()

    def response(self) -> bytes:
        """RECENT as it was told last."""
        return b"* %d RECENT\r\n" % self._told
