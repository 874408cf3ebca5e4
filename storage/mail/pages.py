"""Rows of many emails at once, for a page of a list.

Ids are given out in order of arrival, so what a list shows together mostly lies together. One
range read of neighbours costs a fifth of as many point reads; ids that are far apart are read
one by one.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, EmailId
from storage.mail.records import EmailMeta, EmailView, unpack_meta, unpack_view

T = TypeVar("T")

# A range is read when it holds at most so many ids for each one wanted: passing a row over costs
# about a fifth of a point read, and a list view is larger than it looks.
SPARSE_MAX: Final = 3
# Fewer are read one by one: opening a range costs as much as some point reads.
RANGE_EMAILS_MIN: Final = 6


def read_metas(
    rows: Rows, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, EmailMeta]:
    """The emails that are there, by id, also those marked $deleted."""
    return _read(rows, account, emails, keys.email_meta_key, unpack_meta)


def read_views(
    rows: Rows, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, EmailView]:
    """The emails that are there as lists show them, by id."""
    return _read(rows, account, emails, keys.email_view_key, unpack_view)


def _read(
    rows: Rows,
    account: AccountId,
    emails: Sequence[EmailId],
    key_of: Callable[[AccountId, EmailId], bytes],
    unpack: Callable[[bytes], T],
) -> dict[EmailId, T]:
    found: dict[EmailId, T] = {}
    if len(emails) < RANGE_EMAILS_MIN or not _close(emails):
        for email in emails:
            held = rows.get(key_of(account, email))
            if held is not None:
                found[email] = unpack(held)
        return found
    first, last = key_of(account, min(emails)), key_of(account, max(emails))
    page = dict(rows.scan(first, last + b"\x00"))
    for email in emails:
        held = page.get(key_of(account, email))
        if held is not None:
            found[email] = unpack(held)
    return found


def _close(emails: Sequence[EmailId]) -> bool:
    return max(emails) - min(emails) < SPARSE_MAX * len(emails)
