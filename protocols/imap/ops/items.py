"""What FETCH tells of messages beside their sections, made for a window of them at once.

An item is a column: of all messages of the window the same thing is looked up, and then a format
makes the texts of all of them. So a message costs a few steps of loops that run in C, whatever is
asked. The long texts that were rendered at delivery are not formatted but stand between.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, compress, repeat
from typing import Final

from protocols.imap.dates import render_date_time
from protocols.imap.fetch_commands import Fetch, FetchItem
from protocols.imap.kept import LASTING, MESSAGES_MIN, Answer, Name, digest
from protocols.imap.ops.bodies import need_parts
from protocols.imap.ops.context import Context
from protocols.imap.ops.facts import string
from protocols.imap.ops.views import ImapView, decode_view, read_views
from protocols.imap.responses import object_id
from protocols.imap.selected import shown_id
from protocols.mime.parts import Part
from protocols.mime.parts import unpack as unpack_parts
from protocols.render.bodystructure import render_body
from protocols.render.strings import render_text
from storage.engine import Row as PackedRow
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
from storage.mail.uids import unpack_uid_rows

_PREVIEW: Final = LIST_PROPERTIES.index("preview")

AnyView = ImapView | EmailView


class Window:
    """Messages, column by column: the client's numbers of them, their UIDs, their rows, and what
    else is stored of each as far as an item needs it."""

    __slots__ = ("_rows", "_uids", "marks_recent", "metas", "packed", "parts", "sequences",
                 "views")  # fmt: skip

    def __init__(
        self,
        sequences: Sequence[int],
        uids: Sequence[int] = (),
        rows: Sequence[UidRow] = (),
        *,
        packed: Sequence[PackedRow] = (),
    ) -> None:
        self.sequences = sequences
        self.packed = packed
        """The rows with their keys as they are stored, where no number is left out; they are
        unpacked when somebody asks."""
        self.marks_recent = True
        """The flags of those that are \\Recent say so."""
        self._uids = uids
        self._rows = rows
        self.views: Mapping[EmailId, AnyView] = {}
        self.metas: Mapping[EmailId, EmailMeta] = {}
        self.parts: Mapping[EmailId, Part] = {}

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def uids(self) -> Sequence[int]:
        """Ascending."""
        self._unpack()
        return self._uids

    @property
    def rows(self) -> Sequence[UidRow]:
        """One of each."""
        self._unpack()
        return self._rows

    def _unpack(self) -> None:
        if self.packed and not self._rows:
            self._uids, self._rows = unpack_uid_rows(self.packed)

    def part(self, first: int, end: int) -> "Window":
        """Some neighbours of them, with nothing else read of them yet."""
        chosen = slice(first, end)
        return Window(self.sequences[chosen], self.uids[chosen], self.rows[chosen])

    def only(self, kept: Sequence[bool]) -> "Window":
        """Those of them of which it is true."""
        chosen = Window(
            tuple(compress(self.sequences, kept)),
            tuple(compress(self.uids, kept)),
            tuple(compress(self.rows, kept)),
        )
        chosen.views, chosen.metas, chosen.parts = self.views, self.metas, self.parts
        return chosen

    def shown(self) -> list[AnyView]:
        """The views in the order of the rows."""
        views = self.views
        return [views[row.email] for row in self.rows]


Column = Callable[[Window], Iterable[object]]
Texts = Callable[[Window], Iterable[bytes]]


class Items:
    """What one FETCH asks of every message, looked up once."""

    __slots__ = ("_decode", "_items", "_kept", "_kept_room", "_lines", "_pieces", "_selected",
                 "metas", "needs_parts", "views")  # fmt: skip

    def __init__(self, context: Context, command: Fetch) -> None:
        items = command.items
        self._items = items
        self._selected = context.mailbox
        self._lines = context.out.lines
        self._kept = context.door.kept
        self._kept_room = self._kept.command_octets_max if items <= LASTING else 0
        self.views = not items.isdisjoint(_VIEWED)
        self.metas = FetchItem.THREADID in items or bool(command.sections)
        self.needs_parts = need_parts(command.sections)
        self._decode: Callable[[bytes], AnyView] = (
            unpack_view if FetchItem.PREVIEW in items else decode_view
        )
        between = b" " if items else b""
        self._pieces = self._plan(items, between if command.sections else b")\r\n")

    def read(self, rows: Rows, window: Window) -> None:
        """Fill in what is stored of these messages beside their rows, as far as it is needed."""
        if not (self.views or self.metas or self.needs_parts):
            return
        account, emails = self._selected.account, [row.email for row in window.rows]
        if self.views:
            window.views = read_views(rows, account, emails, self._decode)
        if self.metas:
            window.metas = read_views(rows, account, emails, unpack_meta, email_meta_key)
        if self.needs_parts:
            window.parts = read_views(rows, account, emails, unpack_parts, email_parts_key)

    def read_there(self, rows: Rows, window: Window) -> Window:
        """The same, and only the messages that have not gone since their rows were read."""
        self.read(rows, window)
        metas, parts = window.metas, window.parts if self.needs_parts else window.metas
        there = [row.email in metas and row.email in parts for row in window.rows]
        return window if all(there) else window.only(there)

    def told(self, window: Window) -> Iterator[tuple[bytes, ...]]:
        """Of each message its response in pieces: whole, or up to the first section."""
        return zip(*[make(window) for make in self._pieces], strict=False)

    def answer(self, rows: Rows, window: Window) -> bytes:
        """The responses of all these messages, when no section is asked."""
        name = self._name(window)
        if name is None:
            self.read(rows, window)
            return b"".join(chain.from_iterable(self.told(window)))
        found = self._kept.get(name)
        if found is None:
            found = self._render(rows, window)
            if found.weight <= self._kept_room:
                self._kept.keep(name, found)
        else:
            for keywords in found.keywords:
                self._selected.lists.render(keywords, self._lines)
        self._kept_room -= found.weight
        recents = self._selected.recents
        if recents is None or FetchItem.FLAGS not in self._items:
            return found.octets
        shown = self._selected.uids[window.sequences[0] - 1 : window.sequences[-1]]
        return found.marked(recents.places(shown))

    def _name(self, window: Window) -> Name | None:
        """What the answer is kept by; None: it is not worth it, or may change."""
        if len(window.packed) < MESSAGES_MIN or not self._items <= LASTING:
            return None
        selected, first = self._selected, window.sequences[0]
        return Name(digest(window.packed), first, self._items, selected.by_uid, selected.owner)

    def _render(self, rows: Rows, window: Window) -> Answer:
        """As a session sees it to which nothing is \\Recent."""
        self.read(rows, window)
        window.marks_recent = False
        if FetchItem.FLAGS not in self._items:
            return Answer(b"".join(chain.from_iterable(self.told(window))))
        lines = [b"".join(pieces) for pieces in self.told(window)]
        keywords = tuple(dict.fromkeys([row.keywords for row in window.rows]))
        return Answer(b"".join(lines), keywords, array("I", accumulate(map(len, lines))))

    def _plan(self, items: frozenset[FetchItem], ending: bytes) -> list[Texts]:
        """How the pieces of the responses are made, in the order of FetchItem."""
        by_uid = self._selected.by_uid
        form = b"* %d UIDFETCH (" if by_uid else b"* %d FETCH ("
        columns: list[Column] = [_uids if by_uid else _sequences]
        pieces: list[Texts] = []
        between = b""
        for item in _ORDER:
            if item not in items:
                continue
            form += between + item.value + b" "
            between = b" "
            long = _LONG.get(item)
            if long is None:
                text, column = self._short(item)
                form += text
                columns.append(column)
                continue
            pieces += [_formatted(form, columns), long]
            form, columns = b"", []
        return [*pieces, _formatted(form + ending, columns)]

    def _short(self, item: FetchItem) -> tuple[bytes, Column]:
        match item:
            case FetchItem.FLAGS:
                return b"(%b)", self._flags
            case FetchItem.EMAILID:
                return b"%b", self._emails
            case FetchItem.THREADID:
                return b"%b", self._threads
            case _:
                return _SHORT[item]

    def _flags(self, window: Window) -> Iterable[object]:
        held = [row.keywords for row in window.rows]
        uids = window.uids if window.marks_recent else ()
        return self._selected.flag_column(uids, held, self._lines)

    def _emails(self, window: Window) -> Iterable[object]:
        """RFC 8474 5.1."""
        owner = self._selected.owner
        return [object_id(shown_id(owner, render_email(row.content))) for row in window.rows]

    def _threads(self, window: Window) -> Iterable[object]:
        """RFC 8474 5.2."""
        owner, metas = self._selected.owner, window.metas
        threads = [metas[row.email].thread for row in window.rows]
        return [object_id(shown_id(owner, render_thread(thread))) for thread in threads]


def _formatted(form: bytes, columns: Sequence[Column]) -> Texts:
    if not columns:
        text = form % ()
        return lambda _: repeat(text)
    return lambda window: map(
        form.__mod__, zip(*[column(window) for column in columns], strict=True)
    )


def _sequences(window: Window) -> Iterable[object]:
    return window.sequences


def _uids(window: Window) -> Iterable[object]:
    return window.uids


def _dates(window: Window) -> Iterable[object]:
    return [render_date_time(row.received_ms, row.east_minutes) for row in window.rows]


def _sizes(window: Window) -> Iterable[object]:
    return [row.size for row in window.rows]


def _modseqs(window: Window) -> Iterable[object]:
    return [row.modseq for row in window.rows]


def _saved(window: Window) -> Iterable[object]:
    """RFC 8514 4.2."""
    return [render_date_time(row.saved_s * 1000) if row.saved_s else b"NIL" for row in window.rows]


def _previews(window: Window) -> Iterator[object]:
    """RFC 8970 3."""
    for view in window.shown():
        assert isinstance(view, EmailView), "what is previewed is read whole"
        yield render_text(string(view.json[_PREVIEW]))


def _envelopes(window: Window) -> Iterable[bytes]:
    return [view.envelope for view in window.shown()]


def _bodies(window: Window) -> Iterable[bytes]:
    return [render_body(view.bodystructure) for view in window.shown()]


def _structures(window: Window) -> Iterable[bytes]:
    return [view.bodystructure for view in window.shown()]


_ORDER: Final = tuple(FetchItem)
_SHORT: Final[Mapping[FetchItem, tuple[bytes, Column]]] = {
    FetchItem.UID: (b"%d", _uids),
    FetchItem.INTERNALDATE: (b"%b", _dates),
    FetchItem.SIZE: (b"%d", _sizes),
    FetchItem.MODSEQ: (b"(%d)", _modseqs),
    FetchItem.PREVIEW: (b"%b", _previews),
    FetchItem.SAVEDATE: (b"%b", _saved),
}
_LONG: Final[Mapping[FetchItem, Texts]] = {
    FetchItem.ENVELOPE: _envelopes,
    FetchItem.BODY: _bodies,
    FetchItem.BODYSTRUCTURE: _structures,
}
_VIEWED: Final = frozenset({*_LONG, FetchItem.PREVIEW})
