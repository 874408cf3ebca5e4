"""RFC 8621 2.1, 2.2 and 2.5: Mailbox/get, Mailbox/changes and Mailbox/set.

Counts are read from the rows that every command keeps exact; a mailbox is never read through.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.standard import Answer, Kind, get, read_changes, read_get
from protocols.jmap.standard_set import Prepared, Resolve, Rules, read_set, set_objects
from protocols.jmap.values import Arguments, is_id, is_reference, is_unsigned
from storage.engine import Rows
from storage.ids import AccountId, MailboxId, parse_mailbox, render_mailbox
from storage.keys import TypeCode
from storage.mail import mailboxes
from storage.mail.counts import shown_to_jmap
from storage.mail.mailbox_rows import TOP
from storage.mail.mailboxes import INBOX_ROLE, SORT_ORDER_MAX
from storage.mail.pages import read_mailbox_page
from storage.mail.records import Mailbox, MailboxCounts
from storage.plan import Plan

COUNTS: Final = ("totalEmails", "unreadEmails", "totalThreads", "unreadThreads")
_SETTABLE: Final = ("name", "parentId", "role", "sortOrder", "isSubscribed")
_PROPERTIES: Final = ("id", *_SETTABLE, *COUNTS, "myRights")

_RIGHTS: Final = (
    "mayReadItems",
    "mayAddItems",
    "mayRemoveItems",
    "maySetSeen",
    "maySetKeywords",
    "mayCreateChild",
    "mayRename",
    "mayDelete",
    "maySubmit",
)


class Told(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """A mailbox as JMAP tells it, all its properties in their order."""

    id: str
    name: str
    parent_id: str | None
    role: str | None
    sort_order: int
    is_subscribed: bool
    total_emails: int
    unread_emails: int
    total_threads: int
    unread_threads: int
    my_rights: msgspec.Raw


# RFC 8621 2 myRights of an account's owner: all, but the inbox stays.
_OWNERS: Final = dict.fromkeys(_RIGHTS, True)
_OWNERS_INBOX: Final = {**_OWNERS, "mayDelete": False}
_ENCODED_OWNERS: Final = msgspec.Raw(msgspec.json.encode(_OWNERS))
_ENCODED_INBOX: Final = msgspec.Raw(msgspec.json.encode(_OWNERS_INBOX))


def properties_of(mailbox: Mailbox, counts: MailboxCounts) -> dict[str, Any]:
    """All properties of a mailbox."""
    counted = shown_to_jmap(counts)
    return {
        "id": f"m{mailbox.id}",
        "name": mailbox.name,
        "parentId": None if mailbox.parent == TOP else f"m{mailbox.parent}",
        "role": mailbox.role,
        "sortOrder": mailbox.sort_order,
        "isSubscribed": mailbox.subscribed,
        **dict(zip(COUNTS, counted, strict=True)),
        "myRights": _OWNERS_INBOX if mailbox.role == INBOX_ROLE else _OWNERS,
    }


def _render_whole(mailbox: Mailbox, counts: MailboxCounts) -> bytes:
    """All properties, encoded at once: most clients ask for these, of all mailboxes."""
    return msgspec.json.encode(
        Told(
            f"m{mailbox.id}",
            mailbox.name,
            None if mailbox.parent == TOP else f"m{mailbox.parent}",
            mailbox.role,
            mailbox.sort_order,
            mailbox.subscribed,
            *shown_to_jmap(counts),
            _ENCODED_INBOX if mailbox.role == INBOX_ROLE else _ENCODED_OWNERS,
        )
    )


def _all_mailboxes(rows: Rows, account: AccountId, _: int) -> Sequence[MailboxId]:
    return mailboxes.mailbox_ids(rows, account)


MAILBOX: Final = Kind(
    name="Mailbox",
    code=TypeCode.MAILBOX,
    parse_id=parse_mailbox,
    render_id=render_mailbox,
    all_ids=_all_mailboxes,
    known=_PROPERTIES.__contains__,
    default=_PROPERTIES,
)


async def mailbox_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.1."""
    arguments = Arguments(raw)
    call = read_get(context, MAILBOX, arguments)
    arguments.done()
    page: dict[MailboxId, tuple[Mailbox, MailboxCounts]] = {}
    whole = set(call.properties) == set(_PROPERTIES)

    def prefetch(numbers: Sequence[MailboxId]) -> None:
        page.clear()
        page.update(read_mailbox_page(context.rows, call.account, numbers))

    def render(number: MailboxId) -> bytes | None:
        held = page.get(number)
        if held is None:
            return None
        if whole:
            return _render_whole(*held)
        told = properties_of(*held)
        return msgspec.json.encode({name: told[name] for name in call.properties})

    return await get(context, MAILBOX, call, render, prefetch=prefetch)


