"""Which emails a filter finds, and in what order (RFC 8621 4.4): what Email/query stands on.

Columns narrow the emails down and order them; only where a text is looked for, or sorted by, are
rows and messages of what is left read, a few at a time with pauses between. All that is of one
version of the account is taken before the first of these pauses.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from protocols.collation import COLLATIONS
from protocols.jmap.context import Context
from protocols.jmap.email_filter import (
    Node,
    OfColumns,
    OfText,
    all_in_thread,
    bounds,
    leaves,
    matches,
    some_in_thread,
    with_keyword,
)
from protocols.jmap.email_text import EmailText
from protocols.jmap.standard_query import Comparator
from protocols.mime.envelope import base_subject
from storage.engine import Rows
from storage.ids import AccountId, EmailId, Version
from storage.mail.columns import Columns, Flags, count
from storage.mail.pages import read_metas, read_views

KEYWORD_SORTS: Final = {
    "hasKeyword": with_keyword,
    "allInThreadHaveKeyword": all_in_thread,
    "someInThreadHaveKeyword": some_in_thread,
}
_TEXT_SORTS: Final = frozenset(("from", "to", "subject"))

# Emails whose rows are read together, and messages opened, between two pauses.
READ_EMAILS_PAGE: Final = 64
OPENED_EMAILS_PAGE: Final = 4


@dataclass(frozen=True, slots=True)
class EmailQuery:
    """What is looked for."""

    filter: Node
    order: tuple[Comparator, ...]
    collapse_threads: bool

    @property
    def immutable(self) -> bool:
        """No change of an email but its coming and going changes its place in the results."""
        return not any(
            isinstance(leaf, OfColumns) and leaf.mutable for leaf in leaves(self.filter)
        ) and not any(comparator.property in KEYWORD_SORTS for comparator in self.order)

    @property
    def about_threads(self) -> bool:
        """A change of one email may change the places of others in its thread."""
        return (
            self.collapse_threads
            or any(isinstance(leaf, OfColumns) and leaf.thread for leaf in leaves(self.filter))
            or any(
                one.property in KEYWORD_SORTS and one.property != "hasKeyword" for one in self.order
            )
        )

    @property
    def is_by_date(self) -> bool:
        """The order is that by date itself, ties and all, from either end."""
        return not self.order or (len(self.order) == 1 and self.order[0].property == "receivedAt")

    @property
    def newest_first(self) -> bool:
        """From which end, if it is by date."""
        return not (self.order and self.order[0].ascending)

    @property
    def looks_into_texts(self) -> bool:
        """Some condition is not of the columns."""
        return any(isinstance(leaf, OfText) for leaf in leaves(self.filter))

    @property
    def sorts_by_texts(self) -> bool:
        """Some comparator is not of the columns."""
        return any(comparator.property in _TEXT_SORTS for comparator in self.order)

    @property
    def needs_views(self) -> bool:
        """Columns that are made of views are asked for."""
        return any(one.property == "sentAt" for one in self.order) or any(
            isinstance(leaf, OfColumns) and leaf.views for leaf in leaves(self.filter)
        )


@dataclass(frozen=True, slots=True)
class FoundEmails:
    """Results in order, as of a version."""

    version: Version
    slots: list[int]
    column: Sequence[int] | Mapping[int, int]
    """The email of each slot, or of those found."""
    total: int | None = None
    """How many results there are in all, if so many were asked for and it is known."""

    @property
    def emails(self) -> list[EmailId]:
        """All of them."""
        return self.numbers(self.slots)

    def numbers(self, slots: Iterable[int]) -> list[EmailId]:
        """The emails of some slots."""
        return [EmailId(self.column[slot]) for slot in slots]


async def current_columns(context: Context, account: AccountId, *, views: bool) -> Columns:
    """The account's columns as its newest state is; valid until the next pause."""
    cache = context.caller.columns
    columns = cache.get(account)
    while not (
        columns.advance(context.rows) and (not views or columns.advance_views(context.rows))
    ):
        await context.caller.pause()
    cache.trim()
    return columns


async def find_emails(
    context: Context,
    account: AccountId,
    query: EmailQuery,
    *,
    enough: int | None = None,
    want_total: bool = False,
) -> FoundEmails:
    """All results, or at least the first `enough`; then `want_total` counts the others too."""
    columns = await current_columns(context, account, views=query.needs_views)
    known = {
        leaf: leaf.flags(columns) for leaf in leaves(query.filter) if isinstance(leaf, OfColumns)
    }
    surely, maybe = bounds(query.filter, known, columns.all())
    if query.is_by_date and surely == maybe:
        return _first_by_date(columns, query, surely, enough, want_total=want_total)
    if want_total:
        enough = None  # each has to be looked at
    slots = list(columns.in_order(maybe, newest_first=not query.is_by_date or query.newest_first))
    taken = _Taken(context, account, query, columns, known, surely)
    if not query.sorts_by_texts:
        taken.sort(slots, {})
        if surely == maybe:
            return taken.found(slots if not query.collapse_threads else taken.collapse(slots))
        return taken.found(await taken.filter(slots, query.collapse_threads, enough))
    if surely != maybe:
        slots = await taken.filter(slots, False, None)
    taken.sort(slots, await taken.read_keys(slots))
    return taken.found(slots if not query.collapse_threads else taken.collapse(slots))


