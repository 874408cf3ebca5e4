"""Roles of mailboxes, and what follows when the trash becomes another (RFC 8621 2).

Emails in the trash count in unreadThreads as if in threads of their own, so a new trash changes
those counts in every mailbox that shares a thread with the old or the new one.
"""

from typing import Final

from storage import changes, keys
from storage.ids import AccountId, MailboxId, ThreadId
from storage.keys import TypeCode
from storage.mail.counts import Tally, read_counts, shown_to_jmap, thread_shares
from storage.mail.errors import MailboxTooLarge, RoleInvalid
from storage.mail.messages import by_date
from storage.mail.records import pack, unpack_thread
from storage.plan import Plan

# The IANA registry "IMAP Mailbox Name Attributes", in lower case, those that say what a mailbox
# is for and not how it stands in the tree.
ROLES: Final = frozenset(
    {
        "all",
        "archive",
        "drafts",
        "flagged",
        "important",
        "inbox",
        "junk",
        "memos",
        "scheduled",
        "sent",
        "snoozed",
        "trash",
    }
)
# Emails of the old and the new trash that one command looks at: some 100 ms of planning.
TRASH_EMAILS_MAX: Final = 10_000


def check_role(role: str | None) -> None:
    """Raise RoleInvalid for what is no role."""
    if role is not None and role not in ROLES:
        raise RoleInvalid(f"no role: {role[:40]!r}")


def plan_trash(
    plan: Plan, account: AccountId, old: MailboxId | None, new: MailboxId | None
) -> None:
    """The role trash goes from `old` to `new` (None: nowhere): count unread threads anew.

    Raises MailboxTooLarge when the two hold more than TRASH_EMAILS_MAX emails.
    """
    if old == new:
        return
    tallies: dict[MailboxId, Tally] = {}
    for thread in _threads_in(plan, account, [box for box in (old, new) if box is not None]):
        held = plan.get(keys.thread_key(account, thread))
        assert held is not None, (account, thread)
        members = unpack_thread(held).members
        before, after = thread_shares(members, old), thread_shares(members, new)
        for mailbox in before:
            if before[mailbox] != after[mailbox]:
                tally = tallies.get(mailbox)
                if tally is None:
                    counts = read_counts(plan, account, mailbox)
                    assert counts is not None, (account, mailbox)
                    tally = tallies[mailbox] = Tally(counts)
                tally.add_thread(before[mailbox], -1)
                tally.add_thread(after[mailbox], +1)
    version = plan.touch(account, TypeCode.MAILBOX.bit)
    counted: list[int] = []
    for mailbox, tally in tallies.items():
        counts = tally.after(version)
        if shown_to_jmap(counts) != shown_to_jmap(tally.before):
            plan.put(keys.mailbox_counts_key(account, mailbox), pack(counts))
            counted.append(mailbox)
    if counted:
        changes.record(plan, account, TypeCode.MAILBOX, updated=counted, counts_only=True)


def _threads_in(plan: Plan, account: AccountId, mailboxes: list[MailboxId]) -> list[ThreadId]:
    found: dict[ThreadId, None] = {}
    room = TRASH_EMAILS_MAX
    for mailbox in mailboxes:
        rows = by_date(plan, account, mailbox, newest_first=False, limit=room + 1)
        room -= len(rows)
        if room < 0:
            raise MailboxTooLarge(f"a trash of over {TRASH_EMAILS_MAX} emails")
        found.update((thread, None) for _, _, thread in rows)
    return list(found)
