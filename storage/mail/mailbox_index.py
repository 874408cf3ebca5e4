"""MailboxIndex: a mailbox's UIDs in order, each with its email, in two compact arrays.

IMAP's sequence numbers are places in this order, and counting them in the database would read
the whole mailbox at every SELECT. An index is made once by a walk of the mailbox and brought
forward from the log of vanished UIDs and the rows behind its last UID, for UIDs only ascend.

An index never changes: what is brought forward is another, so a session may keep the one whose
numbers it has told its client (RFC 9051 7.5.1) as long as it likes.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from storage import changes, keys
from storage.engine import Rows
from storage.ids import AccountId, EmailId, MailboxId, Version
from storage.mail.counts import read_counts
from storage.mail.errors import MailboxNotFound
from storage.mail.uids import UID_MAX
from storage.plan import Plan

# Rows read at a time.
SCAN_ROWS: Final = 4_096
# What an index costs beside its arrays, about: two arrays, the object, its place in the cache.
OVERHEAD_BYTES: Final = 400


class _EmailOfUidRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first field of a UidRow: the rest is not decoded."""

    email: EmailId


_email_of: Final = msgspec.msgpack.Decoder(_EmailOfUidRow).decode


@dataclass(frozen=True, slots=True)
class MailboxIndex:
    """The messages of a mailbox as `version` left them (`MailboxCounts.modseq` of then).

    `uids` are strictly ascending; `emails[n]` is the email of `uids[n]`. Nobody writes to them.
    """

    version: Version
    uids: "array[int]"
    emails: "array[int]"

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.uids)

    def place(self, uid: int) -> int | None:
        """Where a UID stands, from 0 (its sequence number less one); None: it is not there."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else None

    @property
    def bytes_held(self) -> int:
        """What the index takes of a cache's bound."""
        return len(self.uids) * (self.uids.itemsize + self.emails.itemsize) + OVERHEAD_BYTES


class MailboxIndexes:
    """The indexes used last, as many as fit `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        self._held: OrderedDict[tuple[AccountId, MailboxId], MailboxIndex] = OrderedDict()
        self._bytes = 0

    def get(self, rows: Rows, account: AccountId, mailbox: MailboxId) -> MailboxIndex:
        """The mailbox as `rows` show it; raises MailboxNotFound.

        What a Plan shows may never come to be, so an index read through one is not kept.
        """
        name = (account, mailbox)
        held = self._held.get(name)
        counts = read_counts(rows, account, mailbox)
        if counts is None:
            if held is not None and not isinstance(rows, Plan):
                self._forget(name)
            raise MailboxNotFound(f"no mailbox {mailbox}")
        if held is None or held.version != counts.modseq:
            index = _read(rows, account, mailbox, counts.modseq, held)
        else:
            index = held
        assert len(index) == counts.emails, (account, mailbox, len(index), counts)
        if not isinstance(rows, Plan):
            self._keep(name, index)
        return index

    @property
    def bytes_held(self) -> int:
        """What all indexes take together, never over the bound."""
        return self._bytes

    def _keep(self, name: tuple[AccountId, MailboxId], index: MailboxIndex) -> None:
        self._forget(name)
        if index.bytes_held > self._max_bytes:
            return
        self._held[name] = index
        self._bytes += index.bytes_held
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._held)))

    def _forget(self, name: tuple[AccountId, MailboxId]) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self._bytes -= held.bytes_held


def _read(
    rows: Rows,
    account: AccountId,
    mailbox: MailboxId,
    version: Version,
    base: MailboxIndex | None,
) -> MailboxIndex:
    uids, emails = array("I"), array("Q")
    if base is not None and base.version < version:
        try:
            gone = changes.vanished(rows, account, mailbox, base.version)
        except changes.TooOld:
            pass  # the log was trimmed past our base: read the mailbox
        else:
            uids, emails = _without(base, gone)
    first = 1 if not uids else uids[-1] + 1
    while first <= UID_MAX:
        page = rows.scan(*keys.uid_range(account, mailbox, first), limit=SCAN_ROWS)
        uids.extend(keys.unpack_uids([key for key, _ in page]))
        emails.extend([_email_of(value).email for _, value in page])
        if len(page) < SCAN_ROWS:
            break
        first = uids[-1] + 1
    return MailboxIndex(version, uids, emails)


def _without(base: MailboxIndex, gone: list[int]) -> "tuple[array[int], array[int]]":
    """Copies of the base's arrays without the UIDs in `gone`, in runs between them."""
    if not gone:
        return base.uids[:], base.emails[:]
    uids, emails = array("I"), array("Q")
    start = 0
    for uid in gone:
        at = base.place(uid)
        if at is None:
            continue  # came and went since
        uids += base.uids[start:at]
        emails += base.emails[start:at]
        start = at + 1
    uids += base.uids[start:]
    emails += base.emails[start:]
    return uids, emails
