"""Rows of several emails at once. They mostly came one after the other, and so do their numbers:
going through a range costs a sixth of asking for each row of it."""

from collections.abc import Callable, Collection
from typing import Final, TypeVar

from storage.engine import Rows
from storage.ids import AccountId

# Rows in a range for each one wanted, up to which one range read is cheaper than many point reads.
SPARSE_MAX: Final = 4
# Emails whose rows are read ahead together: some 3 KB each, and those between them.
WINDOW_EMAILS: Final = 64


N = TypeVar("N", bound=int)


def read_rows(
    rows: Rows,
    account: AccountId,
    key_of: Callable[[AccountId, N], bytes],
    numbers: Collection[N],
) -> dict[bytes, bytes]:
    """The rows that are there of these numbers, by key; `key_of` keeps their order."""
    if not numbers:
        return {}
    first, last = min(numbers), max(numbers)
    if len(numbers) > 1 and last - first < SPARSE_MAX * len(numbers):
        found = dict(rows.scan(key_of(account, first), key_of(account, last) + b"\x00"))
        wanted = {key_of(account, number) for number in numbers}
        if len(wanted) > last - first:
            return found  # no others are between
        return {key: value for key, value in found.items() if key in wanted}
    held = ((key, rows.get(key)) for key in {key_of(account, number): None for number in numbers})
    return {key: value for key, value in held if value is not None}
