"""Looking for damage where nobody reads: pages of blob parts held against their checksums.

The parts of a page are read in the order in which they lie in their segments. The rows of the
page are read where batches apply, the bytes may be read in a thread, so a part may have moved in
between: whoever acts on what was found looks at its row again (`still_damaged`). Rows of the
engine are scrubbed by the engine itself (storage/engine.py).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from storage import keys, local_keys
from storage.batch import BLOB_PART_BYTES_MAX
from storage.blobs import BlobStore, Place, matches, unpack_place
from storage.engine import Rows
from storage.ids import BlobId
from storage.segments import SegmentFiles
from storage.values import unpack_u64


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a blob and where it should be; no place: the row that says so is gone."""

    blob: BlobId
    offset: int
    place: Place | None


def parts_page(rows: Rows, start: bytes, limit: int) -> tuple[list[Part], bytes | None]:
    """The next parts of all blobs, in the order of their bytes on disk; and where to go on."""
    held = rows.scan(start, local_keys.PLACES_RANGE[1], limit=limit)
    parts = [Part(*local_keys.unpack_place_key(key), unpack_place(value)) for key, value in held]
    return in_order(parts), held[-1][0] + b"\x00" if len(held) == limit else None


def parts_of(rows: Rows, blob: BlobId) -> list[Part]:
    """Every part that a whole blob has, in order; none when it is not whole here."""
    total = rows.get(keys.blob_key(blob))
    if total is None:
        return []
    found = []
    for offset in range(0, max(unpack_u64(total), 1), BLOB_PART_BYTES_MAX):
        held = rows.get(local_keys.place_key(blob, offset))
        found.append(Part(blob, offset, None if held is None else unpack_place(held)))
    return found


def parts_here(rows: Rows, blob: BlobId) -> list[Part]:
    """The parts of a blob that is not whole, as far as they came; none once it is collected."""
    window = local_keys.place_key(blob, 0), local_keys.place_key(blob, keys.U64_MAX)
    held = [
        Part(*local_keys.unpack_place_key(key), unpack_place(value))
        for key, value in rows.scan(*window)
    ]
    return [part for part in held if is_named(rows, part.blob, part.offset)]


def is_named(rows: Rows, blob: BlobId, offset: int) -> bool:
    """Do the replicated rows say that this part is here: if not, its place means nothing."""
    if rows.get(keys.blob_key(blob)) is not None:
        return True
    return rows.get(keys.blob_part_key(blob, offset)) is not None


def in_order(parts: Sequence[Part]) -> list[Part]:
    """As they lie in the segments."""
    return sorted(
        parts, key=lambda part: (part.place.segment, part.place.position) if part.place else (0, 0)
    )


def right_bytes(files: SegmentFiles, part: Part) -> bytes | None:
    """The bytes of a part if they are what was written. May run in a thread."""
    if part.place is None:
        return None
    data = files.read(part.place.segment, part.place.position, part.place.length)
    return data if matches(part.place, data) else None


def damaged_parts(files: SegmentFiles, parts: Sequence[Part]) -> list[Part]:
    """Those whose bytes are not what was written. May run in a thread."""
    return [part for part in parts if right_bytes(files, part) is None]


def has_its_name(files: SegmentFiles, parts: Sequence[Part]) -> bool:
    """Whether all parts of a blob together hash to its name. May run in a thread."""
    digest = hashlib.sha256()
    for part in parts:
        if part.place is not None:
            place = part.place
            digest.update(files.read(place.segment, place.position, place.length))
    return bool(parts) and digest.digest() == parts[0].blob


def still_damaged(rows: Rows, blobs: BlobStore, part: Part) -> bool:
    """Whether the part is damaged where its row says now that it is, and is one at all."""
    if not is_named(rows, part.blob, part.offset):
        return False  # it was collected
    place = blobs.place(part.blob, part.offset)
    return place is None or not blobs.intact(place)
