"""Rendered envelopes and structures of many emails at once.

Emails that came in together have neighbouring ids, so a page of a mailbox is mostly one range of
rows: iterating costs a fifth of getting them one by one. The list JSON beside them is stepped
over and not decoded.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, EmailId

T = TypeVar("T")
Key = Callable[[AccountId, EmailId], bytes]

# A range may hold this many times the rows wanted and still be cheaper than single reads.
SPARSE_MAX: Final = 2
# From so many on a range is worth opening.
RANGE_ROWS_MIN: Final = 6


class ImapView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The fields of storage.mail.records.EmailView that IMAP shows."""

    renderer: int
    json: msgspec.Raw
    envelope: bytes
    bodystructure: bytes


decode_view: Final = msgspec.msgpack.Decoder(ImapView).decode


def read_views(
    rows: Rows,
    account: AccountId,
    emails: Sequence[EmailId],
    decode: Callable[[bytes], T],
    key: Key = keys.email_view_key,
) -> dict[EmailId, T]:
    """The views of these emails (or what `key` names of them), as `decode` reads them; those that
    are gone are left out."""
    if len(emails) >= RANGE_ROWS_MIN:
        first, last = min(emails), max(emails)
        if last - first < SPARSE_MAX * len(emails):
            return _read_range(rows, account, first, last, decode, key)
    found: dict[EmailId, T] = {}
    for email in emails:
        held = rows.get(key(account, email))
        if held is not None:
            found[email] = decode(held)
    return found


def _read_range(
    rows: Rows,
    account: AccountId,
    first: EmailId,
    last: EmailId,
    decode: Callable[[bytes], T],
    key_of: Key,
) -> dict[EmailId, T]:
    found = rows.scan(key_of(account, first), key_of(account, EmailId(last + 1)))
    emails = map(EmailId, keys.unpack_numbers([key for key, _ in found]))
    return dict(zip(emails, [decode(value) for _, value in found], strict=True))
