"""Long reading in short steps: a generator that yields wherever others may run in between.

Whoever drives one reads a consistent whole only if nothing changed meanwhile; for an account, its
version says so. `at_once` drives one to its end in one go.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec

from storage.engine import Row, Rows
from storage.keys import KeyRange

T = TypeVar("T")
Steps = Generator[None, None, T]
Wrong = list[str]
"""Differences, in words."""

# Rows read, or records looked at, between two places where others may run: about a millisecond.
STEP_ROWS: Final = 256
# Differences told of one thing; after these one knows enough.
DIFFERENCES_MAX: Final = 50


def at_once(steps: Steps[T]) -> T:
    """The result, without a pause."""
    try:
        while True:
            next(steps)
    except StopIteration as done:
        result: T = done.value
        return result


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Items in lists of at most STEP_ROWS."""
    left = iter(items)
    while portion := list(islice(left, STEP_ROWS)):
        yield portion


def pages(rows: Rows, window: KeyRange) -> Iterator[Sequence[Row]]:
    """The rows between two keys, STEP_ROWS at a time."""
    start, end = window
    while page := rows.scan(start, end, limit=STEP_ROWS):
        yield page
        start = page[-1][0] + b"\x00"


def differences(
    name: str,
    rows: Rows,
    window: KeyRange,
    should: dict[bytes, bytes],
    *,
    written_now: Callable[[bytes], bytes] = bytes,
) -> Steps[list[str]]:
    """What is held between two keys where it is not what should be, in words. Uses up `should`.

    `written_now` is a row as today's code writes it, of one that an older version may have written.
    """
    wrong: list[str] = []
    for page in pages(rows, window):
        for key, value in page:
            due = should.pop(key, None)
            if due != value and not _is_older(value, due, written_now):
                wrong.append(_told(name, key, value, due))
        if len(wrong) > DIFFERENCES_MAX:
            return wrong
        yield
    wrong += [_told(name, key, None, value) for key, value in should.items()]
    return sorted(wrong)


def _is_older(value: bytes, due: bytes | None, written_now: Callable[[bytes], bytes]) -> bool:
    """The row says what it should, in the form of an older version."""
    try:
        return due is not None and written_now(value) == due
    except msgspec.DecodeError:
        return False  # no row of ours


def _told(name: str, key: bytes, held: bytes | None, due: bytes | None) -> str:
    return f"{name} {key.hex()}: {held!r} is held, should be {due!r}"
