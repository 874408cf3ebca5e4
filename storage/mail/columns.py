"""Columns: what an account's emails are filtered and sorted by, each fact in one array.

A query with a condition on the emails themselves must look at each of them; reading a hundred
thousand rows for it takes seconds, passing over arrays milliseconds. Columns are read once, a
page at a time so that other tasks run between, and brought forward from the change log.

An email's slot is its place in order of ids, which are given out ascending: new ones are appended,
and one that goes leaves a slot that is dead, also while it is marked $deleted. Which emails meet
a condition is a `Flags`: one octet, 0 or 1, for each slot, as one large number, so that AND, OR
and NOT are one operation each.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import compress
from sys import byteorder
from typing import Final

from storage import keys
from storage.changes import TooOld, since
from storage.engine import Rows, prefix_end
from storage.ids import AccountId, EmailId, MailboxId, Version
from storage.keys import TypeCode
from storage.mail.pages import read_metas
from storage.mail.records import (
    LIST_PROPERTIES,
    EmailMeta,
    is_visible,
    unpack_meta,
    unpack_view,
)
from storage.mail.state import version

# Rows read, or changes taken in, between two pauses: about two milliseconds.
PAGE_ROWS: Final = 1_024
# Dead slots and groups of no one may be as many as what lives, and so many more, before all is
# read anew.
WASTE_MAX: Final = 1_000
# So few slots are put in order by sorting them; more are met on the way along the order of all.
SORTED_MAX: Final = 2_000
# What a slot and a group cost, about: to keep the cache within its bound.
SLOT_BYTES: Final = 57
GROUP_BYTES: Final = 600

Flags = int
Group = tuple[tuple[str, ...], tuple[MailboxId, ...]]
"""Keywords and mailboxes: mail has few combinations of them."""

_ATTACHED: Final = LIST_PROPERTIES.index("hasAttachment")
_SENT: Final = LIST_PROPERTIES.index("sentAt")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# An email without a Date sorts before all that have one.
NO_DATE: Final = -(2**62)


class Columns:
    """One account's emails. Nobody but this class writes to the arrays."""

    def __init__(self, account: AccountId) -> None:
        self.account: Final = account
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.version = Version(0)
        self._skip = 0
        self._loading: int | None = 0  # the next email id to read
        self.emails: array[int] = array("Q")
        self.threads: array[int] = array("Q")
        self.received: array[int] = array("q")
        self.sizes: array[int] = array("Q")
        self._size_classes = bytearray()
        self._group_of: array[int] = array("I")
        self._alive = bytearray()
        self._dead = 0
        self._ascending = True
        """Emails came in order of receivedAt, as they mostly do: then slots are that order."""
        self._by_date: array[int] = array("I")
        """The slots that live, by receivedAt, then id."""
        self._groups: dict[Group, int] = {}
        self._attached = bytearray()
        self.sent: array[int] = array("q")

    # --- being up to date

    def advance(self, rows: Rows) -> bool:
        """Take in a page of what is not known yet; True: the columns are as `rows` are."""
        if self._loading is not None:
            self._load_page(rows, self._loading)
            return False
        if self._wasteful():
            self._begin_anew()
            return False
        if self.version == version(rows, self.account) and not self._skip:
            return True
        try:
            found = since(
                rows, self.account, TypeCode.EMAIL, self.version, PAGE_ROWS, skip=self._skip
            )
        except TooOld:
            self._begin_anew()
            return False
        changed = [EmailId(number) for number in (*found.created, *found.updated)]
        metas = read_metas(rows, self.account, changed)
        for number in sorted(metas):
            if not self._put(metas[number]):
                self._begin_anew()
                return False
        for gone in (*found.destroyed, *set(changed).difference(metas)):
            self._kill(gone)
        self.version, self._skip = found.new_version, found.new_skip
        return not found.has_more

    def _load_page(self, rows: Rows, first: int) -> None:
        if first == 0:
            self.version = version(rows, self.account)
        end = prefix_end(keys.email_meta_key(self.account, EmailId(0))[:-8])
        page = rows.scan(keys.email_meta_key(self.account, EmailId(first)), end, limit=PAGE_ROWS)
        for _, value in page:
            self._append(unpack_meta(value))
        if len(page) == PAGE_ROWS:
            self._loading = self.emails[-1] + 1
            return
        self._loading = None
        alive = [slot for slot, lives in enumerate(self._alive) if lives]
        self._by_date = array("I", sorted(alive, key=self.received.__getitem__))

    def _wasteful(self) -> bool:
        living = len(self.emails) - self._dead
        return max(self._dead, len(self._groups)) > living + WASTE_MAX

    def _append(self, meta: EmailMeta) -> None:
        if self.received and meta.received_ms < self.received[-1]:
            self._ascending = False
        self.emails.append(meta.id)
        self.threads.append(meta.thread)
        self.received.append(meta.received_ms)
        self.sizes.append(meta.size)
        self._size_classes.append(_size_class(meta.size))
        self._group_of.append(self._group(meta))
        lives = is_visible(meta)
        self._alive.append(lives)
        self._dead += not lives

    def _group(self, meta: EmailMeta) -> int:
        name = (meta.keywords, tuple(mailbox for mailbox, _ in meta.mailboxes))
        return self._groups.setdefault(name, len(self._groups))

    def _put(self, meta: EmailMeta) -> bool:
        """An email as it is now; False: there is no slot for it where it would have to be."""
        slot = bisect_left(self.emails, meta.id)
        if slot == len(self.emails):
            self._append(meta)
            if self._alive[slot]:
                self._place(slot)
            return True
        if self.emails[slot] != meta.id:
            return False
        self._group_of[slot] = self._group(meta)
        if is_visible(meta) and not self._alive[slot]:
            self._alive[slot] = 1
            self._dead -= 1
            self._place(slot)
        elif not is_visible(meta):
            self._kill(meta.id)
        return True

    def _kill(self, email: int) -> None:
        slot = bisect_left(self.emails, email)
        if slot < len(self.emails) and self.emails[slot] == email and self._alive[slot]:
            self._alive[slot] = 0
            self._dead += 1
            self._by_date.pop(self._rank(slot))

    def _place(self, slot: int) -> None:
        self._by_date.insert(self._rank(slot), slot)

    def _rank(self, slot: int) -> int:
        place = (self.received[slot], slot)
        return bisect_left(self._by_date, place, key=lambda at: (self.received[at], at))

    def advance_views(self, rows: Rows) -> bool:
        """The same for what views tell: `attached` and `sent`. Views never change."""
        first = len(self._attached)
        if first == len(self.emails):
            return True
        slots = range(first, min(first + PAGE_ROWS, len(self.emails)))
        start = keys.email_view_key(self.account, EmailId(self.emails[slots[0]]))
        last = keys.email_view_key(self.account, EmailId(self.emails[slots[-1]]))
        page = dict(rows.scan(start, last + b"\x00"))
        for slot in slots:
            held = page.get(keys.email_view_key(self.account, EmailId(self.emails[slot])))
            json = None if held is None else unpack_view(held).json
            self._attached.append(json is not None and json[_ATTACHED] == b"true")
            self.sent.append(NO_DATE if json is None else _moment(json[_SENT]))
        return slots[-1] + 1 == len(self.emails)

    # --- asking

    def __len__(self) -> int:
        """How many slots there are."""
        return len(self.emails)

    @property
    def bytes_held(self) -> int:
        """What the columns take of a cache's bound."""
        return len(self.emails) * SLOT_BYTES + len(self._groups) * GROUP_BYTES

    def all(self) -> Flags:
        """Every email that JMAP shows."""
        return int.from_bytes(self._alive, "little")

    def octets(self, flags: Flags) -> bytes:
        """One octet a slot: what a loop over slots asks."""
        return flags.to_bytes(len(self.emails), "little")

    def where_group(self, test: Callable[[Group], bool]) -> Flags:
        """Emails whose keywords and mailboxes meet a test, which is made once for each group."""
        met = [test(group) for group in self._groups]
        if len(met) <= 256:
            # The low octet of each number is all of it, and one table turns them into flags.
            table = bytes(met).ljust(256, b"\x00")
            octets, width = self._group_of.tobytes(), self._group_of.itemsize
            lowest = octets[::width] if byteorder == "little" else octets[width - 1 :: width]
            return self._flags(lowest.translate(table))
        return self._flags(bytes([met[group] for group in self._group_of]))

    def where_sized(self, low: int, high: int) -> Flags:
        """Emails of which low <= size < high: mostly their class tells."""
        if low >= high:
            return 0
        first, last = _size_class(low), _size_class(high - 1)
        inside = bytes([first < number < last for number in range(256)])
        found = bytearray(self._size_classes.translate(inside))
        unsure = bytes([number in (first, last) for number in range(256)])
        sizes = self.sizes
        for slot in compress(range(len(sizes)), self._size_classes.translate(unsure)):
            found[slot] = low <= sizes[slot] < high
        return self._flags(found)

    def where_received(self, low: int, high: int) -> Flags:
        """Emails of which low <= receivedAt < high."""
        order: Sequence[int] = self._by_date
        if self._ascending:
            order = range(len(self.emails))
        first = bisect_left(order, low, key=self.received.__getitem__)
        last = max(first, bisect_left(order, high, key=self.received.__getitem__))
        if self._ascending:
            return self._flags(b"\x00" * first + b"\x01" * (last - first))
        # Marked one by one, those inside or those outside, whichever are fewer.
        is_few = last - first < len(order) - (last - first)
        found = bytearray(len(self.emails)) if is_few else bytearray(b"\x01" * len(self.emails))
        for part in [order[first:last]] if is_few else [order[:first], order[last:]]:
            for slot in part:
                found[slot] = is_few
        return self._flags(found)

    def where_attached(self) -> Flags:
        """Emails with an attachment; `advance_views` must have ended."""
        return self._flags(self._attached)

    def where_thread(self, threads: Collection[int]) -> Flags:
        """Emails of these threads."""
        return self._flags(bytes([thread in threads for thread in self.threads]))

    def where_email(self, emails: Iterable[int]) -> Flags:
        """These emails, those that are there."""
        found = bytearray(len(self.emails))
        for email in emails:
            slot = bisect_left(self.emails, email)
            if slot < len(self.emails) and self.emails[slot] == email:
                found[slot] = 1
        return self._flags(found)

    def threads_of(self, flags: Flags) -> set[int]:
        """The threads of these emails."""
        octets = self.octets(flags)
        return {thread for thread, met in zip(self.threads, octets, strict=True) if met}

    def _flags(self, octets: bytes | bytearray) -> Flags:
        return int.from_bytes(octets, "little") & self.all()

    def in_order(self, flags: Flags, *, newest_first: bool) -> Iterator[int]:
        """The slots of these emails, by receivedAt, then by id, from either end. Until the next
        pause."""
        octets = self.octets(flags)
        if self._ascending:
            if newest_first:
                return compress(range(len(octets) - 1, -1, -1), octets[::-1])
            return compress(range(len(octets)), octets)
        if count(flags) <= SORTED_MAX:
            slots = sorted(compress(range(len(octets)), octets), key=self.received.__getitem__)
            return reversed(slots) if newest_first else iter(slots)
        order = reversed(self._by_date) if newest_first else iter(self._by_date)
        return (slot for slot in order if octets[slot])

    def count_threads(self, flags: Flags) -> int:
        """In how many threads these emails are."""
        return len(set(compress(self.threads, self.octets(flags))))


