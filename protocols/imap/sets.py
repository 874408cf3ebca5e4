"""Sets of sequence numbers and UIDs (RFC 9051 9 sequence-set), always kept as ranges.

`1:*` and `1:4294967295` cost what one number costs: a set is never spelled out. What the numbers
mean in a mailbox is decided in `selected.py`; here are only the numbers.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError

# RFC 9051 9 nz-number: an unsigned 32-bit integer other than 0.
NUMBER_MAX: Final = 2**32 - 1
# `*`, the largest number in use; 0 is no number of the grammar, so it can stand for it.
STAR: Final = 0
# How many ranges one set may name. A client that lists every other UID of 50,000 messages should
# ask in several commands; RFC 2683 3.2.1.5 wants lines under 8,000 octets anyway.
RANGES_MAX: Final = 25_000

_SET: Final = re.compile(rb"(?:\*|[1-9][0-9]{0,9})(?:[:,](?:\*|[1-9][0-9]{0,9}))*\Z")

Range = tuple[int, int]
"""Low and high, both included."""


@dataclass(frozen=True, slots=True)
class NumberSet:
    """A sequence-set as sent: ranges whose ends may be STAR; or `$`, the saved search result."""

    ranges: tuple[Range, ...] = ()
    saved: bool = False

    def resolve(self, largest: int) -> list[Range]:
        """The set with `largest` for `*`: ascending, disjoint, not adjacent.

        RFC 9051 9: 4:2 is 2:4, and 3291:* holds `*` even when that is less than 3291.
        """
        return merge((low or largest, high or largest) for low, high in self.ranges)


EVERYTHING: Final = NumberSet(((1, STAR),))


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in any order, either way round, as ascending disjoint ones."""
    merged: list[Range] = []
    for low, high in sorted((low, high) if low <= high else (high, low) for low, high in ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def parse_set(text: bytes) -> NumberSet:
    """RFC 9051 9 sequence-set, `$` included (RFC 9051 6.4.4.1)."""
    if text == b"$":
        return NumberSet(saved=True)
    if _SET.match(text) is None:
        raise RemoteProtocolError("expected a set of numbers")
    if text.count(b",") >= RANGES_MAX:
        raise LimitExceeded("SET_RANGES", f"a set may name {RANGES_MAX} ranges")
    return NumberSet(tuple(_range(piece) for piece in text.split(b",")))


def _range(piece: bytes) -> Range:
    low, colon, high = piece.partition(b":")
    if b":" in high:
        raise RemoteProtocolError("expected a set of numbers")
    first = _number(low)
    return (first, _number(high)) if colon else (first, first)


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    number = int(text)
    if number > NUMBER_MAX:
        raise RemoteProtocolError("a number is over 4294967295")
    return number


def render_set(numbers: Iterable[int]) -> bytes:
    """Ascending numbers as a uid-set, runs as ranges: `1:3,7`."""
    return render_ranges(runs(numbers))


def runs(numbers: Iterable[int]) -> list[Range]:
    """Ascending numbers as ranges."""
    found: list[Range] = []
    start = previous = -1
    for number in numbers:
        if number != previous + 1 or start < 0:
            if start >= 0:
                found.append((start, previous))
            start = number
        previous = number
    if start >= 0:
        found.append((start, previous))
    return found


def render_ranges(ranges: Sequence[Range]) -> bytes:
    """Ranges as a sequence-set."""
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in ranges)


def render_listed(numbers: Iterable[int]) -> bytes:
    """Numbers in their order, ascending runs folded (RFC 4315 3: COPYUID keeps the order)."""
    pieces: list[bytes] = []
    start = previous = -1
    for number in numbers:
        if start >= 0 and number == previous + 1:
            previous = number
            continue
        if start >= 0:
            pieces.append(_piece(start, previous))
        start = previous = number
    if start >= 0:
        pieces.append(_piece(start, previous))
    return b",".join(pieces)


def _piece(low: int, high: int) -> bytes:
    return b"%d" % low if low == high else b"%d:%d" % (low, high)
