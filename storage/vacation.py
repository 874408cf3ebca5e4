"""The vacation response of an account (RFC 8621 8): one record, there from the beginning."""

from typing import Final

import msgspec

from storage.collection import Collection
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.plan import Plan

# Its number; JMAP's id for it is "singleton".
VACATION: Final = 1


class Vacation(msgspec.Struct, array_like=True, frozen=True):
    """RFC 8621 8; times in milliseconds since 1970, None without bound."""

    is_enabled: bool = False
    from_ms: int | None = None
    to_ms: int | None = None
    subject: str | None = None
    text_body: str | None = None
    html_body: str | None = None


_VACATIONS: Final = Collection(TypeCode.VACATION, Vacation)
_AT_FIRST: Final = Vacation()


def vacation(rows: Rows, account: AccountId) -> Vacation:
    """The account's vacation response."""
    return _VACATIONS.get(rows, account, VACATION) or _AT_FIRST


def plan_vacation(plan: Plan, account: AccountId, changed: Vacation) -> None:
    """Replace it."""
    if changed != vacation(plan, account):
        _VACATIONS.overlay(plan, account, VACATION, changed)
