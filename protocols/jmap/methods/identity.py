"""RFC 8621 6: Identity/get, /changes and /set."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.plain import (
    Check,
    is_people,
    is_text,
    read_new,
    read_patch,
    renderer,
)
from protocols.jmap.standard import Answer, Kind, get, read_changes, read_get
from protocols.jmap.standard_set import Prepared, Resolve, Rules, read_set, set_objects
from protocols.jmap.values import Arguments
from storage import identities
from storage.addresses import AddressInvalid, fold_address
from storage.collection import Missing
from storage.engine import Rows
from storage.identities import Identity, IdentityStays, People, TooManyIdentities
from storage.ids import AccountId, parse_numbered
from storage.keys import TypeCode
from storage.plan import Plan

# Octets of one identity's row; signatures with a picture in them fit.
IDENTITY_OCTETS_MAX: Final = 256 * 1024

_CHECKS: Final[Mapping[str, Check]] = {
    "name": is_text,
    "replyTo": is_people,
    "bcc": is_people,
    "textSignature": is_text,
    "htmlSignature": is_text,
}
_NEW: Final[Mapping[str, Check]] = {"email": is_text, **_CHECKS}
_DEFAULTS: Final = {"name": "", "textSignature": "", "htmlSignature": ""}
_FIELDS: Final = {
    "name": "name",
    "replyTo": "reply_to",
    "bcc": "bcc",
    "textSignature": "text_signature",
    "htmlSignature": "html_signature",
}
_PROPERTIES: Final = ("id", "email", *_FIELDS, "mayDelete")


def _all(rows: Rows, account: AccountId, limit: int) -> Sequence[int]:
    return [number for number, _ in identities.list_identities(rows, account)[:limit]]


IDENTITY: Final[Kind[int]] = Kind(
    name="Identity",
    code=TypeCode.IDENTITY,
    parse_id=partial(parse_numbered, "i"),
    render_id=lambda number: f"i{number}",
    all_ids=_all,
    known=_PROPERTIES.__contains__,
    default=_PROPERTIES,
)


def _describe(number: int, identity: Identity) -> dict[str, Any]:
    return {
        "id": f"i{number}",
        "email": identity.email,
        "name": identity.name,
        "replyTo": _told(identity.reply_to),
        "bcc": _told(identity.bcc),
        "textSignature": identity.text_signature,
        "htmlSignature": identity.html_signature,
        "mayDelete": not identities.is_by_itself(number),
    }


def _told(people: People | None) -> list[dict[str, Any]] | None:
    return None if people is None else [{"name": name, "email": email} for name, email in people]


def _kept(name: str, value: Any) -> Any:
    """A checked property as the row keeps it."""
    if name not in ("replyTo", "bcc") or value is None:
        return value
    return tuple((person.get("name"), person["email"]) for person in value)


async def identity_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 6.1."""
    arguments = Arguments(raw)
    call = read_get(context, IDENTITY, arguments)
    arguments.done()

    def describe(number: int) -> dict[str, Any] | None:
        held = identities.get_identity(context.rows, call.account, number)
        return None if held is None else _describe(number, held)

    return await get(context, IDENTITY, call, renderer(describe, call.properties))


async def identity_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 6.2."""
    return read_changes(context, IDENTITY, Arguments(raw))[0]


async def identity_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 6.3."""
    arguments = Arguments(raw)
    call = read_set(context, arguments)
    arguments.done()
    rules: Rules[int, Identity] = Rules(
        prepare=_prepare, create=_create, update=_update, destroy=_destroy
    )
    outcome = await set_objects(context, IDENTITY, rules, call)
    return outcome.answer(call.account)


async def _prepare(
    context: Context, account: AccountId, values: dict[str, Any]
) -> Prepared[Identity]:
    wish = read_new(values, _NEW)
    if "email" not in wish:
        raise invalid_properties("an identity needs an email", "email")
    try:
        email = fold_address(wish["email"])
    except AddressInvalid as error:
        raise SetError("forbiddenFrom", str(error)) from None
    if context.ports.directory.resolve(context.rows, email) != account:
        raise SetError("forbiddenFrom", f"{email} is not an address of yours")
    fields = {_FIELDS[name]: _kept(name, wish[name]) for name in _FIELDS if name in wish}
    return Prepared(_bounded(Identity(email, **fields)))


def _create(
    plan: Plan, account: AccountId, identity: Identity, _: Resolve
) -> tuple[int, dict[str, Any]]:
    try:
        number = identities.plan_create(plan, account, identity)
    except TooManyIdentities as error:
        raise SetError("overQuota", str(error)) from None
    # All is told, for an address may be written in another way than it was sent.
    return number, _describe(number, identity)


def _update(
    plan: Plan, account: AccountId, number: int, patch: dict[str, Any], _: Resolve
) -> dict[str, Any] | None:
    held = identities.get_identity(plan, account, number)
    if held is None:
        raise SetError("notFound")
    wish = read_patch(patch, _CHECKS, _describe(number, held), _DEFAULTS)
    fields = {_FIELDS[name]: _kept(name, value) for name, value in wish.items()}
    identities.plan_update(plan, account, number, _bounded(msgspec.structs.replace(held, **fields)))
    return None


def _destroy(plan: Plan, account: AccountId, number: int) -> None:
    try:
        identities.plan_destroy(plan, account, number)
    except Missing:
        raise SetError("notFound") from None
    except IdentityStays:
        raise SetError("forbidden", "the identity of an address stays with it") from None


def _bounded(identity: Identity) -> Identity:
    if len(msgspec.msgpack.encode(identity)) > IDENTITY_OCTETS_MAX:
        raise SetError("tooLarge", f"an identity has at most {IDENTITY_OCTETS_MAX} octets")
    return identity
