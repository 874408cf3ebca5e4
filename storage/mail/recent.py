"""Up to where a mailbox's messages have been told to somebody, for \\Recent (RFC 3501 2.3.2).

    N  mailbox u64 -> uid u32, no message below it is \\Recent for anyone who comes now

A message is \\Recent in the first session that is told of it and in no other, so a session takes
those it is about to tell: it moves this mark over them, and they are its own. The mark is a row of
the mailbox's account, replicated as all rows are, so this holds between sessions on two nodes too.
It changes nothing that JMAP or CONDSTORE know of, so no version counts it, and it goes with the
mailbox.
"""

import struct
from typing import Final

from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.keys import account_prefix
from storage.mail.mailbox_rows import read_mailbox
from storage.plan import Plan

_NUMBER: Final = struct.Struct(">Q")
_UID: Final = struct.Struct(">I")


def _key(account: AccountId, mailbox: MailboxId) -> bytes:
    return account_prefix(account) + b"N" + _NUMBER.pack(mailbox)


def first_recent(rows: Rows, account: AccountId, mailbox: MailboxId) -> int:
    """The lowest UID that a message may have and be \\Recent for who is told of it first now."""
    return _mark(rows.get(_key(account, mailbox)))


def _mark(held: bytes | None) -> int:
    return 1 if held is None else int(_UID.unpack(held)[0])


def plan_take_recent(plan: Plan, account: AccountId, mailbox: MailboxId, upto: int) -> int:
    """Take all messages below the UID `upto` that nobody has taken; the lowest UID of them."""
    # No version counts the mark, so the batch depends on it itself: of two who take at once on two
    # nodes, one takes again.
    first = _mark(plan.expect(_key(account, mailbox)))
    if first < upto and read_mailbox(plan, account, mailbox) is not None:
        plan.put(_key(account, mailbox), _UID.pack(upto))
    return first


def plan_drop_recent(plan: Plan, account: AccountId, mailbox: MailboxId) -> None:
    """The mailbox goes."""
    if plan.get(key := _key(account, mailbox)) is not None:
        plan.delete(key)
