"""Ledger: one command's changes to emails, and every row that follows from them.

All that a change of an email entails is written here and nowhere else: its meta row, its UID row
in each mailbox, its places by date, its thread, the counts of mailboxes and account, the change
log and the log of vanished UIDs. A planner says `change(old, new)` for each email and `close()`
once; counts, threads and logs are then written once, however many emails the command touched.

Rows of an email that never change (list view, parts, blob link, thread hints) are their
planner's.
"""

from typing import Final

import msgspec

from storage import changes, keys
from storage.batch import KIB
from storage.ids import AccountId, EmailId, MailboxId, ThreadId
from storage.keys import TypeCode
from storage.mail import quota
from storage.mail.counts import (
    Tally,
    member_of,
    read_counts,
    shown_to_jmap,
    thread_shares,
    visible_emails,
)
from storage.mail.defined import COMMON, plan_define
from storage.mail.errors import MailboxLimit, MailboxNotFound, TooManyEmails
from storage.mail.mailbox_rows import trash_of
from storage.mail.records import (
    DELETED,
    DRAFT,
    SEEN,
    EmailMeta,
    ThreadMember,
    ThreadRecord,
    is_visible,
    pack,
    uid_row_at,
    unpack_thread,
)
from storage.mail.state import state
from storage.mail.uids import UID_MAX
from storage.plan import Plan
from storage.values import pack_u64

# Messages one command may change; a batch (960 KiB) has room for the usual few hundred octets of
# each. Doors cut longer commands in pieces.
COMMAND_EMAILS_MAX: Final = 500
# What a command on several emails may write, for the unusual ones: long threads, large views.
# The rest of the batch is for its neighbours and for the keys.
COMMAND_OCTETS_MAX: Final = 512 * KIB

# The keywords that something counts by.
COUNTED_MARKS: Final = (SEEN, DRAFT, DELETED)

# The `d` rows of this mailbox, which does not exist, put all emails of the account in order.
ALL_MAIL: Final = MailboxId(0)


def date_place(meta: EmailMeta) -> int:
    """Where an email stands by date; what was received before 1970 stands at its start."""
    return max(meta.received_ms, 0)


class _ThreadEdit:
    """A thread while one command changes it."""

    __slots__ = ("before", "changed", "members")

    def __init__(self, before: tuple[ThreadMember, ...]) -> None:
        self.before = before
        self.members = {member.email: member for member in before}
        self.changed = False


