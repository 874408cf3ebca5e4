"""RFC 8620 5.5 and 5.6, what every /query shares: the window, the order, filter operators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer
from protocols.jmap.values import Arguments
from storage.ids import AccountId

# Ids in one answer; `limit` is told when it is this and not the client's.
QUERY_IDS_MAX: Final = 10_000
COMPARATORS_MAX: Final = 8

_COMPARATOR: Final = frozenset(("property", "isAscending", "collation"))


@dataclass(frozen=True, slots=True)
class Comparator:
    """RFC 8620 5.5: one criterion of an order."""

    property: str
    ascending: bool


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


def read_order(arguments: Arguments, supported: Callable[[str], bool]) -> list[Comparator]:
    """RFC 8620 5.5 sort; raises unsupportedSort for what is not supported."""
    order: list[Comparator] = []
    for wanted in arguments.array("sort"):
        if not isinstance(wanted, dict) or not isinstance(wanted.get("property"), str):
            raise invalid_arguments("a comparator is no object with a property")
        ascending = wanted.get("isAscending", True)
        if not isinstance(ascending, bool):
            raise invalid_arguments("isAscending is not a Boolean")
        if not supported(wanted["property"]) or wanted.keys() - _COMPARATOR:
            raise MethodError("unsupportedSort", f"by {wanted['property'][:100]!r}")
        if wanted.get("collation") is not None:
            raise MethodError("unsupportedSort", "no collation can be chosen")
        order.append(Comparator(wanted["property"], ascending))
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


def cut_window(ids: Sequence[str], window: Window) -> tuple[list[str], int]:
    """A window of results that are all at hand, and where it begins."""
    if window.anchor is not None:
        if window.anchor not in ids:
            raise MethodError("anchorNotFound")
        start = max(0, ids.index(window.anchor) + window.anchor_offset)
    elif window.position < 0:
        start = max(0, len(ids) + window.position)
    else:
        start = window.position
    return list(ids[start : start + window.limit]), min(start, len(ids))


def refuse_query_changes(context: Context, arguments: Arguments) -> MethodError:
    """RFC 8620 5.6: for a query whose changes are not kept, after its arguments are checked."""
    context.account(arguments)
    arguments.object("filter")
    arguments.array("sort")
    if arguments.string("sinceQueryState") is None:
        raise invalid_arguments("sinceQueryState is missing")
    arguments.unsigned("maxChanges")
    arguments.identifier("upToId")
    arguments.boolean("calculateTotal")
    return MethodError("cannotCalculateChanges", "ask the query again")
