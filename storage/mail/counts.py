"""What a mailbox holds, counted: how one email and one thread add to each number.

Counting is by difference: a command takes away what an email or thread added before it and adds
what it adds after, so a count is exact whatever happens in between, and costs the same in a
mailbox of ten as of ten million.
"""

from collections.abc import Iterable

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, EmailId, MailboxId, Version
from storage.mail.records import (
    DELETED,
    SEEN,
    EmailMeta,
    MailboxCounts,
    ThreadMember,
    is_unread,
    unpack_counts,
)


def read_counts(rows: Rows, account: AccountId, mailbox: MailboxId) -> MailboxCounts | None:
    """The mailbox's numbers; None: there is no such mailbox."""
    held = rows.get(keys.mailbox_counts_key(account, mailbox))
    return None if held is None else unpack_counts(held)


def member_of(meta: EmailMeta) -> ThreadMember:
    """What a thread remembers of its email."""
    return ThreadMember(
        received_ms=meta.received_ms,
        email=meta.id,
        unread=is_unread(meta.keywords),
        mailboxes=tuple(mailbox for mailbox, _ in meta.mailboxes),
        deleted=DELETED in meta.keywords,
    )


def thread_shares(
    members: Iterable[ThreadMember], trash: MailboxId | None
) -> dict[MailboxId, bool]:
    """The mailboxes that show a thread, and whether it is unread there (RFC 8621 2).

    An unread email anywhere makes the thread unread everywhere, but emails in the trash are as
    in a thread of their own: those only there do not count elsewhere, and those not there do not
    count in it.
    """
    shown: dict[MailboxId, None] = {}
    unread_in_trash = unread_elsewhere = False
    for member in members:
        if member.deleted:
            continue
        for mailbox in member.mailboxes:
            shown[mailbox] = None
        if member.unread:
            in_trash = trash is not None and trash in member.mailboxes
            unread_in_trash |= in_trash
            unread_elsewhere |= not in_trash or len(member.mailboxes) > 1
    return {mailbox: unread_in_trash if mailbox == trash else unread_elsewhere for mailbox in shown}


class Tally:
    """A mailbox's numbers while one command changes them."""

    __slots__ = (
        "before",
        "deleted",
        "emails",
        "messages_changed",
        "octets",
        "threads",
        "uidnext",
        "unread",
        "unread_threads",
        "unseen",
    )

    def __init__(self, before: MailboxCounts) -> None:
        self.before = before
        self.uidnext = before.uidnext
        self.emails = before.emails
        self.unread = before.unread
        self.unseen = before.unseen
        self.threads = before.threads
        self.unread_threads = before.unread_threads
        self.octets = before.octets
        self.deleted = before.deleted
        self.messages_changed = False

    def add_email(self, meta: EmailMeta, sign: int) -> None:
        """Count an email in (+1) or out (-1)."""
        self.messages_changed = True
        self.emails += sign
        self.octets += sign * meta.size
        if SEEN not in meta.keywords:
            self.unseen += sign
        if DELETED in meta.keywords:
            self.deleted += sign
        elif is_unread(meta.keywords):
            self.unread += sign

    def add_thread(self, unread: bool, sign: int) -> None:
        """Count a thread in (+1) or out (-1)."""
        self.threads += sign
        if unread:
            self.unread_threads += sign

    def after(self, version: Version) -> MailboxCounts:
        """The numbers as the command at `version` leaves them."""
        return MailboxCounts(
            uidnext=self.uidnext,
            emails=self.emails,
            unread=self.unread,
            unseen=self.unseen,
            threads=self.threads,
            unread_threads=self.unread_threads,
            octets=self.octets,
            deleted=self.deleted,
            modseq=version if self.messages_changed else self.before.modseq,
        )


def shown_to_jmap(counts: MailboxCounts) -> tuple[int, int, int, int]:
    """RFC 8621 2: totalEmails, unreadEmails, totalThreads, unreadThreads."""
    return (
        counts.emails - counts.deleted,
        counts.unread,
        counts.threads,
        counts.unread_threads,
    )


def visible_emails(members: Iterable[ThreadMember]) -> list[EmailId]:
    """The emails of a thread that JMAP shows, in their order."""
    return [member.email for member in members if not member.deleted]
