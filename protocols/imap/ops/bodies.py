"""Body sections of one message, sent from its blob (RFC 9051 6.4.5.1, RFC 3516).

A span of the blob goes out in pieces, so a large message costs one piece of memory. What must be
decoded (BINARY) is decoded whole, before the first octet of the response is said, and counts
against the door's room for literals while it is held.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from protocols.imap.fetch_commands import BinarySize, Section, SectionText
from protocols.imap.ops.context import Context
from protocols.imap.sections import Span, chosen_fields, clip, find, locate, needs_parts
from protocols.mime import parts as mime_parts
from protocols.mime.bodies import decode_transfer, is_known_encoding
from protocols.mime.parts import Part
from protocols.ports import READ_BYTES_MAX, Unavailable
from storage.ids import AccountId, BlobId
from storage.mail import messages
from storage.mail.records import UidRow

MIB: Final = 1024 * 1024

# What of a header is looked at for HEADER.FIELDS; protocols/mime reads no more either.
HEADER_BYTES_MAX: Final = MIB
# Transfer encodings that leave octets as they are.
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})
# What stands for NUL where there can be none: no character of ASCII, and none of UTF-8 by itself.
NUL_SHOWN: Final = b"\x80"

Item = Section | BinarySize


class UnknownEncoding(Exception):
    """NO [UNKNOWN-CTE]: BINARY of a part whose transfer encoding we cannot undo (RFC 3516 4.3)."""


class MessageGone(Exception):
    """The blob went away while it was read: expunged everywhere, and collected since."""


class BrokenOff(Exception):
    """A response is on its way whose octets are gone, or damaged here: it cannot be ended."""


@dataclass(slots=True)
class Message:
    """One message about to be told: its blob, its part tree if needed, decoded parts."""

    blob: BlobId
    size: int
    root: Part | None
    decoded: dict[tuple[int, ...], bytes] = field(default_factory=dict)
    held: int = 0
    """Octets taken from the door's room."""


async def open_message(
    context: Context, account: AccountId, row: UidRow, items: Iterable[Item]
) -> Message | None:
    """The message of a row, with all that can fail done; None: it is gone.

    Raises UnknownEncoding, MessageGone, Damaged, and Unavailable when the door holds too much
    already. What it holds is given back by `close_message`.
    """
    rows, items = context.local(), tuple(items)
    meta = messages.meta(rows, account, row.email)
    if meta is None:
        return None
    root = None
    if need_parts(items):
        packed = messages.parts(rows, account, row.email)
        if packed is None:
            return None
        root = mime_parts.unpack(packed)
    message = Message(meta.blob, meta.size, root)
    await decode_parts(context, message, items)
    return message


def need_parts(items: Iterable[Item]) -> bool:
    """Some of it cannot be located without the part tree."""
    return any(isinstance(item, BinarySize) or needs_parts(item) for item in items)


async def decode_parts(context: Context, message: Message, items: Iterable[Item]) -> None:
    """Decode what will be told decoded, as `open_message` does; after a failure nothing is held."""
    try:
        for item in items:
            if isinstance(item, BinarySize):
                part = _part(message, item.path)
                if part is None or part.decoded is None:
                    await _decode(context, message, item.path)
            elif item.decoded:
                await _decode(context, message, item.path)
    except BaseException:
        close_message(context, message)
        raise


def close_message(context: Context, message: Message) -> None:
    """What was decoded is no longer held."""
    context.door.room.give(message.held)
    message.held = 0


async def _decode(context: Context, message: Message, path: tuple[int, ...]) -> None:
    """Decode a part, unless its octets stand in the blob as they are."""
    part = _part(message, path)
    if part is None or path in message.decoded or _is_plain(part):
        return
    if not is_known_encoding(part.encoding):
        raise UnknownEncoding(part.encoding)
    if not context.door.room.take(part.size):
        raise Unavailable("too much is being decoded")
    message.held += part.size
    octets = await read_span(context, message.blob, Span(part.body_start, part.body_end))
    message.decoded[path] = decode_transfer(octets, part.encoding)


def _part(message: Message, path: tuple[int, ...]) -> Part | None:
    """The part BINARY names; the whole message has no transfer encoding of its own."""
    if not path or message.root is None:
        return None
    return find(message.root, path)


def _is_plain(part: Part) -> bool:
    return part.is_multipart or part.encoding in _IDENTITY


def add_binary_size(context: Context, message: Message, item: BinarySize) -> None:
    """RFC 9051 6.4.5 BINARY.SIZE; a part that is not there has no octets."""
    size = message.size
    if item.path:
        part = _part(message, item.path)
        size = 0 if part is None else part.size if part.decoded is None else part.decoded
    if item.path in message.decoded:
        size = len(message.decoded[item.path])
    context.out.add(b"%b %d" % (item.label, size))


