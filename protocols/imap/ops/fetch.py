"""FETCH and UID FETCH (RFC 9051 6.4.5): rows and rendered bytes joined into lines.

What lists ask for comes from the UID row and the stored view, in slices of range reads; nothing
is parsed, and between slices others run. Body sections are sent from the blob in pieces. A
message that is gone by the time it is its turn is left out, and the ending says so.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import trio

from protocols.imap.commands import BinarySize, Fetch, FetchItem, Section
from protocols.imap.dates import render_date_time
from protocols.imap.flags import SEEN
from protocols.imap.ops.bodies import (
    UnknownEncoding,
    add_binary_size,
    add_section,
    close_message,
    open_message,
)
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.store import mark_seen
from protocols.imap.ops.views import ImapView, decode_view, read_views
from protocols.imap.responses import Ending, no, ok
from protocols.imap.selected import Positions, Selected
from protocols.render.bodystructure import render_body
from storage.engine import Rows
from storage.ids import EmailId
from storage.mail.records import UidRow
from storage.mail.uids import uid_rows

# Views are up to some hundred KiB each; so many are held at a time.
VIEW_SLICE_MESSAGES: Final = 64
# Ranges of a set that are so close are read as one.
GAP_MESSAGES_MAX: Final = 8

_NEEDS_VIEW: Final = frozenset({FetchItem.ENVELOPE, FetchItem.BODY, FetchItem.BODYSTRUCTURE})

Row = tuple[int, int, UidRow]
"""Sequence number, UID, row."""


async def fetch(context: Context, command: Fetch) -> Ending:
    """RFC 9051 6.4.5."""
    selected = context.mailbox
    positions = selected.positions(command.numbers, uid=command.uid)
    wanted = sum(end - first for first, end in positions)
    reads = any(isinstance(item, Section) and not item.peek for item in command.sections)
    if reads and not selected.read_only:
        command = await _see(context, command, positions)
    view_items = command.items & _NEEDS_VIEW
    size = VIEW_SLICE_MESSAGES if view_items else SLICE_MESSAGES
    told = 0
    try:
        for window in windows(positions, size):
            rows = read_rows(context.local(), selected, window)
            if command.sections:
                told += await _tell_sections(context, command, rows)
            else:
                told += _tell(context, command, rows)
            if context.out.full:
                await context.out.flush()
            await trio.lowlevel.checkpoint()
    except UnknownEncoding:
        return no("The encoding of the part is not known", b"UNKNOWN-CTE")
    if told < wanted and not command.uid:
        return no("Some of the messages are gone", b"EXPUNGEISSUED")
    return ok("FETCH completed")


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
    """The messages of a window that are still there."""
    uids = selected.uids
    first, last = uids[window[0][0]], uids[window[-1][1] - 1]
    held = uid_rows(rows, selected.account, selected.mailbox, first, last)
    start, end = window[0][0], window[-1][1]
    if len(window) == 1 and len(held) == end - start:
        return [(start + n, uid, row) for n, (uid, row) in enumerate(held, 1)]
    by_uid = dict(held)
    return [
        (position + 1, uids[position], row)
        for low, high in window
        for position in range(low, high)
        if (row := by_uid.get(uids[position])) is not None
    ]


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
    return Fetch(command.numbers, command.items | {FetchItem.FLAGS}, command.sections, command.uid)


def _tell(context: Context, command: Fetch, rows: list[Row]) -> int:
    """All items of all rows, without sections; returns how many."""
    views = _views(context, command, rows)
    lines = context.out.lines
    for sequence, uid, row in rows:
        data = _data(context.mailbox, command.items, uid, row, views, lines)
        lines.append(b"* %d FETCH (%b)\r\n" % (sequence, b" ".join(data)))
    context.out.count()
    return len(rows)


def _views(context: Context, command: Fetch, rows: list[Row]) -> dict[EmailId, ImapView]:
    if not command.items & _NEEDS_VIEW:
        return {}
    emails = [row.email for _, _, row in rows]
    return read_views(context.local(), context.account, emails, decode_view)


def _data(
    selected: Selected,
    items: frozenset[FetchItem],
    uid: int,
    row: UidRow,
    views: dict[EmailId, ImapView],
    lines: list[bytes],
) -> list[bytes]:
    data: list[bytes] = []
    if FetchItem.FLAGS in items:
        data.append(b"FLAGS (%b)" % selected.flags(row.keywords, lines))
    if FetchItem.UID in items:
        data.append(b"UID %d" % uid)
    if FetchItem.INTERNALDATE in items:
        data.append(b"INTERNALDATE " + render_date_time(row.received_ms))
    if FetchItem.SIZE in items:
        data.append(b"RFC822.SIZE %d" % row.size)
    if views:
        view = views[row.email]
        if FetchItem.ENVELOPE in items:
            data.append(b"ENVELOPE " + view.envelope)
        if FetchItem.BODY in items:
            data.append(b"BODY " + render_body(view.bodystructure))
        if FetchItem.BODYSTRUCTURE in items:
            data.append(b"BODYSTRUCTURE " + view.bodystructure)
    return data


async def _tell_sections(context: Context, command: Fetch, rows: list[Row]) -> int:
    """Message by message, its sections from the blob; returns how many were still there."""
    views = _views(context, command, rows)
    told = 0
    for sequence, uid, row in rows:
        message = await open_message(context, row, command.sections)
        if message is None:
            continue
        told += 1
        try:
            data = _data(context.mailbox, command.items, uid, row, views, context.out.lines)
            context.out.add(b"* %d FETCH (%b" % (sequence, b" ".join(data)))
            for at, item in enumerate(command.sections):
                context.out.add(b" " if at or data else b"")
                if isinstance(item, BinarySize):
                    add_binary_size(context, message, item)
                else:
                    await add_section(context, message, item)
            context.out.add(b")\r\n")
            if context.out.full:
                await context.out.flush()
        finally:
            close_message(context, message)
    return told
