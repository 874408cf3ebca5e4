"""MailboxIndex: a mailbox's UIDs in order, in a compact array.

IMAP's sequence numbers are places in this order, and counting them in the database would read
the whole mailbox at every SELECT. An index is made once by a walk of the mailbox, a page at a
time so that other tasks run between, and brought forward from the log of vanished UIDs and the
rows behind its last UID, for UIDs only ascend.

An index never changes: what is brought forward is another, so a session may keep the one whose
numbers it has told its client (RFC 9051 7.5.1) as long as it likes.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage import changes, keys
from storage.engine import Rows
from storage.ids import AccountId, MailboxId, Version
from storage.mail.counts import read_counts
from storage.mail.errors import MailboxNotFound
from storage.mail.uids import UID_MAX
from storage.plan import Plan

# Rows whose keys are read at a time, between two pauses: about two milliseconds.
SCAN_ROWS: Final = 4_096
# What an index costs beside its array, about: the array, the object, its place in the cache.
OVERHEAD_BYTES: Final = 300


@dataclass(frozen=True, slots=True)
class MailboxIndex:
    """The messages of a mailbox as `version` left them (`MailboxCounts.modseq` of then).

    `uids` are strictly ascending. Nobody writes to them.
    """

    version: Version
    uids: "array[int]"

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
        return len(self.uids) * self.uids.itemsize + OVERHEAD_BYTES


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

    def warm(self, rows: Rows, account: AccountId, mailbox: MailboxId) -> Iterator[None]:
        """Read an index that is not held, a page with each step, so that `get` finds it.

        `rows` may change between two steps: what came then is behind the last UID, and what went
        is in the log from the version at which this began.
        """
        counts = read_counts(rows, account, mailbox)
        if counts is None or (account, mailbox) in self._held:
            return
        uids = array("I")
        while _read_page(rows, account, mailbox, uids):
            yield
        now = read_counts(rows, account, mailbox)
        if now is None:
            return
        index = MailboxIndex(counts.modseq, uids)
        if now.modseq != counts.modseq:
            index = _read(rows, account, mailbox, now.modseq, index)
        self._keep((account, mailbox), index)

    def offer(
        self, account: AccountId, mailbox: MailboxId, version: Version, uids: "array[int]"
    ) -> "array[int]":
        """UIDs that a reader has brought forward himself; returns those that all share."""
        held = self._held.get((account, mailbox))
        if held is None or held.version < version:
            self._keep((account, mailbox), MailboxIndex(version, uids))
        elif held.version == version:
            assert len(held) == len(uids), (account, mailbox, version)
            return held.uids
        return uids

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
    uids = array("I")
    if base is not None and base.version < version:
        try:
            gone = changes.vanished(rows, account, mailbox, base.version)
        except changes.TooOld:
            pass  # the log was trimmed past our base: read the mailbox
        else:
            uids = _without(base, gone)
    while _read_page(rows, account, mailbox, uids):
        pass
    return MailboxIndex(version, uids)


def _read_page(rows: Rows, account: AccountId, mailbox: MailboxId, uids: "array[int]") -> bool:
    """Append the UIDs behind the last one, a page of them; False: there are no more."""
    first = 1 if not uids else uids[-1] + 1
    if first > UID_MAX:
        return False
    page = rows.scan_keys(*keys.uid_range(account, mailbox, first), limit=SCAN_ROWS)
    uids.extend(keys.unpack_uids(page))
    return len(page) == SCAN_ROWS


def _without(base: MailboxIndex, gone: list[int]) -> "array[int]":
    """A copy of the base's array without the UIDs in `gone`, in runs between them."""
    if not gone:
        return base.uids[:]
    uids = array("I")
    start = 0
    for uid in gone:
        at = base.place(uid)
        if at is None:
            continue  # came and went since
        uids += base.uids[start:at]
        start = at + 1
    uids += base.uids[start:]
    return uids
