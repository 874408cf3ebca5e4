"""RFC 8620 5.5 and 5.6, what every /query shares: the window, the order, filter operators."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from protocols.collation import COLLATIONS, DEFAULT_COLLATION
from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer
from protocols.jmap.values import Arguments, parse_state
from storage.ids import AccountId, Version

T = TypeVar("T")

# Ids in one answer; `limit` is told when it is this and not the client's.
QUERY_IDS_MAX: Final = 10_000
COMPARATORS_MAX: Final = 8

_COMPARATOR: Final = frozenset(("property", "isAscending", "collation"))
_KEYWORDED: Final = _COMPARATOR | {"keyword"}
# What the client jmapc writes into each comparator, where it means nothing: arguments of /query. An
# order is not changed by them; of other members it cannot be known, so that they are refused.
_MISPLACED: Final = frozenset(("anchor", "anchorOffset", "calculateTotal", "limit", "position"))


@dataclass(frozen=True, slots=True)
class Comparator:
    """RFC 8620 5.5: one criterion of an order."""

    property: str
    ascending: bool
    collation: str = DEFAULT_COLLATION
    keyword: str = ""
    """RFC 8621 4.4.2: of the properties that need one."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the results are wanted."""

    position: int
    anchor: str | None
    anchor_offset: int
    limit: int
    limit_told: bool
    """Our limit is below the client's: the answer says so."""
    calculate_total: bool


def read_window(context: Context, arguments: Arguments) -> Window:
    """RFC 8620 5.5: position, anchor, anchorOffset, limit, calculateTotal."""
    limit = arguments.unsigned("limit")
    anchor = arguments.identifier("anchor")
    return Window(
        position=arguments.integer("position"),
        anchor=None if anchor is None else context.resolve(anchor),
        anchor_offset=arguments.integer("anchorOffset"),
        limit=QUERY_IDS_MAX if limit is None else min(limit, QUERY_IDS_MAX),
        limit_told=limit is None or limit > QUERY_IDS_MAX,
        calculate_total=arguments.boolean("calculateTotal"),
    )


def read_order(
    arguments: Arguments,
    supported: Callable[[str], bool],
    *,
    keyworded: Collection[str] = (),
) -> list[Comparator]:
    """RFC 8620 5.5 sort; raises unsupportedSort for what is not supported.

    Comparators of the properties in `keyworded` must name a keyword, others must not.
    """
    order: list[Comparator] = []
    for wanted in arguments.array("sort"):
        if not isinstance(wanted, dict) or not isinstance(wanted.get("property"), str):
            raise invalid_arguments("a comparator is no object with a property")
        name = wanted["property"]
        ascending, collation = wanted.get("isAscending", True), wanted.get("collation")
        if not isinstance(ascending, bool):
            raise invalid_arguments("isAscending is not a Boolean")
        known = _KEYWORDED if name in keyworded else _COMPARATOR
        if not supported(name) or wanted.keys() - known - _MISPLACED:
            raise MethodError("unsupportedSort", f"by {name[:100]!r}")
        if name in keyworded and not isinstance(wanted.get("keyword"), str):
            raise invalid_arguments(f"a sort by {name} needs a keyword")
        if collation is not None and not isinstance(collation, str):
            raise invalid_arguments("collation is not a String")
        if collation is not None and collation not in COLLATIONS:
            raise MethodError("unsupportedSort", f"no collation {collation[:100]!r}")
        keyword = wanted.get("keyword", "").lower()
        order.append(Comparator(name, ascending, collation or DEFAULT_COLLATION, keyword))
    if len(order) > COMPARATORS_MAX:
        raise MethodError("unsupportedSort", f"more than {COMPARATORS_MAX} comparators")
    return order


def query_answer(
    account: AccountId,
    state: str,
    window: Window,
    ids: Sequence[str],
    position: int,
    total: int | None,
    *,
    changes: bool,
) -> Answer:
    """The response of a /query."""
    told: dict[str, Any] = {
        "accountId": f"a{account}",
        "queryState": state,
        "canCalculateChanges": changes,
        "position": position,
        "ids": ids,
    }
    if total is not None:
        told["total"] = total
    if window.limit_told and len(ids) >= window.limit:
        told["limit"] = window.limit
    return told


def cut_window(
    results: Sequence[T], window: Window, read: Callable[[str], T | None]
) -> tuple[list[T], int]:
    """A window of results that are all at hand, and where it begins; `read` reads an id."""
    if window.anchor is not None:
        anchor = read(window.anchor)
        if anchor is None or anchor not in results:
            raise MethodError("anchorNotFound")
        start = max(0, results.index(anchor) + window.anchor_offset)
    elif window.position < 0:
        start = max(0, len(results) + window.position)
    else:
        start = window.position
    return list(results[start : start + window.limit]), min(start, len(results))


@dataclass(frozen=True, slots=True)
class Since:
    """RFC 8620 5.6: the arguments of a /queryChanges beside filter and sort."""

    state: str
    changes_max: int | None
    up_to_id: str | None
    calculate_total: bool

    def version(self) -> Version:
        """The version asked about; raises cannotCalculateChanges for a state we never gave."""
        place = parse_state(self.state)
        if place is None or place[1]:
            raise MethodError("cannotCalculateChanges", "sinceQueryState is none of ours")
        return place[0]

    def check(self, changes: int) -> None:
        """Raise tooManyChanges if there are more than were asked for."""
        if self.changes_max is not None and changes > self.changes_max:
            raise MethodError("tooManyChanges", "more has changed than maxChanges")


def read_since(context: Context, arguments: Arguments) -> Since:
    """The arguments, checked."""
    state = arguments.string("sinceQueryState")
    if state is None:
        raise invalid_arguments("sinceQueryState is missing")
    up_to_id = arguments.identifier("upToId")
    return Since(
        state,
        arguments.unsigned("maxChanges"),
        None if up_to_id is None else context.resolve(up_to_id),
        arguments.boolean("calculateTotal"),
    )
