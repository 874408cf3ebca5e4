"""Rows of many emails, or many mailboxes, at once, for a page of a list.

Ids are given out in order of arrival, so what a list shows together mostly lies together. One
range read of neighbours costs a fifth of as many point reads; ids that are far apart are read
one by one.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, EmailId, MailboxId
from storage.keys import TypeCode
from storage.mail.records import (
    EmailMeta,
    EmailView,
    Mailbox,
    MailboxCounts,
    unpack_counts,
    unpack_mailbox,
    unpack_meta,
    unpack_view,
)

T = TypeVar("T")
N = TypeVar("N", bound=int)

# A range is read when it holds at most so many ids for each one wanted: passing a row over costs
# about a fifth of a point read, and a list view is larger than it looks.
SPARSE_MAX: Final = 3
# Fewer are read one by one: opening a range costs as much as some point reads.
RANGE_ROWS_MIN: Final = 6


def read_metas(
    rows: Rows, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, EmailMeta]:
    """The emails that are there, by id, also those marked $deleted."""
    return _read(rows, account, emails, keys.email_meta_key, unpack_meta)


def read_meta_rows(
    rows: Rows, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, bytes]:
    """The same as they are packed: equal rows tell the same of the same email."""
    return _read(rows, account, emails, keys.email_meta_key, bytes)


def read_views(
    rows: Rows, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, EmailView]:
    """The emails that are there as lists show them, by id."""
    return _read(rows, account, emails, keys.email_view_key, unpack_view)


def read_mailbox_page(
    rows: Rows, account: AccountId, mailboxes: Sequence[MailboxId]
) -> dict[MailboxId, tuple[Mailbox, MailboxCounts]]:
    """The mailboxes that are there with what they hold, by id."""
    records = _read(rows, account, mailboxes, _mailbox_key, unpack_mailbox)
    counts = _read(rows, account, mailboxes, keys.mailbox_counts_key, unpack_counts)
    return {number: (record, counts[number]) for number, record in records.items()}


def _mailbox_key(account: AccountId, mailbox: MailboxId) -> bytes:
    return keys.record_key(account, TypeCode.MAILBOX, mailbox)


def _read(
    rows: Rows,
    account: AccountId,
    numbers: Sequence[N],
    key_of: Callable[[AccountId, N], bytes],
    unpack: Callable[[bytes], T],
) -> dict[N, T]:
    found: dict[N, T] = {}
    if len(numbers) < RANGE_ROWS_MIN or not _close(numbers):
        for number in numbers:
            held = rows.get(key_of(account, number))
            if held is not None:
                found[number] = unpack(held)
        return found
    first, last = key_of(account, min(numbers)), key_of(account, max(numbers))
    # These keys end with the number: taking that off costs less than making a key for each.
    page = {key[-8:]: value for key, value in rows.scan(first, last + b"\x00")}
    for number in numbers:
        held = page.get(number.to_bytes(8, "big"))
        if held is not None:
            found[number] = unpack(held)
    return found


def _close(numbers: Sequence[int]) -> bool:
    return max(numbers) - min(numbers) < SPARSE_MAX * len(numbers)
