"""APPEND and REPLACE as commands, and their grammar (RFC 9051 6.3.12; RFC 3502, 6855, 8508)."""

from dataclasses import dataclass

from protocols.errors import RemoteProtocolError
from protocols.imap.dates import parse_date_time
from protocols.imap.flags import parse_flag_list
from protocols.imap.sets import NumberSet
from protocols.imap.tokens import Tokens


@dataclass(frozen=True, slots=True, repr=False)
class NewMessage:
    """RFC 9051 9 append-message; `received_ms` None is now."""

    keywords: tuple[str, ...]
    received_ms: int | None
    octets: bytes


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
    received_ms = None
    if tokens.peek() == b'"':
        received_ms = parse_date_time(tokens.string())
        tokens.space()
    return NewMessage(keywords, received_ms, _octets(tokens))


def _octets(tokens: Tokens) -> bytes:
    """RFC 9051 9 append-data: a literal, or as RFC 6855 4 marks one whose header is UTF-8."""
    if not tokens.accept_word(b"UTF8 ("):
        return tokens.literal()
    if tokens.peek() != b"~":
        raise RemoteProtocolError("UTF8 is of a literal8")
    octets = tokens.literal()
    tokens.expect(b")")
    return octets
