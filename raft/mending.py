"""Writing down what mends a damaged log: entries brought back, and what was given up.

Damaged bytes are never written over. What mends them stands in segments of its own behind all that
is there, one flush each, synced before the segment has its name: so a crash on the way leaves the
damage as it was, to be mended again. Reading the log then finds both (raft/history.py).

    copies   the entry before a gap, all of the gap, and the anchor behind it as the last
    base     the log begins behind this: other replicas have forgotten what stood in the gap
    cut      nobody can say what stood from here on: the log ends before it, its head in doubt
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from raft.disk import Disk
from raft.model import Entry, HardState, Index, Persist, ReplicaId, SnapshotMeta
from raft.recovery import UNFINISHED_SUFFIX, Recovered, segment_name
from raft.segment import (
    BLOCK_BYTES,
    FLUSH_HEADER_BYTES,
    FlushHeader,
    Header,
    body_crc,
    next_block,
    pack_copies,
    pack_cut,
    pack_flush_header,
    pack_header,
    pack_mend,
    pack_steps,
)

_GROUP = 0


@dataclass(frozen=True, slots=True)
class Repair:
    """What mends a damaged log."""

    copies: tuple[Entry, ...] = ()
    base: SnapshotMeta | None = None
    cut: Index | None = None

    def cutting_at(self, first: Index) -> "Repair":
        """This, and nothing from `first` on."""
        return self if self.cut is not None and self.cut <= first else replace(self, cut=first)


def write_repair(
    disk: Disk,
    directory: str,
    found: Recovered,
    repair: Repair,
    *,
    header: tuple[bytes, ReplicaId, HardState],
    random: Random,
    segment_bytes: int,
) -> None:
    """Write it durably behind what was found; blocks; raises DiskFailed."""
    cluster, replica, hard_state = header
    sequence, end, crc = found.next_sequence, found.sealed_end, found.sealed_crc
    repair_number = sequence  # no other repair begins in this segment
    room = segment_bytes - 2 * BLOCK_BYTES - FLUSH_HEADER_BYTES
    for number, portion in enumerate(_portions(repair.copies, room // 2)):
        salt = random.getrandbits(64)
        body = _first(found, repair, salt) if number == 0 else b""
        body += pack_mend(repair_number, _GROUP, salt) + pack_copies(portion, _GROUP, salt)
        beginning = Header(
            sequence=sequence,
            salt=salt,
            cluster=cluster,
            replica=replica,
            first_index=found.positions.last + 1,
            previous_end=end,
            previous_crc=crc,
            hard_state=hard_state,
        )
        unfinished = f"{directory}/repair{UNFINISHED_SUFFIX}"
        file = disk.create_zeroed(unfinished, max(segment_bytes, len(body) + 3 * BLOCK_BYTES))
        flush = FlushHeader(0, BLOCK_BYTES, len(body), crc, body_crc(body, crc))
        file.write_at(0, [pack_header(beginning), pack_flush_header(flush, salt), body])
        file.sync_data()
        end = next_block(BLOCK_BYTES + FLUSH_HEADER_BYTES + len(body))
        crc = flush.body_crc
        file.write_at(end, [pack_flush_header(FlushHeader(1, end, 0, crc, crc), salt)])
        file.sync_data()
        file.close()
        disk.rename(unfinished, f"{directory}/{segment_name(sequence, beginning.first_index)}")
        disk.sync_directory(directory)
        sequence += 1


def _first(found: Recovered, repair: Repair, salt: int) -> bytes:
    """What comes before the copies: the unsealed end of the log, which is not counted where it
    stands, then what was given up, and where the log begins."""
    places: list[tuple[Index, int]] = []
    body = pack_steps(found.tail, _GROUP, salt, places).joined()
    if repair.cut is not None:
        body += pack_cut(repair.cut, _GROUP, salt)
    if repair.base is not None:
        base = Persist(0, None, None, (), repair.base)
        body += pack_steps([base], _GROUP, salt, places).joined()
    return body


def _portions(entries: Sequence[Entry], bytes_max: int) -> list[list[Entry]]:
    """Entries for one flush each; at least one portion."""
    portions: list[list[Entry]] = [[]]
    size = 0
    for entry in entries:
        taken = len(entry.payload) + FLUSH_HEADER_BYTES
        if portions[-1] and size + taken > bytes_max:
            portions.append([])
            size = 0
        portions[-1].append(entry)
        size += taken
    return portions
