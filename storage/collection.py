"""Collection: records of one type in an account, with ids, indexes and the change log.

A new type of data is one declaration. Records are MessagePack arrays: a field may be added at
the end with a default, none is ever removed or moved. Every change moves the account's version
and is logged, so /changes and push come from the same rows.

A record's id is not part of it. Ids count up from 1 and are never given twice.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from storage import changes, keys
from storage.engine import Rows, prefix_end
from storage.ids import AccountId
from storage.indexes import Index, find_all, find_one, index_rows, plan_reindex
from storage.keys import TypeCode
from storage.plan import Plan
from storage.slices import Steps, Wrong, differences, pages
from storage.values import pack_u64, unpack_u64

T = TypeVar("T", bound=msgspec.Struct)

# Records read at a time when all are walked.
PAGE_RECORDS: Final = 256

_ENCODER: Final = msgspec.msgpack.Encoder()


class Missing(KeyError):
    """No record has this id."""


class Collection(Generic[T]):
    """Records of type T under a TypeCode; one instance serves all accounts."""

    def __init__(self, kind: TypeCode, record: type[T], indexes: Sequence[Index[T]] = ()) -> None:
        assert len({index.code for index in indexes}) == len(indexes), "two indexes with one code"
        self.kind: Final = kind
        self._decoder: Final = msgspec.msgpack.Decoder(record)
        self._indexes: Final = tuple(indexes)

    def get(self, rows: Rows, account: AccountId, number: int) -> T | None:
        """The record with this id."""
        held = rows.get(keys.record_key(account, self.kind, number))
        return None if held is None else self._decoder.decode(held)

    def list(
        self, rows: Rows, account: AccountId, *, first: int = 0, limit: int | None = None
    ) -> list[tuple[int, T]]:
        """Ids and records in order of id, from `first`."""
        held = rows.scan(*keys.record_range(account, self.kind, first), limit=limit)
        return [
            (keys.unpack_record_key(key)[1], self._decoder.decode(value)) for key, value in held
        ]

    def walk(self, rows: Rows, account: AccountId) -> Iterator[tuple[int, T]]:
        """All ids and records in order of id, read in pages."""
        first = 0
        while page := self.list(rows, account, first=first, limit=PAGE_RECORDS):
            yield from page
            first = page[-1][0] + 1

    def find(self, rows: Rows, account: AccountId, index: Index[T], value: bytes) -> int | None:
        """The id under `value` in a unique index."""
        return find_one(rows, account, self.kind, index, value)

    def find_all(
        self,
        rows: Rows,
        account: AccountId,
        index: Index[T],
        value: bytes,
        *,
        limit: int | None = None,
    ) -> Sequence[int]:
        """The ids under `value` in an index that is not unique, ascending."""
        return find_all(rows, account, self.kind, index, value, limit=limit)

    def create(self, plan: Plan, account: AccountId, record: T) -> int:
        """Add a record under the next id; raises Taken when a unique index holds one like it."""
        plan.touch(account, self.kind.bit)  # the counter is read under the account's version
        held = plan.get(keys.counter_key(account, self.kind))
        number = 1 if held is None else unpack_u64(held)
        plan.put(keys.counter_key(account, self.kind), pack_u64(number + 1))
        self.create_at(plan, account, number, record)
        return number

    def create_at(self, plan: Plan, account: AccountId, number: int, record: T) -> None:
        """Add a record under an id that the caller gives out (and that is free)."""
        assert self.get(plan, account, number) is None, (self.kind, number)
        changes.record(plan, account, self.kind, created=(number,))
        self._put(plan, account, number, None, record)

    def update(self, plan: Plan, account: AccountId, number: int, record: T) -> None:
        """Replace a record; no change is no new version. Raises Missing, Taken."""
        old = self.get(plan, account, number)
        if old is None:
            raise Missing(number)
        if old == record:
            return
        changes.record(plan, account, self.kind, updated=(number,))
        self._put(plan, account, number, old, record)

    def overlay(self, plan: Plan, account: AccountId, number: int, record: T) -> None:
        """Keep what was changed of a record that is there by itself, with a row or without.

        For a reader of the change log it is updated, also by its first row.
        """
        old = self.get(plan, account, number)
        if old != record:
            changes.record(plan, account, self.kind, updated=(number,))
            self._put(plan, account, number, old, record)

    def destroy(self, plan: Plan, account: AccountId, number: int) -> None:
        """Remove a record and its index rows; raises Missing."""
        old = self.get(plan, account, number)
        if old is None:
            raise Missing(number)
        changes.record(plan, account, self.kind, destroyed=(number,))
        for index in self._indexes:
            plan_reindex(plan, account, self.kind, index, number, old, None)
        plan.delete(keys.record_key(account, self.kind, number))

    def hide(self, plan: Plan, account: AccountId, number: int, record: T) -> None:
        """Destroyed for a reader of the change log, but kept, as `record`, until it is erased.

        Only a type without indexes has hidden records, and its readers leave them out.
        """
        assert not self._indexes, self.kind
        self.destroy(plan, account, number)
        self._put(plan, account, number, None, record)

    def replace_hidden(self, plan: Plan, account: AccountId, number: int, record: T | None) -> None:
        """Change a hidden record, or erase it (None), which is no change to a reader of the log."""
        assert self.get(plan, account, number) is not None, (self.kind, number)
        plan.touch(account, 0)
        if record is None:
            plan.delete(keys.record_key(account, self.kind, number))
        else:
            self._put(plan, account, number, None, record)

    def recount_in_steps(self, rows: Rows, account: AccountId) -> Steps[Wrong]:
        """Where the index rows are not what the records give, or an id was not given out."""
        should: dict[bytes, bytes] = {}
        last = 0
        for page in pages(rows, keys.record_range(account, self.kind)):
            for key, value in page:
                last = keys.unpack_record_key(key)[1]
                record = self._decoder.decode(value)
                for index in self._indexes:
                    should |= index_rows(account, self.kind, index, last, record)
            yield
        held = rows.get(keys.counter_key(account, self.kind))
        wrong: Wrong = []
        if held is not None and unpack_u64(held) <= last:
            wrong.append(f"{self.kind.name} {last} is not below the next, {unpack_u64(held)}")
        for index in self._indexes:
            prefix = keys.index_prefix(account, self.kind, index.code)
            due = {key: value for key, value in should.items() if key.startswith(prefix)}
            window = prefix, prefix_end(prefix)
            wrong += yield from differences(f"index {index.name}", rows, window, due)
        return wrong

    def _put(self, plan: Plan, account: AccountId, number: int, old: T | None, new: T) -> None:
        for index in self._indexes:
            plan_reindex(plan, account, self.kind, index, number, old, new)
        plan.put(keys.record_key(account, self.kind, number), _ENCODER.encode(new))
