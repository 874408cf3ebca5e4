"""RFC 8620 5.1 and 5.2, /get and /changes, written once: a type is a `Kind` and how it renders.

Objects come out of here as encoded JSON: a type's renderer may splice what ingest rendered, and
nothing is decoded on the way. Functions are sync but where many objects call for a pause.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.values import Arguments, parse_state, render_state
from storage.changes import Changes, TooOld, changed_at, since
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode

N = TypeVar("N", bound=int)

# /changes answers at most so many ids unless asked for fewer; hasMoreChanges says there are more.
CHANGES_MAX: Final = 4096

Answer = dict[str, Any]
Render = Callable[[Any], bytes | None]
Prefetch = Callable[[Sequence[Any]], None]

# Objects whose rows are read together, and between which no other task runs.
PAGE_OBJECTS: Final = 100


@dataclass(frozen=True, slots=True)
class Kind(Generic[N]):
    """What the engine must know of a type.

    `all_ids` gives at most `limit` ids for `ids: null`. `known` says whether a name is a property
    of the type; `default` are those of `properties: null`.
    """

    name: str
    code: TypeCode
    parse_id: Callable[[str], N | None]
    render_id: Callable[[N], str]
    all_ids: Callable[[Rows, AccountId, int], Sequence[N]]
    known: Callable[[str], bool]
    default: tuple[str, ...]

    def render(self, number: int) -> str:
        """The text of an id that storage tells as a bare number."""
        return self.render_id(cast(N, number))


@dataclass(frozen=True, slots=True)
class GetCall(Generic[N]):
    """A /get call's own arguments, checked; `ids` None means all."""

    account: AccountId
    ids: list[str] | None
    properties: tuple[str, ...]


def read_get(context: Context, kind: Kind[N], arguments: Arguments) -> GetCall[N]:
    """RFC 8620 5.1: accountId, ids and properties, with their limits."""
    account = context.account(arguments)
    ids = arguments.ids("ids")
    if ids is not None and len(ids) > context.limits.get_objects_max:
        raise MethodError("requestTooLarge", f"{len(ids)} ids are too many")
    names = arguments.strings("properties")
    properties = kind.default if names is None else read_properties(names, kind.known)
    return GetCall(account, ids, properties)


def read_properties(names: Sequence[str], known: Callable[[str], bool]) -> tuple[str, ...]:
    """Names of properties asked for, each once, `id` first (always returned, RFC 8620 5.1)."""
    for name in names:
        if not known(name):
            raise invalid_arguments(f"there is no property {name[:200]!r}")
    return tuple(dict.fromkeys(("id", *names)))


async def get(
    context: Context,
    kind: Kind[N],
    call: GetCall[N],
    render: Render,
    *,
    prefetch: Prefetch | None = None,
    page_objects: int = PAGE_OBJECTS,
) -> Answer:
    """RFC 8620 5.1: the objects, each rendered once however often it was asked for.

    They are rendered page by page with a pause between, so what comes later may be newer than
    the state that is told: a client then hears of a change that it has seen, and misses none.
    """
    state = render_state(changed_at(context.rows, call.account, kind.code))
    found: list[bytes] = []
    missing: list[str] = []
    wanted = list(_wanted(context, kind, call))
    for at in range(0, len(wanted), page_objects):
        if at:
            await context.caller.pause()
        page = wanted[at : at + page_objects]
        if prefetch is not None:
            prefetch([number for _, number in page if number is not None])
        for text, number in page:
            encoded = None if number is None else render(number)
            if encoded is None:
                missing.append(text)
            else:
                found.append(encoded)
    return {
        "accountId": f"a{call.account}",
        "state": state,
        "list": msgspec.Raw(b"[" + b",".join(found) + b"]"),
        "notFound": missing,
    }


def _wanted(context: Context, kind: Kind[N], call: GetCall[N]) -> Iterable[tuple[str, N | None]]:
    if call.ids is not None:
        for text in dict.fromkeys(call.ids):
            yield text, kind.parse_id(context.resolve(text))
        return
    most = context.limits.get_objects_max
    numbers = kind.all_ids(context.rows, call.account, most + 1)
    if len(numbers) > most:
        raise MethodError("requestTooLarge", f"there are more than {most} objects: name some")
    for number in numbers:
        yield kind.render_id(number), number


def read_changes(context: Context, kind: Kind[N], arguments: Arguments) -> tuple[Answer, Changes]:
    """RFC 8620 5.2: what changed of the type since a state, and the standard answer to it."""
    account = context.account(arguments)
    since_state = arguments.string("sinceState")
    if since_state is None:
        raise invalid_arguments("sinceState is missing")
    most = arguments.unsigned("maxChanges")
    if most == 0:
        raise invalid_arguments("maxChanges is 0")
    arguments.done()
    place = parse_state(since_state)
    if place is None:
        raise MethodError("cannotCalculateChanges", "sinceState is none of ours")
    try:
        found = since(
            context.rows,
            account,
            kind.code,
            place[0],
            min(most or CHANGES_MAX, CHANGES_MAX),
            skip=place[1],
        )
    except TooOld:
        raise MethodError("cannotCalculateChanges", "sinceState is too old") from None
    if found.has_more:
        new_state = render_state(found.new_version, found.new_skip)
    else:
        new_state = render_state(changed_at(context.rows, account, kind.code, found.new_version))
    answer = {
        "accountId": f"a{account}",
        "oldState": since_state,
        "newState": new_state,
        "hasMoreChanges": found.has_more,
        "created": [kind.render(number) for number in found.created],
        "updated": [kind.render(number) for number in found.updated],
        "destroyed": [kind.render(number) for number in found.destroyed],
    }
    return answer, found
