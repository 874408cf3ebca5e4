"""IMAP's numbering: UIDs and what each names, what changed, what vanished (RFC 9051 2.3.1).

A UID is the mailbox's `uidnext` when a message came in: strictly ascending, never given twice.
UIDVALIDITY is drawn per account from a counter that starts at the account's creation second, so
no two mailboxes of an account share one and an account made anew starts above. MODSEQ is the
account's version of the command that changed the message (RFC 7162 3.1).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from storage import changes, keys
from storage.changes import ChangeRow
from storage.engine import Row, Rows
from storage.ids import AccountId, EmailId, MailboxId, Version
from storage.keys import TypeCode
from storage.mail.counts import read_counts
from storage.mail.records import (
    AccountState,
    UidRow,
    unpack_meta,
    unpack_uid_row,
)

# RFC 9051 2.3.1.1: nz-number, 32 bits.
UID_MAX: Final = 2**32 - 1
# Rows read at a time where a reader walks many.
SCAN_ROWS: Final = 1_000
# To look up an email that changed, and its row, costs as much as to walk past so many.
WALKED_ROWS: Final = 5

_unpack_change: Final = msgspec.msgpack.Decoder(ChangeRow).decode


def draw_uidvalidity(state: AccountState, now_ms: int) -> tuple[int, AccountState]:
    """The next UIDVALIDITY and the counters after it; the first is the second it is drawn in."""
    drawn = state.next_uidvalidity
    if state.next_mailbox == 1:
        drawn = max(drawn, min(now_ms // 1000, UID_MAX // 2))
    assert 1 <= drawn <= UID_MAX, "an account has used up its UIDVALIDITYs"
    return drawn, msgspec.structs.replace(state, next_uidvalidity=drawn + 1)


def uid_row(rows: Rows, account: AccountId, mailbox: MailboxId, uid: int) -> UidRow | None:
    """The message with this UID."""
    held = rows.get(keys.uid_key(account, mailbox, uid))
    return None if held is None else unpack_uid_row(held)


def uid_rows(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId,
    first_uid: int = 1,
    last_uid: int = UID_MAX,
    limit: int | None = None,
) -> list[tuple[int, UidRow]]:
    """The messages with first_uid <= UID <= last_uid, ascending, at most `limit`."""
    found = packed_uid_rows(rows, account, mailbox, first_uid, last_uid, limit)
    return list(zip(*unpack_uid_rows(found), strict=True))


def packed_uid_rows(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId,
    first_uid: int,
    last_uid: int,
    limit: int | None = None,
) -> Sequence[Row]:
    """The same with their keys, as they are stored."""
    start, end = keys.uid_range(account, mailbox, first_uid, last_uid)
    return rows.scan(start, end, limit=limit)


def unpack_uid_rows(packed: Sequence[Row]) -> tuple[list[int], list[UidRow]]:
    """UIDs and rows of such."""
    uids = keys.unpack_uids([key for key, _ in packed])
    return uids, [unpack_uid_row(value) for _, value in packed]


def vanished(rows: Rows, account: AccountId, mailbox: MailboxId, since: int) -> list[int]:
    """UIDs that left the mailbox after `since`, ascending; raises changes.TooOld."""
    return changes.vanished(rows, account, mailbox, since)


def changed(
    rows: Rows, account: AccountId, mailbox: MailboxId, since: int
) -> list[tuple[int, UidRow]]:
    """Messages of the mailbox with a MODSEQ above `since`, ascending (RFC 7162 3.1.4.1).

    Costs what has changed in the account since then, or a walk of the mailbox where that is less
    or the change log no longer reaches back.
    """
    try:
        now = changes.check_reach(rows, account, since)
    except changes.TooOld:
        return _changed_by_walk(rows, account, mailbox, since)
    emails = _changed_emails(rows, account, since, now)
    counts = read_counts(rows, account, mailbox)
    if counts is None or counts.emails < WALKED_ROWS * len(emails):
        return _changed_by_walk(rows, account, mailbox, since)
    found: dict[int, UidRow] = {}
    for email in sorted(emails):
        held = rows.get(keys.email_meta_key(account, email))
        if held is None:
            continue
        for holder, uid in unpack_meta(held).mailboxes:
            row = uid_row(rows, account, mailbox, uid) if holder == mailbox else None
            if row is not None and row.modseq > since:
                found[uid] = row
    return sorted(found.items(), key=lambda item: item[0])


def _changed_emails(rows: Rows, account: AccountId, since: int, now: Version) -> set[EmailId]:
    """Every email the log names. Not the folded answer of `changes.since`: an email that JMAP saw
    come and go by its $deleted mark folds away there, and here it has changed."""
    emails: set[EmailId] = set()
    for kind in (TypeCode.EMAIL, TypeCode.HIDDEN_EMAIL):
        start, end = keys.change_range(account, kind, since, now)
        while page := rows.scan(start, end, limit=SCAN_ROWS):
            for _, value in page:
                row = _unpack_change(value)
                for ids in (row.created, row.updated, row.counted, row.destroyed):
                    emails.update(EmailId(number) for number in ids)
            start = page[-1][0] + b"\x00"
    return emails


def _changed_by_walk(
    rows: Rows, account: AccountId, mailbox: MailboxId, since: int
) -> list[tuple[int, UidRow]]:
    found: list[tuple[int, UidRow]] = []
    first = 1
    while page := uid_rows(rows, account, mailbox, first, limit=SCAN_ROWS):
        found += [(uid, row) for uid, row in page if row.modseq > since]
        first = page[-1][0] + 1
        if first > UID_MAX:
            break
    return found