async def mailbox_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.2: with updatedProperties when counts are all that changed."""
    answer, found = read_changes(context, MAILBOX, Arguments(raw))
    answer["updatedProperties"] = list(COUNTS) if found.counts_only else None
    return answer


@dataclass(frozen=True, slots=True)
class MailboxWish:
    """What a create or update gives: each property by its JMAP name, types checked."""

    values: Mapping[str, Any]

    def parent(self, rows: Rows, account: AccountId, resolve: Resolve) -> MailboxId:
        """The parent's number; raises SetError when there is none such."""
        text = self.values.get("parentId")
        if text is None:
            return TOP
        found = parse_mailbox(resolve(text))
        if not found or mailboxes.get_mailbox(rows, account, found) is None:
            raise invalid_properties("there is no such parent", "parentId")
        return found


_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": lambda value: isinstance(value, str) and value != "",
    "parentId": lambda value: value is None or is_id(value) or is_reference(value),
    "role": lambda value: value is None or isinstance(value, str),
    "sortOrder": lambda value: is_unsigned(value) and value <= SORT_ORDER_MAX,
    "isSubscribed": lambda value: isinstance(value, bool),
}


def _wrong(values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if name in _CHECKS and not _CHECKS[name](value)]


def _read_wish(values: Mapping[str, Any]) -> MailboxWish:
    if wrong := _wrong(values):
        raise invalid_properties("a property has a wrong type or value", *wrong)
    return MailboxWish(values)


async def _prepare(_: Context, __: AccountId, values: dict[str, Any]) -> Prepared[MailboxWish]:
    foreign = [name for name in values if name not in _SETTABLE]
    if foreign:
        # RFC 8620 5.3: all the properties that are invalid, so the others are looked at too.
        raise invalid_properties(
            "a property is unknown or the server's to set", *foreign, *_wrong(values)
        )
    if "name" not in values:
        raise invalid_properties("a mailbox needs a name", "name", *_wrong(values))
    return Prepared(_read_wish(values))


def _made_here(parent: Any) -> str:
    """The creation id that a parentId refers to, empty when it is an id."""
    return parent[1:] if isinstance(parent, str) and parent.startswith("#") else ""


def _order(wishes: Mapping[str, MailboxWish]) -> list[str]:
    """Parents made in the same call come first; a circle is left to fail by itself."""
    order: dict[str, None] = {}
    for start in wishes:
        line: list[str] = []
        at = start
        while at in wishes and at not in order and at not in line:
            line.append(at)
            at = _made_here(wishes[at].values.get("parentId"))
        order.update((creation, None) for creation in reversed(line))
    return list(order)