class Ledger:
    """Made when it is sure that the command changes something: it moves the account's version."""

    def __init__(self, plan: Plan, account: AccountId) -> None:
        self.plan: Final = plan
        self.account: Final = account
        self.version: Final = plan.touch(account, 0)  # `close` logs which types it changes
        self._state = state(plan, account)
        self._next_email = self._state.next_email
        self._next_thread = self._state.next_thread
        self._held = self._state.emails
        self._visible_threads = self._state.threads
        self._deleted = self._state.deleted
        self.octets = self._state.octets
        """What all emails of the account weigh as the command leaves them."""
        self._tallies: dict[MailboxId, Tally] = {}
        self._threads: dict[ThreadId, _ThreadEdit] = {}
        self._vanished: dict[MailboxId, list[int]] = {}
        self._defined: dict[MailboxId, set[str]] = {}
        self._logged: dict[TypeCode, tuple[list[int], list[int], list[int]]] = {}
        self._emails = 0
        self._written = 0

    # --- numbers to give out

    def next_email(self) -> EmailId:
        """An id for a new email."""
        email = EmailId(self._next_email)
        self._next_email += 1
        return email

    def next_thread(self) -> ThreadId:
        """An id for a new thread."""
        thread = ThreadId(self._next_thread)
        self._next_thread += 1
        return thread

    def next_uid(self, mailbox: MailboxId) -> int:
        """A UID for a message that comes into the mailbox; raises MailboxNotFound."""
        tally = self._tally(mailbox)
        uid = tally.uidnext
        if uid > UID_MAX:
            raise MailboxLimit(f"mailbox {mailbox} has given out its last UID")
        tally.uidnext = uid + 1
        return uid

    def thread_size(self, thread: ThreadId) -> int:
        """How many emails the thread holds, those marked $deleted too; 0: it is no more."""
        return len(self._thread(thread).members)

    # --- changes

    def put(self, key: bytes, value: bytes) -> None:
        """Write a row on behalf of an email."""
        self._written += len(key) + len(value)
        self.plan.put(key, value)

    def delete(self, key: bytes) -> None:
        """Delete a row on behalf of an email."""
        self._written += len(key)
        self.plan.delete(key)

    def change(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """The email was `old` (None: it is new) and becomes `new` (None: it is destroyed)."""
        email = new or old
        assert email is not None
        assert old is None or new is None or (old.id, old.thread) == (new.id, new.thread)
        self._emails += 1
        new = _saved(old, new, self.plan.now_ms // 1000)
        if old is not None and new is not None and _counts_alike(old, new):
            for mailbox, _ in new.mailboxes:
                self._tally(mailbox).messages_changed = True
        else:
            self._count(old, -1)
            self._count(new, +1)
            self._date(old, new)
            self._join(old, new)
        self._number(old, new)
        self._define(old, new)
        self._log_email(old, new)
        key = keys.email_meta_key(self.account, email.id)
        if new is None:
            self.delete(key)
        else:
            self.put(key, pack(new))

    def _count(self, meta: EmailMeta | None, sign: int) -> None:
        if meta is None:
            return
        for mailbox, _ in meta.mailboxes:
            self._tally(mailbox).add_email(meta, sign)
        self._held += sign
        self.octets += sign * meta.size
        self._deleted += 0 if is_visible(meta) else sign

    def _number(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        kept = () if new is None else new.mailboxes
        for mailbox, uid in () if old is None else old.mailboxes:
            if (mailbox, uid) not in kept:
                self.delete(keys.uid_key(self.account, mailbox, uid))
                self._vanished.setdefault(mailbox, []).append(uid)
        if new is None:
            return
        for place, (mailbox, uid) in enumerate(new.mailboxes):
            self.put(keys.uid_key(self.account, mailbox, uid), pack(uid_row_at(new, place)))

    def _define(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """Note keywords that a message brings into a mailbox."""
        if new is None or COMMON.issuperset(new.keywords):
            return
        if old is None or (old.keywords, old.mailboxes) != (new.keywords, new.mailboxes):
            for mailbox, _ in new.mailboxes:
                self._defined.setdefault(mailbox, set()).update(new.keywords)

    def _date(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        before, after = _dated(old), _dated(new)
        if before == after:
            return
        for mailbox in before:
            if old is not None and mailbox not in after:
                self.delete(keys.date_key(self.account, mailbox, date_place(old), old.id))
        for mailbox in after:
            if new is not None and mailbox not in before:
                key = keys.date_key(self.account, mailbox, date_place(new), new.id)
                self.put(key, pack_u64(new.thread))

    def _join(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        before = None if old is None else member_of(old)
        after = None if new is None else member_of(new)
        if before == after:
            return
        email = new or old
        assert email is not None
        edit = self._thread(email.thread)
        edit.changed = True
        if after is None:
            del edit.members[email.id]
        else:
            edit.members[email.id] = after

    def _log_email(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """For JMAP an email is created and destroyed with its $deleted mark too, and what happens
        to one while it is hidden is for IMAP alone."""
        email = new or old
        assert email is not None
        shown_before = old is not None and is_visible(old)
        shown_after = new is not None and is_visible(new)
        if not shown_before and not shown_after:
            self._log(TypeCode.HIDDEN_EMAIL)[1].append(email.id)
            return
        created, updated, destroyed = self._log(TypeCode.EMAIL)
        if not shown_after:
            destroyed.append(email.id)
        elif shown_before:
            updated.append(email.id)
        else:
            created.append(email.id)

    def log_delivery(self, email: EmailId) -> None:
        """RFC 8621 1.5: an email was added to the store."""
        self._log(TypeCode.EMAIL_DELIVERY)[0].append(email)

    # --- writing it all

    def close(self) -> None:
        """Write threads, counts, logs and counters. Nothing may be changed afterwards."""
        for thread, edit in self._threads.items():
            if edit.changed:
                self._close_thread(thread, edit)
        if self._emails > 1 and self._written > COMMAND_OCTETS_MAX:
            raise TooManyEmails(f"{self._emails} emails need {self._written} octets of one batch")
        counted: list[int] = []
        for mailbox, tally in self._tallies.items():
            after = tally.after(self.version)
            if after == tally.before:
                continue
            self.plan.put(keys.mailbox_counts_key(self.account, mailbox), pack(after))
            if shown_to_jmap(after) != shown_to_jmap(tally.before):
                counted.append(mailbox)
        if counted:
            changes.record(
                self.plan, self.account, TypeCode.MAILBOX, updated=counted, counts_only=True
            )
        for kind, (created, updated, destroyed) in self._logged.items():
            changes.record(
                self.plan,
                self.account,
                kind,
                created=created,
                updated=updated,
                destroyed=destroyed,
            )
        for mailbox, used in self._defined.items():
            plan_define(self.plan, self.account, mailbox, used)
        for mailbox, uids in self._vanished.items():
            changes.record_vanished(self.plan, self.account, mailbox, uids)
        if self.octets != self._state.octets and self._state.octets_max != quota.UNLIMITED:
            quota.log_used(self.plan, self.account, quota.OCTETS_ID)
        if self._held != self._state.emails and self._state.messages_max != quota.UNLIMITED:
            quota.log_used(self.plan, self.account, quota.MESSAGES_ID)
        after_all = msgspec.structs.replace(
            self._state,
            next_email=self._next_email,
            next_thread=self._next_thread,
            emails=self._held,
            octets=self.octets,
            threads=self._visible_threads,
            deleted=self._deleted,
        )
        if after_all != self._state:
            self.plan.put(keys.state_key(self.account), pack(after_all))

    def _close_thread(self, thread: ThreadId, edit: _ThreadEdit) -> None:
        after = tuple(
            sorted(edit.members.values(), key=lambda member: (member.received_ms, member.email))
        )
        key = keys.thread_key(self.account, thread)
        if after:
            self.put(key, pack(ThreadRecord(after)))
        else:
            self.delete(key)
        trash = trash_of(self.plan, self.account)
        shares_before = thread_shares(edit.before, trash)
        shares_after = thread_shares(after, trash)
        if shares_before != shares_after:
            for mailbox, unread in shares_before.items():
                self._tally(mailbox).add_thread(unread, -1)
            for mailbox, unread in shares_after.items():
                self._tally(mailbox).add_thread(unread, +1)
        self._log_thread(thread, visible_emails(edit.before), visible_emails(after))

    def _log_thread(self, thread: ThreadId, before: list[EmailId], after: list[EmailId]) -> None:
        if before == after:
            return
        created, updated, destroyed = self._log(TypeCode.THREAD)
        if before and after:
            updated.append(thread)
            return
        (created if after else destroyed).append(thread)
        self._visible_threads += 1 if after else -1

    # --- rows read once

    def _tally(self, mailbox: MailboxId) -> Tally:
        tally = self._tallies.get(mailbox)
        if tally is None:
            held = read_counts(self.plan, self.account, mailbox)
            if held is None:
                raise MailboxNotFound(f"no mailbox {mailbox}")
            tally = self._tallies[mailbox] = Tally(held)
        return tally

    def _thread(self, thread: ThreadId) -> _ThreadEdit:
        edit = self._threads.get(thread)
        if edit is None:
            held = self.plan.get(keys.thread_key(self.account, thread))
            edit = _ThreadEdit(() if held is None else unpack_thread(held).members)
            self._threads[thread] = edit
        return edit

    def _log(self, kind: TypeCode) -> tuple[list[int], list[int], list[int]]:
        return self._logged.setdefault(kind, ([], [], []))


def _counts_alike(old: EmailMeta, new: EmailMeta) -> bool:
    """Whether no count, order or thread can tell the two apart: only other keywords changed."""
    return old.mailboxes == new.mailboxes and all(
        (mark in old.keywords) == (mark in new.keywords) for mark in COUNTED_MARKS
    )


def _saved(old: EmailMeta | None, new: EmailMeta | None, now_s: int) -> EmailMeta | None:
    """With the times it came into its mailboxes: now, where it was not under this UID before."""
    if new is None or (old is not None and old.mailboxes == new.mailboxes):
        return new
    known: dict[tuple[MailboxId, int], int] = {}
    if old is not None:
        known = dict(zip(old.mailboxes, old.saved_s or [0] * len(old.mailboxes), strict=True))
    saved_s = tuple([known.get(place, now_s) for place in new.mailboxes])
    return msgspec.structs.replace(new, saved_s=saved_s)


def _dated(meta: EmailMeta | None) -> tuple[MailboxId, ...]:
    """The mailboxes in whose order by date an email stands: none while it is hidden."""
    if meta is None or not is_visible(meta):
        return ()
    return (ALL_MAIL, *(mailbox for mailbox, _ in meta.mailboxes))
