"""Ledger: one command's changes to emails, and every row that follows from them.

All that a change of an email entails is written here and nowhere else: its meta row, its UID row
in each mailbox, its places by date, its thread, the counts of mailboxes and account, the change
log and the log of vanished UIDs. A planner says `change(old, new)` for each email and `close()`
once; counts, threads and logs are then written once, however many emails the command touched.

Rows of an email that never change (list view, parts, blob link, thread hints) are their
planner's.
"""

from collections.abc import Collection
from operator import attrgetter
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
from storage.mail.neighbours import read_rows
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
# A command that may end anywhere ends here, so that the last email, if it is of the usual size, is
# not one too many. A member of a thread is counted with so many octets before it is written.
COMMAND_OCTETS_FULL: Final = 448 * KIB
MEMBER_OCTETS: Final = 32

# RFC 8621 3: oldest first.
_PLACE_IN_THREAD: Final = attrgetter("received_ms", "email")

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
        self.rows: dict[bytes, bytes | None] = {}
        """Where rows of emails are put on behalf of them (None: deleted). Nobody reads one of them
        before `close`."""
        self._began = plan.octets
        self.weight = 0
        """About how many octets the rows of threads take so far. A planner that may end anywhere
        adds what it writes itself."""

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

    def read_threads(self, threads: Collection[ThreadId]) -> None:
        """Emails of these are about to change: their rows are read together."""
        unread = [thread for thread in threads if thread not in self._threads]
        held = read_rows(self.plan, self.account, keys.thread_key, unread)
        for thread in unread:
            row = held.get(keys.thread_key(self.account, thread))
            self._threads[thread] = _ThreadEdit(() if row is None else unpack_thread(row).members)

    # --- changes

    @property
    def is_full(self) -> bool:
        """The command weighs about as much as one may: let no more emails change in it."""
        return self.weight >= COMMAND_OCTETS_FULL

    def change(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """The email was `old` (None: it is new) and becomes `new` (None: it is destroyed)."""
        self._emails += 1
        new = _saved(old, new, self.plan.now_ms // 1000)
        if old is not None and new is not None:
            assert (old.id, old.thread) == (new.id, new.thread)
            if _counts_alike(old, new):
                for mailbox, _ in new.mailboxes:
                    self._tally(mailbox).messages_changed = True
            else:
                self._count(old, -1)
                self._count(new, +1)
                self._date(old, new)
                self._join(new.thread, member_of(old), member_of(new))
        elif new is not None:
            self._count(new, +1)
            self._date_all(new)
            self._join(new.thread, None, member_of(new))
        else:
            assert old is not None
            self._count(old, -1)
            self._date(old, None)
            self._join(old.thread, member_of(old), None)
        self._number(old, new)
        self._define(old, new)
        self._log_email(old, new)
        if new is not None:
            self.rows[keys.email_meta_key(self.account, new.id)] = pack(new)
        elif old is not None:
            self.rows[keys.email_meta_key(self.account, old.id)] = None

    def _count(self, meta: EmailMeta, sign: int) -> None:
        for mailbox, _ in meta.mailboxes:
            self._tally(mailbox).add_email(meta, sign)
        self._held += sign
        self.octets += sign * meta.size
        self._deleted += 0 if is_visible(meta) else sign

    def _number(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        kept = () if new is None else new.mailboxes
        for mailbox, uid in () if old is None else old.mailboxes:
            if (mailbox, uid) not in kept:
                self.rows[keys.uid_key(self.account, mailbox, uid)] = None
                self._vanished.setdefault(mailbox, []).append(uid)
        if new is None:
            return
        for place, (mailbox, uid) in enumerate(kept):
            self.rows[keys.uid_key(self.account, mailbox, uid)] = pack(uid_row_at(new, place))

    def _define(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """Note keywords that a message brings into a mailbox."""
        if new is None or COMMON.issuperset(new.keywords):
            return
        if old is None or (old.keywords, old.mailboxes) != (new.keywords, new.mailboxes):
            for mailbox, _ in new.mailboxes:
                self._defined.setdefault(mailbox, set()).update(new.keywords)

    def _date(self, old: EmailMeta, new: EmailMeta | None) -> None:
        before, after = _dated(old), () if new is None else _dated(new)
        if before == after:
            return
        for mailbox in before:
            if mailbox not in after:
                self.rows[keys.date_key(self.account, mailbox, date_place(old), old.id)] = None
        value = pack_u64(old.thread)
        for mailbox in after:
            if mailbox not in before:
                self.rows[keys.date_key(self.account, mailbox, date_place(old), old.id)] = value

    def _date_all(self, new: EmailMeta) -> None:
        place, value = date_place(new), pack_u64(new.thread)
        for mailbox in _dated(new):
            self.rows[keys.date_key(self.account, mailbox, place, new.id)] = value

    def _join(
        self, thread: ThreadId, before: ThreadMember | None, after: ThreadMember | None
    ) -> None:
        if before == after:
            return
        edit = self._thread(thread)
        if not edit.changed:
            edit.changed = True
            self.weight += MEMBER_OCTETS * len(edit.members)
        if after is not None:
            edit.members[after.email] = after
            self.weight += MEMBER_OCTETS
        elif before is not None:
            del edit.members[before.email]

    def _log_email(self, old: EmailMeta | None, new: EmailMeta | None) -> None:
        """For JMAP an email is created and destroyed with its $deleted mark too, and what happens
        to one while it is hidden is for IMAP alone."""
        shown_before = old is not None and is_visible(old)
        shown_after = new is not None and is_visible(new)
        email = new or old
        assert email is not None
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
        changed = [(thread, edit) for thread, edit in self._threads.items() if edit.changed]
        trash = trash_of(self.plan, self.account) if changed else None
        for thread, edit in changed:
            self._close_thread(thread, edit, trash)
        self.plan.write_all(self.rows)
        written = self.plan.octets - self._began
        if self._emails > 1 and written > COMMAND_OCTETS_MAX:
            raise TooManyEmails(f"{self._emails} emails need {written} octets of one batch")
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

    def _close_thread(self, thread: ThreadId, edit: _ThreadEdit, trash: MailboxId | None) -> None:
        after = tuple(edit.members.values())
        if len(after) > 1:
            after = tuple(sorted(after, key=_PLACE_IN_THREAD))
        key = keys.thread_key(self.account, thread)
        self.rows[key] = pack(ThreadRecord(after)) if after else None
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
    if old is None and len(new.mailboxes) == len(new.saved_s) == 1:
        return new  # whoever made it has said so
    known: dict[tuple[MailboxId, int], int] = {}
    if old is not None:
        known = dict(zip(old.mailboxes, old.saved_s or [0] * len(old.mailboxes), strict=True))
    saved_s = tuple([known.get(place, now_s) for place in new.mailboxes])
    return msgspec.structs.replace(new, saved_s=saved_s)


def _dated(meta: EmailMeta) -> tuple[MailboxId, ...]:
    """The mailboxes in whose order by date an email stands: none while it is hidden."""
    if not is_visible(meta):
        return ()
    return (ALL_MAIL, *[mailbox for mailbox, _ in meta.mailboxes])
