"""Reading a log directory after a stop of any kind: what is there, what was torn, what is broken.

The last segment may end in a torn flush: written, but never synced and so never acknowledged. It
is cut, whole. Damage is no tear when anything proves that the damaged bytes had been synced: a
later flush or seal that says so, or the header of the next segment. Then what stands before and
behind it is kept, whole flushes at a time, and raft/history.py tells what is missing in between:
gaps, which other replicas can fill, and a lost end, which nobody can measure.

The seal stands in a block of its own, so one damaged place cannot take both a flush and its
proof. Where both are gone (a file cut short, a power cut between fdatasync and the write-back of
the seal together with damage of the flush), the tail counts as torn.

What no crash explains, at the very end, is a head in doubt: the last flush is damaged and its seal
says it was synced, the file is shorter than it was made, or there are bytes that no write put
there. The end is cut, and the replica keeps out of elections until a leader has brought it up to
date (raft/wal.py).

Every flush header says where it stands, so one that a disk put elsewhere is not taken for another.
A segment neither of whose headers reads back is damaged as a whole: its salt is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from raft.disk import Disk
from raft.history import History
from raft.model import (
    HardState,
    Index,
    Membership,
    Persist,
    ReplicaId,
    SnapshotMeta,
)
from raft.segment import (
    BLOCK_BYTES,
    FLUSH_HEADER_BYTES,
    BadSegment,
    FlushHeader,
    Header,
    Record,
    RecordType,
    body_crc,
    next_block,
    skim_entries,
    unpack_flush_header,
    unpack_header,
    unpack_record,
)

SEGMENT_SUFFIX: Final = ".wal"
UNFINISHED_SUFFIX: Final = ".tmp"
# Segments between the oldest and the newest; a name beyond that is none of ours.
SEGMENTS_MAX: Final = 1 << 20


class WalCorrupt(Exception):
    """Bytes that had been acknowledged do not read back."""


class WrongLog(Exception):
    """The directory holds the log of another replica or cluster."""


def segment_name(sequence: int, first_index: Index) -> str:
    """File name; sorts in the order of sequence."""
    return f"{sequence:016x}-{first_index:016x}{SEGMENT_SUFFIX}"


@dataclass(slots=True)
class Recovered(History):
    """What a log directory holds."""

    hard_state: HardState = field(default_factory=HardState)
    hard_state_lost: bool = False  # a newer one may have stood in what does not read back
    ends: dict[int, int] = field(default_factory=dict)  # bytes in use, by segment sequence
    salts: dict[int, int] = field(default_factory=dict)  # by segment sequence
    names: dict[int, str] = field(default_factory=dict)
    next_sequence: int = 1
    sealed_end: int = 0  # of the last segment: proven to be on the disk
    sealed_crc: int = 0  # of all flushes up to there
    tail: list[Persist] = field(default_factory=list)  # valid, but perhaps not on the disk
    torn_at: int | None = None
    is_sealed: bool = False  # the last segment ends with its seal
    head_in_doubt: bool = False  # acknowledged entries may be missing at the end

    @property
    def is_whole(self) -> bool:
        """Nothing that had been synced is missing, as far as that can be told."""
        return self.lost is None and not self.gaps

    @property
    def why(self) -> str:
        """Where the first damage is."""
        return self.gaps[0].why if self.gaps else self.lost or "no damage"

    def lose_records(self, why: str) -> None:
        """Records of any kind do not read back here."""
        self.lose(why)
        self.hard_state_lost = True


def recover(
    disk: Disk,
    directory: str,
    *,
    cluster: bytes,
    replica: ReplicaId,
    segment_bytes: int = 0,
) -> Recovered:
    """Read all segments in order; damage is told in what comes back.

    Raises WrongLog, DiskFailed, and WalCorrupt for what no version of ours has written.
    """
    found = Recovered()
    sequences = _sequences(disk, directory, found)
    data = _segment_bytes(disk, directory, found, sequences[0]) if sequences else b""
    before = 0
    for sequence in sequences:
        header = _read_header(data, sequence, cluster, replica, found, follows=before)
        is_last = sequence == sequences[-1]
        following = b""
        end: int | None = None
        if not is_last:
            following = _segment_bytes(disk, directory, found, sequence + 1)
            end = _previous_end(following, sequence + 1)
        if header is not None:
            segment = _Segment(found.names[sequence], data, header, found, is_last=is_last)
            segment.read(end)
            before = sequence
        if sequence in found.names:
            found.ends[sequence] = found.sealed_end
        if is_last and len(data) < segment_bytes and not found.is_sealed:
            found.head_in_doubt = found.hard_state_lost = (
                True  # files are made in full size before they are used
            )
        data = following
    first = sequences[0] if sequences else 1
    found.finish(
        f"{directory}: segment {first - 1} is missing; entries after {found.start} stood there"
    )
    return found


def others_vote(
    configs: Sequence[tuple[Index, Membership]],
    snapshot: SnapshotMeta | None,
    own: ReplicaId,
    *,
    default: bool,
) -> bool:
    """Whether somebody else holds what was acknowledged here, as the newest membership of a log
    has it; `default` when it holds none."""
    if configs:
        membership = configs[-1][1]
    elif snapshot is not None:
        membership = snapshot.membership
    else:
        return default
    return bool((membership.voters | membership.outgoing) - {own})


def _segment_bytes(disk: Disk, directory: str, found: Recovered, sequence: int) -> bytes:
    """A segment's file; empty where it is missing."""
    name = found.names.get(sequence)
    return b"" if name is None else disk.read(f"{directory}/{name}")


