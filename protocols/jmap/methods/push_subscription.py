"""RFC 8620 7.2: PushSubscription/get and /set.

A subscription is no account's to its clients: the calls take no accountId and have no states. It
belongs to the credentials it was made with; here, to an account, its present password, and the
grant behind the token if it was made by one. What is pushed, and the verification that comes first,
is protocols/push.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, SetError, invalid_properties
from protocols.jmap.standard import Answer, GetCall, Kind, get, read_properties
from protocols.jmap.standard_set import Prepared, Resolve, Rules, SetCall, set_objects
from protocols.jmap.values import Arguments, parse_utc_date, render_utc_date
from protocols.webpush.encryption import AUTH_OCTETS, is_point
from protocols.webpush.targets import read_target
from storage.accounts import get_account
from storage.engine import Rows
from storage.ids import AccountId, parse_subscription, render_subscription
from storage.keys import TypeCode
from storage.plan import Plan
from storage.push_keys import is_signed_for, signed_until_ms
from storage.subscriptions import (
    SUBSCRIPTIONS,
    PushKeys,
    Subscription,
    TooManySubscriptions,
    credential_mark,
    is_credited,
    plan_change,
    plan_subscribe,
    plan_unsubscribe,
)

# RFC 8620 7.2: at least 48 hours, and it should be 7 days.
EXPIRES_MS_MAX: Final = 7 * 24 * 3600 * 1000
DEVICE_OCTETS_MAX: Final = 255
TYPES_MAX: Final = 100
TYPE_OCTETS_MAX: Final = 255
CODE_OCTETS: Final = 16

_SHOWN: Final = ("id", "deviceClientId", "verificationCode", "expires", "types")
_PRIVATE: Final = ("url", "keys")
_MADE_WITH: Final = ("deviceClientId", "url", "keys", "verificationCode", "expires", "types")
_CHANGED: Final = ("verificationCode", "expires", "types")


def _mine(
    rows: Rows, account: AccountId, grant: int, number: int, now_ms: int
) -> Subscription | None:
    """The subscription, if it was made by the present credentials and has not expired, nor has
    the key that signs for it."""
    held, owner = SUBSCRIPTIONS.get(rows, account, number), get_account(rows, account)
    if held is None or owner is None or held.grant != grant or held.expires_ms <= now_ms:
        return None
    if not is_signed_for(rows, held.signed_by, now_ms):
        return None
    return held if is_credited(rows, account, held, owner.password) else None


def _grant_of(context: Context) -> int:
    """By which grant of OAuth the client came; 0 by none."""
    access = context.caller.principal.access
    return 0 if access is None else access.grant


def _all_numbers(rows: Rows, account: AccountId, most: int) -> Sequence[int]:
    return [number for number, _ in SUBSCRIPTIONS.list(rows, account, limit=most)]


SUBSCRIPTION: Final[Kind[int]] = Kind(
    name="PushSubscription",
    code=TypeCode.PUSH_SUBSCRIPTION,
    parse_id=parse_subscription,
    render_id=render_subscription,
    all_ids=_all_numbers,
    known=(*_SHOWN, *_PRIVATE).__contains__,
    default=_SHOWN,
)


def _told(number: int, held: Subscription) -> dict[str, Any]:
    return {
        "id": render_subscription(number),
        "deviceClientId": held.device,
        # The code shows that the client was reached: who has not been does not learn it here.
        "verificationCode": held.code if held.verified else None,
        "expires": render_utc_date(held.expires_ms),
        "types": None if held.types is None else list(held.types),
    }


async def push_subscription_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8620 7.2.1."""
    arguments = Arguments(raw)
    ids, names = arguments.ids("ids"), arguments.strings("properties")
    arguments.done()
    if names is not None and any(name in _PRIVATE for name in names):
        raise MethodError("forbidden", "url and keys are not told")
    if ids is not None and len(ids) > context.limits.get_objects_max:
        raise MethodError("requestTooLarge", f"{len(ids)} ids are too many")
    properties = _SHOWN if names is None else read_properties(names, SUBSCRIPTION.known)
    account, now_ms = context.caller.principal.account, context.ports.clock.now_ms()
    grant = _grant_of(context)
    if ids is None:
        numbers = _all_numbers(context.rows, account, context.limits.get_objects_max)
        mine = [n for n in numbers if _mine(context.rows, account, grant, n, now_ms) is not None]
        ids = [render_subscription(number) for number in mine]

    def render(number: int) -> bytes | None:
        held = _mine(context.rows, account, grant, number, now_ms)
        if held is None:
            return None
        told = _told(number, held)
        return msgspec.json.encode({name: told[name] for name in properties})

    answer = await get(context, SUBSCRIPTION, GetCall(account, ids, properties), render)
    return {"list": answer["list"], "notFound": answer["notFound"]}


