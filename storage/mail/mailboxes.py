"""Mailboxes: reading them, and planning their creation, change and destruction.

Their order, names and places follow `tree.py`, their roles `roles.py`. Counts are kept by the
commands on emails (`ledger.py`), so a mailbox is never read through to know them.
"""

import unicodedata
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from storage import changes, keys
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail import quota
from storage.mail.annotations import plan_drop_annotations
from storage.mail.counts import read_counts
from storage.mail.defined import plan_undefine
from storage.mail.errors import (
    MailboxHasChild,
    MailboxHasEmail,
    MailboxLimit,
    MailboxNotFound,
    MailboxProtected,
    MailboxTooLarge,
    RoleTaken,
)
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.mailbox_rows import (
    TOP,
    child_ids,
    id_at,
    name_key,
    plan_rows,
    read_mailbox,
    read_mailbox_ids,
    read_mailboxes,
    role_key,
    trash_of,
)
from storage.mail.moves import plan_empty
from storage.mail.recent import plan_drop_recent
from storage.mail.records import ROLES_AT_START, Mailbox, MailboxCounts, pack
from storage.mail.roles import check_role, plan_trash
from storage.mail.sharing import plan_inherit, plan_unshare, readers
from storage.mail.state import state
from storage.mail.tree import (
    INBOX,
    MAILBOXES_MAX,
    ancestors,
    canonical_name,
    check_place,
    is_inbox_name,
)
from storage.mail.tree import INBOX_ROLE as INBOX_ROLE
from storage.mail.uids import draw_uidvalidity
from storage.mail.url_keys import plan_drop_url_keys
from storage.plan import Plan

TRASH_ROLE: Final = "trash"
# RFC 8621 2: sortOrder is in 0 <= n < 2^31.
SORT_ORDER_MAX: Final = 2**31 - 1
# Rows of a destroyed mailbox's log of vanished UIDs that go with it; trimming takes older ones.
_VANISHED_ROWS: Final = 1_000


