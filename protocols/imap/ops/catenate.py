"""What APPEND and REPLACE add, put together: literals, and parts of messages that are here already
(RFC 4469 CATENATE).

Parts are octets of stored messages as FETCH BODY.PEEK would tell them; nothing is decoded, and
nothing becomes \\Seen. What is read counts against the door's room for literals until it is
written, and all of a command's messages together are no larger than one may be.
"""

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import trio

from protocols.errors import RemoteProtocolError
from protocols.imap.append_commands import NewMessage, Url
from protocols.imap.ops.bodies import MessageGone, open_message, read_section, section_bytes_max
from protocols.imap.ops.context import Context
from protocols.imap.ops.places import find
from protocols.imap.ops.urlauth import Redeemed, redeem
from protocols.imap.responses import Ending, no
from protocols.imap.urls import MessageUrl, is_absolute, parse_url, show_url
from protocols.ports import Unavailable
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import sharing
from storage.mail.uids import uid_row

# The empty line after a header: at the start where there is none.
_HEADER_END: Final = re.compile(rb"(?:\A|\n)\r?\n")
_NOT_ASCII: Final = no("The header has 8-bit characters; ENABLE UTF8=ACCEPT first", b"CANNOT")
_EMPTY: Final = no("A message of no octets is none", b"CANNOT")
_TOO_BIG: Final = no("The message is too large", b"TOOBIG")


class Refused(Exception):
    """The command ends so."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.text)
        self.ending = ending


class Assembly:
    """One command's messages, from their parts; as a context, for as long as they are held."""

    def __init__(self, context: Context, rows: Rows) -> None:
        self._context = context
        self._rows = rows
        self._held = 0
        """Octets taken from the door's room."""
        self._size = 0
        """Octets of all messages so far."""

    def __enter__(self) -> "Assembly":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.door.room.give(self._held)

    async def put_together(self, messages: Sequence[NewMessage]) -> list[bytes]:
        """Each message's octets. Raises Refused, Unavailable, Damaged."""
        found = []
        for message in messages:
            octets = await self._one(message.parts)
            if not octets:
                raise Refused(_EMPTY)  # RFC 3502 6.3.11
            if not self._context.utf8 and not _header(octets).isascii():
                raise Refused(_NOT_ASCII)  # RFC 6855 4
            found.append(octets)
        return found

    async def _one(self, parts: Sequence[bytes | Url]) -> bytes:
        pieces = []
        for part in parts:
            piece = part if isinstance(part, bytes) else await self._read(part)
            self._grow(len(piece))
            pieces.append(piece)
        if len(pieces) == 1:
            return pieces[0]
        self._take(sum(map(len, pieces)))  # once more: now both are here
        return b"".join(pieces)

    def _grow(self, count: int) -> None:
        self._size += count
        if self._size > self._context.door.append_bytes_max:
            raise Refused(_TOO_BIG)

    def _take(self, count: int) -> None:
        if not self._context.door.room.take(count):
            raise Unavailable("too many large messages at once")
        self._held += count

    async def _read(self, url: Url) -> bytes:
        """RFC 4469 3: what FETCH BODY.PEEK would tell of it."""
        await trio.lowlevel.checkpoint()
        context = self._context
        wanted = self._resolve(url.text)
        if wanted is None:
            raise _bad(url)
        row = uid_row(self._rows, wanted.account, wanted.mailbox, wanted.uid)
        message = None
        if row is not None:
            message = await open_message(context, wanted.account, row, [wanted.section])
        size = None if message is None else section_bytes_max(message, wanted.section)
        if message is None or size is None:
            raise _bad(url)
        if self._size + size > context.door.append_bytes_max:
            raise Refused(_TOO_BIG)
        self._take(size)
        try:
            return await read_section(context, message, wanted.section)
        except MessageGone as error:
            raise Unavailable("a part cannot be read just now") from error

    def _resolve(self, text: bytes) -> Redeemed | None:
        """What a URL is about; None: nothing that one may read.

        RFC 4469 3 leaves absolute URLs to extensions: those that are authorized are redeemed.
        """
        if is_absolute(text):
            return redeem(self._context, self._rows, text)
        try:
            wanted = parse_url(text)
        except RemoteProtocolError:
            return None
        holder = self._mailbox(wanted)
        return None if holder is None else Redeemed(*holder, wanted.uid, wanted.section)

    def _mailbox(self, wanted: MessageUrl) -> tuple[AccountId, MailboxId] | None:
        """Whose mailbox a URL is about, and which; None: there is none that one may read, or none
        of this UIDVALIDITY."""
        rows, me = self._rows, self._context.account
        if wanted.mailbox is None:
            selected = self._context.selected
            if selected is None:
                return None
            rights = sharing.rights(rows, selected.account, selected.mailbox, me)
            return (selected.account, selected.mailbox) if "r" in rights else None
        place = find(rows, me, wanted.mailbox)
        found = place.mailbox
        if found is None or wanted.uidvalidity not in (None, found.uidvalidity):
            return None
        return (place.account, found.id) if "r" in place.rights else None


def _bad(url: Url) -> Refused:
    """RFC 4469 4.1."""
    return Refused(no("No such message or part", b"BADURL " + show_url(url.text)))


def _header(octets: bytes) -> bytes:
    """A message's header, the line that ends it apart."""
    end = _HEADER_END.search(octets)
    return octets if end is None else octets[: end.start()]
