"""Reading emails: by id, by UID, by date, by thread."""

from collections.abc import Iterable, Iterator

from storage import blob_links, keys
from storage.engine import Rows
from storage.ids import AccountId, BlobId, EmailId, MailboxId, ThreadId
from storage.mail.ledger import ALL_MAIL, date_place
from storage.mail.neighbours import SPARSE_MAX, read_rows
from storage.mail.records import (
    EmailMeta,
    EmailView,
    ThreadRecord,
    UidRow,
    is_visible,
    unpack_meta,
    unpack_thread,
    unpack_view,
)
from storage.mail.uids import UID_MAX, uid_row, uid_rows
from storage.values import unpack_u64

__all__ = [
    "ALL_MAIL",
    "UID_MAX",
    "by_date",
    "date_place",
    "email_view",
    "holds_blob",
    "meta",
    "metas_at",
    "parts",
    "thread",
    "uid_row",
    "uid_rows",
    "visible_meta",
]

DateRow = tuple[int, EmailId, ThreadId]
"""Milliseconds received, email, thread; the first two name a place in an order by date."""


def meta(rows: Rows, account: AccountId, email: EmailId) -> EmailMeta | None:
    """The email with this id, also one marked $deleted."""
    held = rows.get(keys.email_meta_key(account, email))
    return None if held is None else unpack_meta(held)


def visible_meta(rows: Rows, account: AccountId, email: EmailId) -> EmailMeta | None:
    """The email with this id, for a JMAP client: none that is marked $deleted."""
    found = meta(rows, account, email)
    return found if found is not None and is_visible(found) else None


def metas_at(
    rows: Rows, account: AccountId, mailbox: MailboxId, uids: Iterable[int]
) -> list[tuple[int, EmailMeta]]:
    """The emails that are the mailbox's messages with these UIDs, ascending; UIDs that name
    nothing are passed over."""
    named = [(uid, row.email) for uid, row in _rows_at(rows, account, mailbox, sorted(set(uids)))]
    metas = read_rows(rows, account, keys.email_meta_key, {email for _, email in named})
    return [(uid, unpack_meta(metas[keys.email_meta_key(account, email)])) for uid, email in named]


def _rows_at(
    rows: Rows, account: AccountId, mailbox: MailboxId, uids: list[int]
) -> Iterator[tuple[int, UidRow]]:
    """The rows of ascending UIDs: one range read where they are close together."""
    if len(uids) > 1 and uids[-1] - uids[0] < SPARSE_MAX * len(uids):
        wanted = set(uids)
        for uid, row in uid_rows(rows, account, mailbox, uids[0], uids[-1]):
            if uid in wanted:
                yield uid, row
        return
    for uid in uids:
        found = uid_row(rows, account, mailbox, uid)
        if found is not None:
            yield uid, found


def email_view(rows: Rows, account: AccountId, email: EmailId) -> EmailView | None:
    """The email as lists show it."""
    held = rows.get(keys.email_view_key(account, email))
    return None if held is None else unpack_view(held)


def parts(rows: Rows, account: AccountId, email: EmailId) -> bytes | None:
    """The email's packed part tree."""
    return rows.get(keys.email_parts_key(account, email))


def thread(rows: Rows, account: AccountId, thread: ThreadId) -> ThreadRecord | None:
    """The thread as JMAP shows it: without emails marked $deleted; None when all are."""
    held = rows.get(keys.thread_key(account, thread))
    if held is None:
        return None
    shown = tuple(member for member in unpack_thread(held).members if not member.deleted)
    return ThreadRecord(shown) if shown else None


def by_date(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId,
    *,
    newest_first: bool,
    after: tuple[int, EmailId] | None = None,
    limit: int | None,
) -> list[DateRow]:
    """A mailbox's emails (ALL_MAIL: the account's) in order of receivedAt, then of id.

    Emails marked $deleted are in no such order. `after` is the (received_ms, email) of the row
    to go on behind.
    """
    start, end = keys.date_range(account, mailbox)
    if after is not None:
        place = keys.date_key(account, mailbox, *after)
        start, end = (start, place) if newest_first else (place + b"\x00", end)
    found: list[DateRow] = []
    for key, value in rows.scan(start, end, reverse=newest_first, limit=limit):
        _, received_ms, email = keys.unpack_date_key(key)
        found.append((received_ms, email, ThreadId(unpack_u64(value))))
    return found


def holds_blob(rows: Rows, account: AccountId, blob: BlobId) -> bool:
    """Whether anything of the account links the blob: then it may read it."""
    return blob_links.holds(rows, account, blob)