class Keep(Enum):
    """A property that an update leaves as it is."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


def list_mailboxes(rows: Rows, account: AccountId) -> list[Mailbox]:
    """All mailboxes of an account, by id."""
    return read_mailboxes(rows, account)


def mailbox_ids(rows: Rows, account: AccountId) -> list[MailboxId]:
    """The ids of all mailboxes of an account, in order."""
    return read_mailbox_ids(rows, account)


def get_mailbox(rows: Rows, account: AccountId, mailbox: MailboxId) -> Mailbox | None:
    """The mailbox with this id."""
    return read_mailbox(rows, account, mailbox)


def id_by_role(rows: Rows, account: AccountId, role: str) -> MailboxId | None:
    """The id of the mailbox with this role."""
    return id_at(rows, role_key(account, role))


def by_role(rows: Rows, account: AccountId, role: str) -> Mailbox | None:
    """The mailbox with this role."""
    found = id_by_role(rows, account, role)
    return None if found is None else read_mailbox(rows, account, found)


def counts(rows: Rows, account: AccountId, mailbox: MailboxId) -> MailboxCounts:
    """What the mailbox holds; raises MailboxNotFound."""
    found = read_counts(rows, account, mailbox)
    if found is None:
        raise MailboxNotFound(f"no mailbox {mailbox}")
    return found


def path(rows: Rows, account: AccountId, mailbox: MailboxId) -> tuple[str, ...]:
    """The names from the top down to the mailbox; the inbox is INBOX whatever JMAP calls it.

    `by_path` leads back. Raises MailboxNotFound.
    """
    line = ancestors(rows, account, mailbox)
    return tuple(INBOX if one.role == INBOX_ROLE else one.name for one in reversed(line))


def by_path(rows: Rows, account: AccountId, names: Sequence[str]) -> Mailbox | None:
    """The mailbox at this path; INBOX in any case as the first name is the inbox."""
    at = TOP
    for depth, name in enumerate(names):
        if depth == 0 and is_inbox_name(name):
            key = role_key(account, INBOX_ROLE)
        else:
            try:
                key = name_key(account, at, unicodedata.normalize("NFC", name))
            except UnicodeEncodeError:  # half a surrogate pair: in no name
                return None
        found = id_at(rows, key)
        if found is None:
            return None
        at = found
    return None if at == TOP else read_mailbox(rows, account, at)


def plan_defaults(plan: Plan, account: AccountId) -> None:
    """The mailboxes of a new account, one of each usual role."""
    for role, name in ROLES_AT_START:
        plan_create(plan, account, name, role=role)


def plan_create(
    plan: Plan,
    account: AccountId,
    name: str,
    *,
    parent: MailboxId = TOP,
    role: str | None = None,
    subscribed: bool = True,
    sort_order: int = 0,
) -> Mailbox:
    """A new, empty mailbox. Raises what a name, place or role can be refused for, MailboxLimit and
    OverQuota."""
    assert 0 <= sort_order <= SORT_ORDER_MAX, sort_order
    held = state(plan, account)
    if held.mailboxes >= MAILBOXES_MAX:
        raise MailboxLimit(f"{MAILBOXES_MAX} mailboxes")
    quota.check_mailbox(plan, account)
    kept = canonical_name(name)
    _check_role(plan, account, role, parent)
    check_place(plan, account, kept, parent, inbox=role == INBOX_ROLE)
    uidvalidity, held = draw_uidvalidity(held, plan.now_ms)
    mailbox = Mailbox(
        id=MailboxId(held.next_mailbox),
        name=kept,
        parent=parent,
        role=role,
        sort_order=sort_order,
        subscribed=subscribed,
        uidvalidity=uidvalidity,
        created=changes.record(plan, account, TypeCode.MAILBOX, created=[held.next_mailbox]),
    )
    held = msgspec.structs.replace(
        held, next_mailbox=held.next_mailbox + 1, mailboxes=held.mailboxes + 1
    )
    plan.put(keys.state_key(account), pack(held))
    quota.log_used(plan, account, quota.MAILBOXES_ID)
    plan.put(
        keys.mailbox_counts_key(account, mailbox.id), pack(MailboxCounts(modseq=mailbox.created))
    )
    plan_rows(plan, account, None, mailbox)
    if parent != TOP:
        plan_inherit(plan, account, parent, mailbox.id)
    return mailbox


def plan_update(
    plan: Plan,
    account: AccountId,
    mailbox: MailboxId,
    *,
    name: str | Keep = KEEP,
    parent: MailboxId | Keep = KEEP,
    role: str | Keep | None = KEEP,
    subscribed: bool | Keep = KEEP,
    sort_order: int | Keep = KEEP,
) -> Mailbox:
    """Change a mailbox; what is not named stays. Returns it as it is now.

    Raises MailboxNotFound and all that `plan_create` does; MailboxProtected for an inbox that
    would leave the top level or its role; MailboxTooLarge for a new trash, as `roles.plan_trash`.
    """
    old = read_mailbox(plan, account, mailbox)
    if old is None:
        raise MailboxNotFound(f"no mailbox {mailbox}")
    new = msgspec.structs.replace(
        old,
        name=old.name if isinstance(name, Keep) else canonical_name(name),
        parent=old.parent if isinstance(parent, Keep) else parent,
        role=old.role if isinstance(role, Keep) else role,
        subscribed=old.subscribed if isinstance(subscribed, Keep) else subscribed,
        sort_order=old.sort_order if isinstance(sort_order, Keep) else sort_order,
    )
    assert 0 <= new.sort_order <= SORT_ORDER_MAX, new.sort_order
    if new == old:
        return old
    if old.role == INBOX_ROLE and (new.role, new.parent) != (old.role, old.parent):
        raise MailboxProtected("the inbox keeps its role and its place")
    if new.role != old.role:
        _check_role(plan, account, new.role, new.parent)
    if (new.name, new.parent) != (old.name, old.parent):
        inbox = new.role == INBOX_ROLE
        check_place(plan, account, new.name, new.parent, mailbox=mailbox, inbox=inbox)
    changes.record(plan, account, TypeCode.MAILBOX, updated=[mailbox])
    trash = trash_of(plan, account)
    plan_rows(plan, account, old, new)
    plan_trash(plan, account, trash, trash_of(plan, account))
    return new


def _check_role(plan: Plan, account: AccountId, role: str | None, parent: MailboxId) -> None:
    if role is None:
        return
    check_role(role)
    if id_at(plan, role_key(account, role)) is not None:
        raise RoleTaken(f"another mailbox is the {role}")
    if role == INBOX_ROLE and parent != TOP:
        raise MailboxProtected("the inbox is at the top level")


def plan_destroy_mailbox(
    plan: Plan, account: AccountId, mailbox: MailboxId, *, remove_emails: bool
) -> None:
    """Destroy a mailbox without children, and with `remove_emails` what is in it.

    An email that is in other mailboxes too only leaves this one (RFC 8621 2.5). Messages marked
    \\Deleted are none to JMAP: they never keep a mailbox. Raises MailboxNotFound,
    MailboxProtected, MailboxHasChild, MailboxHasEmail; MailboxTooLarge when it must be emptied
    first (`moves.plan_empty`), one command after the other.
    """
    old = read_mailbox(plan, account, mailbox)
    if old is None:
        raise MailboxNotFound(f"no mailbox {mailbox}")
    if old.role == INBOX_ROLE:
        raise MailboxProtected("the inbox stays")
    if child_ids(plan, account, mailbox):
        raise MailboxHasChild(f"mailbox {mailbox} has children")
    held = counts(plan, account, mailbox)
    if held.emails > held.deleted and not remove_emails:
        raise MailboxHasEmail(f"mailbox {mailbox} holds {held.emails} emails")
    if held.emails > COMMAND_EMAILS_MAX:
        raise MailboxTooLarge(f"mailbox {mailbox} holds {held.emails} emails")
    left = plan_empty(plan, account, mailbox)
    assert left == 0, (account, mailbox, left)
    changes.record(plan, account, TypeCode.MAILBOX, destroyed=[mailbox])
    quota.log_used(plan, account, quota.MAILBOXES_ID)
    plan_rows(plan, account, old, None)
    plan.delete(keys.mailbox_counts_key(account, mailbox))
    plan_drop_annotations(plan, account, mailbox)
    plan_drop_url_keys(plan, account, mailbox, readers(plan, account, mailbox))
    plan_drop_recent(plan, account, mailbox)
    plan_undefine(plan, account, mailbox)
    plan_unshare(plan, account, mailbox)
    vanished = plan.scan(*keys.expunged_range(account, mailbox, -1), limit=_VANISHED_ROWS)
    for key, _ in vanished:
        plan.delete(key)
    after = state(plan, account)
    plan.put(
        keys.state_key(account), pack(msgspec.structs.replace(after, mailboxes=after.mailboxes - 1))
    )
