"""The rows of mailboxes: records by id, and the two indexes that find one by name or by role.

    record   r | MAILBOX | id                   -> Mailbox
    name     i | MAILBOX | 1 | parent u64 | name -> id u64    (siblings are one range, by name)
    role     i | MAILBOX | 2 | role              -> id u64

Not a Collection: a mailbox's id is drawn with its UIDVALIDITY from the account's counters, and
siblings must be a range in order of name.
"""

from typing import Final

from storage import keys
from storage.engine import Row, Rows, prefix_end
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail.errors import MailboxNotFound
from storage.mail.records import Mailbox, pack, unpack_mailbox
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# Indexes of the mailbox type, by number on disk.
_NAME_INDEX: Final = 1
_ROLE_INDEX: Final = 2

TOP: Final = MailboxId(0)
"""The parent of mailboxes at the top level."""


def name_key(account: AccountId, parent: MailboxId, name: str) -> bytes:
    """Where the child of `parent` with this name is found."""
    return siblings_prefix(account, parent) + name.encode()


def siblings_prefix(account: AccountId, parent: MailboxId) -> bytes:
    """The names of all children of `parent` start with this."""
    return keys.index_prefix(account, TypeCode.MAILBOX, _NAME_INDEX) + pack_u64(parent)


def role_key(account: AccountId, role: str) -> bytes:
    """Where the mailbox with this role is found."""
    return keys.index_prefix(account, TypeCode.MAILBOX, _ROLE_INDEX) + role.encode("ascii")


def index_rows(rows: Rows, account: AccountId) -> list[Row]:
    """All index rows of an account's mailboxes."""
    first = keys.index_prefix(account, TypeCode.MAILBOX, _NAME_INDEX)
    last = keys.index_prefix(account, TypeCode.MAILBOX, _ROLE_INDEX)
    return list(rows.scan(first, prefix_end(last)))


def index_of(account: AccountId, mailbox: Mailbox) -> list[Row]:
    """The index rows of one mailbox."""
    found = [(name_key(account, mailbox.parent, mailbox.name), pack_u64(mailbox.id))]
    if mailbox.role is not None:
        found.append((role_key(account, mailbox.role), pack_u64(mailbox.id)))
    return found


def read_mailbox(rows: Rows, account: AccountId, mailbox: MailboxId) -> Mailbox | None:
    """The mailbox with this id."""
    held = rows.get(keys.record_key(account, TypeCode.MAILBOX, mailbox))
    return None if held is None else unpack_mailbox(held)


def check_mailbox(rows: Rows, account: AccountId, mailbox: MailboxId) -> None:
    """Raise MailboxNotFound unless the mailbox is there."""
    if rows.get(keys.mailbox_counts_key(account, mailbox)) is None:
        raise MailboxNotFound(f"no mailbox {mailbox}")


def read_mailboxes(rows: Rows, account: AccountId) -> list[Mailbox]:
    """All mailboxes of an account, by id."""
    window = keys.record_range(account, TypeCode.MAILBOX)
    return [unpack_mailbox(value) for _, value in rows.scan(*window)]


def read_mailbox_ids(rows: Rows, account: AccountId) -> list[MailboxId]:
    """The ids of all mailboxes of an account, in order; no record is decoded."""
    window = keys.record_range(account, TypeCode.MAILBOX)
    return [MailboxId(keys.unpack_record_key(key)[1]) for key, _ in rows.scan(*window)]


def id_at(rows: Rows, key: bytes) -> MailboxId | None:
    """The mailbox that an index row names."""
    held = rows.get(key)
    return None if held is None else MailboxId(unpack_u64(held))


def child_ids(rows: Rows, account: AccountId, parent: MailboxId) -> list[MailboxId]:
    """The children of a mailbox, by name."""
    prefix = siblings_prefix(account, parent)
    return [MailboxId(unpack_u64(value)) for _, value in rows.scan(prefix, prefix_end(prefix))]


def trash_of(rows: Rows, account: AccountId) -> MailboxId | None:
    """The mailbox with the role trash (RFC 8621 2 counts unread threads apart in it)."""
    return id_at(rows, role_key(account, "trash"))


def plan_rows(plan: Plan, account: AccountId, old: Mailbox | None, new: Mailbox | None) -> None:
    """The mailbox was `old` (None: not there) and is `new` (None: destroyed)."""
    for key, _ in () if old is None else index_of(account, old):
        plan.delete(key)
    if new is not None:
        plan.put(keys.record_key(account, TypeCode.MAILBOX, new.id), pack(new))
        for key, value in index_of(account, new):
            plan.put(key, value)
    elif old is not None:
        plan.delete(keys.record_key(account, TypeCode.MAILBOX, old.id))
