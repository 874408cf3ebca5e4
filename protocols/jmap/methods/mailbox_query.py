"""RFC 8621 2.3-2.4: Mailbox/query, over all of an account's mailboxes at once (they are few).

Filter operators are evaluated without recursion deeper than JSON itself may be.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard import Answer
from protocols.jmap.standard_query import (
    Comparator,
    cut_window,
    query_answer,
    read_order,
    read_window,
    refuse_query_changes,
)
from protocols.jmap.values import Arguments, is_id, is_reference, render_state
from storage.ids import MailboxId, parse_mailbox
from storage.mail.mailbox_rows import TOP
from storage.mail.mailboxes import list_mailboxes
from storage.mail.records import Mailbox
from storage.mail.state import version

Test = Callable[[Mailbox], bool]

_OPERATORS: Final = frozenset(("AND", "OR", "NOT"))
_CONDITIONS: Final[Mapping[str, Callable[[object], bool]]] = {
    "parentId": lambda value: value is None or is_id(value) or is_reference(value),
    "name": lambda value: isinstance(value, str),
    "role": lambda value: value is None or isinstance(value, str),
    "hasAnyRole": lambda value: isinstance(value, bool),
    "isSubscribed": lambda value: isinstance(value, bool),
}
_SORTS: Final[Mapping[str, Callable[[Mailbox], Any]]] = {
    "sortOrder": lambda mailbox: mailbox.sort_order,
    "name": lambda mailbox: mailbox.name.casefold(),
}


async def mailbox_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.3."""
    arguments = Arguments(raw)
    account = context.account(arguments)
    wanted = arguments.object("filter")
    order = read_order(arguments, _SORTS.__contains__)
    window = read_window(context, arguments)
    sort_as_tree = arguments.boolean("sortAsTree")
    filter_as_tree = arguments.boolean("filterAsTree")
    arguments.done()
    state = render_state(version(context.rows, account))
    test = _read_filter(context, wanted) if wanted else lambda _: True
    every = _sorted(list_mailboxes(context.rows, account), order)
    if sort_as_tree:
        every = _as_tree(every)
    shown = {mailbox.id for mailbox in every if test(mailbox)}
    if filter_as_tree:
        parents = {mailbox.id: mailbox.parent for mailbox in every}
        shown = {number for number in shown if _line_shown(number, parents, shown)}
    ids = [f"m{mailbox.id}" for mailbox in every if mailbox.id in shown]
    page, position = cut_window(ids, window)
    total = len(ids) if window.calculate_total else None
    return query_answer(account, state, window, page, position, total, changes=False)


async def mailbox_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.4: which results moved is not kept; a client asks the query again."""
    arguments = Arguments(raw)
    refusal = refuse_query_changes(context, arguments)
    arguments.boolean("sortAsTree")
    arguments.boolean("filterAsTree")
    arguments.done()
    raise refusal


def _read_filter(context: Context, wanted: Mapping[str, Any]) -> Test:
    if "operator" not in wanted:
        return _read_condition(context, wanted)
    operator, conditions = wanted["operator"], wanted.get("conditions")
    if operator not in _OPERATORS or not isinstance(conditions, list):
        raise invalid_arguments("a filter operator is AND, OR or NOT of conditions")
    if not all(isinstance(condition, dict) for condition in conditions):
        raise invalid_arguments("a filter's conditions are not objects")
    tests = [_read_filter(context, condition) for condition in conditions]
    match operator:
        case "AND":
            return lambda mailbox: all(test(mailbox) for test in tests)
        case "OR":
            return lambda mailbox: any(test(mailbox) for test in tests)
        case _:
            return lambda mailbox: not any(test(mailbox) for test in tests)


def _read_condition(context: Context, wanted: Mapping[str, Any]) -> Test:
    tests: list[Test] = []
    for name, value in wanted.items():
        if name not in _CONDITIONS:
            raise MethodError("unsupportedFilter", f"no condition {name[:100]!r}")
        if not _CONDITIONS[name](value):
            raise invalid_arguments(f"the condition {name} has a wrong type")
        tests.append(_test(context, name, value))
    return lambda mailbox: all(test(mailbox) for test in tests)


def _test(context: Context, name: str, value: Any) -> Test:
    match name:
        case "parentId":
            parent = TOP if value is None else parse_mailbox(context.resolve(value))
            if value is not None and not parent:
                return lambda _: False  # an id we never gave is nobody's parent
            return lambda mailbox: mailbox.parent == parent
        case "name":
            folded = value.casefold()
            return lambda mailbox: folded in mailbox.name.casefold()
        case "role":
            return lambda mailbox: mailbox.role == value
        case "hasAnyRole":
            return lambda mailbox: (mailbox.role is not None) is value
        case _:
            return lambda mailbox: mailbox.subscribed is value


def _sorted(every: Sequence[Mailbox], order: Sequence[Comparator]) -> list[Mailbox]:
    """By the comparators, the first the strongest; ids break ties, so the order is total."""
    found = sorted(every, key=lambda mailbox: mailbox.id)
    for comparator in reversed(order):
        found.sort(key=_SORTS[comparator.property], reverse=not comparator.ascending)
    return found


def _as_tree(every: Sequence[Mailbox]) -> list[Mailbox]:
    """RFC 8621 2.3 sortAsTree: each mailbox right before its children, which keep their order."""
    children: dict[MailboxId, list[Mailbox]] = {}
    for mailbox in every:
        children.setdefault(mailbox.parent, []).append(mailbox)
    found: list[Mailbox] = []
    waiting = list(reversed(children.get(TOP, [])))
    while waiting:
        mailbox = waiting.pop()
        found.append(mailbox)
        waiting.extend(reversed(children.get(mailbox.id, [])))
    return found


def _line_shown(
    number: MailboxId, parents: Mapping[MailboxId, MailboxId], shown: set[MailboxId]
) -> bool:
    """RFC 8621 2.3 filterAsTree: a mailbox counts only when all above it match."""
    at = parents[number]
    while at != TOP:
        if at not in shown:
            return False
        at = parents[at]
    return True
