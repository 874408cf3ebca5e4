"""The replicated rows as one stream, and their hash: what nodes that applied alike agree on.

`StateDigest` is the hash of a live node's rows, account by account so that nodes which differ can
say where. It freezes the engine for as long as a thread reads it once.
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from storage import keys
from storage.engine import Engine, Row
from storage.ids import AccountId

# Rows read at a time: no iterator of the engine stays open between pages.
PAGE_ROWS: Final = 512
HASH_BYTES: Final = 32
# Rows hashed in one step of a digest: a few milliseconds of a thread's time.
STEP_ROWS: Final = 2_048
DIGEST_BYTES: Final = 16

_LENGTHS: Final = struct.Struct(">II")


def replicated_rows(engine: Engine) -> Iterator[Row]:
    """Every replicated row in order of key. Nothing may be applied while this is read."""
    start, end = keys.REPLICATED_RANGE
    while page := engine.scan(start, end, limit=PAGE_ROWS):
        yield from page
        start = page[-1][0] + b"\x00"


def state_hash(engine: Engine) -> bytes:
    """One hash over every replicated row, lengths included."""
    total = blake2b(digest_size=HASH_BYTES)
    for key, value in replicated_rows(engine):
        hash_row(total, key, value)
    return total.digest()


def hash_row(total: blake2b, key: bytes, value: bytes) -> None:
    """Add one row to a hash over rows."""
    total.update(_LENGTHS.pack(len(key), len(value)) + key + value)


class StateDigest:
    """A hash for each account of the rows as they are now, and one over all of those."""

    def __init__(self, engine: Engine) -> None:
        self._frozen = engine.freeze()
        self._next, self._end = keys.REPLICATED_RANGE
        self._account: AccountId | None = None
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self.accounts: dict[AccountId, bytes] = {}
        self.rows = 0
        self.blobs = 0
        """How many blobs are whole."""
        self._blobs_range = keys.blobs_range(b"B")
        self._is_closed = False

    def step(self) -> bool:
        """Hash one page; False when that was the last. Blocks: for a thread."""
        page = self._frozen.scan(self._next, self._end, limit=STEP_ROWS)
        for key, value in page:
            account = keys.account_of(key)
            if account != self._account:
                self._settle()
                self._account = account
            hash_row(self._hash, key, value)
            if self._blobs_range[0] <= key < self._blobs_range[1]:
                self.blobs += 1
        self.rows += len(page)
        if len(page) == STEP_ROWS:
            self._next = page[-1][0] + b"\x00"
            return True
        self._settle()
        return False

    def _settle(self) -> None:
        if self._account is not None:
            self.accounts[self._account] = self._hash.digest()
        self._hash = blake2b(digest_size=DIGEST_BYTES)

    @property
    def total(self) -> bytes:
        """One hash for all."""
        whole = blake2b(digest_size=DIGEST_BYTES)
        for account, digest in self.accounts.items():
            hash_row(whole, keys.account_prefix(account), digest)
        return whole.digest()

    def close(self) -> None:
        """Let the engine go on; a second time changes nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._frozen.close()
