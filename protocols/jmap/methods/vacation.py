"""RFC 8621 8: VacationResponse/get and /set, of the one object there is."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.errors import SetError
from protocols.jmap.plain import Check, is_text_or_null, read_patch, renderer
from protocols.jmap.standard import Answer, Kind, get, read_get
from protocols.jmap.standard_set import Prepared, Resolve, Rules, read_set, set_objects
from protocols.jmap.values import Arguments, parse_utc_date, render_utc_date
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.plan import Plan
from storage.vacation import VACATION, Vacation, plan_vacation, vacation

# Octets of its row, the two bodies above all.
VACATION_OCTETS_MAX: Final = 256 * 1024
SINGLETON: Final = "singleton"


def _is_date(value: Any) -> bool:
    return value is None or parse_utc_date(value) is not None


_CHECKS: Final[Mapping[str, Check]] = {
    "isEnabled": lambda value: isinstance(value, bool),
    "fromDate": _is_date,
    "toDate": _is_date,
    "subject": is_text_or_null,
    "textBody": is_text_or_null,
    "htmlBody": is_text_or_null,
}
_FIELDS: Final = {
    "isEnabled": "is_enabled",
    "fromDate": "from_ms",
    "toDate": "to_ms",
    "subject": "subject",
    "textBody": "text_body",
    "htmlBody": "html_body",
}
_PROPERTIES: Final = ("id", *_FIELDS)

_KIND: Final[Kind[int]] = Kind(
    name="VacationResponse",
    code=TypeCode.VACATION,
    parse_id=lambda text: VACATION if text == SINGLETON else None,
    render_id=lambda _: SINGLETON,
    all_ids=lambda *_: [VACATION],
    known=_PROPERTIES.__contains__,
    default=_PROPERTIES,
)


def _describe(held: Vacation) -> dict[str, Any]:
    return {
        "id": SINGLETON,
        "isEnabled": held.is_enabled,
        "fromDate": None if held.from_ms is None else render_utc_date(held.from_ms),
        "toDate": None if held.to_ms is None else render_utc_date(held.to_ms),
        "subject": held.subject,
        "textBody": held.text_body,
        "htmlBody": held.html_body,
    }


async def vacation_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 8.1."""
    arguments = Arguments(raw)
    call = read_get(context, _KIND, arguments)
    arguments.done()
    render = renderer(lambda _: _describe(vacation(context.rows, call.account)), call.properties)
    return await get(context, _KIND, call, render)


async def vacation_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 8.2."""
    arguments = Arguments(raw)
    call = read_set(context, arguments)
    arguments.done()
    rules: Rules[int, None] = Rules(
        prepare=_refuse, create=_refuse_now, update=_update, destroy=_refuse_now
    )
    outcome = await set_objects(context, _KIND, rules, call)
    return outcome.answer(call.account)


async def _refuse(*_: object) -> Prepared[None]:
    return _refuse_now()


def _refuse_now(*_: object) -> NoReturn:
    raise SetError("singleton", "there is one vacation response, always")


def _update(
    plan: Plan, account: AccountId, _: int, patch: dict[str, Any], __: Resolve
) -> dict[str, Any] | None:
    held = vacation(plan, account)
    wish = read_patch(patch, _CHECKS, _describe(held), {"isEnabled": False})
    fields = {
        _FIELDS[name]: parse_utc_date(value) if name in ("fromDate", "toDate") else value
        for name, value in wish.items()
    }
    changed = msgspec.structs.replace(held, **fields)
    if len(msgspec.msgpack.encode(changed)) > VACATION_OCTETS_MAX:
        raise SetError("tooLarge", f"a vacation response has at most {VACATION_OCTETS_MAX} octets")
    plan_vacation(plan, account, changed)
    return None
