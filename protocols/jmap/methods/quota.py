"""RFC 9425: Quota/get, /changes, /query and /queryChanges.

Objects are told only to who uses the capability of the types they limit (RFC 9425 4.1).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from protocols.jmap.capabilities import MAIL
from protocols.jmap.context import Context
from protocols.jmap.listed_query import Listing, Test, listed_query, listed_query_changes, text
from protocols.jmap.plain import renderer
from protocols.jmap.standard import Answer, Kind, get, read_changes, read_get
from protocols.jmap.values import Arguments
from storage.ids import AccountId, parse_numbered
from storage.keys import TypeCode
from storage.mail.quota import MAILBOXES_ID, MESSAGES_ID, OCTETS_ID, Quota, quotas


class _Sort(NamedTuple):
    """What does not change of a quota: its name, what it counts, of which type."""

    name: str
    resource: str
    type: str
    description: str


_SORTS: Final[Mapping[int, _Sort]] = {
    OCTETS_ID: _Sort("Mail storage", "octets", "Email", "All messages of the account together"),
    MAILBOXES_ID: _Sort("Mailboxes", "count", "Mailbox", "All mailboxes of the account"),
    MESSAGES_ID: _Sort("Messages", "count", "Email", "All messages of the account"),
}
_PROPERTIES: Final = (
    "id",
    "resourceType",
    "used",
    "hardLimit",
    "scope",
    "name",
    "types",
    "warnLimit",
    "softLimit",
    "description",
)


def _shown(context: Context, account: AccountId) -> list[Quota]:
    return quotas(context.rows, account) if MAIL in context.using else []


def _kind(context: Context) -> Kind[int]:
    return Kind(
        name="Quota",
        code=TypeCode.QUOTA,
        parse_id=partial(parse_numbered, "q"),
        render_id=lambda number: f"q{number}",
        all_ids=lambda _, account, __: [quota.id for quota in _shown(context, account)],
        known=_PROPERTIES.__contains__,
        default=_PROPERTIES,
    )


def _describe(quota: Quota) -> dict[str, Any]:
    sort = _SORTS[quota.id]
    return {
        "id": f"q{quota.id}",
        "resourceType": sort.resource,
        "used": quota.used,
        "hardLimit": quota.limit,
        "scope": "account",
        "name": sort.name,
        "types": [sort.type],
        "warnLimit": None,
        "softLimit": None,
        "description": sort.description,
    }


async def quota_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9425 4.2."""
    arguments = Arguments(raw)
    kind = _kind(context)
    call = read_get(context, kind, arguments)
    arguments.done()
    held = {quota.id: quota for quota in _shown(context, call.account)}

    def describe(number: int) -> dict[str, Any] | None:
        quota = held.get(number)
        return None if quota is None else _describe(quota)

    return await get(context, kind, call, renderer(describe, call.properties))


async def quota_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9425 4.3: with updatedProperties when "used" is all that changed."""
    answer, found = read_changes(context, _kind(context), Arguments(raw))
    answer["updatedProperties"] = ["used"] if found.counts_only else None
    return answer


def _condition(name: str, value: Any) -> Test[Quota] | None:
    match name:
        case "name":
            folded = text(value).casefold()
            return lambda quota: folded in _SORTS[quota.id].name.casefold()
        case "scope":
            wanted = text(value)
            return lambda _: wanted == "account"
        case "resourceType":
            wanted = text(value)
            return lambda quota: _SORTS[quota.id].resource == wanted
        case "type":
            wanted = text(value)
            return lambda quota: _SORTS[quota.id].type == wanted
        case _:
            return None


_LISTING: Final[Listing[Quota]] = Listing(
    condition=_condition,
    sorts={
        "name": lambda quota: _SORTS[quota.id].name.casefold(),
        "used": lambda quota: quota.used,
    },
)


async def quota_query(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9425 4.4."""
    return await listed_query(context, _kind(context), raw, _LISTING, _every(context))


async def quota_query_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 9425 4.5."""
    return await listed_query_changes(context, _kind(context), raw, _LISTING, _every(context))


def _every(context: Context) -> Callable[[AccountId], Iterable[tuple[int, Quota]]]:
    def every(account: AccountId) -> Iterable[tuple[int, Quota]]:
        return [(quota.id, quota) for quota in _shown(context, account)]

    return every
