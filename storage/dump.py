"""The replicated rows as one stream, and their hash: what nodes that applied alike agree on."""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from storage import keys
from storage.engine import Engine, Row

# Rows read at a time: no iterator of the engine stays open between pages.
PAGE_ROWS: Final = 512
HASH_BYTES: Final = 32

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