async def push_subscription_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8620 7.2.2."""
    arguments = Arguments(raw)
    call = SetCall(
        context.caller.principal.account,
        None,
        arguments.objects("create"),
        arguments.patches("update"),
        arguments.ids("destroy") or [],
    )
    arguments.done()
    total = len(call.create) + len(call.update) + len(call.destroy)
    if total > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{total} objects are too many")
    grant = _grant_of(context)
    rules = Rules(
        prepare=_prepare,
        create=partial(_create, grant),
        update=partial(_update, grant),
        destroy=partial(_destroy, grant),
    )
    outcome = await set_objects(context, SUBSCRIPTION, rules, call)
    answer = outcome.answer(call.account)
    return {name: answer[name] for name in answer if name not in _STANDARD_ALONE}


_STANDARD_ALONE: Final = ("accountId", "oldState", "newState")


async def _prepare(_: Context, __: AccountId, values: dict[str, Any]) -> Prepared[dict[str, Any]]:
    """What can be checked without the account; the rest of the record is made in the plan."""
    foreign = [name for name in values if name not in _MADE_WITH]
    if foreign:
        raise invalid_properties("a property is unknown or the server's to set", *foreign)
    device = values.get("deviceClientId")
    if not isinstance(device, str) or not 0 < len(device.encode()) <= DEVICE_OCTETS_MAX:
        raise invalid_properties("a short text is needed", "deviceClientId")
    url = values.get("url")
    if not isinstance(url, str) or read_target(url) is None:
        raise invalid_properties("an https URL without a user is needed", "url")
    if values.get("verificationCode") is not None:
        raise invalid_properties("the code comes by a push", "verificationCode")
    made = {
        "device": device,
        "url": url,
        "push_keys": _read_keys(values.get("keys")),
        "types": _read_types(values.get("types")),
        "expires_ms": _read_expires(values.get("expires")),
        "given": frozenset(values),
    }
    return Prepared(made)


def _read_keys(value: Any) -> PushKeys | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"p256dh", "auth"}:
        raise invalid_properties("keys are p256dh and auth", "keys")
    point, secret = _octets(value["p256dh"]), _octets(value["auth"])
    if point is None or not is_point(point):
        raise invalid_properties("p256dh is no uncompressed point of P-256", "keys")
    if secret is None or len(secret) != AUTH_OCTETS:
        raise invalid_properties(f"auth is not {AUTH_OCTETS} octets", "keys")
    return PushKeys(point, secret)


def _octets(value: Any) -> bytes | None:
    """RFC 4648 5, padded or not."""
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        text = value.rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None


def _read_types(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) > TYPES_MAX
        or not all(isinstance(name, str) and len(name) <= TYPE_OCTETS_MAX for name in value)
    ):
        raise invalid_properties("types is null or an array of names", "types")
    return tuple(dict.fromkeys(value))


def _read_expires(value: Any) -> int | None:
    if value is None:
        return None
    moment = parse_utc_date(value)
    if moment is None:
        raise invalid_properties("expires is no UTCDate", "expires")
    return moment


def _until(wanted_ms: int | None, now_ms: int) -> int:
    """When it expires; raises SetError for a moment that has passed."""
    last = now_ms + EXPIRES_MS_MAX
    if wanted_ms is None:
        return last
    if wanted_ms <= now_ms:
        raise invalid_properties("expires has passed", "expires")
    return min(wanted_ms, last)


def _create(
    grant: int, plan: Plan, account: AccountId, made: dict[str, Any], _: Resolve
) -> tuple[int, dict[str, Any]]:
    owner = get_account(plan, account)
    if owner is None:
        raise SetError("forbidden", "the account is no more")
    expires_ms = _until(made["expires_ms"], plan.now_ms)
    subscription = Subscription(
        device=made["device"],
        url=made["url"],
        push_keys=made["push_keys"],
        code=plan.chance.randbytes(CODE_OCTETS).hex(),
        verified=False,
        expires_ms=expires_ms,
        types=made["types"],
        credential=credential_mark(owner.password),
        grant=grant,
    )
    try:
        number = plan_subscribe(plan, account, subscription)
    except TooManySubscriptions as error:
        raise SetError("overQuota", str(error)) from None
    # RFC 8620 5.3: what the client left out, and what was changed of what it gave.
    told: dict[str, Any] = {
        name: None for name in ("keys", "verificationCode", "types") if name not in made["given"]
    }
    if expires_ms != made["expires_ms"]:
        told["expires"] = render_utc_date(expires_ms)
    return number, told


def _update(
    grant: int, plan: Plan, account: AccountId, number: int, patch: dict[str, Any], _: Resolve
) -> dict[str, Any] | None:
    held = _mine(plan, account, grant, number, plan.now_ms)
    if held is None:
        raise SetError("notFound")
    if deep := [name for name in patch if "/" in name]:
        # RFC 8620 5.3: no property of it has members.
        raise SetError("invalidPatch", f"nothing can be patched at {deep[0][:200]!r}")
    shown = _told(number, held)
    foreign = [
        name
        for name, value in patch.items()
        if name not in _CHANGED and not (name in shown and shown[name] == value)
    ]
    if foreign:
        raise invalid_properties("a property cannot be changed", *foreign)
    changed: dict[str, Any] = {}
    told: dict[str, Any] = {}
    if patch.get("verificationCode", shown["verificationCode"]) != shown["verificationCode"]:
        changed["verified"] = _verify(held, patch["verificationCode"])
    if "types" in patch:
        changed["types"] = _read_types(patch["types"])
    if "expires" in patch:
        wanted_ms = _read_expires(patch["expires"])
        changed["expires_ms"] = _until(wanted_ms, plan.now_ms)
        # RFC 9749 5: it is not kept beyond the key it was made under.
        if (ends_ms := signed_until_ms(plan, held.signed_by)) is not None:
            changed["expires_ms"] = min(changed["expires_ms"], ends_ms)
        if changed["expires_ms"] != wanted_ms:
            told["expires"] = render_utc_date(changed["expires_ms"])
    plan_change(plan, account, number, msgspec.structs.replace(held, **changed))
    return told or None


def _verify(held: Subscription, code: Any) -> bool:
    if not isinstance(code, str) or not hmac.compare_digest(code.encode(), held.code.encode()):
        raise invalid_properties("the code is not the one that was pushed", "verificationCode")
    return True


def _destroy(grant: int, plan: Plan, account: AccountId, number: int) -> None:
    if _mine(plan, account, grant, number, plan.now_ms) is None:
        raise SetError("notFound")
    plan_unsubscribe(plan, account, number)
