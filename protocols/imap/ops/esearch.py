"""ESEARCH answers to SEARCH and SORT: what is told of the results, and what of them is saved
(RFC 9051 7.3.4, 6.4.4.1; RFC 4731, RFC 5182, RFC 5267 3, RFC 9394 3).

Results stand in the order of the command: the mailbox's for SEARCH, that of the criteria for SORT.
"""

from collections.abc import Sequence
from typing import Final

from protocols.imap.partial import PartialRange
from protocols.imap.responses import bad
from protocols.imap.search_commands import SearchKey, SearchReturn, is_fuzzy
from protocols.imap.sets import render_ranges, runs
from protocols.render.strings import render_string

# What these ask for is nothing in the answer itself (RFC 5267 4.2, 4.3).
UNSCORED: Final = bad("Only what is found by FUZZY has a relevancy")
UNTOLD: Final = frozenset({SearchReturn.UPDATE, SearchReturn.CONTEXT})


def to_save(
    returns: frozenset[SearchReturn], found: Sequence[int], partial: PartialRange | None
) -> list[int]:
    """RFC 9051 6.4.4.1, RFC 9394 3.2: MIN, MAX and PARTIAL alone save no more than they tell.
    Ascending, of positions in the order of the command.
    """
    some = returns & {SearchReturn.MIN, SearchReturn.MAX, SearchReturn.PARTIAL}
    if not some or not found or returns & {SearchReturn.ALL, SearchReturn.COUNT}:
        return sorted(found)
    kept: set[int] = set()
    if partial is not None:
        start, end = partial.within(len(found))
        kept.update(found[start:end])
    if SearchReturn.MIN in returns:
        kept.add(found[0])
    if SearchReturn.MAX in returns:
        kept.add(found[-1])
    return sorted(kept)


def render_esearch(
    tag: bytes,
    uid: bool,
    returns: frozenset[SearchReturn],
    numbers: Sequence[int],
    partial: PartialRange | None,
    mailbox: bytes = b"",
    scores: Sequence[int] | None = None,
) -> bytes:
    """RFC 9051 7.3.4: what finds nothing has no MIN, MAX and ALL, and COUNT 0. `mailbox` are
    correlators that say which it is (RFC 7377 2.1). `scores` go with the numbers (RFC 6203 4): all
    of them are told, or with PARTIAL those of the results that it tells.
    """
    pieces = [b"* ESEARCH (TAG %b%b)" % (render_string(tag), mailbox)]
    if uid:
        pieces.append(b"UID")
    if numbers and SearchReturn.MIN in returns:
        pieces.append(b"MIN %d" % numbers[0])
    if numbers and SearchReturn.MAX in returns:
        pieces.append(b"MAX %d" % numbers[-1])
    if SearchReturn.COUNT in returns:
        pieces.append(b"COUNT %d" % len(numbers))
    if numbers and SearchReturn.ALL in returns:
        pieces.append(b"ALL %b" % render_ranges(runs(numbers)))
    if partial is not None:
        start, end = partial.within(len(numbers))
        some = render_ranges(runs(numbers[start:end])) or b"NIL"
        pieces.append(b"PARTIAL (%b %b)" % (partial.shown, some))
    if scores is not None:
        start, end = (0, len(scores)) if partial is None else partial.within(len(scores))
        pieces.append(b"RELEVANCY (%b)" % b" ".join(b"%d" % one for one in scores[start:end]))
    return b" ".join(pieces)


def is_unscored(key: SearchKey, returns: frozenset[SearchReturn]) -> bool:
    """RFC 6203 4: RELEVANCY is asked for, and nothing FUZZY."""
    return SearchReturn.RELEVANCY in returns and not is_fuzzy(key)


def modseq_told(form: bytes, highest: int) -> bytes:
    """`form` with the highest MODSEQ in it, or nothing where there is none."""
    return form % highest if highest else b""
