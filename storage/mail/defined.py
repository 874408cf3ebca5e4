"""The keywords defined in a mailbox: those that a message of it has ever had (RFC 9051 7.3.5).

    W  defined       mailbox u64 -> keywords, in the order of their first use

IMAP lists them before a message with one is shown, and to every session alike. Marks that IMAP
lists anyhow are not among them, nor what mailboxes hold since before this was kept, until it is
used anew. No version counts a row of these, and it goes with the mailbox.
"""

import struct
from collections.abc import Iterable
from typing import Final

import msgspec

from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.keys import account_prefix
from storage.plan import Plan

# Keywords kept of one mailbox; what is used beyond them is told with the message that has it.
DEFINED_MAX: Final = 200
# The system flags, and the keywords of RFC 9051 2.3.2: they are defined everywhere.
COMMON: Final = frozenset(
    {
        "$answered",
        "$deleted",
        "$draft",
        "$flagged",
        "$forwarded",
        "$junk",
        "$mdnsent",
        "$notjunk",
        "$phishing",
        "$seen",
    }
)

_NUMBER: Final = struct.Struct(">Q")
_DECODER: Final = msgspec.msgpack.Decoder(tuple[str, ...])


def _key(account: AccountId, mailbox: MailboxId) -> bytes:
    return account_prefix(account) + b"W" + _NUMBER.pack(mailbox)


def defined(rows: Rows, account: AccountId, mailbox: MailboxId) -> tuple[str, ...]:
    """The mailbox's own keywords, oldest first."""
    held = rows.get(_key(account, mailbox))
    return () if held is None else _DECODER.decode(held)


def plan_define(
    plan: Plan, account: AccountId, mailbox: MailboxId, keywords: Iterable[str]
) -> None:
    """Messages of the mailbox have these keywords now."""
    before = defined(plan, account, mailbox)
    new = sorted(set(keywords) - COMMON - set(before))
    after = (*before, *new)[:DEFINED_MAX]
    if after != before:
        plan.put(_key(account, mailbox), msgspec.msgpack.encode(after))


def plan_undefine(plan: Plan, account: AccountId, mailbox: MailboxId) -> None:
    """The mailbox goes."""
    if plan.get(key := _key(account, mailbox)) is not None:
        plan.delete(key)
