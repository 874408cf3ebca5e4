"""Header fields: cutting a header into fields, and the parsed forms of RFC 8621 4.1.2.

A header is a run of `name: value` lines with folded continuations. Lines that are neither are read
as RFC 7103 7.2 advises: between two fields they belong to the field before them; after the last
field, with no blank line seen yet, they are where the body begins (no separator was sent). An mbox
"From " line is nobody's.
"""

import re
import unicodedata
from datetime import datetime
from typing import Final

import msgspec

from protocols.mime import charsets, grammar, words
from protocols.mime.addresses import EmailAddress, Group, flatten, parse_addresses
from protocols.mime.dates import parse_date, rfc3339

# Fields listed of one header, and its bytes; what follows them is body.
FIELDS_MAX: Final = 10_000
HEADER_BYTES_MAX: Final = 512 * 1024
MESSAGE_IDS_MAX: Final = 1_000
URLS_MAX: Final = 1_000
# Bytes of one value that its parsed forms are made of.
FIELD_BYTES_MAX: Final = 256 * 1024

_FIELD: Final = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?", re.MULTILINE)
_WINDOW_BYTES: Final = 16 * 1024

_MBOX_LINE: Final = re.compile(rb">?From (?![ \t]*:)[^\n]*\n?")
_PLAIN_IDS: Final = re.compile(r"(?:\s*+<[^<>\s\"()\\]++>)++\s*+")
_BRACKETED: Final = re.compile(r"<([^<>]*+)>")


class Header(msgspec.Struct, frozen=True, gc=False):
    """One field: its name as written, its raw value, and where the value stands in the message."""

    name: str
    raw: bytes
    start: int
    end: int


def split(data: bytes, start: int, end: int) -> list[Header]:
    """The fields of the header at data[start:end], in order.

    A header that ends in a bare CR is one whose lines all do (see structure.read).
    """
    fields: list[Header] = []
    if end > start and data[end - 1 : end] == b"\r":
        data = with_line_feeds(data[:end])
    end = min(end, start + HEADER_BYTES_MAX)
    expected = start
    for found in _FIELD.finditer(data, start, end):
        if found.start() != expected and fields:
            fields[-1] = _extended(data, fields[-1], expected, found.start())
        if len(fields) >= FIELDS_MAX:
            break
        value_start, value_end = found.span(2)
        if data[value_end - 1 : value_end] == b"\r" and value_end > value_start:
            value_end -= 1
        name = found[1].decode("ascii")
        fields.append(Header(name, data[value_start:value_end], value_start, value_end))
        expected = found.end()
    return fields


def with_line_feeds(data: bytes) -> bytes:
    """Each bare CR replaced by LF, so that offsets stay as they are."""
    if b"\n" not in data:
        return data.replace(b"\r", b"\n")
    return b"\r\n".join([piece.replace(b"\r", b"\n") for piece in data.split(b"\r\n")])


def _extended(data: bytes, field: Header, start: int, end: int) -> Header:
    """The field with the stray lines at data[start:end] as its continuation (RFC 7103 7.2)."""
    if _MBOX_LINE.fullmatch(data, start, end):
        return field
    while end > field.end and data[end - 1] in b"\r\n":
        end -= 1
    return Header(field.name, data[field.start : end], field.start, end)


def block_end(
    data: bytes, start: int, end: int, bytes_max: int = HEADER_BYTES_MAX
) -> tuple[int, int]:
    """Where the header at `start` begins and where the body after it begins.

    The header ends with the first empty line; without one, or when what stands before it is
    not all header, it ends after its last field, and in any case after `bytes_max`.
    """
    if mbox := _MBOX_LINE.match(data, start, end):
        start = mbox.end()
    if data.startswith(b"\r\n", start, end):
        return start, start + 2
    if data.startswith(b"\n", start, end):
        return start, start + 1
    return start, _after_fields(data, start, _empty_line(data, start, min(end, start + bytes_max)))


def _empty_line(data: bytes, start: int, end: int) -> int:
    """Index after the first empty line, or `end`; reads little more than the header itself."""
    window = _WINDOW_BYTES
    while True:
        limit = min(end, start + window)
        found = data.find(b"\n\r\n", start, limit)
        bare = data.find(b"\n\n", start, limit if found < 0 else found + 1)
        if bare >= 0:
            return bare + 2
        if found >= 0:
            return found + 3
        if limit == end:
            return end
        start = limit - 2  # an empty line may lie across the window's end
        window *= 4


