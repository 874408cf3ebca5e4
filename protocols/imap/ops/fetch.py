"""FETCH and UID FETCH (RFC 9051 6.4.5): rows and rendered bytes joined into lines.

What lists ask for comes from the UID row and the stored view, in slices of range reads; nothing
is parsed, and between slices others run. Body sections are sent from the blob in pieces. A
message that is gone by the time it is its turn is left out, and the ending says so.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import trio

from protocols.imap.dates import render_date_time
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
    need_parts,
)
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import OUT_BYTES, SEND_BYTES_MAX, SLICE_MESSAGES, Context
from protocols.imap.ops.facts import string
from protocols.imap.ops.resync import changed_positions, vanished_earlier
from protocols.imap.ops.store import mark_seen
from protocols.imap.ops.views import ImapView, decode_view, read_views
from protocols.imap.partial import PartialRange
from protocols.imap.responses import CORRUPTION, Ending, bad, no, object_id, ok
from protocols.imap.selected import Positions, Selected, shown_id
from protocols.mime.parts import Part
from protocols.mime.parts import unpack as unpack_parts
from protocols.ports import READ_BYTES_MAX, Damaged
from protocols.render.bodystructure import render_body
from protocols.render.strings import render_text
from storage.engine import Rows
from storage.ids import EmailId, render_email, render_thread
from storage.keys import email_meta_key, email_parts_key
from storage.mail.records import (
    LIST_PROPERTIES,
    EmailMeta,
    EmailView,
    UidRow,
    unpack_meta,
    unpack_view,
)
from storage.mail.uids import uid_row, uid_rows

# Views are up to some hundred KiB each; so many are held at a time.
VIEW_SLICE_MESSAGES: Final = 64
# Messages whose bodies are told are looked up together while they have no more octets than this:
# what is gathered is then sent at once, and nobody else runs from the look-up to the last of them.
PORTION_BYTES: Final = SEND_BYTES_MAX - OUT_BYTES
# Ranges of a set that are so close are read as one.
GAP_MESSAGES_MAX: Final = 8

_PREVIEW: Final = LIST_PROPERTIES.index("preview")

AnyView = ImapView | EmailView

Row = tuple[int, int, UidRow]
"""Sequence number, UID, row."""


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
    try:
        told, damaged = await tell_messages(context, command, positions)
    except UnknownEncoding:
        return no("The encoding of the part is not known", b"UNKNOWN-CTE")
    if damaged:
        return CORRUPTION
    if told < wanted and not command.uid:
        return no("Some of the messages are gone", b"EXPUNGEISSUED")
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
    renderer = _Renderer(selected, command, context.out.lines)
    size = VIEW_SLICE_MESSAGES if renderer.views else SLICE_MESSAGES
    told, damaged, sent = 0, 0, True
    for window in windows(positions, size):
        if not sent:  # who sends lets others run
            await trio.lowlevel.checkpoint()
        rows = read_rows(context.local(), selected, window)
        if without:
            rows = [row for row in rows if row[2].modseq not in without]
        if command.sections:
            more, torn = await _tell_sections(context, command, renderer, rows)
            told, damaged = told + more, damaged + torn
        else:
            told += _tell(context, renderer, rows)
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
    if not selected.may_read(rows):
        return []
    uids = selected.uids
    first, last = uids[window[0][0]], uids[window[-1][1] - 1]
    if first == last:  # a range costs ten times as much as one row
        row = uid_row(rows, selected.account, selected.mailbox, first)
        return [] if row is None else [(window[0][0] + 1, first, row)]
    held = uid_rows(rows, selected.account, selected.mailbox, first, last)
    start, end = window[0][0], window[-1][1]
    if len(window) == 1 and len(held) == end - start:
        return [(start + n, uid, row) for n, (uid, row) in enumerate(held, 1)]
    by_uid = dict(held)
    return [
        (position + 1, uids[position], found)
        for low, high in window
        for position in range(low, high)
        if (found := by_uid.get(uids[position])) is not None
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
    shown = {FetchItem.FLAGS}
    if context.condstore:  # RFC 7162 3.2.4
        shown |= {FetchItem.MODSEQ} if context.uid_only else {FetchItem.UID, FetchItem.MODSEQ}
    return replace(command, items=command.items | shown)


class _Renderer:
    """What one FETCH asks of every message, looked up once."""

    __slots__ = ("_decode", "_lines", "_selected", "body", "date", "email", "envelope", "flags",
                 "metas", "modseq", "parts", "preview", "saved", "size", "structure", "thread",
                 "uid", "views")  # fmt: skip

    def __init__(self, selected: Selected, command: Fetch, lines: list[bytes]) -> None:
        items = command.items
        self._selected = selected
        self._lines = lines
        self.flags = FetchItem.FLAGS in items
        self.uid = FetchItem.UID in items
        self.date = FetchItem.INTERNALDATE in items
        self.size = FetchItem.SIZE in items
        self.envelope = FetchItem.ENVELOPE in items
        self.body = FetchItem.BODY in items
        self.structure = FetchItem.BODYSTRUCTURE in items
        self.modseq = FetchItem.MODSEQ in items
        self.email = FetchItem.EMAILID in items
        self.thread = FetchItem.THREADID in items
        self.preview = FetchItem.PREVIEW in items
        self.saved = FetchItem.SAVEDATE in items
        self.views = self.envelope or self.body or self.structure or self.preview
        self.metas = self.thread or bool(command.sections)
        self.parts = need_parts(command.sections)
        self._decode: Callable[[bytes], AnyView] = unpack_view if self.preview else decode_view

    def read(self, rows: Rows, found: list[Row]) -> "_Stored":
        """What is stored of these messages beside their rows, as far as any item needs it."""
        emails = [row.email for _, _, row in found]
        account = self._selected.account
        return _Stored(
            read_views(rows, account, emails, self._decode) if self.views else {},
            read_views(rows, account, emails, unpack_meta, email_meta_key) if self.metas else {},
            read_views(rows, account, emails, unpack_parts, email_parts_key) if self.parts else {},
        )

    def data(self, uid: int, row: UidRow, stored: "_Stored") -> list[bytes]:
        """The items of one message in the order of FetchItem."""
        data: list[bytes] = []
        if self.flags:
            data.append(b"FLAGS (%b)" % self._selected.flags(uid, row.keywords, self._lines))
        if self.uid:
            data.append(b"UID %d" % uid)
        if self.date:
            data.append(b"INTERNALDATE " + render_date_time(row.received_ms))
        if self.size:
            data.append(b"RFC822.SIZE %d" % row.size)
        if self.views:
            view = stored.views[row.email]
            if self.envelope:
                data.append(b"ENVELOPE " + view.envelope)
            if self.body:
                data.append(b"BODY " + render_body(view.bodystructure))
            if self.structure:
                data.append(b"BODYSTRUCTURE " + view.bodystructure)
        if self.modseq:
            data.append(b"MODSEQ (%d)" % row.modseq)
        if self.email or self.thread or self.preview:
            data += self._named(row, stored)
        if self.saved:  # RFC 8514 4.2
            data.append(
                b"SAVEDATE " + (render_date_time(row.saved_s * 1000) if row.saved_s else b"NIL")
            )
        return data

    def _named(self, row: UidRow, stored: "_Stored") -> Iterator[bytes]:
        """RFC 8474 5, RFC 8970 3."""
        if self.email:
            email = render_email(row.content)
            yield b"EMAILID " + object_id(shown_id(self._selected.owner, email))
        if self.thread:
            thread = stored.metas[row.email].thread
            yield b"THREADID " + object_id(shown_id(self._selected.owner, render_thread(thread)))
        if self.preview:
            view = stored.views[row.email]
            assert isinstance(view, EmailView), "what is previewed is read whole"
            yield b"PREVIEW " + render_text(string(view.json[_PREVIEW]))


@dataclass(frozen=True, slots=True)
class _Stored:
    """Of the messages of a window, by email."""

    views: Mapping[EmailId, AnyView]
    metas: Mapping[EmailId, EmailMeta]
    parts: Mapping[EmailId, Part]


def _tell(context: Context, renderer: _Renderer, rows: list[Row]) -> int:
    """All items of all rows, without sections; returns how many."""
    stored = renderer.read(context.local(), rows)
    lines, by_uid = context.out.lines, context.mailbox.by_uid
    form = b"* %d UIDFETCH (%b)\r\n" if by_uid else b"* %d FETCH (%b)\r\n"
    for sequence, uid, row in rows:
        data = b" ".join(renderer.data(uid, row, stored))
        lines.append(form % (uid if by_uid else sequence, data))
    context.out.count()
    return len(rows)


def portions(rows: Iterable[Row], sections: int) -> Iterator[list[Row]]:
    """Messages whose sections are told together: PORTION_BYTES at most, or one message; and no
    more than may be held of their views."""
    portion: list[Row] = []
    octets = 0
    for row in rows:
        weight = row[2].size * sections
        if portion and (octets + weight > PORTION_BYTES or len(portion) >= VIEW_SLICE_MESSAGES):
            yield portion
            portion, octets = [], 0
        portion.append(row)
        octets += weight
    if portion:
        yield portion


async def _tell_sections(
    context: Context, command: Fetch, renderer: _Renderer, rows: list[Row]
) -> tuple[int, int]:
    """Message by message, its sections from the blob; returns how many were still there, and how
    many of them are damaged."""
    told = damaged = 0
    whole = label_of_whole(command.sections)
    by_uid = context.mailbox.by_uid
    form = b"* %d UIDFETCH (%b" if by_uid else b"* %d FETCH (%b"
    for portion in portions(rows, len(command.sections)):
        if not context.mailbox.may_read(context.local()):
            break  # while the one before was sent, the right has gone
        stored = renderer.read(context.local(), portion)
        for sequence, uid, row in portion:
            meta, root = stored.metas.get(row.email), stored.parts.get(row.email)
            if meta is None or (renderer.parts and root is None):
                continue
            data = b" ".join(renderer.data(uid, row, stored))
            start = form % (uid if by_uid else sequence, data + b" " if data else b"")
            message = Message(meta.blob, meta.size, root)
            try:
                if whole is not None and meta.size <= READ_BYTES_MAX:
                    add_whole(context, message, start + whole)
                else:
                    await _tell_message(context, command, start, message)
            except (MessageGone, Damaged) as error:
                if isinstance(error, MessageGone) and not _is_there(context, uid):
                    continue
                damaged += 1
                if data:
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
