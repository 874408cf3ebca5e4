"""Judging whole states at rest: rows against rows, blobs against the hashes that name them."""

from collections.abc import Iterator
from itertools import islice

from storage import keys
from storage.blobs import BlobDamaged, BlobStore
from storage.dump import replicated_rows
from storage.engine import Engine
from storage.ids import BLOB_ID_BYTES, BlobId, blob_id
from storage.values import unpack_u64

# So many differing keys are told, and so much of each value.
DIFFERENCES_MAX = 8
VALUE_BYTES_MAX = 48


def differences(one: Engine, other: Engine) -> list[str]:
    """12: the first replicated keys whose rows are not equal, in order of key."""
    differing = (
        f"{key.hex()}: {_told(left)} / {_told(right)}"
        for key, left, right in _merged(one, other)
        if left != right
    )
    return list(islice(differing, DIFFERENCES_MAX))


def _merged(one: Engine, other: Engine) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    lefts, rights = replicated_rows(one), replicated_rows(other)
    left, right = next(lefts, None), next(rights, None)
    while left is not None or right is not None:
        key = min(row[0] for row in (left, right) if row is not None)
        left_value = left[1] if left is not None and left[0] == key else None
        right_value = right[1] if right is not None and right[0] == key else None
        yield key, left_value, right_value
        left = next(lefts, None) if left_value is not None else left
        right = next(rights, None) if right_value is not None else right


def _told(value: bytes | None) -> str:
    if value is None:
        return "no row"
    more = "..." if len(value) > VALUE_BYTES_MAX else ""
    return f"{value[:VALUE_BYTES_MAX].hex()}{more} ({len(value)} bytes)"


def damaged_blobs(engine: Engine, blobs: BlobStore) -> list[str]:
    """26: whole blobs whose bytes do not have the hash that names them."""
    wrong = []
    for key, size in engine.scan(*keys.blobs_range(b"B")):
        blob = BlobId(key[-BLOB_ID_BYTES:])
        try:
            data = blobs.read(blob, 0, unpack_u64(size))
        except BlobDamaged as error:
            wrong.append(str(error))
        else:
            if blob_id(data) != blob:
                wrong.append(f"{blob.hex()} has other bytes")
    return wrong
