"""RFC 8621 4.4.1: the filter of an Email/query, read once into a tree.

A leaf is either of the columns (mailboxes, keywords, dates, sizes, attachments, threads), and then
known for all emails at once; or of the texts, which are looked into email by email.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.jmap.email_text import ADDRESSED, EmailText
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.text_match import NEEDLES_MAX, Needle, missing, read_needles
from protocols.jmap.values import is_id, is_reference, is_unsigned, parse_utc_date
from storage.ids import MailboxId, parse_mailbox
from storage.mail.columns import Columns, Flags
from storage.mail.records import DELETED

# Operators and conditions of one filter together: each may cost a look at every email.
FILTER_NODES_MAX: Final = 256

# A tuple: what a client sends in its place need not be hashable.
_OPERATORS: Final = ("AND", "OR", "NOT")


@dataclass(frozen=True, slots=True)
class OfColumns:
    """A condition that the columns answer. `thread` says it is about the email's whole thread;
    `mutable` that the answer for one email may change."""

    flags: Callable[[Columns], Flags]
    mutable: bool = False
    thread: bool = False
    views: bool = False
    """Views must have been read."""


@dataclass(frozen=True, slots=True)
class OfText:
    """A condition that an email's texts answer; nothing of it ever changes."""

    matches: Callable[[EmailText], bool]
    subject: tuple[Needle, ...] = ()
    body: tuple[Needle, ...] = ()
    """What a snippet marks."""


@dataclass(frozen=True, slots=True)
class Operator:
    """AND, OR or NOT (none of them) of conditions."""

    operator: str
    conditions: tuple["Node", ...]


Node = OfColumns | OfText | Operator

EVERYTHING: Final = Operator("AND", ())


def read_filter(wanted: Mapping[str, Any] | None, resolve: Callable[[str], str]) -> Node:
    """The tree of a filter; raises MethodError invalidArguments, unsupportedFilter."""
    room = [FILTER_NODES_MAX]
    return EVERYTHING if wanted is None else _read(wanted, resolve, room)


def _read(wanted: Any, resolve: Callable[[str], str], room: list[int]) -> Node:
    room[0] -= 1
    if room[0] < 0:
        raise MethodError("unsupportedFilter", f"more than {FILTER_NODES_MAX} conditions")
    if not isinstance(wanted, dict):
        raise invalid_arguments("a filter is not an object")
    if "operator" not in wanted:
        room[0] -= len(wanted)
        rest = {name: value for name, value in wanted.items() if name not in _RANGES}
        each = [_condition(name, value, resolve) for name, value in rest.items()]
        return _operator("AND", [*_ranges(wanted), *each])
    operator, conditions = wanted["operator"], wanted.get("conditions")
    if operator not in _OPERATORS or not isinstance(conditions, list) or len(wanted) > 2:
        raise invalid_arguments("a filter operator is AND, OR or NOT of conditions")
    return _operator(operator, [_read(one, resolve, room) for one in conditions])


def _operator(operator: str, conditions: Sequence[Node]) -> Operator:
    """With what is cheap to answer first."""
    return Operator(operator, tuple(sorted(conditions, key=lambda one: isinstance(one, OfText))))


def _condition(name: str, value: Any, resolve: Callable[[str], str]) -> Node:
    if name in ("inMailbox", "inMailboxOtherThan"):
        return _places(name, value, resolve)
    if name in _KEYWORDED:
        if not isinstance(value, str):
            raise _wrong(name, "a String")
        return _KEYWORDED[name](value.lower())
    if name == "hasAttachment":
        if not isinstance(value, bool):
            raise _wrong(name, "a Boolean")
        return OfColumns(
            lambda columns: columns.where_attached() ^ (0 if value else columns.all()), views=True
        )
    if name == "header":
        return _header(value)
    if name not in _TEXTS:
        raise MethodError("unsupportedFilter", f"no condition {name[:100]!r}")
    return _text(name, value)


_RANGES: Final = frozenset(("before", "after", "minSize", "maxSize"))


def _ranges(wanted: Mapping[str, Any]) -> list[Node]:
    """Both ends of a range are one look at the column."""
    found: list[Node] = []
    if "after" in wanted or "before" in wanted:
        since, until = _moment(wanted, "after", -(2**62)), _moment(wanted, "before", 2**62)
        found.append(OfColumns(lambda columns: columns.where_received(since, until)))
    if "minSize" in wanted or "maxSize" in wanted:
        least, less = _size(wanted, "minSize", 0), _size(wanted, "maxSize", 2**64)
        found.append(OfColumns(lambda columns: columns.where_sized(least, less)))
    return found


def _moment(wanted: Mapping[str, Any], name: str, default: int) -> int:
    moment = parse_utc_date(wanted[name]) if name in wanted else default
    if moment is None:
        raise _wrong(name, "a UTCDate")
    return moment


def _size(wanted: Mapping[str, Any], name: str, default: int) -> int:
    value = wanted.get(name, default)
    if name in wanted and not is_unsigned(value):
        raise _wrong(name, "an UnsignedInt")
    size: int = value
    return size


def _wrong(name: str, what: str) -> MethodError:
    return invalid_arguments(f"the condition {name} is not {what}")


# --- mailboxes and keywords


def _places(name: str, value: Any, resolve: Callable[[str], str]) -> Node:
    listed = [value] if name == "inMailbox" else value
    if not isinstance(listed, list) or not all(is_id(one) or is_reference(one) for one in listed):
        raise _wrong(name, "an Id" if name == "inMailbox" else "an array of Ids")
    # An id we never gave is a mailbox that holds nothing.
    named = frozenset(parse_mailbox(resolve(one)) or MailboxId(0) for one in listed)
    if name == "inMailbox":
        return OfColumns(
            lambda columns: columns.where_group(lambda group: not named.isdisjoint(group[1])),
            mutable=True,
        )
    return OfColumns(
        lambda columns: columns.where_group(lambda group: not named.issuperset(group[1])),
        mutable=True,
    )


