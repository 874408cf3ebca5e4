"""ENVELOPE of a message, rendered once at ingest (RFC 9051 7.5.2 ENVELOPE).

The result holds ASCII wherever mail can say a thing in ASCII. Encoded words (RFC 2047) stand as
they were written; what came as raw 8-bit text is put in such words, because a client may read the
same octets before and after it enables IMAP4rev2. Only an address that is itself not ASCII (RFC
6532) goes out as a literal of UTF-8.

Everything is bounded: a hostile header costs a shortened envelope, never an unbounded record.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from protocols.mime import words
from protocols.mime.addresses import EmailAddress, Group, parse_addresses
from protocols.mime.charsets import decode_header
from protocols.mime.grammar import unfold, unquote
from protocols.mime.headers import Header
from protocols.mime.structure import Part, headers_of
from protocols.render.strings import NIL, render_nstring, render_string, render_text

# The longest subject, date or message id that is shown whole.
TEXT_BYTES_MAX: Final = 16 * 1024
# What one address list may take up; the addresses after it are left out.
LIST_BYTES_MAX: Final = 48 * 1024
# Lists as they were written lately, rendered: an account's mail comes from the same people.
REMEMBERED_LISTS_MAX: Final = 1_024
REMEMBERED_BYTES_MAX: Final = 256

_ADDRESS_FIELDS: Final = ("from", "sender", "reply-to", "to", "cc", "bcc")
_NAMES: Final = frozenset({*_ADDRESS_FIELDS, "date", "subject", "in-reply-to", "message-id"})
GROUP_END: Final = b"(NIL NIL NIL NIL)"
EMPTY_ENVELOPE: Final = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def render_envelope(root: Part, data: bytes, headers: Sequence[Header] | None = None) -> bytes:
    """The envelope of the message `root` is the root part of; its header is read from `data`,
    unless its fields are known.
    """
    fields = _fields(headers_of(data, root) if headers is None else headers)
    senders = _addresses(fields, "from")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(fields, "date"),
        _text(fields, "subject"),
        senders,
        # RFC 9051 7.5.2: Sender and Reply-To default to From, also when present but empty
        _addresses(fields, "sender", senders),
        _addresses(fields, "reply-to", senders),
        _addresses(fields, "to"),
        _addresses(fields, "cc"),
        _addresses(fields, "bcc"),
        _text(fields, "in-reply-to"),
        _text(fields, "message-id"),
    )


def _fields(headers: Sequence[Header]) -> dict[str, bytes]:
    """The fields that an envelope shows; of repeated ones the last, as JMAP has it."""
    found: dict[str, bytes] = {}
    for header in headers:
        name = header.name.lower()
        if name in _NAMES:
            found[name] = header.raw
    return found


def _text(fields: Mapping[str, bytes], name: str) -> bytes:
    raw = fields.get(name)
    if raw is None:
        return NIL
    return render_string(ascii_text(unfold(decode_header(raw[:TEXT_BYTES_MAX], None)).strip()))


def ascii_text(text: str) -> bytes:
    """Text as it may stand in a header: 8-bit text as encoded words, which then hold none."""
    if text.isascii():
        return text.encode("ascii")
    return " ".join(words.encode(words.decode(text))).encode("ascii", "replace")


def _addresses(fields: Mapping[str, bytes], name: str, default: bytes = NIL) -> bytes:
    raw = fields.get(name)
    if raw is None:
        return default
    people = _remembered(raw) if len(raw) <= REMEMBERED_BYTES_MAX else _people(raw)
    return people or default


@lru_cache(REMEMBERED_LISTS_MAX)
def _remembered(raw: bytes) -> bytes:
    return _people(raw)


def _people(raw: bytes) -> bytes:
    """The addresses of a field in parentheses; nothing when there are none."""
    pieces: list[bytes] = []
    room = LIST_BYTES_MAX
    for item in parse_addresses(raw, as_written=True):
        piece = _group(item) if isinstance(item, Group) else _address(item)
        room -= len(piece)
        if room < 0:
            break
        pieces.append(piece)
    return b"(%b)" % b"".join(pieces) if pieces else b""


def _group(group: Group) -> bytes:
    """RFC 9051 7.5.2: a start with the group's name and no host, members, an end of only NILs."""
    start = b"(NIL NIL %b NIL)" % render_string(ascii_text(group.name))
    return start + b"".join(map(_address, group.members)) + GROUP_END


def _address(address: EmailAddress) -> bytes:
    """RFC 9051 9 address. Without an @ the host is empty and not NIL, which would be a group."""
    local, _, host = address.email.rpartition("@")
    if not local and "@" not in address.email:
        local, host = address.email, ""
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = unquote(local[1:-1])
    name = None if address.name is None else ascii_text(address.name)
    route = NIL if not address.route else render_string(ascii_text(address.route))
    return b"(%b %b %b %b)" % (render_nstring(name), route, render_text(local), render_text(host))
