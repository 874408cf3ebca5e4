"""RFC 8620 5.5 and 5.6 for types of which an account has few: the query runs over all of them.

A type says what its conditions and sorts are; the change log says which objects may have moved
in the results, and the query as it is now says where they are. So queryChanges is exact for any
filter and sort, mutable properties included.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from protocols.collation import COLLATIONS
from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer, Kind
from protocols.jmap.standard_query import (
    Comparator,
    cut_window,
    query_answer,
    read_order,
    read_since,
    read_window,
)
from protocols.jmap.values import Arguments, render_state
from storage.changes import TooOld, changed_at, since
from storage.ids import AccountId

T = TypeVar("T")
N = TypeVar("N", bound=int)
Test = Callable[[T], bool]

# A tuple: what a client sends in its place need not be hashable.
_OPERATORS: Final = ("AND", "OR", "NOT")
_OPERATOR: Final = frozenset(("operator", "conditions"))


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A type's queries.

    `condition` turns one member of a FilterCondition into a test, or None when there is no such
    condition; it raises ValueError for a value of the wrong type. `sorts` are keys by property.
    """

    condition: Callable[[str, Any], Test[T] | None]
    sorts: Mapping[str, Callable[[T], Any]]
    by_counts: bool = True
    """Whether what the change log calls counts is filtered or sorted by."""
    arrangement: "Callable[[Arguments], Arrangement[T]]" = lambda _: Arrangement()


class Arrangement(Generic[T]):
    """How objects stand among the results beyond filter and sort: here, as these say.

    A type with arguments of its own (Mailbox's trees) makes another.
    """

    def results(self, ordered: Sequence[tuple[int, T]], test: Test[T]) -> list[int]:
        """The numbers of those that are results; all objects come in order."""
        return [number for number, one in ordered if test(one)]

    def beside(self, every: Iterable[tuple[int, T]], moved: set[int]) -> set[int]:
        """Those whose places may be others because these changed."""
        del every
        return moved


def is_filtered(wanted: Mapping[str, Any] | None, listing: Listing[T]) -> Test[T]:
    """The test of a filter; raises MethodError unsupportedFilter, invalidArguments."""
    if not wanted:
        return lambda _: True
    if "operator" not in wanted:
        tests = [_condition(name, value, listing) for name, value in wanted.items()]
        return lambda one: all(test(one) for test in tests)
    operator, conditions = wanted["operator"], wanted.get("conditions")
    if operator not in _OPERATORS or not isinstance(conditions, list) or wanted.keys() - _OPERATOR:
        raise invalid_arguments("a filter operator is AND, OR or NOT of conditions")
    if not all(isinstance(condition, dict) for condition in conditions):
        raise invalid_arguments("a filter's conditions are not objects")
    tests = [is_filtered(condition, listing) for condition in conditions]
    if operator == "AND":
        return lambda one: all(test(one) for test in tests)
    if operator == "OR":
        return lambda one: any(test(one) for test in tests)
    return lambda one: not any(test(one) for test in tests)


def _condition(name: str, value: Any, listing: Listing[T]) -> Test[T]:
    try:
        test = listing.condition(name, value)
    except ValueError:
        raise invalid_arguments(f"the condition {name} has a wrong type") from None
    if test is None:
        raise MethodError("unsupportedFilter", f"no condition {name[:100]!r}")
    return test


def _ordered(
    every: Iterable[tuple[int, T]], order: Sequence[Comparator], listing: Listing[T]
) -> list[tuple[int, T]]:
    """In order, the first comparator the strongest; numbers break ties."""
    found = sorted(every, key=lambda pair: pair[0])
    for comparator in reversed(order):
        key = listing.sorts[comparator.property]
        collate = COLLATIONS[comparator.collation]

        def place(
            pair: tuple[int, T],
            key: Callable[[T], Any] = key,
            collate: Callable[[str], Any] = collate,
        ) -> Any:
            value = key(pair[1])
            return collate(value) if isinstance(value, str) else value

        found.sort(key=place, reverse=not comparator.ascending)
    return found


async def listed_query(
    context: Context,
    kind: Kind[N],
    raw: Mapping[str, Any],
    listing: Listing[T],
    every: Callable[[AccountId], Iterable[tuple[int, T]]],
) -> Answer:
    """/query."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    test = is_filtered(arguments.object("filter"), listing)
    order = read_order(arguments, listing.sorts.__contains__)
    window = read_window(context, arguments)
    arrangement = listing.arrangement(arguments)
    arguments.done()
    state = render_state(changed_at(context.rows, account, kind.code))
    numbers = arrangement.results(_ordered(every(account), order, listing), test)
    page, position = cut_window(numbers, window, kind.parse_id)
    total = len(numbers) if window.calculate_total else None
    ids = [kind.render(number) for number in page]
    return query_answer(account, state, window, ids, position, total, changes=True)


async def listed_query_changes(
    context: Context,
    kind: Kind[N],
    raw: Mapping[str, Any],
    listing: Listing[T],
    every: Callable[[AccountId], Iterable[tuple[int, T]]],
) -> Answer:
    """/queryChanges. `upToId` is read and not needed: all is told."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    test = is_filtered(arguments.object("filter"), listing)
    order = read_order(arguments, listing.sorts.__contains__)
    asked = read_since(context, arguments)
    arrangement = listing.arrangement(arguments)
    arguments.done()
    try:
        found = since(context.rows, account, kind.code, asked.version())
    except TooOld:
        raise MethodError("cannotCalculateChanges", "sinceQueryState is too old") from None
    ordered = _ordered(every(account), order, listing)
    results = arrangement.results(ordered, test)
    # RFC 8620 5.6: what may have moved is removed, and added again where it is now.
    updated = set(found.updated).difference(() if listing.by_counts else found.counted)
    moved = arrangement.beside(ordered, updated.union(found.created))
    gone = moved.difference(found.created).union(found.destroyed)
    removed = [kind.render(number) for number in sorted(gone)]
    added = [
        {"id": kind.render(number), "index": index}
        for index, number in enumerate(results)
        if number in moved
    ]
    asked.check(len(removed) + len(added))
    told: Answer = {
        "accountId": f"a{account}",
        "oldQueryState": asked.state,
        "newQueryState": render_state(
            changed_at(context.rows, account, kind.code, found.new_version)
        ),
        "removed": removed,
        "added": added,
    }
    return told | {"total": len(results)} if asked.calculate_total else told


def text(value: Any) -> str:
    """A condition's String; raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def texts(value: Any) -> frozenset[str]:
    """A condition's list of Strings or Ids; raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(value)
    return frozenset(value)
