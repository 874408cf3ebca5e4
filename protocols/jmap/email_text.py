"""The texts of an email that filters look into: its header fields, decoded, and its bodies.

Each is read when it is first asked for. From, To, Cc, Bcc and Subject are in the view row; for
other fields and for bodies the message is opened. One body is in memory at a time.
"""

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Final

import msgspec

from protocols.jmap.email_bodies import Message
from protocols.jmap.text_match import fold
from protocols.mime import headers, parts
from protocols.mime.bodies import decode_text, decode_transfer
from protocols.mime.html_text import html_to_text
from protocols.mime.parts import Part, walk
from protocols.ports import Blobs
from storage.engine import Rows
from storage.ids import AccountId
from storage.mail import messages
from storage.mail.records import LIST_PROPERTIES, EmailMeta, EmailView

# Octets of one body part that are searched, as they are sent: text that people write is shorter.
SEARCHED_OCTETS_MAX: Final = 4 * 1024 * 1024

ADDRESSED: Final = ("from", "to", "cc", "bcc")
_INDEX: Final = {name: LIST_PROPERTIES.index(name) for name in (*ADDRESSED, "subject")}
# RFC 8621 4.4.1: of attributes, what is shown to people is searched too.
_TAG: Final = re.compile(r"<[a-zA-Z][^<>]*>")
_SHOWN: Final = re.compile(
    r"""\s(?:alt|title)\s*=\s*(?:"([^"<>]{1,1000})"|'([^'<>]{1,1000})')""", re.IGNORECASE
)


class EmailText:
    """The texts of one email."""

    def __init__(
        self, rows: Rows, account: AccountId, blobs: Blobs, meta: EmailMeta, view: EmailView
    ) -> None:
        self._rows = rows
        self._account = account
        self._blobs = blobs
        self._meta = meta
        self._view = view
        self._folded: dict[str, str] = {}
        self._message: Message | None = None
        self.opened = False
        """The message was read: that takes a while."""

    @property
    def subject(self) -> str:
        """The Subject as it is shown, empty when there is none."""
        return msgspec.json.decode(self._view.json[_INDEX["subject"]], type=str | None) or ""

    def field(self, name: str) -> str:
        """The folded text of `subject` or one of ADDRESSED."""
        found = self._folded.get(name)
        if found is None:
            found = fold(self.subject if name == "subject" else self._people(name))
            self._folded[name] = found
        return found

    def _people(self, name: str) -> str:
        people = msgspec.json.decode(self._view.json[_INDEX[name]], type=list[_Person] | None)
        return "\n".join(f"{one.name or ''} {one.email}" for one in people or ())

    def first_person(self, name: str) -> str:
        """RFC 8621 4.4.2, sort by from or to: name, else address of the first, else nothing."""
        people = msgspec.json.decode(self._view.json[_INDEX[name]], type=list[_Person] | None)
        return (people[0].name or people[0].email) if people else ""

    def header(self, name: str) -> list[str]:
        """All values of the message's own field of this (lower case) name, folded."""
        message = self._open()
        fallback = message.root.params.get("charset")
        return [
            fold(headers.as_text(field.raw, fallback))
            for field in message.fields(message.root)
            if field.name.lower() == name
        ]

    def bodies(self) -> Iterator[str]:
        """The folded text of each body part that is text, one after the other."""
        for text in self.plain_bodies():
            yield fold(text)

    def plain_bodies(self) -> Iterator[str]:
        """The same, as it is shown."""
        message = self._open()
        for part in walk(message.root):
            if part.type == "text":
                yield _text_of(message, part)

    def _open(self) -> Message:
        if self._message is None:
            self.opened = True
            packed = messages.parts(self._rows, self._account, self._meta.id)
            assert packed is not None, (self._account, self._meta.id)
            self._message = Message(
                self._blobs, self._meta.blob, self._meta.size, parts.unpack(packed)
            )
        return self._message


class _Person(msgspec.Struct):
    email: str
    name: str | None = None


def _text_of(message: Message, part: Part) -> str:
    end = min(part.body_end, part.body_start + SEARCHED_OCTETS_MAX)
    body = decode_transfer(message.span(part.body_start, end), part.encoding)
    text, _ = decode_text(body, part.params.get("charset"))
    if part.subtype != "html":
        return text
    attributes = [
        unescape(found[1] or found[2])
        for tag in _TAG.finditer(text)
        for found in _SHOWN.finditer(tag[0])
    ]
    return "\n".join([html_to_text(text), *attributes])


Opener = Callable[[EmailMeta, EmailView], EmailText]
