"""Declared indexes of a Collection: rows derived from a record, kept in step with it.

An index maps a record to the byte strings it is found under. A unique index holds the id at the
string itself, and taking a string expects it free; the others put the id behind the string.
Indexed strings are escaped, so that one never sorts inside the range of another.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from storage import keys
from storage.engine import Rows, prefix_end
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

T = TypeVar("T")


class Taken(Exception):
    """Another record holds a string of a unique index; `holder` is its id."""

    def __init__(self, name: str, value: bytes, holder: int) -> None:
        super().__init__(f"{name} {value!r} is held by {holder}")
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Index(Generic[T]):
    """One index of a type. `code` is on disk: never reused. `values` may give the same twice."""

    code: int
    name: str
    values: Callable[[T], Iterable[bytes]]
    unique: bool = False


def _escape(value: bytes) -> bytes:
    """Order-preserving and self-ending: 00 becomes 00 ff, and 00 01 ends."""
    return value.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _row_key(
    account: AccountId, kind: TypeCode, index: Index[T], value: bytes, number: int
) -> bytes:
    key = keys.index_prefix(account, kind, index.code) + _escape(value)
    return key if index.unique else key + pack_u64(number)


def plan_reindex(
    plan: Plan,
    account: AccountId,
    kind: TypeCode,
    index: Index[T],
    number: int,
    old: T | None,
    new: T | None,
) -> None:
    """Move a record's rows of one index from what `old` gives to what `new` does; or Taken."""
    before = set() if old is None else set(index.values(old))
    after = set() if new is None else set(index.values(new))
    for value in sorted(after - before):
        key = _row_key(account, kind, index, value, number)
        if index.unique:
            plan.expect(key)
            held = plan.get(key)
            if held is not None:
                raise Taken(index.name, value, unpack_u64(held))
        plan.put(key, pack_u64(number))
    for value in sorted(before - after):
        plan.delete(_row_key(account, kind, index, value, number))


def index_rows(
    account: AccountId, kind: TypeCode, index: Index[T], number: int, record: T
) -> dict[bytes, bytes]:
    """The rows that a record has in an index."""
    return {
        _row_key(account, kind, index, value, number): pack_u64(number)
        for value in index.values(record)
    }


def find_one(
    rows: Rows, account: AccountId, kind: TypeCode, index: Index[T], value: bytes
) -> int | None:
    """The record that holds `value` in a unique index."""
    assert index.unique, index.name
    held = rows.get(_row_key(account, kind, index, value, 0))
    return None if held is None else unpack_u64(held)


def find_all(
    rows: Rows,
    account: AccountId,
    kind: TypeCode,
    index: Index[T],
    value: bytes,
    *,
    limit: int | None = None,
) -> list[int]:
    """Ids of the records under `value`, ascending."""
    prefix = keys.index_prefix(account, kind, index.code) + _escape(value)
    return [unpack_u64(held) for _, held in rows.scan(prefix, prefix_end(prefix), limit=limit)]
