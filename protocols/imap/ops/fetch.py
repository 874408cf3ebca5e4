"""FETCH and UID FETCH (RFC 9051 6.4.5): rows and rendered bytes joined into lines.

What lists ask for comes from the UID row and the stored view (items.py), in slices of range reads;
nothing is parsed, and between slices others run. Body sections are sent from the blob in pieces. A
message that is gone by the time it is its turn is left out, and the ending says so.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

import trio

from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem, Section
from protocols.imap.flags import SEEN
from protocols.imap.ops.bodies import (
    BrokenOff,
    Message,
    MessageGone,
    UnknownEncoding,
    add_binary_size,
    add_section,
    add_whole,
    close_message,
    decode_parts,
    label_of_whole,
)
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import OUT_BYTES, SEND_BYTES_MAX, SLICE_MESSAGES, Context
from protocols.imap.ops.items import Items, Window
from protocols.imap.ops.resync import changed_positions, vanished_earlier
from protocols.imap.ops.store import mark_seen
from protocols.imap.partial import PartialRange
from protocols.imap.responses import CORRUPTION, Ending, bad, no, ok
from protocols.imap.selected import Positions, Selected
from protocols.ports import READ_BYTES_MAX, Damaged
from storage.engine import Rows
from storage.mail.records import UidRow
from storage.mail.uids import packed_uid_rows, uid_row, unpack_uid_rows

# Views are up to some hundred KiB each; so many are held at a time.
VIEW_SLICE_MESSAGES: Final = 64
# Messages whose bodies are told are looked up together while they have no more octets than this:
# what is gathered is then sent at once, and nobody else runs from the look-up to the last of them.
PORTION_BYTES: Final = SEND_BYTES_MAX - OUT_BYTES
# Ranges of a set that are so close are read as one.
GAP_MESSAGES_MAX: Final = 8

Row = tuple[int, int, UidRow]
"""Sequence number, UID, row."""


_GONE: Final = no("Some of the messages are gone", b"EXPUNGEISSUED")


async def fetch(context: Context, command: Fetch) -> Ending:
    """RFC 9051 6.4.5."""
    selected = context.mailbox
    if command.vanished and not context.qresync:
        return bad("ENABLE QRESYNC comes first")  # RFC 7162 3.2.6
    if FetchItem.MODSEQ in command.items:
        context.know_modseqs()
    positions = _some(selected.positions(command.numbers, uid=command.uid), command.partial)
    since = command.changed_since
    if since is not None:
        view = await context.reading()
        await catch_up(context, expunges=command.uid)
        positions = _some(selected.positions(command.numbers, uid=command.uid), command.partial)
        if command.vanished:
            context.out.add(vanished_earlier(context, view, command.numbers, since))
        positions = changed_positions(selected, view, positions, since)
    if command.partial is not None:
        context.check_whole(positions)
    positions = context.newest(positions)
    wanted = sum(end - first for first, end in positions)
    reads = any(isinstance(item, Section) and not item.peek for item in command.sections)
    if reads and not selected.read_only and "s" in selected.rights:  # RFC 4314 4
        command = await _see(context, command, positions)
    if command.items == {FetchItem.UID} and not (command.sections or command.uid):
        may = await _tell_uids(context, positions)
        return ok("FETCH completed") if may else _GONE
    try:
        told, damaged = await tell_messages(context, command, positions)
    except UnknownEncoding:
        return no("The encoding of the part is not known", b"UNKNOWN-CTE")
    if damaged:
        return CORRUPTION
    if told < wanted and not command.uid:
        return _GONE
    return ok("FETCH completed")


def _some(positions: list[Positions], partial: PartialRange | None) -> list[Positions]:
    """RFC 9394 3.3: those of the messages that PARTIAL asks for."""
    if partial is None:
        return positions
    start, end = partial.within(sum(high - low for low, high in positions))
    found: list[Positions] = []
    before = 0
    for low, high in positions:
        first, last = max(low, low + start - before), min(high, low + end - before)
        if first < last:
            found.append((first, last))
        before += high - low
    return found


async def _tell_uids(context: Context, positions: Iterable[Positions]) -> bool:
    """What the client's count says without a look at the messages, also of those that are gone and
    whose EXPUNGE waits (RFC 2180 4.1.2). False: the right to read it has gone."""
    out, uids = context.out, context.mailbox.uids
    for window in windows(positions, SLICE_MESSAGES):
        if not context.mailbox.may_read(context.local()):
            return False
        for first, end in window:
            out.add(*[b"* %d FETCH (UID %d)\r\n" % (at + 1, uids[at]) for at in range(first, end)])
        if out.full:
            await out.flush()
        else:
            await trio.lowlevel.checkpoint()
    return True


async def tell_messages(
    context: Context,
    command: Fetch,
    positions: Iterable[Positions],
    without: Collection[int] = (),
) -> tuple[int, int]:
    """FETCH responses for these messages, but for those whose MODSEQ is one of `without`; how
    many there were, and how many of them are damaged here: of these no section is told. Raises
    UnknownEncoding, Unavailable, and BrokenOff in a response.
    """
    selected = context.mailbox
    items = Items(context, command)
    size = VIEW_SLICE_MESSAGES if items.views else SLICE_MESSAGES
    told, damaged, sent = 0, 0, True
    for window in windows(positions, size):
        if not sent:  # who sends lets others run
            await trio.lowlevel.checkpoint()
        found = read_window(context.local(), selected, window)
        if without:
            found = found.only([row.modseq not in without for row in found.rows])
        if command.sections:
            more, torn = await _tell_sections(context, command, items, found)
            told, damaged = told + more, damaged + torn
        elif found:
            context.out.add(items.answer(context.local(), found))
            told += len(found)
        sent = context.out.full
        if sent:
            await context.out.flush()
    return told, damaged


def windows(positions: Iterable[Positions], size: int) -> Iterator[list[Positions]]:
    """Neighbouring ranges together, large ones cut: each window is read as one range of rows."""
    window: list[Positions] = []
    room = size
    for first, end in positions:
        if window and (first - window[-1][1] > GAP_MESSAGES_MAX or not room):
            yield window
            window, room = [], size
        while end - first > room:
            window.append((first, first + room))
            yield window
            first, window, room = first + room, [], size
        window.append((first, end))
        room -= end - first
    if window:
        yield window


def read_rows(rows: Rows, selected: Selected, window: list[Positions]) -> list[Row]:
    """The messages of a window that are still there, while one may read them."""
    found = read_window(rows, selected, window)
    return list(zip(found.sequences, found.uids, found.rows, strict=True))


def read_window(rows: Rows, selected: Selected, window: list[Positions]) -> Window:
    """The same, column by column."""
    if not selected.may_read(rows):
        return Window(())
    uids = selected.uids
    start, end = window[0][0], window[-1][1]
    first, last = uids[start], uids[end - 1]
    if first == last:  # a range costs ten times as much as one row
        row = uid_row(rows, selected.account, selected.mailbox, first)
        return Window(()) if row is None else Window((start + 1,), (first,), (row,))
    packed = packed_uid_rows(rows, selected.account, selected.mailbox, first, last)
    if len(window) == 1 and len(packed) == end - start:
        return Window(range(start + 1, end + 1), packed=packed)
    by_uid = dict(zip(*unpack_uid_rows(packed), strict=True))
    there = [
        position
        for low, high in window
        for position in range(low, high)
        if uids[position] in by_uid
    ]
    named = [uids[position] for position in there]
    return Window([at + 1 for at in there], named, [by_uid[uid] for uid in named])


async def _see(context: Context, command: Fetch, positions: list[Positions]) -> Fetch:
    """Set \\Seen where it is not; then the answer shows FLAGS too (RFC 9051 6.4.5)."""
    unseen: list[int] = []
    for window in windows(positions, SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        unseen += [uid for _, uid, row in rows if SEEN not in row.keywords]
        await trio.lowlevel.checkpoint()
    if not unseen:
        return command
    await mark_seen(context, unseen)
    shown = {FetchItem.FLAGS}
    if context.condstore:  # RFC 7162 3.2.4
        shown |= {FetchItem.MODSEQ} if context.uid_only else {FetchItem.UID, FetchItem.MODSEQ}
    return replace(command, items=command.items | shown)


def portions(found: Window, sections: int) -> Iterator[Window]:
    """Messages whose sections are told together: PORTION_BYTES at most, or one message; and no
    more than may be held of their views."""
    first = octets = 0
    for at, row in enumerate(found.rows):
        weight = row.size * sections
        if at > first and (octets + weight > PORTION_BYTES or at - first >= VIEW_SLICE_MESSAGES):
            yield found.part(first, at)
            first, octets = at, 0
        octets += weight
    if first < len(found.rows):
        yield found.part(first, len(found.rows))


async def _tell_sections(
    context: Context, command: Fetch, items: Items, found: Window
) -> tuple[int, int]:
    """Message by message, its sections from the blob; returns how many were still there, and how
    many of them are damaged."""
    told = damaged = 0
    whole = label_of_whole(command.sections)
    for portion in portions(found, len(command.sections)):
        if not context.mailbox.may_read(context.local()):
            break  # while the one before was sent, the right has gone
        stored = items.read_there(context.local(), portion)
        starts = map(b"".join, items.told(stored))
        for uid, row, start in zip(stored.uids, stored.rows, starts, strict=True):
            meta = stored.metas[row.email]
            message = Message(meta.blob, meta.size, stored.parts.get(row.email))
            try:
                if whole is not None and meta.size <= READ_BYTES_MAX:
                    add_whole(context, message, start + whole)
                else:
                    await _tell_message(context, command, start, message)
            except (MessageGone, Damaged) as error:
                if isinstance(error, MessageGone) and not _is_there(context, uid):
                    continue
                damaged += 1
                if command.items:
                    context.out.add(start.rstrip(b" "), b")\r\n")
            told += 1
        if context.out.full:
            await context.out.flush()
    return told, damaged


def _is_there(context: Context, uid: int) -> bool:
    selected = context.mailbox
    return uid_row(context.local(), selected.account, selected.mailbox, uid) is not None


async def _tell_message(context: Context, command: Fetch, start: bytes, message: Message) -> None:
    """`start`: the line up to the sections. Raises MessageGone and Damaged with nothing said, else
    BrokenOff."""
    out = context.out
    await decode_parts(context, message, command.sections)
    mark = out.mark()
    try:
        out.add(start)
        for at, item in enumerate(command.sections):
            if at:
                out.add(b" ")
            if isinstance(item, BinarySize):
                add_binary_size(context, message, item)
            else:
                await add_section(context, message, item)
        out.add(b")\r\n")
    except (MessageGone, Damaged) as error:
        if not out.take_back(mark):
            raise BrokenOff from error
        raise
    finally:
        close_message(context, message)
