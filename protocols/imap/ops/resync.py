"""What a client that comes back has missed (RFC 7162 3.1.4.1, 3.2.5, 3.2.6).

The change log and the log of vanished UIDs answer, at the cost of what has changed. Where they no
longer reach back everything that could be gone is said to be: UIDs of the client's set that name
no message now. RFC 7162 3.2.6 asks for just that.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import trio

from protocols.imap.commands import Resync
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.responses import vanished
from protocols.imap.selected import Positions, Selected
from protocols.imap.sets import EVERYTHING, NumberSet, Range, runs
from storage.changes import TooOld
from storage.engine import Rows
from storage.mail import uids as mail_uids
from storage.mail.counts import read_counts
from storage.mail.records import UidRow


async def resync(context: Context, rows: Rows, told: Resync, uidnext: int) -> None:
    """RFC 7162 3.2.5: after SELECT has said the rest, first what is gone, then what is new."""
    selected = context.mailbox
    known = _ranges(told.known or EVERYTHING, uidnext - 1)
    first = 1 + _agreed_uid(selected.uids, told.match)
    gone = _gone(selected, rows, known, told.modseq, first)
    if gone:
        context.out.add(vanished(gone, earlier=True))
    news = _changed(selected, rows, told.modseq)
    for at, (uid, row) in enumerate(news):
        position = selected.position_of(uid)
        if position is None or not _within(known, uid):
            continue
        lines = context.out.lines
        context.out.add(selected.flags_line(position, uid, row.keywords, row.modseq, lines))
        if at % SLICE_MESSAGES == SLICE_MESSAGES - 1:
            await trio.lowlevel.checkpoint()
            if context.out.full:
                await context.out.flush()


def vanished_earlier(context: Context, rows: Rows, numbers: NumberSet, since: int) -> bytes:
    """RFC 7162 3.2.6: what of these UIDs is gone since then; b"" when nothing is."""
    selected = context.mailbox
    counts = read_counts(rows, selected.account, selected.mailbox)
    if counts is None:
        return b""  # the mailbox itself is gone, and that is told
    known = selected.saved if numbers.saved else _ranges(numbers, counts.uidnext - 1)
    gone = _gone(selected, rows, known, since, 1)
    return vanished(gone, earlier=True) if gone else b""


def changed_positions(
    selected: Selected, rows: Rows, positions: list[Positions], since: int
) -> list[Positions]:
    """RFC 7162 3.1.4.1 CHANGEDSINCE: those of these messages with a greater MODSEQ."""
    found: list[int] = []
    firsts = [first for first, _ in positions]
    for uid, _ in _changed(selected, rows, since):
        place = selected.position_of(uid)
        if place is None:
            continue
        at = bisect_left(firsts, place + 1) - 1
        if at >= 0 and place < positions[at][1]:
            found.append(place)
    return [(low, high + 1) for low, high in runs(found)]


def _changed(selected: Selected, rows: Rows, since: int) -> list[tuple[int, UidRow]]:
    if since >= selected.seen:
        return []
    return mail_uids.changed(rows, selected.account, selected.mailbox, since)


def _gone(
    selected: Selected, rows: Rows, known: Sequence[Range], since: int, first: int
) -> list[Range]:
    """UIDs of `known` that name nothing now, of those gone after `since` if that can be told;
    none below `first` if not."""
    if since >= selected.seen:
        return []
    try:
        gone = mail_uids.vanished(rows, selected.account, selected.mailbox, since)
    except TooOld:
        return _holes(selected.uids, known, first)
    return runs(uid for uid in gone if _within(known, uid) and selected.position_of(uid) is None)


def _holes(uids: Sequence[int], known: Iterable[Range], first: int) -> list[Range]:
    """The parts of `known` from `first` on in which there are no UIDs."""
    found: list[Range] = []
    for low, high in known:
        start = max(low, first)
        for place in range(bisect_left(uids, start), len(uids)):
            uid = uids[place]
            if uid > high:
                break
            if uid > start:
                found.append((start, uid - 1))
            start = uid + 1
        if start <= high:
            found.append((start, high))
    return found


def _ranges(numbers: NumberSet, last: int) -> list[Range]:
    """The set as far as UIDs have been given out."""
    return [(low, min(high, last)) for low, high in numbers.resolve(max(last, 1)) if low <= last]


def _within(ranges: Sequence[Range], uid: int) -> bool:
    at = bisect_left(ranges, (uid + 1, 0)) - 1
    return at >= 0 and uid <= ranges[at][1]


def _agreed_uid(uids: Sequence[int], match: tuple[NumberSet, NumberSet] | None) -> int:
    """RFC 7162 3.2.5.2: up to this UID client and server count alike, so nothing is missing."""
    if match is None:
        return 0
    agreed = 0
    sequences, named = match
    for sequence, uid in zip(_spelled(sequences), _spelled(named), strict=False):
        if sequence > len(uids) or uids[sequence - 1] != uid:
            break
        agreed = uid
    return agreed


def _spelled(numbers: NumberSet) -> Iterator[int]:
    """Number by number; whoever reads stops at the end of the mailbox."""
    for low, high in numbers.ranges:
        yield from range(low, high + 1)