def _create(
    plan: Plan, account: AccountId, wish: MailboxWish, resolve: Resolve
) -> tuple[MailboxId, dict[str, Any]]:
    values = wish.values
    mailbox = mailboxes.plan_create(
        plan,
        account,
        values["name"],
        parent=wish.parent(plan, account, resolve),
        role=values.get("role"),
        # RFC 8621 2: what a user makes he is subscribed to, unless he says otherwise.
        subscribed=values.get("isSubscribed", _DEFAULTS["isSubscribed"]),
        sort_order=values.get("sortOrder", _DEFAULTS["sortOrder"]),
    )
    told = properties_of(mailbox, mailboxes.counts(plan, account, mailbox.id))
    return mailbox.id, {name: value for name, value in told.items() if name not in values}


def _settable(patch: Mapping[str, Any]) -> dict[str, Any]:
    """What of a patch is the client's to set; null sets the default, if any (RFC 8620 5.3)."""
    return {
        name: _DEFAULTS.get(name) if value is None else value
        for name, value in patch.items()
        if name in _SETTABLE
    }


def _update(
    plan: Plan, account: AccountId, number: MailboxId, patch: dict[str, Any], resolve: Resolve
) -> dict[str, Any] | None:
    old = mailboxes.get_mailbox(plan, account, number)
    if old is None:
        raise SetError("notFound")
    deep = [name for name in patch if "/" in name]
    if deep:
        raise SetError("invalidPatch", f"nothing can be patched at {deep[0][:200]!r}")
    foreign = {name: value for name, value in patch.items() if name not in _SETTABLE}
    if foreign:
        # RFC 8620 5.3: what the server sets may be sent, if it is sent as it is.
        told = properties_of(old, mailboxes.counts(plan, account, number))
        wrong = [name for name, value in foreign.items() if name not in told or told[name] != value]
        if wrong:
            raise invalid_properties(
                "a property is unknown or the server's to set", *wrong, *_wrong(_settable(patch))
            )
    wish = _read_wish(_settable(patch))
    changed = {_FIELDS[name]: value for name, value in wish.values.items()}
    if "parent" in changed:
        changed["parent"] = wish.parent(plan, account, resolve)
    new = mailboxes.plan_update(plan, account, number, **changed)
    # RFC 8621 2: a name may be normalised; then the client is told.
    return {"name": new.name} if changed.get("name", new.name) != new.name else None


_DEFAULTS: Final[Mapping[str, Any]] = {"sortOrder": 0, "isSubscribed": True}
_FIELDS: Final = {
    "name": "name",
    "parentId": "parent",
    "role": "role",
    "sortOrder": "sort_order",
    "isSubscribed": "subscribed",
}


def _may_pass_later(refusal: Mapping[str, Any]) -> bool:
    """Names, roles and places may be free, and children gone, when the rest is done."""
    if refusal["type"] in ("alreadyExists", "mailboxHasChild"):
        return True
    return refusal.get("properties") in (["role"], ["parentId"])


def _loosen(plan: Plan, account: AccountId, number: MailboxId, patch: dict[str, Any]) -> None:
    """Give up the name and the role that an update changes, for others to take."""
    changed: dict[str, Any] = {}
    if "name" in patch or "parentId" in patch:
        # A name that nobody has: with the mailbox's number, at most for this one command.
        changed["name"] = f"mailbox {number} on its way {plan.chance.getrandbits(64):x}"
    if "role" in patch:
        changed["role"] = None
    if "parentId" in patch:
        changed["parent"] = TOP
    mailboxes.plan_update(plan, account, number, **changed)


async def mailbox_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 2.5."""
    arguments = Arguments(raw)
    call = read_set(context, arguments)
    remove_emails = arguments.boolean("onDestroyRemoveEmails")
    arguments.done()

    def destroy(plan: Plan, account: AccountId, number: MailboxId) -> None:
        mailboxes.plan_destroy_mailbox(plan, account, number, remove_emails=remove_emails)

    rules = Rules(
        prepare=_prepare,
        create=_create,
        update=_update,
        destroy=destroy,
        order=_order,
        may_pass_later=_may_pass_later,
        loosen=_loosen,
    )
    outcome = await set_objects(context, MAILBOX, rules, call)
    return outcome.answer(call.account)