def with_keyword(columns: Columns, keyword: str) -> Flags:
    """Emails that have a keyword; IMAP's \\Deleted is none (RFC 8621 4.1.1)."""
    if keyword == DELETED:
        return 0
    return columns.where_group(lambda group: keyword in group[0])


def some_in_thread(columns: Columns, keyword: str) -> Flags:
    """Emails in whose thread one has a keyword."""
    return columns.where_thread(columns.threads_of(with_keyword(columns, keyword)))


def all_in_thread(columns: Columns, keyword: str) -> Flags:
    """Emails in whose thread none lacks a keyword."""
    lacking = columns.all() ^ with_keyword(columns, keyword)
    return columns.all() ^ columns.where_thread(columns.threads_of(lacking))


_KEYWORDED: Final[Mapping[str, Callable[[str], OfColumns]]] = {
    "hasKeyword": lambda keyword: OfColumns(
        lambda columns: with_keyword(columns, keyword), mutable=True
    ),
    "notKeyword": lambda keyword: OfColumns(
        lambda columns: columns.all() ^ with_keyword(columns, keyword), mutable=True
    ),
    "allInThreadHaveKeyword": lambda keyword: OfColumns(
        lambda columns: all_in_thread(columns, keyword), mutable=True, thread=True
    ),
    "someInThreadHaveKeyword": lambda keyword: OfColumns(
        lambda columns: some_in_thread(columns, keyword), mutable=True, thread=True
    ),
    "noneInThreadHaveKeyword": lambda keyword: OfColumns(
        lambda columns: columns.all() ^ some_in_thread(columns, keyword), mutable=True, thread=True
    ),
}


# --- texts


def _needles(name: str, value: Any) -> tuple[Needle, ...]:
    if not isinstance(value, str):
        raise _wrong(name, "a String")
    needles = read_needles(value)
    if len(needles) > NEEDLES_MAX:
        raise MethodError("unsupportedFilter", f"{name} holds more than {NEEDLES_MAX} words")
    return needles


def _header(value: Any) -> Node:
    match value:
        case [str() as name]:
            lowered = name.lower()
            return OfText(lambda text: bool(text.header(lowered)))
        case [str() as name, str() as wanted]:
            lowered, needles = name.lower(), _needles("header", wanted)
            return OfText(
                lambda text: any(not missing(needles, held) for held in text.header(lowered))
            )
        case _:
            raise _wrong("header", "an array of one or two Strings")


def _text(name: str, value: Any) -> Node:
    needles = _needles(name, value)
    match name:
        case "text":
            return OfText(lambda text: _anywhere(needles, text), subject=needles, body=needles)
        case "body":
            return OfText(lambda text: _in_bodies(needles, text), body=needles)
        case "subject":
            return OfText(lambda text: not missing(needles, text.field(name)), subject=needles)
        case _:
            return OfText(lambda text: not missing(needles, text.field(name)))


_TEXTS: Final = frozenset(("text", "body", "subject", *ADDRESSED))


def _anywhere(needles: Sequence[Needle], text: EmailText) -> bool:
    for name in (*ADDRESSED, "subject"):
        needles = missing(needles, text.field(name))
    return _in_bodies(needles, text)


def _in_bodies(needles: Sequence[Needle], text: EmailText) -> bool:
    if not needles:
        return True
    for body in text.bodies():
        needles = missing(needles, body)
        if not needles:
            return True
    return False


# --- the whole tree


def leaves(node: Node) -> Iterator[OfColumns | OfText]:
    """All conditions of a tree."""
    if isinstance(node, Operator):
        for condition in node.conditions:
            yield from leaves(condition)
    else:
        yield node


def bounds(node: Node, known: Mapping[OfColumns, Flags], every: Flags) -> tuple[Flags, Flags]:
    """The emails that surely match, and those that may: texts are not looked into."""
    if isinstance(node, OfText):
        return 0, every
    if isinstance(node, OfColumns):
        return known[node], known[node]
    each = [bounds(condition, known, every) for condition in node.conditions]
    if node.operator == "AND":
        surely = maybe = every
        for sure, may in each:
            surely, maybe = surely & sure, maybe & may
        return surely, maybe
    surely = maybe = 0
    for sure, may in each:
        surely, maybe = surely | sure, maybe | may
    if node.operator == "OR":
        return surely, maybe
    return every ^ maybe, every ^ surely


def matches(node: Node, known: Mapping[OfColumns, bool], text: EmailText) -> bool:
    """Whether one email matches; `known` is what the columns told of it."""
    if isinstance(node, OfColumns):
        return known[node]
    if isinstance(node, OfText):
        return node.matches(text)
    tests = (matches(condition, known, text) for condition in node.conditions)
    match node.operator:
        case "AND":
            return all(tests)
        case "OR":
            return any(tests)
        case _:
            return not any(tests)


def marked(node: Node) -> tuple[tuple[Needle, ...], tuple[Needle, ...]]:
    """What snippets mark in a subject and in bodies; what must not be there is not marked."""
    subject: dict[Needle, None] = {}
    body: dict[Needle, None] = {}
    waiting: list[Node] = [node]
    while waiting:
        match waiting.pop():
            case OfText() as leaf:
                subject.update(dict.fromkeys(leaf.subject))
                body.update(dict.fromkeys(leaf.body))
            case Operator(operator="NOT"):
                pass
            case Operator() as inner:
                waiting.extend(inner.conditions)
            case _:
                pass
    return tuple(subject), tuple(body)
