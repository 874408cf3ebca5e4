"""The account's limits, what is used of them, and whether there is room (RFC 9425).

Octets of mail and messages are limited when an operator or an administrator says so, mailboxes
always, and to fewer when one of them says so. The limits live in the counters row beside what they
limit: a delivery reads one row for all. Whoever moves a limited count logs it, as a change of the
count alone.

A message is an email: one that JMAP has in several mailboxes is stored once and counts once, while
an IMAP copy is a message of its own.
"""

from typing import Final

import msgspec

from storage import changes, keys
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.mail.errors import OverQuota
from storage.mail.records import AccountState, pack
from storage.mail.state import state
from storage.mail.tree import MAILBOXES_MAX
from storage.plan import Plan

# The numbers of an account's quotas: octets of its mail and messages (while they are limited), its
# mailboxes.
OCTETS_ID: Final = 1
MAILBOXES_ID: Final = 2
MESSAGES_ID: Final = 3
# How limits are kept: 0 is none, so that of nothing at all is another number.
UNLIMITED: Final = 0
NOTHING: Final = -1
# RFC 8620 1.3: JMAP tells a quota as an integer that every JSON implementation carries.
LIMIT_MAX: Final = 2**53 - 1


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may have, in octets, messages and mailboxes; None: there is no limit but our
    own, MAILBOXES_MAX."""

    octets: int | None = None
    messages: int | None = None
    mailboxes: int | None = None


class Quota(msgspec.Struct, frozen=True):
    """One limit and what is used of it."""

    id: int
    used: int
    limit: int


def quotas(rows: Rows, account: AccountId) -> list[Quota]:
    """What limits the account."""
    held = state(rows, account)
    found = [Quota(MAILBOXES_ID, held.mailboxes, _mailboxes_limit(held))]
    if held.octets_max != UNLIMITED:
        found.insert(0, Quota(OCTETS_ID, held.octets, max(0, held.octets_max)))
    if held.messages_max != UNLIMITED:
        found.append(Quota(MESSAGES_ID, held.emails, max(0, held.messages_max)))
    return found


def _mailboxes_limit(held: AccountState) -> int:
    return MAILBOXES_MAX if held.mailboxes_max == UNLIMITED else max(0, held.mailboxes_max)


def limits(rows: Rows, account: AccountId) -> Limits:
    """What was set, and not what we bound by ourselves."""
    held = state(rows, account)
    return Limits(
        octets=_unkept(held.octets_max),
        messages=_unkept(held.messages_max),
        mailboxes=_unkept(held.mailboxes_max),
    )


def _unkept(kept: int) -> int | None:
    return None if kept == UNLIMITED else max(0, kept)


def _kept(limit: int | None) -> int:
    return UNLIMITED if limit is None else limit or NOTHING


def log_used(plan: Plan, account: AccountId, quota: int) -> None:
    """The running command changes what is used of a quota."""
    changes.record(plan, account, TypeCode.QUOTA, updated=[quota], counts_only=True)


def room(rows: Rows, account: AccountId) -> int | None:
    """How many octets still fit; None: no limit."""
    held = state(rows, account)
    return None if held.octets_max == UNLIMITED else max(0, held.octets_max - held.octets)


def check_room(rows: Rows, account: AccountId, octets: int, *, messages: int = 0) -> None:
    """Raise OverQuota unless this many octets and messages more fit."""
    held = state(rows, account)
    left = max(0, held.octets_max - held.octets)
    if held.octets_max != UNLIMITED and octets > left:
        raise OverQuota(f"{octets} octets do not fit the {left} left of account {account}")
    if messages and held.messages_max != UNLIMITED and held.emails + messages > held.messages_max:
        raise OverQuota(f"account {account} has {held.emails} of {held.messages_max} messages")


def check_mailbox(rows: Rows, account: AccountId) -> None:
    """Raise OverQuota unless one mailbox more is allowed."""
    held = state(rows, account)
    if held.mailboxes_max != UNLIMITED and held.mailboxes >= held.mailboxes_max:
        most = _mailboxes_limit(held)
        raise OverQuota(f"account {account} has {held.mailboxes} of {most} mailboxes")


def plan_limits(plan: Plan, account: AccountId, limits: Limits) -> None:
    """Set all limits anew. An account over one of them keeps what it has and takes no more."""
    plan_limit(plan, account, _kept(limits.octets))
    plan_messages_limit(plan, account, _kept(limits.messages))
    plan_mailboxes_limit(plan, account, _kept(limits.mailboxes))


def plan_limit(plan: Plan, account: AccountId, octets_max: int) -> None:
    """Set the limit of octets, UNLIMITED and NOTHING among them."""
    assert NOTHING <= octets_max <= LIMIT_MAX, octets_max
    held = state(plan, account)
    _log_limit(plan, account, OCTETS_ID, held.octets_max, octets_max)
    _keep(plan, account, held, msgspec.structs.replace(held, octets_max=octets_max))


def plan_messages_limit(plan: Plan, account: AccountId, messages_max: int) -> None:
    """Set the limit of messages, as `plan_limit` does that of octets."""
    assert NOTHING <= messages_max <= LIMIT_MAX, messages_max
    held = state(plan, account)
    _log_limit(plan, account, MESSAGES_ID, held.messages_max, messages_max)
    _keep(plan, account, held, msgspec.structs.replace(held, messages_max=messages_max))


def plan_mailboxes_limit(plan: Plan, account: AccountId, mailboxes_max: int) -> None:
    """Set the limit of mailboxes, as `plan_limit` does that of octets."""
    assert NOTHING <= mailboxes_max <= MAILBOXES_MAX, mailboxes_max
    kept = UNLIMITED if mailboxes_max == MAILBOXES_MAX else mailboxes_max
    held = state(plan, account)
    if kept != held.mailboxes_max:
        changes.record(plan, account, TypeCode.QUOTA, updated=[MAILBOXES_ID])
    _keep(plan, account, held, msgspec.structs.replace(held, mailboxes_max=kept))


def _keep(plan: Plan, account: AccountId, before: AccountState, now: AccountState) -> None:
    if now != before:
        plan.put(keys.state_key(account), pack(now))


def _log_limit(plan: Plan, account: AccountId, quota: int, old: int, new: int) -> None:
    """A limit that is set makes its quota, one that is taken away destroys it."""
    if old == new:
        return
    changes.record(
        plan,
        account,
        TypeCode.QUOTA,
        created=[quota] if old == UNLIMITED else (),
        updated=[quota] if UNLIMITED not in (old, new) else (),
        destroyed=[quota] if new == UNLIMITED else (),
    )