def _after_fields(data: bytes, start: int, limit: int) -> int:
    """`limit`, or less if lines that are no fields stand before it and none after them."""
    last_line = data.rfind(b"\n", start, max(start, limit - 2)) + 1
    # The common case costs one look: the last line before the separator belongs to a field.
    expected = max(start, last_line) if last_line else start
    found = _FIELD.match(data, expected, limit)
    if found is not None and found.end() >= limit - 2:
        return limit
    expected = start
    for found in _FIELD.finditer(data, start, limit):
        expected = found.end()
    rest = data[expected:limit]
    return limit if not rest.strip(b"\r\n") else expected


def last(fields: list[Header], name: str) -> Header | None:
    """The last field of that name, which is the one JMAP speaks of (RFC 8621 4.1.3)."""
    wanted = name.lower()
    return next((field for field in reversed(fields) if field.name.lower() == wanted), None)


def as_raw(raw: bytes) -> str:
    """RFC 8621 4.1.2.1: what is not UTF-8 replaced, NULs dropped, nothing else touched."""
    return raw.decode("utf-8", "replace").replace("\0", "")


def _decoded(raw: bytes, fallback: str | None = None) -> str:
    """The value as text; a longer one is cut at its bound, between characters."""
    if len(raw) > FIELD_BYTES_MAX:
        cut = FIELD_BYTES_MAX
        while raw[cut] & 0xC0 == 0x80 and cut > FIELD_BYTES_MAX - 4:
            cut -= 1
        raw = raw[:cut]
    return charsets.decode_header(raw, fallback)


def as_text(raw: bytes, fallback: str | None = None) -> str:
    """RFC 8621 4.1.2.2: unfolded, leading spaces removed, encoded words decoded, NFC."""
    text = grammar.unfold(_decoded(raw, fallback)).lstrip(" ")
    text = words.decode(text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def as_addresses(raw: bytes, fallback: str | None = None) -> list[EmailAddress]:
    """RFC 8621 4.1.2.3: every mailbox of the address-list, groups dissolved."""
    return flatten(parse_addresses(raw, fallback))


def as_grouped_addresses(
    raw: bytes, fallback: str | None = None
) -> list[tuple[str | None, tuple[EmailAddress, ...]]]:
    """RFC 8621 4.1.2.4: (group name, members); mailboxes outside groups under the name None."""
    grouped: list[tuple[str | None, tuple[EmailAddress, ...]]] = []
    loose: list[EmailAddress] = []
    for item in parse_addresses(raw, fallback):
        if isinstance(item, Group):
            if loose:
                grouped.append((None, tuple(loose)))
                loose = []
            grouped.append((item.name, item.members))
        else:
            loose.append(item)
    if loose:
        grouped.append((None, tuple(loose)))
    return grouped


def as_message_ids(raw: bytes) -> list[str] | None:
    """RFC 8621 4.1.2.5: ids without brackets and CFWS, or None if there is none.

    Ids without brackets are taken when they have an @ and no space: threads depend on them. Of too
    many the last are kept, for they are the nearest ancestors (RFC 5322 3.6.4).
    """
    text = grammar.unfold(_decoded(raw))
    if _PLAIN_IDS.fullmatch(text):
        return _BRACKETED.findall(text)[-MESSAGE_IDS_MAX:]
    plain = grammar.strip_comments(text)
    ids = ["".join(content.split()) for content in _BRACKETED.findall(plain)]
    if not ids and "<" not in plain:
        ids = [word for word in plain.split() if "@" in word]
    return [one for one in ids if one][-MESSAGE_IDS_MAX:] or None


def as_moment(raw: bytes) -> datetime | None:
    """The date-time of a field, with its offset."""
    return parse_date(_decoded(raw))


def as_date(raw: bytes) -> str | None:
    """RFC 8621 4.1.2.6: the date as RFC 3339 text in the offset it was written in."""
    moment = as_moment(raw)
    return None if moment is None else rfc3339(moment)


def as_urls(raw: bytes) -> list[str] | None:
    """RFC 8621 4.1.2.7 and RFC 2369 2: URLs in angle brackets, white space inside removed."""
    text = grammar.unfold(_decoded(raw))
    urls = [
        "".join(content.split()) for content in _BRACKETED.findall(grammar.strip_comments(text))
    ]
    return [url for url in urls if url][:URLS_MAX] or None
