"""The account's limit in octets, and whether there is room (RFC 9425's octets resource).

The limit lives in the counters row beside what it limits: a delivery reads one row for both.
"""

from typing import Final

import msgspec

from storage import changes, keys
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.mail.errors import OverQuota
from storage.mail.records import pack
from storage.mail.state import state
from storage.plan import Plan

# The one Quota object of an account.
QUOTA_ID: Final = 1
UNLIMITED: Final = 0


def limit(rows: Rows, account: AccountId) -> int:
    """How many octets the account's emails may have together; UNLIMITED: as many as come."""
    return state(rows, account).octets_max


def room(rows: Rows, account: AccountId) -> int | None:
    """How many octets still fit; None: no limit."""
    held = state(rows, account)
    return None if held.octets_max == UNLIMITED else max(0, held.octets_max - held.octets)


def check_room(rows: Rows, account: AccountId, octets: int) -> None:
    """Raise OverQuota unless this many octets more fit."""
    left = room(rows, account)
    if left is not None and octets > left:
        raise OverQuota(f"{octets} octets do not fit the {left} left of account {account}")


def plan_limit(plan: Plan, account: AccountId, octets_max: int) -> None:
    """Set the limit. An account over its new limit keeps what it has and takes no more."""
    assert octets_max >= 0, octets_max
    held = state(plan, account)
    if held.octets_max == octets_max:
        return
    changes.record(plan, account, TypeCode.QUOTA, updated=[QUOTA_ID])
    plan.put(keys.state_key(account), pack(msgspec.structs.replace(held, octets_max=octets_max)))