def _size_class(size: int) -> int:
    """An octet that never falls as sizes grow, of which there are eight for each doubling."""
    if size < 8:
        return size
    bits = size.bit_length()
    return min((bits - 3) * 8 + (size >> (bits - 4) & 7), 255)


def _moment(json: bytes) -> int:
    """Milliseconds since 1970 of a sentAt, which is JSON."""
    if json == b"null":
        return NO_DATE
    moment = datetime.fromisoformat(json[1:-1].decode())
    return int((moment - _EPOCH).total_seconds() * 1000)


def count(flags: Flags) -> int:
    """How many emails."""
    return flags.bit_count()


class ColumnCache:
    """The columns used last, as many as fit `max_bytes`; those in use stay with who uses them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        self._held: OrderedDict[AccountId, Columns] = OrderedDict()

    def get(self, account: AccountId) -> Columns:
        """The account's columns, perhaps with nothing in them yet."""
        held = self._held.pop(account, None) or Columns(account)
        self._held[account] = held
        return held

    def trim(self) -> None:
        """Forget those used longest ago until the rest fits."""
        while self._held and self.bytes_held > self._max_bytes:
            self._held.popitem(last=False)

    @property
    def bytes_held(self) -> int:
        """What all columns take together."""
        return sum(held.bytes_held for held in self._held.values())
