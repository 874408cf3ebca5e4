"""Reading what a search needs to know of a message, one level dearer each time (matching.py)."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from protocols.collation import fold
from protocols.imap.matching import VIEW_FIELDS, Facts, Field
from protocols.imap.ops.bodies import HEADER_BYTES_MAX, MessageGone, read_span
from protocols.imap.ops.context import Context
from protocols.imap.ops.views import read_views
from protocols.imap.sections import Span
from protocols.mime import headers, words
from protocols.mime import parts as mime_parts
from protocols.mime.bodies import decode_text, decode_transfer
from protocols.mime.grammar import unfold
from protocols.mime.parts import Part
from protocols.ports import Damaged
from protocols.render.envelope import GROUP_END
from storage.ids import BlobId
from storage.mail import messages
from storage.mail.records import LIST_PROPERTIES, EmailView, unpack_view

_EPOCH: Final = date(1970, 1, 1).toordinal()
_PLACES: Final = {name: place for place, name in enumerate(LIST_PROPERTIES)}
_RFC3339_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T")


class Person(msgspec.Struct):
    """RFC 8621 4.1.2.3, as stored in a view."""

    email: str
    name: str | None = None


people: Final = msgspec.json.Decoder(list[Person] | None).decode
string: Final = msgspec.json.Decoder(str | None).decode


def read_views_of(context: Context, undecided: Sequence[Facts]) -> None:
    """Fill in `view` and what goes with it; what is gone has nothing that could match."""
    emails = [facts.row.email for facts in undecided]
    views = read_views(context.local(), context.mailbox.account, emails, unpack_view)
    for facts in undecided:
        view = views.get(facts.row.email)
        facts.view = dict.fromkeys(VIEW_FIELDS) if view is None else _fields(view)
        facts.sent_day = None if view is None else _day(string(view.json[_PLACES["sentAt"]]))
        facts.has_groups = view is not None and GROUP_END in view.envelope


def _fields(view: EmailView) -> Mapping[bytes, str | None]:
    fields: dict[bytes, str | None] = {}
    for name in VIEW_FIELDS:
        value = view.json[_PLACES[name.decode()]]
        if name == b"subject":
            subject = string(value)
            fields[name] = None if subject is None else fold(subject)
            continue
        named = people(value)
        fields[name] = None if named is None else fold(", ".join(map(_person, named)))
    return fields


def _person(person: Person) -> str:
    return person.email if person.name is None else f"{person.name} <{person.email}>"


def _day(sent_at: str | None) -> int | None:
    """RFC 9051 6.4.4 SENTON: the day as its Date field has it, whatever its zone."""
    found = None if sent_at is None else _RFC3339_DAY.match(sent_at)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
    except ValueError:
        return None


async def read_header_of(context: Context, facts: Facts) -> None:
    """Fill in `header`."""
    opened = _open(context, facts)
    if opened is None:
        facts.header = ()
        return
    blob, root = opened
    try:
        facts.header = await _header_of(context, blob, root)
    except MessageGone:
        _check_gone(context, facts)
        facts.header = ()


async def read_inner_of(context: Context, facts: Facts) -> None:
    """Fill in `inner`: RFC 9051 6.4.4 TEXT is the header with the MIME header fields, and what a
    message embedded in the body says in its header is said in the body."""
    facts.inner = ()
    opened = _open(context, facts)
    if opened is None:
        return
    blob, root = opened
    found: list[Field] = []
    for part in mime_parts.inner(root):
        try:
            found += await _header_of(context, blob, part)
        except MessageGone:
            _check_gone(context, facts)
            return
    facts.inner = tuple(found)


async def _header_of(context: Context, blob: BlobId, part: Part) -> tuple[Field, ...]:
    start, end = part.header_start, min(part.body_start, part.header_start + HEADER_BYTES_MAX)
    if start == end:
        return ()
    octets = await read_span(context, blob, Span(start, end))
    return tuple(map(_folded, headers.split(octets, 0, len(octets))))


def _check_gone(context: Context, facts: Facts) -> None:
    """What is gone has nothing that could match. Raises Damaged: the message is there, and its
    octets are not."""
    if _open(context, facts) is not None:
        raise Damaged("a message has no octets")


def _folded(field: headers.Header) -> Field:
    text = headers.as_text(field.raw)
    octets = b""
    if words.is_malformed(text):
        octets = words.octets(unfold(field.raw.decode("latin-1")).lstrip(" "))
    return field.name.lower().encode(), fold(text), octets


async def read_text_of(context: Context, facts: Facts) -> None:
    """Fill in `text` and `octets`: all text parts, those of embedded messages too, decoded and
    folded."""
    opened = _open(context, facts)
    if opened is None:
        facts.text = ""
        return
    blob, root = opened
    pieces: list[str] = []
    malformed: list[bytes] = []
    for part in _text_parts(root):
        try:
            octets = await read_span(context, blob, Span(part.body_start, part.body_end))
        except MessageGone:
            _check_gone(context, facts)
            break
        decoded = decode_transfer(octets, part.encoding)
        text, problem = decode_text(decoded, part.params.get("charset"))
        pieces.append(fold(text))
        if problem:
            malformed.append(decoded)
    # Parts are texts of their own: a phrase does not run from one into the next.
    facts.text, facts.octets = "\0".join(pieces), tuple(malformed)


def _text_parts(root: Part) -> list[Part]:
    return [
        part
        for part in (root, *mime_parts.inner(root))
        if part.type == "text" and not part.children
    ]


def _open(context: Context, facts: Facts) -> tuple[BlobId, Part] | None:
    rows = context.local()
    meta = messages.meta(rows, context.mailbox.account, facts.row.email)
    packed = messages.parts(rows, context.mailbox.account, facts.row.email)
    if meta is None or packed is None:
        return None
    return meta.blob, mime_parts.unpack(packed)
