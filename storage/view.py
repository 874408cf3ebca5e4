"""View: reads at one applied index.

A View holds no LevelDB snapshot. Batches apply on the same event loop as reads run, so a function
that never awaits sees one state; one that awaits between reads compares the account's version
before it goes on (`mail.state.version`). `index` says how much of the log the reader was
promised to see, not that nothing newer is visible.
"""

from typing import Protocol

from msgspec import Struct

from storage.engine import Row


class Source(Protocol):
    """Where a View reads: an engine, or whatever stands for the current one."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end in key order, or from the end back; at most `limit`."""

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""


class View(Struct, frozen=True, gc=False):
    """A read handle given out after a read barrier, or locally."""

    engine: Source
    index: int

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        return self.engine.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end in key order, or from the end back; at most `limit`."""
        return self.engine.scan(start, end, reverse=reverse, limit=limit)

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""
        return self.engine.scan_keys(start, end, limit=limit)
