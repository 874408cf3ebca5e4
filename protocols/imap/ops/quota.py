"""GETQUOTA, GETQUOTAROOT, and what an EXPUNGE would free (RFC 9208).

An account has one quota root, "" to its owner and `Other Users/<address>` to those it shares a
mailbox with: its octets and its messages, while an operator limits them, and
its mailboxes. Limits are the operator's to set, so there is no SETQUOTA, and no QUOTASET (4.1.3).
"""

from typing import Final

import trio

from protocols.imap.commands import StatusItem
from protocols.imap.flags import DELETED
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.places import find, need, prefix_of
from protocols.imap.quota_commands import GetQuota, GetQuotaRoot
from protocols.imap.responses import Ending, no, ok, render_mailbox
from protocols.render.strings import render_string
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import quota, sharing
from storage.mail.counts import read_counts
from storage.mail.uids import UID_MAX, uid_rows

# RFC 9208 5.1: STORAGE counts units of 1024 octets.
_UNIT_OCTETS: Final = 1024
# RFC 9208 5.2, 5.3
_COUNTED: Final = {quota.MAILBOXES_ID: b"MAILBOX", quota.MESSAGES_ID: b"MESSAGE"}


async def get_quota(context: Context, command: GetQuota) -> Ending:
    """RFC 9208 4.1.1."""
    view, me = await context.barrier(), context.account
    for account in (me, *sorted({owner for owner, _ in sharing.received(view, me)})):
        root = _root(view, me, account)
        if root.encode() == command.root and _may_know(view, me, account):
            context.out.add(_quota(view, account, root))
            return ok("GETQUOTA completed")
    return no("No such quota root", b"NONEXISTENT")


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
