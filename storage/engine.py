"""What the store asks of a key-value engine: point reads, short range reads, one atomic write.

Keys and values are bytes; keys sort as bytes and are never empty. Reads are synchronous and see
every batch written before them. Range reads are materialised: no iterator outlives a call, because
LevelDB loses newer versions of a key when a compaction runs under a long-lived iterator (its fix
13e3c4e is in no release that Debian or plyvel ship). The one exception is `freeze`: a state
transfer needs one moment, is read from it as fast as the disk can, and verified by count and hash.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

Row = tuple[bytes, bytes]


class StorageFailed(OSError):
    """The disk under the rows failed: an error of input or output, no room, no permission."""


class EngineRefused(Exception):
    """The engine's files are damaged: the directory must be moved aside and rebuilt."""


OnDamage = Callable[[str], None]
"""Told what is wrong with an engine; perhaps from another thread."""


def untold(reason: str) -> None:
    """Nobody listens: whoever reads is told by EngineRefused, and the next start rebuilds."""


class Frozen(Protocol):
    """The rows as they were at one moment. Keep it short: see the top of this file."""

    def get(self, key: bytes) -> bytes | None:
        """The value that was at `key`, or None."""

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end as they were, in key order or back; at most `limit`."""

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end as they were; at most `limit`."""

    def close(self) -> None:
        """Let the engine drop what only this has held."""


class Engine(Protocol):
    """An ordered map of bytes to bytes with atomic batches."""

    on_damage: OnDamage
    """Told of damage before a reader gets EngineRefused: not every one passes it on."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end, in key order (or from the end back), at most `limit`."""

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""

    def write(
        self,
        puts: Iterable[Row],
        deletes: Iterable[bytes] = (),
        *,
        sync: bool = False,
    ) -> None:
        """Put and delete atomically; a key is in at most one of the two.

        `sync` makes this write, and all before it, durable before it returns.
        """

    def freeze(self) -> Frozen:
        """The rows as they are now, for a state transfer; writes go on beside it."""

    def scrub(self, start: bytes, rows: int) -> bytes | None:
        """Read so many rows from `start` for their checksums alone, past all caches.

        Returns where to go on; None at the end. May run in a thread.
        """

    def condemn(self, reason: str) -> None:
        """These rows are not to be believed: the next opening refuses them."""

    def close(self) -> None:
        """Release the files; nothing may be called afterwards."""


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all that start with `prefix` (which must hold a byte under 0xff)."""
    trimmed = prefix.rstrip(b"\xff")
    assert trimmed, "an all-0xff prefix has no end"
    return trimmed[:-1] + bytes((trimmed[-1] + 1,))


class Rows(Protocol):
    """What a reading function needs: an engine, a View and a Plan all give it."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Sequence[Row]:
        """Rows with start <= key < end in key order, or from the end back; at most `limit`."""

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> Sequence[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""
