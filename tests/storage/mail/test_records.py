"""Rows are MessagePack arrays: those written before a field was added still read."""

import msgspec
import pytest

from storage.ids import EmailId, MailboxId, ThreadId, Version, blob_id
from storage.mail import records
from storage.mail.records import (
    AccountState,
    EmailMeta,
    EmailView,
    MailboxCounts,
    ThreadMember,
    UidRow,
    is_unread,
    pack,
    unpacker,
)

META = EmailMeta(
    EmailId(1), ThreadId(2), blob_id(b"b"), 3, 4, (), ((MailboxId(5), 6),), Version(7), Version(8)
)


@pytest.mark.parametrize(
    ("record", "fields_then"),
    [
        (AccountState(2, 3, 4, 5, 6, 7), 6),
        (MailboxCounts(2, 1), 2),
        (ThreadMember(5, EmailId(1), True, (MailboxId(2),)), 4),
        (EmailView(1, (b"null",), b"()", b"()"), 4),
        (UidRow(EmailId(1), (), Version(2), 3, 4), 5),
        (META, 9),
    ],
)
def test_a_row_from_before_a_field_was_added_reads(
    record: msgspec.Struct, fields_then: int
) -> None:
    fields = msgspec.msgpack.decode(pack(record))
    assert len(fields) >= fields_then
    old = msgspec.msgpack.encode(fields[:fields_then])
    assert unpacker(type(record))(old) == record


def test_a_row_reads_as_it_was_written() -> None:
    row = UidRow(EmailId(2**40), ("$seen",), Version(9), 3, -5)
    assert records.unpack_uid_row(pack(row)) == row


@pytest.mark.parametrize(
    ("keywords", "unread"),
    [((), True), (("$seen",), False), (("$draft",), False), (("$deleted", "work"), True)],
)
def test_unread_is_neither_seen_nor_draft(keywords: tuple[str, ...], unread: bool) -> None:
    assert is_unread(keywords) is unread
