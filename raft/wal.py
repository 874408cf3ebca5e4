"""The write-ahead log: segments written by one thread, one write and one fdatasync a flush.

    open     recover what is there, then begin a new segment: never append to a file of an earlier
             boot, whose pages may be called clean and not be on the disk (consensus 3, fsyncgate)
    write    steps -> records -> one flush; when it returns they are durable
    forget   a snapshot step says where the log begins from now on; when that is durable, segments
             in which nothing later stands are removed, oldest first
    seal     after the fdatasync, an unsynced note that it happened; the next flush replaces it
    rotate   when a flush does not fit: a prepared file gets its header and its name

`write` and `prepare` may run in a thread of their own; `read` serves durable entries to the loop
meanwhile. After DiskFailed nothing more is written.

A log that may have lost acknowledged entries at its end has its head in doubt: a file beside the
segments says so, over restarts, until `restore_head`. Its replica neither campaigns nor votes
meanwhile (raft/election.py): every leader is then elected by those who have forgotten nothing, and
so holds all that was committed, ours too. A vote lost with the end stands in a file of its own as
well (raft/votes.py). Gaps before the end are mended before anything else (raft/history.py).
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from raft.body import Body
from raft.damage import DamagedLog, LogDamaged, check_mendable
from raft.disk import Disk, DiskFailed, DiskFile
from raft.mending import Repair, write_repair
from raft.model import KIB, MIB, Entry, HardState, Index, Persist, ReplicaId, SnapshotMeta
from raft.readback import ReadBack
from raft.recovery import (
    UNFINISHED_SUFFIX,
    Recovered,
    WalCorrupt,
    others_vote,
    recover,
    segment_name,
)
from raft.segment import (
    BLOCK_BYTES,
    FLUSH_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    FlushHeader,
    Header,
    next_block,
    pack_flush_header,
    pack_header,
    pack_steps,
)
from raft.votes import VoteFile

SEGMENT_BYTES: Final = 16 * MIB
# Entries of one flush; more wait for the next, so that one write does not hold up the answers.
FLUSH_BYTES_MAX: Final = 4 * MIB
# Flushes of so many bytes on average: large blobs go by, and zeros for the next segment, which is
# soon needed, would slow them down more than they save.
BULK_FLUSH_BYTES: Final = 256 * KIB
DOUBT_NAME: Final = "head-in-doubt"
GROUP: Final = 0  # one group until accounts are spread over several


class Wal:
    """The log of one replica in one directory."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        cluster: bytes,
        replica: ReplicaId,
        random: Random,
        segment_bytes: int = SEGMENT_BYTES,
        head_may_be_lost: bool = False,
        repair: Repair | None = None,
    ) -> None:
        """Recover, and begin the segment of this boot.

        Raises WalCorrupt, LogDamaged for what `repair` could mend, WrongLog, DiskFailed.
        """
        self._disk = disk
        self._directory = directory
        self._cluster = cluster
        self._replica = replica
        self._random = random
        self._segment_bytes = segment_bytes
        self._flush_bytes_max = min(FLUSH_BYTES_MAX, (segment_bytes - 2 * BLOCK_BYTES) // 2)
        self._spare: tuple[str, DiskFile] | None = None
        self._spares_made = 0
        self._is_failed = False
        disk.make_directory(directory)
        self._votes = VoteFile(disk, directory, cluster, replica)
        found = self._recover(repair, head_may_be_lost=head_may_be_lost)
        self.torn_at: Final = found.torn_at
        self.term_runs: Final = tuple(found.term_runs)
        self.configs: Final = tuple(found.configs)
        self.snapshot: SnapshotMeta | None = found.snapshot
        self.hard_state: HardState = self._votes.begin(found.hard_state)
        self._positions = found.positions
        self._salts = found.salts
        self._names = found.names
        self._ends = found.ends  # bytes in use, by segment sequence
        self._readback = ReadBack(
            disk,
            directory,
            found.positions,
            names=found.names,
            salts=found.salts,
            segment_bytes=segment_bytes,
        )
        self._sequence = found.next_sequence - 1
        self._offset = found.sealed_end  # where the next flush goes
        self._crc = found.sealed_crc  # of all flushes before it
        self._crc_after = self._crc  # and of the one that is being written
        self._number = 0  # of the next flush, in its segment
        self._salt = 0
        if found.snapshot is not None:
            # Said again in a segment that stays: the one that said it may go. The last boot may
            # have done just this.
            found.tail = [step for step in found.tail if step.snapshot != found.snapshot]
            found.tail.append(Persist(0, None, None, (), found.snapshot))
        self._file = self._begin_segment(found.tail)
        self._seal()
        self._remove_old_segments()

    def _recover(self, repair: Repair | None, *, head_may_be_lost: bool) -> Recovered:
        """What is there, after what is missing was brought back or given up."""
        disk, directory, replica = self._disk, self._directory, self._replica

        def read() -> Recovered:
            return recover(
                disk,
                directory,
                cluster=self._cluster,
                replica=replica,
                segment_bytes=self._segment_bytes,
            )

        found = read()
        others = others_vote(found.configs, found.snapshot, replica, default=head_may_be_lost)
        self.head_in_doubt = DOUBT_NAME in disk.list_names(directory)
        self._votes.look()
        check_mendable(found, others=others, vote_is_known=self._votes.found is not None)
        if found.gaps and repair is None:
            damaged = DamagedLog(disk, directory, found, self._votes.found, self._segment_bytes)
            raise LogDamaged(damaged)
        repair = repair or Repair()
        if found.lost is not None:
            repair = repair.cutting_at(found.positions.last + 1)
        if others and (found.head_in_doubt or repair.cut is not None):
            self.doubt_head()  # before anything hides the end that is lost
        if not found.is_whole:
            write_repair(
                disk,
                directory,
                found,
                repair,
                header=(self._cluster, replica, self._votes.newest(found.hard_state)),
                random=self._random,
                segment_bytes=self._segment_bytes,
            )
            found = read()
            if not found.is_whole:
                raise WalCorrupt(f"{found.why}: it could not be mended")
        return found

    @property
    def last(self) -> Index:
        """The last entry written."""
        return self._positions.last

    # --- what was acknowledged and may be missing ---

    def doubt_head(self) -> None:
        """Remember, over restarts, that acknowledged entries may be missing at the end."""
        if not self.head_in_doubt:
            self._disk.create_zeroed(f"{self._directory}/{DOUBT_NAME}", BLOCK_BYTES).close()
            self._disk.sync_directory(self._directory)
            self.head_in_doubt = True

    def restore_head(self) -> None:
        """A leader has brought us at least as far as we had ever been: take part again."""
        if self.head_in_doubt:
            self._disk.remove(f"{self._directory}/{DOUBT_NAME}")
            self._disk.sync_directory(self._directory)
            self.head_in_doubt = False

    @property
    def start(self) -> Index:
        """The entry behind which the log begins."""
        return self._positions.start

    def compaction_point(self, upto: Index, bytes_kept: int) -> Index:
        """How far to forget, at most `upto`, so that whole segments go and the newest
        `bytes_kept` stay; `start` when no segment would go. Called on the loop."""
        kept = self._sequence
        size = self._offset
        sizes = dict(self._ends)
        while size < bytes_kept and kept - 1 in sizes:
            kept -= 1
            size += sizes[kept]
        point = min(upto, self._positions.first_in(kept) - 1)
        if point <= self.start or self._sequence_after(point) == min(sizes, default=kept):
            return self.start
        return point

    def _sequence_after(self, index: Index) -> int:
        """The segment in which the log goes on behind an entry."""
        return self._positions.oldest_after(index) if index < self.last else self._sequence

    # --- writing ---

    def write(self, steps: Sequence[Persist]) -> None:
        """Make these steps durable, in order; raises DiskFailed, after which all is over."""
        if self._is_failed:
            raise DiskFailed("the log stopped at an earlier error")
        try:
            for batch in self._batches(steps):
                self._flush(batch)
        except DiskFailed:
            self._is_failed = True
            raise

    def _batches(self, steps: Sequence[Persist]) -> Iterator[list[Persist]]:
        """Steps in portions of one flush each; a large step is cut between entries."""
        batch: list[Persist] = []
        room = self._flush_bytes_max
        for step in steps:
            head, entries = step, step.entries
            while True:
                count, size = _fitting(entries, room)
                if count == len(entries):
                    break
                if count or batch:
                    part = Persist(
                        step.number,
                        head.hard_state,
                        head.truncate_from,
                        entries[:count],
                        head.snapshot,
                    )
                    yield [*batch, part]
                    head, entries = Persist(step.number, None, None, ()), entries[count:]
                    batch, room = [], self._flush_bytes_max
                else:
                    room = size  # one entry alone may be larger than a flush should be
            if entries is not head.entries:
                head = Persist(
                    step.number, head.hard_state, head.truncate_from, entries, head.snapshot
                )
            batch.append(head)
            room -= size
        if batch:
            yield batch

    def _flush(self, steps: list[Persist]) -> None:
        entries_at: list[tuple[Index, int]] = []
        body = pack_steps(steps, GROUP, self._salt, entries_at)
        if self._offset + FLUSH_HEADER_BYTES + len(body) > self._segment_bytes:
            self._rotate()
            entries_at.clear()
            body = pack_steps(steps, GROUP, self._salt, entries_at)
        self._put_flush(self._file, body)
        self._file.sync_data()
        self._note(steps, entries_at, body)
        self._seal()
        if any(step.snapshot is not None for step in steps):
            self._remove_old_segments()
        if any(step.hard_state is not None for step in steps):
            self._votes.write(self.hard_state)  # promised only when both are durable

    def _seal(self) -> None:
        """Say that all before this place is synced; the next flush overwrites it."""
        if self._offset + FLUSH_HEADER_BYTES <= self._segment_bytes:
            self._file.write_at(self._offset, [self._flush_header(0, self._crc)])

    def _put_flush(self, file: DiskFile, body: Body) -> None:
        size = FLUSH_HEADER_BYTES + len(body)
        if self._offset + size > self._segment_bytes:
            raise DiskFailed(f"a flush of {size} bytes does not fit in a segment")
        self._crc_after = body.crc(self._crc)
        header = self._flush_header(len(body), self._crc_after)
        file.write_at(self._offset, [header, *body.parts])

    def _flush_header(self, length: int, crc: int) -> bytes:
        header = FlushHeader(self._number, self._offset, length, self._crc, crc)
        return pack_flush_header(header, self._salt)

    def _note(
        self, steps: Sequence[Persist], entries_at: list[tuple[Index, int]], body: Body
    ) -> None:
        """The flush is durable: remember where its entries stand, and what it said."""
        start = self._offset + FLUSH_HEADER_BYTES
        first = 0
        for step in steps:
            if step.hard_state is not None:
                self.hard_state = step.hard_state
            if step.truncate_from is not None:
                self._positions.truncate(step.truncate_from)
            if step.snapshot is not None:
                self.snapshot = step.snapshot
                self._positions.forget(step.snapshot.index)
            if step.entries:
                count = len(step.entries)
                places = [start + place for _, place in entries_at[first : first + count]]
                self._positions.extend(step.entries[0].index, self._sequence, places)
                first += count
        self._end_flush(start, body)

    def _end_flush(self, start: int, body: Body) -> None:
        self._crc = self._crc_after
        self._offset = next_block(start + len(body))
        self._number += 1

    # --- segments ---

    def _rotate(self) -> None:
        old = self._file
        self._ends[self._sequence] = self._offset
        self._file = self._begin_segment([])
        old.close()

    def _begin_segment(self, tail: list[Persist]) -> DiskFile:
        """Header and copied tail are on the disk before the file gets its name."""
        unfinished, file = self._take_spare()
        self._sequence += 1
        header = Header(
            sequence=self._sequence,
            salt=self._random.getrandbits(64),
            cluster=self._cluster,
            replica=self._replica,
            first_index=self._positions.last + 1,
            previous_end=self._offset,
            previous_crc=self._crc,
            hard_state=self.hard_state,
        )
        self._salt = header.salt
        self._salts[self._sequence] = header.salt
        self._number, self._offset = 0, BLOCK_BYTES
        file.write_at(0, [pack_header(header)])
        entries_at: list[tuple[Index, int]] = []
        body = pack_steps(tail, GROUP, self._salt, entries_at)
        if tail:
            self._put_flush(file, body)
        file.sync_data()
        name = segment_name(self._sequence, header.first_index)
        self._disk.rename(unfinished, f"{self._directory}/{name}")
        self._disk.sync_directory(self._directory)
        self._names[self._sequence] = name
        if tail:
            self._note_copies(entries_at, body)
        return file

    def _note_copies(self, entries_at: list[tuple[Index, int]], body: Body) -> None:
        """The tail that recovery has counted already stands here now too.

        Its steps must not run a second time: they may write entries and take them back again.
        """
        start = self._offset + FLUSH_HEADER_BYTES
        for index, place in entries_at:
            if index <= self._positions.last:  # else taken back; of two copies the later counts
                self._positions.put(index, self._sequence, start + place)
        self._end_flush(start, body)

    def _remove_old_segments(self) -> None:
        """What only holds entries up to `start` goes; the record that says so is durable."""
        if self.snapshot is None:
            return
        needed = self._sequence_after(self.start)
        old = [sequence for sequence in sorted(self._ends) if sequence < needed]
        for sequence in old:
            self._disk.remove(f"{self._directory}/{self._names[sequence]}")
            del self._ends[sequence], self._names[sequence]
            self._salts.pop(sequence, None)  # there is none where the header was damaged
        if old:
            self._disk.sync_directory(self._directory)

    @property
    def needs_spare(self) -> bool:
        """Whether the next segment should be prepared now, while this one has room."""
        return self._spare is None and self._offset > self._segment_bytes // 2

    def prepare(self) -> None:
        """Make the file of the next segment, zeroed and synced; may run beside `write`."""
        self._spares_made += 1
        path = f"{self._directory}/spare-{self._spares_made}{UNFINISHED_SUFFIX}"
        self._spare = (path, self._create(path))

    def _take_spare(self) -> tuple[str, DiskFile]:
        spare, self._spare = self._spare, None
        if spare is not None:
            return spare
        path = f"{self._directory}/segment{UNFINISHED_SUFFIX}"
        return path, self._create(path)

    def _create(self, path: str) -> DiskFile:
        is_bulk = 0 < self._number * BULK_FLUSH_BYTES < self._offset
        return self._disk.create_zeroed(path, self._segment_bytes, is_bulk=is_bulk)

    # --- reading ---

    def read(self, low: Index, high: Index, bytes_max: int) -> list[Entry]:
        """Durable entries low..high, cut after bytes_max but never empty; all verified."""
        return self._readback.read(low, high, bytes_max)

    def close(self) -> None:
        """Release all files; what was written is durable already."""
        self._file.close()
        self._votes.close()
        if self._spare is not None:
            self._spare[1].close()
        self._readback.close()


def _fitting(entries: Sequence[Entry], room: int) -> tuple[int, int]:
    """How many entries fit in `room` bytes, and how many bytes they (or the first) take."""
    size = sum([RECORD_HEADER_BYTES + (len(entry.payload) + 7 & ~7) for entry in entries])
    if size <= room:
        return len(entries), size
    size = 0
    for count, entry in enumerate(entries):
        taken = RECORD_HEADER_BYTES + (len(entry.payload) + 7 & ~7)
        if size + taken > room:
            return count, size or taken
        size += taken
    raise AssertionError("all of them fit")