def _sequences(disk: Disk, directory: str, found: Recovered) -> list[int]:
    """All from the first segment to the last, those that are missing too."""
    for name in disk.list_names(directory):
        if name.endswith(UNFINISHED_SUFFIX):
            disk.remove(f"{directory}/{name}")
        elif name.endswith(SEGMENT_SUFFIX):
            try:
                sequence = int(name.split("-")[0], 16)
            except ValueError:
                raise WalCorrupt(f"{name}: not the name of a log segment") from None
            found.names[sequence] = name
    if not found.names:
        return []
    first, last = min(found.names), max(found.names)
    if last - first >= SEGMENTS_MAX:
        raise WalCorrupt(f"{found.names[first]}: the next segment is {found.names[last]}")
    found.is_front_open = first > 1
    found.next_sequence = last + 1
    return list(range(first, last + 1))


def _previous_end(data: bytes, sequence: int) -> int | None:
    """Where the segment before this one ends, if this one can tell."""
    try:
        header = unpack_header(data[:BLOCK_BYTES], sequence)
    except BadSegment:
        return None
    return header.previous_end if header.sequence == sequence else None


def _read_header(
    data: bytes,
    sequence: int,
    cluster: bytes,
    replica: ReplicaId,
    found: Recovered,
    *,
    follows: int,
) -> Header | None:
    name = found.names.get(sequence)
    if name is None:
        found.lose_records(f"segment {sequence} is missing")
        return None
    try:
        header = unpack_header(data[:BLOCK_BYTES], sequence)
    except BadSegment as error:
        found.lose_records(f"{name}, offset 0: {error}")
        return None
    if header.cluster != cluster or header.replica != replica:
        raise WrongLog(
            f"{name} belongs to replica {header.replica:x} of cluster {header.cluster.hex()}, "
            f"not to replica {replica:x} of cluster {cluster.hex()}"
        )
    if header.sequence != sequence:
        found.lose_records(f"{name}, offset 0: it is another segment, {header.sequence}")
        return None
    if follows == sequence - 1 and follows and header.previous_crc != found.sealed_crc:
        found.lose_records(f"{name}, offset 0: it does not continue the segment before it")
    found.salts[sequence] = header.salt
    found.hard_state, found.hard_state_lost = header.hard_state, False
    return header


