"""FETCH as the parser gives it and the op takes it: items and sections of messages."""

from dataclasses import dataclass
from enum import Enum

from protocols.imap.partial import PartialRange
from protocols.imap.sets import NumberSet


class SectionText(Enum):
    """RFC 9051 6.4.5 section-msgtext and MIME; WHOLE is a part's or message's content."""

    WHOLE = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[...]<...>, BINARY[...]<...>, RFC822 and its kin: some octets of a message.

    `path` are part numbers; `fields` lower-case header names; `label` is what the answer calls
    it, `<origin>` included. `decoded` undoes the transfer encoding (RFC 3516).
    """

    label: bytes
    path: tuple[int, ...] = ()
    text: SectionText = SectionText.WHOLE
    fields: frozenset[bytes] = frozenset()
    partial: tuple[int, int] | None = None
    peek: bool = True
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class BinarySize:
    """RFC 9051 6.4.5 BINARY.SIZE[...]."""

    label: bytes
    path: tuple[int, ...]


class FetchItem(Enum):
    """FETCH items that name no section (RFC 9051 6.4.5; MODSEQ RFC 7162, EMAILID and THREADID RFC
    8474, PREVIEW RFC 8970, SAVEDATE RFC 8514); the order is that of the answer."""

    FLAGS = b"FLAGS"
    UID = b"UID"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    PREVIEW = b"PREVIEW"
    SAVEDATE = b"SAVEDATE"

    # There is one object of each; Enum's own hash is a function of ours, and asked of every item
    # that a FETCH could have.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Fetch:
    """RFC 9051 6.4.5; only what has changed since a MODSEQ, and what is gone (RFC 7162 3.1.4.1,
    3.2.6); only some of the messages (RFC 9394 3.3)."""

    numbers: NumberSet
    items: frozenset[FetchItem]
    sections: tuple[Section | BinarySize, ...] = ()
    uid: bool = False
    changed_since: int | None = None
    vanished: bool = False
    partial: PartialRange | None = None
