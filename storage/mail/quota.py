"""The account's limits, what is used of them, and whether there is room (RFC 9425).

Octets of mail are limited when an operator says so, mailboxes always. The limit in octets lives
in the counters row beside what it limits: a delivery reads one row for both. Whoever moves a
limited count logs it, as a change of the count alone.
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
from storage.mail.tree import MAILBOXES_MAX
from storage.plan import Plan

# The numbers of an account's quotas: octets of its mail (while they are limited), its mailboxes.
OCTETS_ID: Final = 1
MAILBOXES_ID: Final = 2
UNLIMITED: Final = 0


class Quota(msgspec.Struct, frozen=True):
    """One limit and what is used of it."""

    id: int
    used: int
    limit: int


def quotas(rows: Rows, account: AccountId) -> list[Quota]:
    """What limits the account."""
    held = state(rows, account)
    mailboxes = Quota(MAILBOXES_ID, held.mailboxes, MAILBOXES_MAX)
    if held.octets_max == UNLIMITED:
        return [mailboxes]
    return [Quota(OCTETS_ID, held.octets, held.octets_max), mailboxes]


def log_used(plan: Plan, account: AccountId, quota: int) -> None:
    """The running command changes what is used of a quota."""
    changes.record(plan, account, TypeCode.QUOTA, updated=[quota], counts_only=True)


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
    changes.record(
        plan,
        account,
        TypeCode.QUOTA,
        created=[OCTETS_ID] if held.octets_max == UNLIMITED else (),
        updated=[OCTETS_ID] if held.octets_max and octets_max else (),
        destroyed=[OCTETS_ID] if octets_max == UNLIMITED else (),
    )
    plan.put(keys.state_key(account), pack(msgspec.structs.replace(held, octets_max=octets_max)))