def label_of_whole(items: Sequence[Item]) -> bytes | None:
    """The label, where nothing is asked but whole messages as they are."""
    if len(items) != 1 or isinstance(items[0], BinarySize) or items[0].decoded:
        return None
    return None if needs_parts(items[0]) or items[0].partial else items[0].label


def add_whole(context: Context, message: Message, start: bytes) -> None:
    """All octets of a message of at most READ_BYTES_MAX, as the only section of its response:
    `start` goes to its label. Who downloads a mailbox asks nothing else, thousands of times."""
    octets = as_text(_read(context, message.blob, Span(0, message.size)))
    context.out.add(b"%b {%d}\r\n" % (start, len(octets)), octets, b")\r\n")


def as_text(octets: bytes) -> bytes:
    """What a literal may hold (RFC 9051 4.3.1, CHAR8): there is no NUL in it. One that stands in a
    message is told as another octet, so that sizes and ranges stay what they are."""
    return octets.replace(b"\0", NUL_SHOWN) if b"\0" in octets else octets


async def add_section(context: Context, message: Message, section: Section) -> None:
    """The section's label and octets."""
    if section.decoded and section.path in message.decoded:
        _add_octets(context, section, message.decoded[section.path])
        return
    span = _span(message, section)
    if span is None:
        context.out.add(b"%b NIL" % section.label)
    elif section.text in (SectionText.FIELDS, SectionText.FIELDS_NOT):
        whole = Span(span.start, min(span.end, span.start + HEADER_BYTES_MAX))
        header = await read_span(context, message.blob, whole)
        _add_octets(context, section, chosen_fields(header, section))
    else:
        await _add_span(context, message, section, clip(span, section.partial))


def _span(message: Message, section: Section) -> Span | None:
    if not needs_parts(section):
        return Span(0, message.size)
    assert message.root is not None, "opened with the part tree"
    return locate(section, message.root, message.size)


def section_bytes_max(message: Message, section: Section) -> int | None:
    """How many octets `read_section` will read at most; None: there is no such section."""
    span = _span(message, section)
    if span is None:
        return None
    if section.text in (SectionText.FIELDS, SectionText.FIELDS_NOT):
        return min(span.end - span.start, HEADER_BYTES_MAX) + len(b"\r\n\r\n")
    clipped = clip(span, section.partial)
    return clipped.end - clipped.start


async def read_section(context: Context, message: Message, section: Section) -> bytes:
    """The octets that FETCH would tell of a section that is there. Raises MessageGone, Damaged."""
    span = _span(message, section)
    assert span is not None, "its size was asked for first"
    if section.text in (SectionText.FIELDS, SectionText.FIELDS_NOT):
        whole = Span(span.start, min(span.end, span.start + HEADER_BYTES_MAX))
        fields = chosen_fields(await read_span(context, message.blob, whole), section)
        chosen = clip(Span(0, len(fields)), section.partial)
        return fields[chosen.start : chosen.end]
    return await read_span(context, message.blob, clip(span, section.partial))


def _add_octets(context: Context, section: Section, octets: bytes) -> None:
    chosen = clip(Span(0, len(octets)), section.partial)
    _add_literal(context, section, octets[chosen.start : chosen.end])


def _add_literal(context: Context, section: Section, octets: bytes) -> None:
    # RFC 3516 4.3: what holds NUL goes out as a literal8
    tilde = b"~" if section.decoded and b"\0" in octets else b""
    context.out.add(b"%b %b{%d}\r\n" % (section.label, tilde, len(octets)))
    context.out.add(octets if section.decoded else as_text(octets))


async def _add_span(context: Context, message: Message, section: Section, span: Span) -> None:
    size = span.end - span.start
    if size <= READ_BYTES_MAX:
        _add_literal(context, section, await read_span(context, message.blob, span))
        return
    # Not looked through for NUL first, so BINARY is a literal8, as it may always be.
    context.out.add(b"%b %b{%d}\r\n" % (section.label, b"~" if section.decoded else b"", size))
    for piece in _cut(span):
        octets = _read(context, message.blob, piece)
        context.out.add(octets if section.decoded else as_text(octets))
        await context.out.flush()


async def read_span(context: Context, blob: BlobId, span: Span) -> bytes:
    """The octets of a span, others running between two pieces. Raises MessageGone, Damaged."""
    pieces: list[bytes] = []
    for piece in _cut(span):
        if pieces:
            await trio.lowlevel.checkpoint()
        pieces.append(_read(context, blob, piece))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read(context: Context, blob: BlobId, piece: Span) -> bytes:
    try:
        return context.ports.blobs.read(blob, piece.start, piece.end - piece.start)
    except KeyError as error:
        raise MessageGone from error


def _cut(span: Span) -> Iterator[Span]:
    for start in range(span.start, span.end, READ_BYTES_MAX):
        yield Span(start, min(start + READ_BYTES_MAX, span.end))