def _first_by_date(
    columns: Columns, query: EmailQuery, flags: Flags, enough: int | None, *, want_total: bool
) -> FoundEmails:
    """What the columns know in order: no further than has to be, though all are counted."""
    slots = columns.in_order(flags, newest_first=query.newest_first)
    if query.collapse_threads:
        slots = _first_of_threads(slots, columns.threads)
    found = list(islice(slots, enough))
    total = None
    if enough is None:
        total = len(found)
    elif want_total:
        total = columns.count_threads(flags) if query.collapse_threads else count(flags)
    emails = {slot: columns.emails[slot] for slot in found}
    return FoundEmails(columns.version, found, emails, total)


def _first_of_threads(slots: Iterable[int], threads: Sequence[int]) -> Iterator[int]:
    """RFC 8621 4.4.3: of each thread the email that comes first."""
    seen: set[int] = set()
    for slot in slots:
        thread = threads[slot]
        if thread not in seen:
            seen.add(thread)
            yield slot


class _Taken:
    """What is taken of the columns for one query, so that they may go on while it runs."""

    def __init__(
        self,
        context: Context,
        account: AccountId,
        query: EmailQuery,
        columns: Columns,
        known: Mapping[OfColumns, Flags],
        surely: Flags,
    ) -> None:
        self._context = context
        self._account = account
        self._query = query
        self._version = columns.version
        lasting = query.looks_into_texts or query.sorts_by_texts
        self._emails: Sequence[int] = columns.emails[:]
        self._threads: Sequence[int] = columns.threads[:] if lasting else columns.threads
        self._known = (
            {leaf: columns.octets(flags) for leaf, flags in known.items()} if lasting else {}
        )
        self._surely = columns.octets(surely)
        self._keys = (
            [] if query.is_by_date else [_key(columns, comparator) for comparator in query.order]
        )

    def found(self, slots: list[int]) -> FoundEmails:
        return FoundEmails(self._version, slots, self._emails, len(slots))

    def sort(self, slots: list[int], texts: Mapping[int, Mapping[int, Any]]) -> None:
        """By the comparators, the last first: sorting keeps the order of what is equal."""
        order = self._query.order
        if self._query.is_by_date:
            return  # in which they come
        for at in reversed(range(len(order))):
            key = texts.get(at, self._keys[at])
            slots.sort(key=key.__getitem__, reverse=not order[at].ascending)

    def collapse(self, slots: Iterable[int]) -> list[int]:
        """RFC 8621 4.4.3: of each thread the email that comes first."""
        return list(_first_of_threads(slots, self._threads))

    async def filter(self, slots: Sequence[int], collapse: bool, enough: int | None) -> list[int]:
        """Those that match, in order, until there are enough."""
        passed: list[int] = []
        seen: set[int] = set()
        for at in range(0, len(slots), READ_EMAILS_PAGE):
            page = slots[at : at + READ_EMAILS_PAGE]
            for slot in await self._matching(page):
                if not collapse or self._threads[slot] not in seen:
                    seen.add(self._threads[slot])
                    passed.append(slot)
            if enough is not None and len(passed) >= enough:
                break
        return passed

    async def _matching(self, page: Sequence[int]) -> list[int]:
        texts = self._texts([slot for slot in page if not self._surely[slot]])
        passed: list[int] = []
        opened = 0
        for slot in page:
            if self._surely[slot]:
                passed.append(slot)
                continue
            text = texts.get(slot)
            if text is None:
                continue  # it went away meanwhile
            known = {leaf: bool(octets[slot]) for leaf, octets in self._known.items()}
            if matches(self._query.filter, known, text):
                passed.append(slot)
            opened += text.opened
            if opened >= OPENED_EMAILS_PAGE:
                await self._context.caller.pause()
                opened = 0
        await self._context.caller.pause()
        return passed

    def _texts(self, slots: Sequence[int]) -> dict[int, EmailText]:
        numbers = {slot: EmailId(self._emails[slot]) for slot in slots}
        rows: Rows = self._context.rows
        wanted = list(numbers.values())
        metas = read_metas(rows, self._account, wanted)
        views = read_views(rows, self._account, wanted)
        blobs = self._context.ports.blobs
        return {
            slot: EmailText(rows, self._account, blobs, metas[number], views[number])
            for slot, number in numbers.items()
            if number in metas
        }

    async def read_keys(self, slots: Sequence[int]) -> dict[int, dict[int, Any]]:
        """By place of the comparator: what texts are sorted by, by slot."""
        wanted = [
            (at, one) for at, one in enumerate(self._query.order) if one.property in _TEXT_SORTS
        ]
        found: dict[int, dict[int, Any]] = {at: {} for at, _ in wanted}
        for start in range(0, len(slots), READ_EMAILS_PAGE):
            page = slots[start : start + READ_EMAILS_PAGE]
            texts = self._texts(page)
            for at, comparator in wanted:
                collate = COLLATIONS[comparator.collation]
                for slot in page:
                    text = texts.get(slot)
                    found[at][slot] = collate("" if text is None else _sorted_by(text, comparator))
            await self._context.caller.pause()
        return found


def _sorted_by(text: EmailText, comparator: Comparator) -> str:
    if comparator.property == "subject":
        return base_subject(text.subject)
    return text.first_person(comparator.property)


def _key(columns: Columns, comparator: Comparator) -> Sequence[Any]:
    match comparator.property:
        case "receivedAt":
            # RFC 8621 4.4.2: the date as it is shown, which is in whole seconds.
            return [moment // 1000 for moment in columns.received]
        case "size":
            return columns.sizes[:]
        case "sentAt":
            return columns.sent[:]
        case name if name in KEYWORD_SORTS:
            return columns.octets(KEYWORD_SORTS[name](columns, comparator.keyword))
        case _:
            return ()  # of texts, read where they are needed
