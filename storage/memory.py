"""The engine in memory: a dict and its keys in order. For tests, simulation and small tools.

It passes the contract tests of the LevelDB engine. `survivors` lets a test cut the power: it is
what a disk would hold if only writes up to the last synced one had reached it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from storage.engine import EngineRefused, OnDamage, Row, untold


class MemoryEngine:
    """An ordered map of bytes to bytes with atomic batches, held in this process."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._values: dict[bytes, bytes] = dict(rows)
        self._order: list[bytes] = sorted(self._values)
        self._synced: dict[bytes, bytes] = dict(self._values)
        self._unsynced: dict[bytes, bytes | None] = {}
        self._closed = False
        self._damage = ""
        self.condemned = ""
        """Why these rows are not to be believed; nothing while they are."""
        self.on_damage: OnDamage = untold
        """Told of damage before EngineRefused is raised."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        self._check_open()
        return self._values.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows with start <= key < end, in key order (or from the end back), at most `limit`."""
        self._check_open()
        low, high = bisect_left(self._order, start), bisect_left(self._order, end)
        if limit is not None and high - low > limit:
            low, high = (high - limit, high) if reverse else (low, low + limit)
        keys = self._order[low:high]
        if reverse:
            keys.reverse()
        return [(key, self._values[key]) for key in keys]

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> list[bytes]:
        """The keys alone of rows with start <= key < end in key order; at most `limit`."""
        return [key for key, _ in self.scan(start, end, limit=limit)]

    def write(
        self, puts: Iterable[Row], deletes: Iterable[bytes] = (), *, sync: bool = False
    ) -> None:
        """Put and delete atomically; `sync` makes all writes so far survive a power cut."""
        self._check_open()
        for key, value in puts:
            if key not in self._values:
                insort(self._order, key)
            self._values[key] = self._unsynced[key] = bytes(value)
        for key in deletes:
            if self._values.pop(key, None) is not None:
                del self._order[bisect_left(self._order, key)]
            self._unsynced[key] = None
        if sync:
            self._sync()

    def _sync(self) -> None:
        for key, value in self._unsynced.items():
            if value is None:
                self._synced.pop(key, None)
            else:
                self._synced[key] = value
        self._unsynced.clear()

    def survivors(self) -> dict[bytes, bytes]:
        """The rows that are sure to be there after a power cut now."""
        return dict(self._synced)

    def rows(self) -> dict[bytes, bytes]:
        """All rows: what is there after this process alone has died."""
        return dict(self._values)

    def freeze(self) -> "MemoryEngine":
        """A copy: whoever uses this engine has few rows."""
        self._check_open()
        return MemoryEngine(self._values.items())

    def scrub(self, start: bytes, rows: int) -> bytes | None:
        """Pass over so many rows from `start`; where to go on, or None at the end."""
        self._check_open()
        page = self._order[bisect_left(self._order, start) :][:rows]
        return page[-1] + b"\x00" if len(page) == rows else None

    def damage(self, reason: str) -> None:
        """From now on every read finds damage, as of a bad disk."""
        self._damage = reason

    def condemn(self, reason: str) -> None:
        """Remember that these rows are not to be believed."""
        self.condemned = reason

    def close(self) -> None:
        """Nothing may be called afterwards."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the engine is closed")
        if self._damage:
            self.condemn(self._damage)
            self.on_damage(self._damage)
            raise EngineRefused(self._damage)
