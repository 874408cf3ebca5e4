"""The grammar of LIST and STATUS (RFC 9051 6.3.9, 6.3.11; RFC 5258, 5819, 6154)."""

from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.commands import List, StatusItem
from protocols.imap.metadata import Entry, parse_entries
from protocols.imap.tokens import Tokens

# How many patterns one LIST may have: each is asked of each mailbox.
PATTERNS_MAX: Final = 50
# The longest pattern, in characters; a mailbox path is never longer.
PATTERN_CHARACTERS_MAX: Final = 4096


def parse_list(tokens: Tokens) -> List:
    """What follows LIST."""
    tokens.space()
    selected: frozenset[bytes] | None = None
    if tokens.peek() == b"(":
        selected = _select_options(tokens)
        tokens.space()
    reference = tokens.mailbox_text(tokens.astring())
    tokens.space()
    several = tokens.peek() == b"("
    patterns = _patterns(tokens) if several else (tokens.list_mailbox(),)
    if any(len(reference) + len(pattern) > PATTERN_CHARACTERS_MAX for pattern in patterns):
        raise LimitExceeded("LIST_PATTERN", "a mailbox pattern is too long")
    returned: set[bytes] = set()
    status: tuple[StatusItem, ...] = ()
    metadata: tuple[Entry, ...] = ()
    has_return = tokens.accept_word(b" RETURN ")
    if has_return:
        status, metadata = _return_options(tokens, returned)
    chosen = selected or frozenset()
    return List(
        reference,
        patterns,
        extended=selected is not None or several or has_return,
        select_subscribed=b"SUBSCRIBED" in chosen,
        select_special=b"SPECIAL-USE" in chosen,
        recursive=b"RECURSIVEMATCH" in chosen,
        # RFC 5258 3.1: selecting by subscription implies returning it
        return_subscribed=b"SUBSCRIBED" in returned or b"SUBSCRIBED" in chosen,
        return_special=b"SPECIAL-USE" in returned or b"SPECIAL-USE" in chosen,
        return_children=b"CHILDREN" in returned,
        return_rights=b"MYRIGHTS" in returned,  # RFC 8440 5
        status=status,
        metadata=metadata,
    )


def _select_options(tokens: Tokens) -> frozenset[bytes]:
    """RFC 9051 9 list-select-opts; REMOTE is known and selects nothing more: all is here."""
    tokens.expect(b"(")
    found: set[bytes] = set()
    while not tokens.accept(b")"):
        if found:
            tokens.space()
        name = tokens.keyword()
        if name not in (b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"):
            raise RemoteProtocolError("unknown LIST selection option")
        found.add(name)
    if b"RECURSIVEMATCH" in found and not found & {b"SUBSCRIBED", b"SPECIAL-USE"}:
        raise RemoteProtocolError("RECURSIVEMATCH needs another selection option")
    return frozenset(found)


def _patterns(tokens: Tokens) -> tuple[str, ...]:
    """RFC 5258 6 patterns."""
    tokens.expect(b"(")
    found = [tokens.list_mailbox()]
    while not tokens.accept(b")"):
        tokens.space()
        found.append(tokens.list_mailbox())
        if len(found) > PATTERNS_MAX:
            raise LimitExceeded("LIST_PATTERNS", f"a LIST may have {PATTERNS_MAX} patterns")
    return tuple(found)


def _return_options(
    tokens: Tokens, returned: set[bytes]
) -> tuple[tuple[StatusItem, ...], tuple[Entry, ...]]:
    """RFC 9051 9 list-return-opts; fills `returned`, gives what STATUS and METADATA name."""
    tokens.expect(b"(")
    status: tuple[StatusItem, ...] = ()
    metadata: tuple[Entry, ...] = ()
    first = True
    while not tokens.accept(b")"):
        if not first:
            tokens.space()
        first = False
        name = tokens.keyword()
        if name == b"STATUS":
            tokens.space()
            status = parse_status_items(tokens)
        elif name == b"METADATA":  # RFC 9590 5
            tokens.space()
            metadata = parse_entries(tokens)
        elif name in (b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"MYRIGHTS"):
            returned.add(name)
        else:
            raise RemoteProtocolError("unknown LIST return option")
    return status, metadata


def parse_status_items(tokens: Tokens) -> tuple[StatusItem, ...]:
    """RFC 9051 9 "(" status-att *(SP status-att) ")", each once."""
    tokens.expect(b"(")
    found = {_status_item(tokens): None}
    while not tokens.accept(b")"):
        tokens.space()
        found[_status_item(tokens)] = None
    return tuple(found)


def _status_item(tokens: Tokens) -> StatusItem:
    name = tokens.keyword()
    if name not in StatusItem._value2member_map_:
        raise RemoteProtocolError("unknown STATUS item")
    return StatusItem(name)
