"""Plan: commands gather what they expect, put and delete, and read their own writes.

A planner is a pure function `command(plan) -> result`. Several commands of one account may share
a plan and become one batch; each runs inside `Plan.command()`, which takes back all it put when
it raises, so a refused command leaves no trace in its neighbours' batch.

Each command that changes an account moves that account's version by one (`Plan.touch`): two
commands never share a version, or a client told of one would miss the other. The version row is
expected as read, so plans made on the same state conflict at apply and are planned again.
"""

import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from storage.batch import Announce, Batch, BlobPart, Expect, ProposalId
from storage.engine import Row, Rows
from storage.ids import AccountId, BlobId, Version
from storage.keys import version_key
from storage.values import pack_u64, unpack_u64

# Small rows that a plan has read are kept while it is made: counters and mailboxes are read by
# several parts of a command, and by each command of a batch. At most 256 KiB.
READS_KEPT_MAX: Final = 1_024
READ_BYTES_MAX: Final = 256

_Undo = bytes | tuple[bytes, bytes | None]
"""A key that was not written before, or one and what it was written with."""


class Plan:
    """One batch in the making, over a consistent view."""

    def __init__(self, rows: Rows, *, now_ms: int, chance: random.Random) -> None:
        self._rows = rows
        self._writes: dict[bytes, bytes | None] = {}
        self._order: list[bytes] = []  # keys of _writes, sorted, for range reads and the batch ...
        self._unsorted: list[bytes] = []  # ... and those that were written since it was
        self._expects: dict[bytes, bytes | None] = {}
        self._read: dict[bytes, bytes | None] = {}  # what commands read and do not depend on
        self._undo: list[_Undo] = []
        self._versions: dict[AccountId, Version] = {}
        self._touched: dict[AccountId, int] = {}  # this command's accounts and changed types
        self._announced: dict[AccountId, int] = {}
        self._told: dict[AccountId, int] = {}  # accounts that hear of this, though not changed
        self.linked: list[BlobId] = []
        """Blobs that the running command, or the last, gave a holder (storage/blob_links.py)."""
        self.octets = 0
        """Bytes of the rows this plan writes, without their framing: what bounds a batch."""
        self.now_ms = now_ms
        """Wall clock, milliseconds since 1970, drawn once for the whole plan."""
        self.chance = chance
        """Where planners draw random values from."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` as this plan leaves it."""
        if key in self._writes:
            return self._writes[key]
        if key in self._expects:
            return self._expects[key]  # nothing is applied while a plan is made
        if key in self._read:
            return self._read[key]
        value = self._rows.get(key)
        if len(self._read) < READS_KEPT_MAX and (value is None or len(value) <= READ_BYTES_MAX):
            self._read[key] = value
        return value

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Sequence[Row]:
        """Rows with start <= key < end as this plan leaves them."""
        order = self._sorted()
        low, high = bisect_left(order, start), bisect_left(order, end)
        if high <= low:
            return self._rows.scan(start, end, reverse=reverse, limit=limit)
        # The plan may have deleted as many rows as it touches here; ask for that many more.
        more = None if limit is None else limit + (high - low)
        merged = dict(self._rows.scan(start, end, reverse=reverse, limit=more))
        complete = more is None or len(merged) < more
        edge = None if complete else (min(merged) if reverse else max(merged))
        for key in order[low:high]:
            value = self._writes[key]
            if value is None:
                merged.pop(key, None)
            elif edge is None or (key >= edge if reverse else key <= edge):
                merged[key] = value
        return sorted(merged.items(), reverse=reverse)[:limit]

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> Sequence[bytes]:
        """The keys alone of rows with start <= key < end as this plan leaves them."""
        return [key for key, _ in self.scan(start, end, limit=limit)]

    def put(self, key: bytes, value: bytes) -> None:
        """Leave `value` at `key`."""
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Leave nothing at `key`."""
        self._write(key, None)

    def write_all(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Put (None: delete) many rows at once, at a fraction of the cost of one by one."""
        if self._writes.keys().isdisjoint(rows):
            self._undo += rows
            self._unsorted += rows
            self._writes.update(rows)
            self.octets += sum(map(len, rows)) + sum([len(row) for row in rows.values() if row])
        else:
            for key, value in rows.items():
                self._write(key, value)

    def _write(self, key: bytes, value: bytes | None) -> None:
        writes = self._writes
        length = 0 if value is None else len(value)
        if key in writes:
            before = writes[key]
            self._undo.append((key, before))
            self.octets += length - len(before or b"")
        else:
            self._undo.append(key)
            self._unsorted.append(key)
            self.octets += len(key) + length
        writes[key] = value

    def expect(self, key: bytes) -> bytes | None:
        """Read `key` and make the batch depend on what the view holds there."""
        if key not in self._expects:
            self._expects[key] = self._read[key] if key in self._read else self._rows.get(key)
        return self._writes[key] if key in self._writes else self._expects[key]

    def version(self, account: AccountId) -> Version:
        """The account's version as this plan leaves it."""
        if account not in self._versions:
            held = self.get(version_key(account))
            return Version(0 if held is None else unpack_u64(held))
        return self._versions[account]

    def touch(self, account: AccountId, types: int) -> Version:
        """This command changes `types` (a bit mask of TypeCode bits) of `account`.

        Returns the version that the command's changes carry; the first call of a command moves it.
        """
        touched = self._touched
        if account in touched:
            touched[account] |= types
            return self._versions[account]
        key = version_key(account)
        held = self.expect(key)
        version = Version(1 if held is None else unpack_u64(held) + 1)
        self._versions[account] = version
        self._write(key, pack_u64(version))
        touched[account] = types
        return version

    def tell(self, account: AccountId, types: int) -> None:
        """Wake whoever waits for news of `account`, whose own rows and version stay as they are:
        what this command changed of another's concerns it."""
        self._told[account] = self._told.get(account, 0) | types

    def command(self) -> "_Command":
        """Run one command; if it raises, the plan is as it was before."""
        return _Command(self)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Part of a command that may be refused alone: if it raises, it has put nothing.

        One object of a JMAP /set among others (RFC 8620 5.3). What it put shares the command's
        version, and is taken back with it.
        """
        mark, versions, touched = len(self._undo), dict(self._versions), dict(self._touched)
        told = dict(self._told)
        linked = len(self.linked)
        try:
            yield
        except BaseException:
            self._take_back(mark)
            self._versions, self._touched, self._told = versions, touched, told
            del self.linked[linked:]
            raise

    def _take_back(self, mark: int) -> None:
        while len(self._undo) > mark:
            undo = self._undo.pop()
            if isinstance(undo, bytes):
                self.octets -= len(undo) + len(self._writes.pop(undo) or b"")
                self._forget(undo)
            else:
                key, value = undo
                self.octets += len(value or b"") - len(self._writes[key] or b"")
                self._writes[key] = value

    def _sorted(self) -> list[bytes]:
        """The keys of what is written, in order: sorted when they are asked for."""
        if self._unsorted:
            self._order += self._unsorted
            self._order.sort()  # what was sorted is one run: this merges
            self._unsorted.clear()
        return self._order

    def _forget(self, key: bytes) -> None:
        """A key is written no more; they are taken back in the reverse of their order."""
        if self._unsorted:
            assert self._unsorted[-1] == key
            self._unsorted.pop()
        else:
            del self._order[bisect_left(self._order, key)]

    @property
    def empty(self) -> bool:
        """Nothing to write: no batch need be proposed."""
        return not self._writes

    def batch(self, pid: ProposalId, ack_below: int, blobs: Sequence[BlobPart] = ()) -> Batch:
        """The batch of all commands that ran to their end."""
        writes, order = self._writes, self._sorted()
        puts = tuple([(key, value) for key in order if (value := writes[key]) is not None])
        return Batch(
            pid,
            ack_below,
            tuple([Expect(key, value) for key, value in self._expects.items()]),
            puts,
            tuple([key for key in order if writes[key] is None]) if len(puts) < len(order) else (),
            tuple(blobs),
            tuple(
                [
                    Announce(account, self.version(account), types)
                    for account, types in self._announced.items()
                ]
            ),
        )


class _Command:
    """One command of a plan under way: a class, since every write of the cluster enters one."""

    __slots__ = ("_expects", "_mark", "_plan", "_versions", "wrote")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.wrote = False
        """It ran to its end and put or deleted something."""

    def __enter__(self) -> "_Command":
        plan = self._plan
        self._mark, self._expects = len(plan._undo), len(plan._expects)
        self._versions = dict(plan._versions)
        plan._touched, plan._told, plan.linked = {}, {}, []
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        plan = self._plan
        if kind is None:
            announced = plan._announced
            for account, types in plan._touched.items():
                announced[account] = announced.get(account, 0) | types
            for account, types in plan._told.items():
                announced[account] = announced.get(account, 0) | types
            self.wrote = len(plan._undo) > self._mark
            del plan._undo[self._mark :]  # it stays
        else:
            plan._take_back(self._mark)
            plan._versions = self._versions
            plan._expects = dict(list(plan._expects.items())[: self._expects])
        plan._touched, plan._told = {}, {}
