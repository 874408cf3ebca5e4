"""GETMETADATA, SETMETADATA and LIST's METADATA: what they say and how (RFC 5464 5, RFC 9590 5)."""

import re
from dataclasses import dataclass
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.tokens import Tokens

# Entries that one command may name.
ENTRIES_MAX: Final = 100
# The longest name of an entry, in octets: it is part of a key.
ENTRY_BYTES_MAX: Final = 255

# RFC 5464 3.2: octets that no name has, components that are empty.
_ENTRY: Final = re.compile(rb"/(private|shared)((?:/[^/*%\x00-\x19\x7f-\xff]+)*)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `spelled` as the client did, `name` without /shared or /private, lower case."""

    spelled: bytes
    shared: bool
    name: str


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """RFC 5464 4.2; mailbox "" is the server. `depth` None is infinity."""

    mailbox: str
    entries: tuple[Entry, ...]
    size_max: int | None = None
    depth: int | None = 0


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """RFC 5464 4.3; a value of None removes its entry."""

    mailbox: str
    values: tuple[tuple[Entry, bytes | None], ...]


def parse_get_metadata(tokens: Tokens) -> GetMetadata:
    """RFC 5464 5 getmetadata: options before the mailbox, or after it as its examples have them."""
    tokens.space()
    options: dict[bytes, int | None] = {b"DEPTH": 0}
    if tokens.peek() == b"(":
        _options(tokens, options)
        tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    if tokens.accept(b"("):
        if tokens.at_word(b"MAXSIZE") or tokens.at_word(b"DEPTH"):
            _options(tokens, options, opened=True)
            tokens.space()
        else:
            scopes = options[b"DEPTH"] != 0
            return _get(mailbox, _entries_to_parenthesis(tokens, scopes=scopes), options)
    return _get(mailbox, parse_entries(tokens, scopes=options[b"DEPTH"] != 0), options)


def _get(mailbox: str, entries: tuple[Entry, ...], options: dict[bytes, int | None]) -> GetMetadata:
    return GetMetadata(mailbox, entries, options.get(b"MAXSIZE"), options[b"DEPTH"])


def _options(tokens: Tokens, options: dict[bytes, int | None], *, opened: bool = False) -> None:
    """RFC 5464 5 getmetadata-options."""
    if not opened:
        tokens.expect(b"(")
    while True:
        name = tokens.keyword()
        tokens.space()
        if name == b"MAXSIZE":
            options[name] = tokens.number()
        elif name == b"DEPTH":
            options[name] = _depth(tokens)
        else:
            raise RemoteProtocolError("unknown GETMETADATA option")
        if tokens.accept(b")"):
            return
        tokens.space()


def _depth(tokens: Tokens) -> int | None:
    word = tokens.keyword()
    if word not in (b"0", b"1", b"INFINITY"):
        raise RemoteProtocolError("DEPTH is 0, 1 or infinity")
    return None if word == b"INFINITY" else int(word)


def parse_entries(tokens: Tokens, *, scopes: bool = False) -> tuple[Entry, ...]:
    """RFC 5464 5 entries; several without parentheses too, as 4.4.1 has them. `scopes`: /shared and
    /private may stand alone, for all that is below them (4.2.2)."""
    if tokens.accept(b"("):
        return _entries_to_parenthesis(tokens, scopes=scopes)
    found = [parse_entry(tokens, scopes=scopes)]
    while tokens.accept(b" "):
        found.append(parse_entry(tokens, scopes=scopes))
        _check_number(len(found))
    return tuple(found)


def _entries_to_parenthesis(tokens: Tokens, *, scopes: bool) -> tuple[Entry, ...]:
    found = [parse_entry(tokens, scopes=scopes)]
    while not tokens.accept(b")"):
        tokens.space()
        found.append(parse_entry(tokens, scopes=scopes))
        _check_number(len(found))
    return tuple(found)


def _check_number(entries: int) -> None:
    if entries > ENTRIES_MAX:
        raise LimitExceeded("METADATA", f"a command may name {ENTRIES_MAX} entries")


def parse_entry(tokens: Tokens, *, scopes: bool = False) -> Entry:
    """RFC 5464 3.2, 5 entry."""
    spelled = tokens.astring()
    if len(spelled) > ENTRY_BYTES_MAX:
        raise LimitExceeded("METADATA_ENTRY", "the name of an entry is too long")
    found = _ENTRY.match(spelled)
    if found is None or not (found[2] or scopes):
        raise RemoteProtocolError("not the name of an entry")
    return Entry(spelled, found[1].lower() == b"shared", found[2].decode("ascii").lower())


def parse_set_metadata(tokens: Tokens) -> SetMetadata:
    """RFC 5464 5 setmetadata."""
    tokens.space()
    mailbox = tokens.mailbox()
    tokens.space()
    tokens.expect(b"(")
    values = [_entry_value(tokens)]
    while not tokens.accept(b")"):
        tokens.space()
        values.append(_entry_value(tokens))
        _check_number(len(values))
    return SetMetadata(mailbox, tuple(values))


def _entry_value(tokens: Tokens) -> tuple[Entry, bytes | None]:
    entry = parse_entry(tokens)
    if entry.name.startswith("/vendor") and entry.name.count("/") < 3:
        raise RemoteProtocolError("a vendor's entry has four components")  # RFC 5464 3.2
    tokens.space()
    return entry, tokens.nstring()
