"""APPEND, REPLACE and their grammar (RFC 9051 6.3.12, RFC 3502, 4469, 6855, 8508)."""

from dataclasses import dataclass
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.dates import parse_date_time
from protocols.imap.flags import parse_flag_list
from protocols.imap.sets import NumberSet
from protocols.imap.tokens import Tokens

# How many parts CATENATE may put together: each is looked up and read by itself.
PARTS_MAX: Final = 500
# How long a URL may be: room for the longest mailbox name, percent-encoded, and a list of fields.
URL_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Url:
    """RFC 4469 3: what stands in the place of a URL as it came; what it means the op finds out."""

    text: bytes


@dataclass(frozen=True, slots=True, repr=False)
class NewMessage:
    """RFC 9051 9 append-message; `received_ms` None is now. The message is its parts together.
    `east_minutes` is the zone that the date was given in.
    """

    keywords: tuple[str, ...]
    received_ms: int | None
    parts: tuple[bytes | Url, ...]
    east_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Append:
    """RFC 9051 6.3.12; several messages are added all or none (RFC 3502)."""

    mailbox: str
    messages: tuple[NewMessage, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """RFC 8508 3.2 REPLACE, and 3.3 UID REPLACE; `number` is one number or `*`."""

    number: NumberSet
    mailbox: str
    message: NewMessage
    uid: bool = False


def parse_append(tokens: Tokens) -> Append:
    """What follows APPEND."""
    tokens.space()
    mailbox = tokens.mailbox()
    messages: list[NewMessage] = []
    while not messages or not tokens.at_end:
        tokens.space()
        messages.append(_message(tokens))
    return Append(mailbox, tuple(messages))


def parse_replace(tokens: Tokens, *, uid: bool) -> Replace:
    """What follows REPLACE (RFC 8508 5)."""
    tokens.need_uids(uid=uid)
    tokens.space()
    number = tokens.number_set()
    if number.saved or len(number.ranges) != 1 or number.ranges[0][0] != number.ranges[0][1]:
        raise RemoteProtocolError("one message is replaced at a time")
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    return Replace(number, mailbox, _message(tokens), uid)


def _message(tokens: Tokens) -> NewMessage:
    """RFC 9051 9 append-message, from its flags on."""
    keywords: tuple[str, ...] = ()
    if tokens.peek() == b"(":
        keywords = parse_flag_list(tokens)
        tokens.space()
    received_ms, east_minutes = None, 0
    if tokens.peek() == b'"':
        received_ms, east_minutes = parse_date_time(tokens.string())
        tokens.space()
    return NewMessage(keywords, received_ms, _data(tokens), east_minutes)


def _data(tokens: Tokens) -> tuple[bytes | Url, ...]:
    """RFC 9051 9 append-data: a literal, or RFC 4469 5 CATENATE."""
    if tokens.accept_word(b"UTF8 ("):
        return (_utf8_literal(tokens),)
    if not tokens.accept_word(b"CATENATE ("):
        return (tokens.literal(),)
    parts = [_part(tokens)]
    while not tokens.accept(b")"):
        tokens.space()
        parts.append(_part(tokens))
        if len(parts) > PARTS_MAX:
            raise LimitExceeded("CATENATE_PARTS", f"CATENATE may have {PARTS_MAX} parts")
    return tuple(parts)


def _part(tokens: Tokens) -> bytes | Url:
    """RFC 4469 5 cat-part, RFC 6855 4."""
    if tokens.accept_word(b"TEXT "):
        return tokens.literal()
    if tokens.accept_word(b"UTF8 ("):
        return _utf8_literal(tokens)
    if not tokens.accept_word(b"URL "):
        raise RemoteProtocolError("expected TEXT or URL")
    url = tokens.astring()
    if not url:
        raise RemoteProtocolError("a URL is empty")
    if len(url) > URL_BYTES_MAX:
        raise LimitExceeded("URL", f"a URL may have {URL_BYTES_MAX} octets")
    return Url(url)


def _utf8_literal(tokens: Tokens) -> bytes:
    """RFC 6855 4 utf8-literal, after its parenthesis."""
    if tokens.peek() != b"~":
        raise RemoteProtocolError("UTF8 is of a literal8")
    octets = tokens.literal()
    tokens.expect(b")")
    return octets
