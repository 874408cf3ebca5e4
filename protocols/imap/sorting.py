"""What SORT compares (RFC 5256 3, RFC 5957): a key for each criterion, from what is stored.

Ascending, ties by place in the mailbox: Python's sort is stable, forwards and in reverse, so
sorting by each criterion from the last to the first is sorting by all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.collation import unicode_casemap
from protocols.imap.search_commands import Criterion, SortKey
from protocols.mime.envelope import base_subject
from protocols.mime.words import is_malformed

# No text begins with it: it is no character.
AFTER_ALL: Final = "\U0010ffff"
_NO_VIEW: Final = frozenset({SortKey.ARRIVAL, SortKey.SIZE, SortKey.RELEVANCY})


@dataclass(frozen=True, slots=True)
class Correspondent:
    """The first address of a field."""

    email: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Headline:
    """What the stored view tells of a message; `sent_ms` None: its date is absent or no date.
    `relevancy` is the search's own (RFC 6203 4)."""

    sender: Correspondent | None = None
    to: Correspondent | None = None
    cc: Correspondent | None = None
    subject: str = ""
    sent_ms: int | None = None
    relevancy: int = 0


@dataclass(slots=True)
class Sortable:
    """One message, and the values of the criteria in their order."""

    position: int
    values: tuple[Any, ...]


def needs_headline(criteria: Iterable[Criterion]) -> bool:
    """Whether the row, and what was found out by the search, cannot answer."""
    return any(criterion.key not in _NO_VIEW for criterion in criteria)


def values_of(
    criteria: Iterable[Criterion], received_ms: int, size: int, headline: Headline
) -> tuple[Any, ...]:
    """The sort values of one message."""
    return tuple([_VALUES[criterion.key](received_ms, size, headline) for criterion in criteria])


def in_order(messages: list[Sortable], criteria: Sequence[Criterion]) -> list[int]:
    """Their positions as the criteria sort them; `messages` come in the mailbox's order."""
    for place in range(len(criteria) - 1, -1, -1):
        messages.sort(key=lambda one: one.values[place], reverse=criteria[place].reverse)
    return [one.position for one in messages]


def sent_or_received(received_ms: int, headline: Headline) -> int:
    """RFC 5256 2.2: a message without a date that can be read was sent when it came."""
    return received_ms if headline.sent_ms is None else headline.sent_ms


def _mailbox(person: Correspondent | None) -> str:
    """RFC 5256 3: addr-mailbox of the first address; nothing where there is none."""
    return "" if person is None else _key(person.email.rpartition("@")[0])


def _display(person: Correspondent | None) -> str:
    """RFC 5957 3: the name that is shown, or else the address."""
    return "" if person is None else _key(person.name or person.email)


def _key(text: str) -> str:
    """RFC 5051; RFC 5255 4.6: what is not as its charset says comes together after all else, in
    the order of what can be read of it."""
    return (AFTER_ALL if is_malformed(text) else "") + unicode_casemap(text)


_VALUES: Final[Mapping[SortKey, Callable[[int, int, Headline], Any]]] = {
    SortKey.ARRIVAL: lambda received_ms, size, headline: received_ms,
    SortKey.SIZE: lambda received_ms, size, headline: size,
    SortKey.DATE: lambda received_ms, size, headline: sent_or_received(received_ms, headline),
    SortKey.SUBJECT: lambda received_ms, size, headline: folded_subject(headline.subject),
    SortKey.FROM: lambda received_ms, size, headline: _mailbox(headline.sender),
    SortKey.TO: lambda received_ms, size, headline: _mailbox(headline.to),
    SortKey.CC: lambda received_ms, size, headline: _mailbox(headline.cc),
    SortKey.DISPLAYFROM: lambda received_ms, size, headline: _display(headline.sender),
    SortKey.DISPLAYTO: lambda received_ms, size, headline: _display(headline.to),
    # RFC 6203 6: the highest score first
    SortKey.RELEVANCY: lambda received_ms, size, headline: -headline.relevancy,
}


def folded_subject(subject: str) -> str:
    """RFC 5256 2.1 base subject, as it is compared (RFC 5051)."""
    return _key(base_subject(subject))
