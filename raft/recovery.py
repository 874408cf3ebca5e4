"""Reading a log directory after a stop of any kind: what is there, what was torn, what is broken.

The last segment may end in a torn flush: written, but never synced and so never acknowledged. It
is cut, whole. Damage is corruption, refused with its place, when anything proves that the damaged
bytes had been synced: a later flush or seal that says so, or the header of the next segment.

The seal stands in a block of its own, so one damaged place cannot take both a flush and its
proof. Where both are gone (a file cut short, a power cut between fdatasync and the write-back of
the seal together with damage of the flush), the tail counts as torn.

What no crash explains, at the very end, is a head in doubt: the last flush is damaged and its seal
says it was synced, the file is shorter than it was made, or there are bytes that no write put
there. The end is cut, and the replica keeps out of elections until a leader has brought it up to
date (raft/wal.py). Fetching refused entries from other replicas is not built yet.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from raft.configs import decode_membership
from raft.disk import Disk
from raft.model import (
    Entry,
    EntryKind,
    HardState,
    Index,
    Membership,
    Persist,
    ReplicaId,
    SnapshotMeta,
    Term,
)
from raft.positions import Positions
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
    unpack_flush_header,
    unpack_header,
    unpack_record,
)

SEGMENT_SUFFIX: Final = ".wal"
UNFINISHED_SUFFIX: Final = ".tmp"


class WalCorrupt(Exception):
    """Bytes that had been acknowledged do not read back."""


class WrongLog(Exception):
    """The directory holds the log of another replica or cluster."""


def segment_name(sequence: int, first_index: Index) -> str:
    """File name; sorts in the order of sequence."""
    return f"{sequence:016x}-{first_index:016x}{SEGMENT_SUFFIX}"


@dataclass(slots=True)
class Recovered:
    """What a log directory holds."""

    hard_state: HardState = field(default_factory=HardState)
    positions: Positions = field(default_factory=Positions)
    term_runs: list[tuple[Index, Term]] = field(default_factory=list)
    configs: list[tuple[Index, Membership]] = field(default_factory=list)
    snapshot: SnapshotMeta | None = None  # the log begins behind it
    ends: dict[int, int] = field(default_factory=dict)  # bytes in use, by segment sequence
    is_front_open: bool = False  # earlier segments were removed: no entry has told yet how far
    leftovers: list[str] = field(default_factory=list)  # segments before a gap: being removed
    salts: dict[int, int] = field(default_factory=dict)  # by segment sequence
    names: dict[int, str] = field(default_factory=dict)
    next_sequence: int = 1
    sealed_end: int = 0  # of the last segment: proven to be on the disk
    sealed_crc: int = 0  # of all flushes up to there
    tail: list[Persist] = field(default_factory=list)  # valid, but perhaps not on the disk
    torn_at: int | None = None
    is_sealed: bool = False  # the last segment ends with its seal
    head_in_doubt: bool = False  # acknowledged entries may be missing at the end


def recover(
    disk: Disk,
    directory: str,
    *,
    cluster: bytes,
    replica: ReplicaId,
    segment_bytes: int = 0,
    head_may_be_lost: bool = False,
) -> Recovered:
    """Read all segments in order; raises WalCorrupt, WrongLog, DiskFailed.

    With `head_may_be_lost` others hold what was acknowledged, so a last flush that was synced and
    is damaged is cut and not refused. A membership in the log has the last word on that.
    """
    recovered = Recovered()
    sequences = _sequences(disk, directory, recovered)
    data = disk.read(_path(directory, recovered.names[sequences[0]])) if sequences else b""
    for sequence in sequences:
        name = recovered.names[sequence]
        header = _read_header(name, data, sequence, cluster, replica, recovered)
        is_last = sequence == sequences[-1]
        following = b""
        end: int | None = None
        if not is_last:
            following = disk.read(_path(directory, recovered.names[sequence + 1]))
            end = _read_previous_end(recovered.names[sequence + 1], following)
        _Segment(name, data, header, recovered, head_may_be_lost).read(end)
        recovered.ends[sequence] = recovered.sealed_end
        if is_last and len(data) < segment_bytes and not recovered.is_sealed:
            recovered.head_in_doubt = True  # files are made in full size before they are used
        data = following
    if sequences:
        _check_start(directory, sequences[0], recovered)
    return recovered


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


def _check_start(directory: str, first: int, found: Recovered) -> None:
    """Segments are removed from the front, once a record in a later one says so."""
    start = 0 if found.snapshot is None else found.snapshot.index
    if found.positions.start > start or (found.snapshot is None and first > 1):
        raise WalCorrupt(
            f"{directory}: segment {first - 1} is missing; entries after {start} stood there"
        )
    if found.snapshot is None:
        return
    found.positions.forget(start)
    found.configs = [held for held in found.configs if held[0] > start]
    later = [run for run in found.term_runs if run[0] > start]
    if later and later[0] == (start + 1, found.snapshot.term):
        del later[0]  # the same run
    found.term_runs = [(start, found.snapshot.term), *later]


def _path(directory: str, name: str) -> str:
    return f"{directory}/{name}"


def _sequences(disk: Disk, directory: str, recovered: Recovered) -> list[int]:
    for name in disk.list_names(directory):
        if name.endswith(UNFINISHED_SUFFIX):
            disk.remove(_path(directory, name))
        elif name.endswith(SEGMENT_SUFFIX):
            try:
                sequence = int(name.split("-")[0], 16)
            except ValueError:
                raise WalCorrupt(f"{name}: not the name of a log segment") from None
            recovered.names[sequence] = name
    sequences = sorted(recovered.names)
    for place in range(len(sequences) - 1, 0, -1):
        if sequences[place - 1] != sequences[place] - 1:
            # A power cut while old segments were removed can leave any of them. Whether what
            # stood in the gap may be missing is for the rest to prove (`_check_start`).
            recovered.leftovers = [recovered.names.pop(gone) for gone in sequences[:place]]
            sequences = sequences[place:]
            break
    recovered.is_front_open = bool(sequences) and sequences[0] > 1
    recovered.next_sequence = sequences[-1] + 1 if sequences else 1
    return sequences


def _read_previous_end(name: str, data: bytes) -> int:
    try:
        return unpack_header(data[:BLOCK_BYTES]).previous_end
    except BadSegment as error:
        raise WalCorrupt(f"{name}, offset 0: {error}") from error


def _read_header(
    name: str, data: bytes, sequence: int, cluster: bytes, replica: ReplicaId, found: Recovered
) -> Header:
    try:
        header = unpack_header(data[:BLOCK_BYTES])
    except BadSegment as error:
        raise WalCorrupt(f"{name}, offset 0: {error}") from error
    if header.cluster != cluster or header.replica != replica:
        raise WrongLog(
            f"{name} belongs to replica {header.replica:x} of cluster {header.cluster.hex()}, "
            f"not to replica {replica:x} of cluster {cluster.hex()}"
        )
    follows = not found.salts or header.previous_crc == found.sealed_crc
    if header.sequence != sequence or not follows:
        raise WalCorrupt(f"{name}, offset 0: it does not continue the segment before it")
    found.salts[sequence] = header.salt
    found.hard_state = header.hard_state
    return header


class _Segment:
    """One pass over one segment, adding what it holds to the findings."""

    def __init__(
        self, name: str, data: bytes, header: Header, found: Recovered, head_may_be_lost: bool
    ) -> None:
        self._head_may_be_lost = head_may_be_lost
        self._name = name
        self._data = data
        self._header = header
        self._found = found
        self._offset = BLOCK_BYTES
        self._number = 0
        self._crc = header.previous_crc
        found.sealed_end, found.tail = BLOCK_BYTES, []

    def read(self, end: int | None) -> None:
        """Up to `end`, all of which must be whole; without an end, up to a seal or a torn tail."""
        while end is None or self._offset < end:
            flush = self._flush()
            if flush is None:
                if end is not None:
                    raise self._corrupt("a flush that was synced does not read back")
                self._check_torn()
                return
            # A flush begins only when the one before is synced, and says so.
            self._sealed_here()
            if flush.length == 0:
                self._found.is_sealed = True
                return
            self._apply(flush)
        if self._offset != end:
            raise self._corrupt(f"flushes end here and not at {end}")
        self._sealed_here()

    def _sealed_here(self) -> None:
        self._found.sealed_end, self._found.sealed_crc = self._offset, self._crc
        self._found.tail = []

    def _flush(self) -> FlushHeader | None:
        """The flush here, when it and all of its body are what was written."""
        flush = unpack_flush_header(self._data, self._offset, self._header.salt)
        if flush is None or flush.number != self._number:
            return None
        if flush.synced_up_to != self._offset or flush.previous_crc != self._crc:
            return None
        body = self._body(flush)
        if len(body) != flush.length:
            return None
        return flush if body_crc(body, flush.previous_crc) == flush.body_crc else None

    def _body(self, flush: FlushHeader) -> bytes:
        start = self._offset + FLUSH_HEADER_BYTES
        return self._data[start : start + flush.length]

    def _apply(self, flush: FlushHeader) -> None:
        body, start = self._body(flush), self._offset + FLUSH_HEADER_BYTES
        position = 0
        while position < len(body):
            try:
                record, position = unpack_record(body, position, self._header.salt, at=start)
            except BadSegment as error:
                raise self._corrupt(str(error)) from error
            self._take(record)
        self._crc = flush.body_crc
        self._offset = next_block(start + flush.length)
        self._number += 1

    def _take(self, record: Record) -> None:
        found = self._found
        match record.type:
            case RecordType.HARD_STATE:
                found.hard_state = HardState(record.term, record.index)
                found.tail.append(Persist(0, found.hard_state, None, ()))
            case RecordType.TRUNCATE:
                found.positions.truncate(record.index)
                _truncate_runs(found.term_runs, record.index)
                while found.configs and found.configs[-1][0] >= record.index:
                    found.configs.pop()
                found.tail.append(Persist(0, None, record.index, ()))
            case RecordType.SNAPSHOT:
                assert record.snapshot is not None
                self._take_snapshot(record.snapshot)
            case RecordType.ENTRY:
                assert record.entry is not None
                self._take_entry(record.entry, record.offset)

    def _take_snapshot(self, meta: SnapshotMeta) -> None:
        found = self._found
        found.snapshot = meta
        found.tail.append(Persist(0, None, None, (), meta))
        if meta.index >= found.positions.last and not found.is_front_open:
            # Nothing before it is left, so its term is the last one.
            found.positions.truncate(meta.index + 1)
            found.positions.forget(meta.index)
            found.term_runs[:] = [(meta.index, meta.term)]

    def _take_entry(self, entry: Entry, offset: int) -> None:
        found = self._found
        if found.is_front_open:
            found.is_front_open = False
            found.positions.forget(entry.index - 1)
        if entry.index != found.positions.last + 1:
            raise self._corrupt(f"entry {entry.index} follows entry {found.positions.last}")
        found.positions.put(entry.index, self._header.sequence, offset)
        if not found.term_runs or found.term_runs[-1][1] != entry.term:
            found.term_runs.append((entry.index, entry.term))
        if entry.kind is EntryKind.CONFIG:
            found.configs.append((entry.index, decode_membership(entry.payload)))
        found.tail.append(Persist(0, None, None, (entry,)))

    def _check_torn(self) -> None:
        """The flush here is not whole: make sure that nobody can have relied on it."""
        for offset in range(self._offset + BLOCK_BYTES, len(self._data), BLOCK_BYTES):
            later = unpack_flush_header(self._data, offset, self._header.salt)
            if later is None or later.synced_up_to <= self._offset:
                continue
            if not (self._others_vote() and self._is_our_seal(later)):
                raise self._corrupt(f"damaged, though synced before offset {offset} was written")
            self._found.head_in_doubt = True
        if any(self._data[self._offset : self._offset + BLOCK_BYTES]):
            self._found.torn_at = self._offset
        if not self._is_torn_by_a_crash():
            self._found.head_in_doubt = True

    def _others_vote(self) -> bool:
        found, own = self._found, self._header.replica
        return others_vote(found.configs, found.snapshot, own, default=self._head_may_be_lost)

    def _is_our_seal(self, later: FlushHeader) -> bool:
        """It seals the flush here, the last one: nothing behind it was ever written."""
        return later.length == 0 and later.number == self._number + 1

    def _is_torn_by_a_crash(self) -> bool:
        """What is here could be part of one write: its header or nothing, and zeros behind it.

        A flush header fits in a sector, which is written whole or not at all.
        """
        flush = unpack_flush_header(self._data, self._offset, self._header.salt)
        if flush is not None:
            return not any(self._data[self._offset + FLUSH_HEADER_BYTES + flush.length :])
        return not any(self._data[self._offset : self._offset + FLUSH_HEADER_BYTES])

    def _corrupt(self, why: str) -> WalCorrupt:
        return WalCorrupt(f"{self._name}, offset {self._offset}: {why}")


def _truncate_runs(runs: list[tuple[Index, Term]], first: Index) -> None:
    del runs[bisect_left(runs, (first, 0)) :]
