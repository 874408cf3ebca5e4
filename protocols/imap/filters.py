"""FILTER: searches kept by name as annotations of the server (RFC 5466), put into a search."""

from collections.abc import Callable
from typing import Final

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.search_commands import And, Filter, Fuzzy, Not, Or, SearchKey
from protocols.imap.search_keys import parse_search_keys

# RFC 5466 3.1: three at least; a loop ends there too.
PASSES_MAX: Final = 3
# Filters put into one search, all passes together.
FILTERS_MAX: Final = 50

Read = Callable[[str], bytes | None]
"""A filter's name, lower case, to its text."""


class UndefinedFilter(Exception):
    """No such filter, or none that is a search: NO [UNDEFINED-FILTER name]."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.name = name


class _Expansion:
    """One search, and the filters put into it so far."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._filters = 0

    def expand(self, key: SearchKey, passes: int) -> SearchKey:
        match key:
            case Filter():
                return self._named(key, passes)
            case Not():
                return Not(self.expand(key.key, passes))
            case Fuzzy():
                return Fuzzy(self.expand(key.key, passes))
            case Or():
                return Or(self.expand(key.left, passes), self.expand(key.right, passes))
            case And():
                return And(tuple([self.expand(one, passes) for one in key.keys]))
            case _:
                return key

    def _named(self, key: Filter, passes: int) -> SearchKey:
        self._filters += 1
        if self._filters > FILTERS_MAX:
            raise LimitExceeded("SEARCH_FILTERS", f"a search may have {FILTERS_MAX} filters")
        text = self._read(key.name.decode("ascii").lower()) if passes < PASSES_MAX else None
        if text is None:
            raise UndefinedFilter(key.name)
        try:
            inner = parse_search_keys(text)
        except RemoteProtocolError as error:
            raise UndefinedFilter(key.name) from error
        return self.expand(inner, passes + 1)


def has_filters(key: SearchKey) -> bool:
    """The search, as it came, names filters."""
    match key:
        case Filter():
            return True
        case Not() | Fuzzy():
            return has_filters(key.key)
        case Or():
            return has_filters(key.left) or has_filters(key.right)
        case And():
            return any(map(has_filters, key.keys))
        case _:
            return False


def expand_filters(key: SearchKey, read: Read) -> SearchKey:
    """The search with what its filters say in their place. Raises UndefinedFilter."""
    return _Expansion(read).expand(key, 0)
