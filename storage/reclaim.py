"""Room that comes back: segments of which little is in use are emptied and removed. This node's
own affair: what is in use, the replicated rows say (storage/collecting.py).

    survey    every place row held against the rows: is the part named, and in which segment is it
    drop      place rows of parts that nothing names are deleted; what they meant is dead
    move      the other parts of a segment that is mostly dead are appended to the segment in use;
              synced; then their rows, by one synced write
    look      no row refers to the segment any more
    remove    after a checkpoint of all that was applied when that was seen

A kill between any two leaves parts that are twice there, or a segment that nothing refers to: the
next survey finds both. LevelDB may lose a file of its log before the last one, hence the synced
write: rows that are in it are in the file that was synced. What a crash takes back of replicated
rows is after the checkpoint, so no row that comes back refers to what was removed.

Rows of moved parts are written beside apply. Should apply write one of them anew meanwhile, for a
blob that was forgotten and came again, either place has the same bytes: their name says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from storage import keys, local_keys
from storage.batch import BlobPart
from storage.blobs import BlobStore, Place, unpack_place
from storage.engine import Engine, Row, Rows
from storage.ids import BlobId
from storage.scrub import Part, is_named, right_bytes
from storage.segments import SegmentFiles
from storage.slices import STEP_ROWS
from storage.values import unpack_u64

MIB: Final = 1024 * 1024

# A segment is emptied when this part of it is dead: what is moved is no more than what comes back.
DEAD_PART: Final = 2
# With little room on the disk, when this part of it is.
DEAD_PART_PRESSED: Final = 8
# The segment in use is left early for so much.
DEAD_BYTES_MIN: Final = 1 * MIB
# Moved together: read in one go of a thread, and synced.
MOVE_OCTETS: Final = 4 * MIB
MOVE_PARTS_MAX: Final = 512


class Held(NamedTuple):
    """A place row and whether the replicated rows name its part."""

    key: bytes
    value: bytes
    place: Place
    is_named: bool

    @property
    def part(self) -> Part:
        """The part that is there."""
        return Part(*local_keys.unpack_place_key(self.key), self.place)


def page(rows: Rows, start: bytes) -> tuple[list[Held], bytes | None]:
    """The next place rows, and where to go on."""
    held = rows.scan(start, local_keys.PLACES_RANGE[1], limit=STEP_ROWS)
    if not held:
        return [], None
    first, last = (local_keys.unpack_place_key(held[end][0])[0] for end in (0, -1))
    whole = {key[-32:] for key, _ in rows.scan(keys.blob_key(first), keys.blob_key(last) + b"\x00")}
    found = []
    for key, value in held:
        blob, offset = local_keys.unpack_place_key(key)
        named = blob in whole or rows.get(keys.blob_part_key(blob, offset)) is not None
        found.append(Held(key, value, unpack_place(value), named))
    return found, held[-1][0] + b"\x00" if len(held) == STEP_ROWS else None


@dataclass(frozen=True, slots=True)
class Segment:
    """What a survey has found of one."""

    number: int
    octets: int
    live: int

    @property
    def dead(self) -> int:
        """Bytes that come back with it."""
        return max(0, self.octets - self.live)


def choose(found: Sequence[Segment], current: int, *, pressed: bool, spare: int) -> list[Segment]:
    """Those to empty, the deadest first; to move what is in use of them needs no more than
    `spare` bytes. One without anything in use needs none, so it goes on the fullest disk."""
    part = DEAD_PART_PRESSED if pressed else DEAD_PART
    worth = [
        each
        for each in found
        if each.dead * part >= each.octets
        and (each.number < current or each.dead >= DEAD_BYTES_MIN)
        and each.number <= current
    ]
    chosen = []
    for each in sorted(worth, key=lambda each: (each.live, each.number)):
        spare -= each.live
        if each.live == 0 or spare >= 0:
            chosen.append(each)
    return chosen


def drop(engine: Engine, dead: Sequence[Held]) -> None:
    """Forget where the parts are that nothing names. In one go with the look at the rows."""
    engine.write((), [each.key for each in dead])


def read(files: SegmentFiles, held: Sequence[Held]) -> list[bytes | None]:
    """Their bytes; None where they are not what was written. May run in a thread."""
    return [right_bytes(files, each.part) for each in held]


def append(
    engine: Engine, blobs: BlobStore, held: Sequence[Held], data: Sequence[bytes | None]
) -> tuple[list[Row], list[BlobId]]:
    """Write parts to the segment in use: their new rows, not written yet; and blobs with damage.

    One that lies elsewhere by now, or that nothing names, stays where it is.
    """
    rows: list[Row] = []
    damaged: list[BlobId] = []
    for each, octets in zip(held, data, strict=True):
        blob, offset = local_keys.unpack_place_key(each.key)
        if engine.get(each.key) != each.value or not is_named(engine, blob, offset):
            continue
        if octets is None:
            damaged.append(blob)
            continue
        whole = engine.get(keys.blob_key(blob))
        total = 0 if whole is None else unpack_u64(whole)
        rows.append(blobs.append(BlobPart(blob, offset, total, octets)))
    return rows, damaged


def settle(engine: Engine, blobs: BlobStore, rows: Sequence[Row]) -> None:
    """Make moved parts durable, then their rows. Blocks; may run in a thread."""
    places = [unpack_place(value) for _, value in rows]
    # An empty part has a place in a segment that may not be begun yet.
    blobs.sync(sorted({place.segment for place in places if place.length}))
    engine.write(rows, sync=True)


def refers_to(held: Sequence[Held], numbers: Collection[int]) -> set[int]:
    """Which of the segments these rows still refer to."""
    return {each.place.segment for each in held if each.place.segment in numbers}