class _Segment:
    """One pass over one segment, adding what it holds to the findings."""

    def __init__(
        self, name: str, data: bytes, header: Header, found: Recovered, *, is_last: bool
    ) -> None:
        self._name = name
        self._data = data
        self._header = header
        self._found = found
        self._is_last = is_last
        self._offset = BLOCK_BYTES
        self._number = 0
        self._crc = header.previous_crc
        self._body = b""  # of the flush that was read last
        self._unsealed = b""  # the body of the last flush, until something says that it is synced
        found.sealed_end, found.sealed_crc, found.tail = BLOCK_BYTES, self._crc, []

    def read(self, end: int | None) -> None:
        """Up to `end`, all of which was synced; without an end, up to a seal or a torn tail."""
        while end is None or self._offset < end:
            flush = self._flush()
            if flush is None or (flush.length == 0 and self._finds_later(end)):
                # A seal is followed by nothing: the flush that took its place was not written.
                if self._resume(end):
                    continue
                self._stop(end)
                self._found.tail = self._tail()
                return
            # A flush begins only when the one before is synced, and says so.
            self._sealed_here()
            if flush.length == 0:
                self._found.is_sealed = self._is_last
                return
            self._apply(flush)
        if self._offset != end:
            self._lose(f"flushes end here and not at {end}")
        self._sealed_here()

    def _sealed_here(self) -> None:
        self._found.sealed_end, self._found.sealed_crc = self._offset, self._crc
        self._unsealed = b""

    def _lose(self, why: str) -> None:
        self._found.lose_records(f"{self._name}, offset {self._offset}: {why}")

    def _flush(self) -> FlushHeader | None:
        """The flush here, when it and all of its body, which is kept, are what was written."""
        flush = unpack_flush_header(self._data, self._offset, self._header.salt)
        if flush is None or flush.number != self._number:
            return None
        if flush.synced_up_to != self._offset or flush.previous_crc != self._crc:
            return None
        start = self._offset + FLUSH_HEADER_BYTES
        body = self._body = self._data[start : start + flush.length]
        if len(body) != flush.length:
            return None
        return flush if body_crc(body, flush.previous_crc) == flush.body_crc else None

    def _apply(self, flush: FlushHeader) -> None:
        found, sequence, salt = self._found, self._header.sequence, self._header.salt
        body, start = self._body, self._offset + FLUSH_HEADER_BYTES
        position = 0
        while position < len(body):
            first, term, places, position = skim_entries(body, position, salt, at=start)
            if places:
                found.take_entries(first, term, sequence, places)
            else:
                record, position = self._record(body, position, start)
                self._take(record)
        found.close_gaps()
        self._unsealed = body
        self._crc = flush.body_crc
        self._offset = next_block(start + flush.length)
        self._number += 1

    def _record(self, body: bytes, position: int, start: int) -> tuple[Record, int]:
        try:
            return unpack_record(body, position, self._header.salt, at=start)
        except BadSegment as error:
            # The flush is as it was written: a version that we do not know wrote it.
            raise WalCorrupt(f"{self._name}, offset {self._offset}: {error}") from error

    def _take(self, record: Record) -> None:
        found = self._found
        match record.type:
            case RecordType.HARD_STATE:
                found.hard_state = HardState(record.term, record.index)
                found.hard_state_lost = False
            case RecordType.TRUNCATE:
                found.take_truncate(record.index)
            case RecordType.SNAPSHOT:
                assert record.snapshot is not None
                found.take_snapshot(record.snapshot)
            case RecordType.ENTRY:
                assert record.entry is not None
                found.take_entry(record.entry, self._header.sequence, record.offset)
            # These stand only in a segment's first flush, which was synced before the segment had
            # its name: they need not be written again.
            case RecordType.MEND:
                found.take_mend(record.index)
            case RecordType.COPY:
                assert record.entry is not None
                found.take_copy(record.entry, self._header.sequence, record.offset)
            case RecordType.CUT:
                found.take_cut(record.index)

    def _tail(self) -> list[Persist]:
        """The steps of the last flush, if nothing says that it is on the disk."""
        steps: list[Persist] = []
        position = 0
        while position < len(self._unsealed):
            record, position = self._record(self._unsealed, position, 0)
            match record.type:
                case RecordType.HARD_STATE:
                    steps.append(Persist(0, HardState(record.term, record.index), None, ()))
                case RecordType.TRUNCATE:
                    steps.append(Persist(0, None, record.index, ()))
                case RecordType.SNAPSHOT:
                    steps.append(Persist(0, None, None, (), record.snapshot))
                case RecordType.ENTRY:
                    assert record.entry is not None
                    steps.append(Persist(0, None, None, (record.entry,)))
        return steps

    # --- what does not read back ---

    def _later(self, end: int | None) -> list[tuple[int, FlushHeader]]:
        """Flush headers of this segment here and behind, wherever they say they stand."""
        limit = len(self._data) if end is None else min(end, len(self._data))
        data, salt = self._data, self._header.salt
        return [
            (offset, flush)
            for offset in range(self._offset, limit, BLOCK_BYTES)
            if (flush := unpack_flush_header(data, offset, salt)) is not None
        ]

    def _finds_later(self, end: int | None) -> bool:
        return any(flush.synced_up_to > self._offset for _, flush in self._later(end))

    def _resume(self, end: int | None) -> bool:
        """Go on at the next flush that stands where it says; False when there is none."""
        for offset, later in self._later(end):
            if later.synced_up_to == offset and later.number > self._number:
                self._lose(f"damaged, though synced before offset {offset} was written")
                self._offset, self._number, self._crc = offset, later.number, later.previous_crc
                return True
        return False

    def _stop(self, end: int | None) -> None:
        """Nothing behind this place can be read: was it torn, or is it damaged?"""
        if end is not None:
            self._lose("a flush that was synced does not read back")
            self._offset = end
            self._found.sealed_end = end
            self._unsealed = b""
        elif self._is_last:
            self._check_torn()
        else:  # the next segment's header is gone; that it was there says that this is synced
            self._sealed_here()

    def _check_torn(self) -> None:
        """The flush here is not whole: make sure that nobody can have relied on it."""
        for offset, later in self._later(None):
            if later.synced_up_to > self._offset:
                self._lose(f"damaged, though synced before offset {offset} was written")
                self._sealed_here()
        if any(self._data[self._offset : self._offset + BLOCK_BYTES]):
            self._found.torn_at = self._offset
        if not self._is_torn_by_a_crash():
            self._found.head_in_doubt = self._found.hard_state_lost = True

    def _is_torn_by_a_crash(self) -> bool:
        """What is here could be part of one write: its header or nothing, and zeros behind it.

        A flush header fits in a sector, which is written whole or not at all.
        """
        flush = unpack_flush_header(self._data, self._offset, self._header.salt)
        if flush is not None:
            return not any(self._data[self._offset + FLUSH_HEADER_BYTES + flush.length :])
        return not any(self._data[self._offset : self._offset + FLUSH_HEADER_BYTES])
