"""GETQUOTA, GETQUOTAROOT, SETQUOTA, and what an EXPUNGE would free (RFC 9208).

An account has one quota root, "" to its owner and `Other Users/<address>` to those it shares a
mailbox with: its octets and its messages, while they are limited, and its mailboxes, which always
are. Administrators see and set the root of every account, by the same names; whether somebody is
one is read when he asks, for he may be one no more since he logged in.
"""

from typing import Final

import trio

from protocols.imap.commands import StatusItem
from protocols.imap.flags import DELETED
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.places import find, need, owner_named, prefix_of
from protocols.imap.patterns import SEPARATOR
from protocols.imap.quota_commands import GetQuota, GetQuotaRoot, SetQuota
from protocols.imap.responses import Ending, no, ok, render_ending, render_mailbox
from protocols.render.strings import render_string
from storage.accounts import is_administrator, plan_as_administrator, plan_set_quota
from storage.engine import Rows
from storage.ids import SYSTEM_ACCOUNT, AccountId, MailboxId
from storage.mail import quota, sharing
from storage.mail.counts import read_counts
from storage.mail.errors import NoPermission
from storage.mail.quota import LIMIT_MAX, Limits
from storage.mail.tree import MAILBOXES_MAX, OTHER_USERS
from storage.mail.uids import UID_MAX, uid_rows
from storage.plan import Plan

# RFC 9208 5.1: STORAGE counts units of 1024 octets.
_UNIT_OCTETS: Final = 1024
# RFC 9208 5.2, 5.3
_COUNTED: Final = {quota.MAILBOXES_ID: b"MAILBOX", quota.MESSAGES_ID: b"MESSAGE"}

_NO_ROOT: Final = no("No such quota root", b"NONEXISTENT")


async def get_quota(context: Context, command: GetQuota) -> Ending:
    """RFC 9208 4.1.1."""
    view, me = await context.barrier(), context.account
    for account in (me, *sorted({owner for owner, _ in sharing.received(view, me)})):
        root = _root(view, me, account)
        if root.encode() == command.root and _may_know(view, me, account):
            context.out.add(_quota(view, account, root))
            return ok("GETQUOTA completed")
    other = _named(view, me, command.root) if is_administrator(view, me) else None
    if other is None:
        return _NO_ROOT
    context.out.add(_quota(view, other, _root(view, me, other)))
    return ok("GETQUOTA completed")


async def get_quota_root(context: Context, command: GetQuotaRoot) -> Ending:
    """RFC 9208 4.1.2: of a name, whether a mailbox has it yet or not."""
    view, me = await context.barrier(), context.account
    place = find(view, me, command.mailbox)
    if not place.own:
        need(place, "r")
    root = _root(view, me, place.account)
    name = render_mailbox(command.mailbox, utf8=context.utf8)
    context.out.add(b"* QUOTAROOT %b %b\r\n" % (name, render_string(root.encode())))
    context.out.add(_quota(view, place.account, root))
    return ok("GETQUOTAROOT completed")


async def set_quota(context: Context, command: SetQuota) -> Ending:
    """RFC 9208 4.1.3: what is not named is not limited any more. Limits over LIMIT_MAX are rounded
    down to it, which the answer tells (3.2)."""
    me = context.account

    def plan_set(plan: Plan) -> AccountId | None:
        if not plan_as_administrator(plan, me):
            raise NoPermission("Permission denied")
        account = _named(plan, me, command.root)
        limits = _limits_of(command)
        if account is not None and limits is not None:
            plan_set_quota(plan, account, limits.octets)
            quota.plan_limits(plan, account, limits)
        return account

    account = await context.ports.writer.write(SYSTEM_ACCOUNT, plan_set)
    if account is None:
        return _NO_ROOT
    rows = context.local()
    context.out.add(_quota(rows, account, _root(rows, me, account)))
    if _limits_of(command) is None:
        return no("There is no such resource, or no such limit of it here", b"CANNOT")
    selected = context.selected
    if selected is not None and selected.account == account and _is_over(rows, account):
        # 4.3.1: this must not be told unless the mailbox in question is selected.
        context.out.add(render_ending(b"*", no("Over the new limit", b"OVERQUOTA")))
    return ok("SETQUOTA completed")


def _limits_of(command: SetQuota) -> Limits | None:
    """What is to be set; None: some of it cannot be."""
    asked = dict(command.resources)
    mailboxes = asked.get(b"MAILBOX")
    is_known = asked.keys() <= {b"STORAGE", *_COUNTED.values()}
    if not is_known or len(asked) < len(command.resources) or (mailboxes or 0) > MAILBOXES_MAX:
        return None
    storage, messages = asked.get(b"STORAGE"), asked.get(b"MESSAGE")
    return Limits(
        octets=None if storage is None else min(storage * _UNIT_OCTETS, LIMIT_MAX),
        messages=None if messages is None else min(messages, LIMIT_MAX),
        mailboxes=mailboxes,
    )


def _is_over(rows: Rows, account: AccountId) -> bool:
    return any(one.used > one.limit for one in quota.quotas(rows, account))


def _named(rows: Rows, me: AccountId, root: bytes) -> AccountId | None:
    """Whose quota root it is, whether that is shared with me or not."""
    if not root:
        return me
    above, _, owner = root.decode("utf-8", "replace").partition(SEPARATOR)
    account = owner_named(rows, owner) if above == OTHER_USERS else None
    return None if account == me else account


def _root(rows: Rows, me: AccountId, account: AccountId) -> str:
    """What the account's quota root is called to me."""
    return "" if account == me else prefix_of(rows, account) or ""


def _may_know(rows: Rows, me: AccountId, account: AccountId) -> bool:
    """RFC 9208 6: what is used of another's quota is for those who may read a mailbox of his."""
    return account == me or any(
        "r" in sharing.rights(rows, owner, mailbox, me)
        for owner, mailbox in sharing.received(rows, me)
        if owner == account
    )


def _quota(rows: Rows, account: AccountId, root: str) -> bytes:
    """RFC 9208 4.2.1; what is used is rounded up, what may be is rounded down."""
    told = []
    for one in quota.quotas(rows, account):
        if one.id == quota.OCTETS_ID:
            used, limit = -(-one.used // _UNIT_OCTETS), one.limit // _UNIT_OCTETS
            told.append(b"STORAGE %d %d" % (used, limit))
        else:
            told.append(b"%b %d %d" % (_COUNTED[one.id], one.used, one.limit))
    return b"* QUOTA %b (%b)\r\n" % (render_string(root.encode()), b" ".join(told))


async def deleted_octets(
    context: Context, account: AccountId, mailbox: MailboxId, items: tuple[StatusItem, ...]
) -> int:
    """RFC 9208 4.1.4 DELETED-STORAGE, if it is asked: the octets of what is marked \\Deleted."""
    if StatusItem.DELETED_STORAGE not in items:
        return 0
    octets, next_uid = 0, 1
    while True:
        rows = context.local()
        counts = read_counts(rows, account, mailbox)
        if counts is None or not counts.deleted:
            return octets
        held = uid_rows(rows, account, mailbox, next_uid, UID_MAX, SLICE_MESSAGES)
        octets += sum(row.size for _, row in held if DELETED in row.keywords)
        if len(held) < SLICE_MESSAGES:
            return octets
        next_uid = held[-1][0] + 1
        await trio.lowlevel.checkpoint()
