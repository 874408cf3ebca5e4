"""RETURN (...) of SEARCH and SORT (RFC 9051 9 search-return-opts, and its extensions)."""

from dataclasses import dataclass

from protocols.errors import RemoteProtocolError
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem, Section
from protocols.imap.fetch_items import items_to_parenthesis
from protocols.imap.partial import PartialRange, parse_partial_range
from protocols.imap.search_commands import SearchReturn
from protocols.imap.sets import NumberSet
from protocols.imap.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Returns:
    """What is asked for; `options` None: there is no RETURN. PARTIAL and UPDATE may say more."""

    options: frozenset[SearchReturn] | None = None
    partial: PartialRange | None = None
    fetch: Fetch | None = None


def accept_returns(tokens: Tokens) -> Returns:
    """RETURN, its list and a space, if they are next; `RETURN ()` is `RETURN (ALL)`."""
    if not tokens.accept_word(b"RETURN "):
        return Returns()
    tokens.expect(b"(")
    found: set[SearchReturn] = set()
    partial: PartialRange | None = None
    fetch: Fetch | None = None
    while not tokens.accept(b")"):
        if found:
            tokens.space()
        name = tokens.label()
        if name not in SearchReturn._value2member_map_:
            raise RemoteProtocolError("unknown search return option")
        found.add(SearchReturn(name))
        if name == b"PARTIAL":
            if partial is not None:
                raise RemoteProtocolError("PARTIAL may stand once")  # RFC 9394 3.1
            tokens.space()
            partial = parse_partial_range(tokens)
        elif name == b"UPDATE" and (tokens.accept(b" (") or tokens.accept(b"(")):
            # RFC 5465 7 has a space there, the grammar in 8 none
            fetch = _update_fetch(tokens)
    if found >= {SearchReturn.ALL, SearchReturn.PARTIAL}:
        raise RemoteProtocolError("PARTIAL and ALL exclude each other")  # RFC 9394 3.1
    tokens.space()
    return Returns(frozenset(found or {SearchReturn.ALL}), partial, fetch)


def _update_fetch(tokens: Tokens) -> Fetch:
    """RFC 5465 7: what to tell of a new message that is a result; its UID too, by which it can be
    named at any time."""
    items: set[FetchItem] = {FetchItem.UID}
    sections: list[Section | BinarySize] = []
    items_to_parenthesis(tokens, items, sections)
    return Fetch(NumberSet(()), frozenset(items), tuple(dict.fromkeys(sections)), uid=True)
