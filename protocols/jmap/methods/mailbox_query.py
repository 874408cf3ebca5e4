"""RFC 8621 2.3-2.4: Mailbox/query and Mailbox/queryChanges, over all of an account's mailboxes at
once (they are few), also as a tree."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.listed_query import (
    Arrangement,
    Listing,
    Test,
    listed_query,
    listed_query_changes,
    text,
)
from protocols.jmap.methods.mailbox import MAILBOX
from protocols.jmap.standard import Answer
from protocols.jmap.text_match import fold
from protocols.jmap.values import Arguments, is_id, is_reference
from storage.ids import AccountId, parse_mailbox
from storage.mail.mailbox_rows import TOP
from storage.mail.mailboxes import list_mailboxes
from storage.mail.records import Mailbox

Numbered = tuple[int, Mailbox]

_SORTS: Final[Mapping[str, Callable[[Mailbox], Any]]] = {
    "sortOrder": lambda mailbox: mailbox.sort_order,
    "name": lambda mailbox: mailbox.name,
}


class _Tree(Arrangement[Mailbox]):
    """RFC 8621 2.3: sortAsTree, filterAsTree."""

    def __init__(self, arguments: Arguments) -> None:
        self._sort = arguments.boolean("sortAsTree")
        self._filter = arguments.boolean("filterAsTree")

    def results(self, ordered: Sequence[Numbered], test: Test[Mailbox]) -> list[int]:
        if self._sort:
            ordered = _as_tree(ordered)
        shown = {number for number, mailbox in ordered if test(mailbox)}
        if self._filter:
            parents: dict[int, int] = {number: mailbox.parent for number, mailbox in ordered}
            shown = {number for number in shown if _line_shown(number, parents, shown)}
        return [number for number, _ in ordered if number in shown]

    def beside(self, every: Iterable[Numbered], moved: set[int]) -> set[int]:
        """In a tree all that is below a mailbox comes and goes and moves with it."""
        if not (self._sort or self._filter):
            return moved
        found: set[int] = set()
        # Parents stand before their children, so one pass hands it down.
        for number, mailbox in _as_tree(list(every)):
            if number in moved or mailbox.parent in found:
                found.add(number)
        return found


def _as_tree(every: Sequence[Numbered]) -> list[Numbered]:
    """Each mailbox right before its children, which keep their order."""
    children: dict[int, list[Numbered]] = {}
    for numbered in every:
        children.setdefault(numbered[1].parent, []).append(numbered)
    found: list[Numbered] = []
    waiting = list(reversed(children.get(TOP, [])))
    while waiting:
        numbered = waiting.pop()
        found.append(numbered)
        waiting.extend(reversed(children.get(numbered[0], [])))
    return found


def _line_shown(number: int, parents: Mapping[int, int], shown: set[int]) -> bool:
    """RFC 8621 2.3 filterAsTree: a mailbox counts only when all above it match."""
    at = parents[number]
    while at != TOP:
        if at not in shown:
            return False
        at = parents[at]
    return True


def _listing(context: Context) -> Listing[Mailbox]:
    def condition(name: str, value: Any) -> Test[Mailbox] | None:
        match name:
            case "parentId":
                return _below(context, value)
            case "name":
                folded = fold(text(value))
                return lambda mailbox: folded in fold(mailbox.name)
            case "role":
                role = None if value is None else text(value)
                return lambda mailbox: mailbox.role == role
            case "hasAnyRole":
                return _is(value, lambda mailbox: mailbox.role is not None)
            case "isSubscribed":
                return _is(value, lambda mailbox: mailbox.subscribed)
            case _:
                return None

    return Listing(condition, _SORTS, by_counts=False, arrangement=_Tree)


def _is(wanted: Any, fact: Test[Mailbox]) -> Test[Mailbox]:
    if not isinstance(wanted, bool):
        raise ValueError(wanted)
    return lambda mailbox: fact(mailbox) is wanted


def _below(context: Context, value: Any) -> Test[Mailbox]:
    if value is None:
        return lambda mailbox: mailbox.parent == TOP
    if not is_id(value) and not is_reference(value):
        raise ValueError(value)
    parent = parse_mailbox(context.resolve(value))
    # An id we never gave is nobody's parent.
    return lambda mailbox: bool(parent) and mailbox.parent == parent


def _every(context: Context) -> Callable[[AccountId], Iterable[Numbered]]:
    return lambda account: [
        (mailbox.id, mailbox) for mailbox in list_mailboxes(context.rows, account)
    ]


async def mailbox_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.3."""
    return await listed_query(context, MAILBOX, raw, _listing(context), _every(context))


async def mailbox_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.4."""
    return await listed_query_changes(context, MAILBOX, raw, _listing(context), _every(context))
