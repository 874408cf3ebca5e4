"""PARTIAL: some of many results, counted from the oldest or the newest (RFC 9394; RFC 5267 4.4)."""

from dataclasses import dataclass

from protocols.imap.tokens import Tokens


@dataclass(frozen=True, slots=True)
class PartialRange:
    """RFC 9394 4 partial-range: results `first` to `last`, counted from 1; `backwards` from the
    last one. `shown` is the range as it was asked, which the answer repeats.
    """

    first: int
    last: int
    backwards: bool
    shown: bytes

    def within(self, count: int) -> tuple[int, int]:
        """Where of `count` results those asked for begin and end; equal when there are none."""
        start, end = min(self.first - 1, count), min(self.last, count)
        return (count - end, count - start) if self.backwards else (start, end)


def parse_partial_range(tokens: Tokens) -> PartialRange:
    """RFC 9394 4: 500:400 is 400:500, and both ends have a minus or none."""
    backwards = tokens.peek() == b"-"
    sign = b"-" if backwards else b""
    tokens.expect(sign)
    one = tokens.nz_number()
    tokens.expect(b":" + sign)
    other = tokens.nz_number()
    shown = b"%b%d:%b%d" % (sign, one, sign, other)
    return PartialRange(min(one, other), max(one, other), backwards, shown)
