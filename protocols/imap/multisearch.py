"""ESEARCH, a search of several mailboxes: its grammar (RFC 7377 2, 4)."""

from collections.abc import Mapping
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.notify import NAMES_MAX, mailbox_names
from protocols.imap.patterns import SEPARATOR
from protocols.imap.search_commands import MultiSearch, Source
from protocols.imap.search_keys import parse_search
from protocols.imap.tokens import Tokens

# Source options of one command: several times what there are.
SOURCES_MAX: Final = 32


_SOURCES: Final[Mapping[bytes, Source]] = {source.value: source for source in Source}
_NAMED: Final = frozenset({Source.SUBTREE, Source.SUBTREE_ONE, Source.MAILBOXES})
_HERE: Final[Mapping[Source, frozenset[str]]] = {Source.SELECTED: frozenset()}


def parse_multi_search(tokens: Tokens) -> MultiSearch:
    """What follows ESEARCH; without sources the selected mailbox is searched."""
    tokens.space()
    sources = _HERE
    if tokens.accept_word(b"IN ("):
        sources = _sources(tokens)
        tokens.space()
    return MultiSearch(parse_search(tokens, uid=True), sources)


def _sources(tokens: Tokens) -> Mapping[Source, frozenset[str]]:
    found: dict[Source, frozenset[str]] = {}
    count = 0
    while not count or not tokens.accept(b")"):
        if count:
            tokens.space()
        count += 1
        if count > SOURCES_MAX:
            raise LimitExceeded("ESEARCH_SOURCES", f"ESEARCH may have {SOURCES_MAX} sources")
        source = _SOURCES.get(tokens.keyword())
        if source is None:
            raise RemoteProtocolError("unknown mailbox filter")
        names: frozenset[str] = frozenset()
        if source in _NAMED:
            tokens.space()
            names = mailbox_names(tokens)
        found[source] = found.get(source, frozenset()) | names
    if sum(map(len, found.values())) > NAMES_MAX:
        raise LimitExceeded("ESEARCH_NAMES", f"ESEARCH may name {NAMES_MAX} mailboxes")
    return found


def is_named(sources: Mapping[Source, frozenset[str]], name: str) -> bool:
    """The sources name this mailbox, or one it is under."""
    if name in sources.get(Source.MAILBOXES, ()):
        return True
    one, above = sources.get(Source.SUBTREE_ONE, frozenset()), name
    if name in one or name.rpartition(SEPARATOR)[0] in one:
        return True
    while above:
        if above in sources.get(Source.SUBTREE, ()):
            return True
        above = above.rpartition(SEPARATOR)[0]
    return False
