"""A vocabulary for apply's tests: a store, a log written in words, and power cuts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from storage import keys
from storage.apply import Applied, Applier, Entry, Outcome
from storage.batch import (
    Batch,
    BlobPart,
    Expect,
    ProposalId,
    Registration,
    encode_batch,
    encode_registration,
)
from storage.blobs import BlobStore, cut_blob
from storage.checkpoint import Checkpointer, verify_groups
from storage.dump import state_hash
from storage.ids import blob_id
from storage.memory import MemoryEngine
from storage.segments import MemoryFiles

N1, N2 = 11, 12


@dataclass
class Log:
    """Entries in order; each call adds one."""

    entries: list[Entry] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)

    def add(self, payload: bytes) -> Entry:
        entry = (len(self.entries) + 1, 1, payload)
        self.entries.append(entry)
        return entry

    def noop(self) -> Entry:
        return self.add(b"")

    def register(self, replica: int = N1, epoch: int = 1, nonce: bytes = b"n") -> Entry:
        return self.add(encode_registration(Registration(replica, epoch, "n", b"uuid", nonce)))

    def batch(
        self,
        replica: int = N1,
        *,
        epoch: int = 1,
        sequence: int | None = None,
        ack_below: int = 0,
        expect: Sequence[tuple[bytes, bytes | None]] = (),
        put: Sequence[tuple[bytes, bytes]] = (),
        delete: Sequence[bytes] = (),
        blobs: Sequence[BlobPart] = (),
    ) -> Entry:
        if sequence is None:
            sequence = self.sequences.get(replica, 0) + 1
        self.sequences[replica] = max(sequence, self.sequences.get(replica, 0))
        return self.add(
            encode_batch(
                Batch(
                    ProposalId(replica, epoch, sequence),
                    ack_below,
                    tuple(Expect(*each) for each in expect),
                    tuple(put),
                    tuple(delete),
                    tuple(blobs),
                )
            )
        )


class Store:
    """Engine, blobs and applier in memory; the power can be cut."""

    def __init__(
        self,
        engine: MemoryEngine | None = None,
        files: MemoryFiles | None = None,
        *,
        segment_bytes_max: int = 1_000_000,
    ) -> None:
        self.engine = engine or MemoryEngine()
        self.files = files or MemoryFiles()
        self.segment_bytes_max = segment_bytes_max
        verify_groups(self.engine)
        self.blobs = BlobStore(self.engine, self.files, segment_bytes_max=segment_bytes_max)
        self.applier = Applier(self.engine, self.blobs)
        self.checkpointer = Checkpointer(self.engine, self.blobs, self.applier)

    def apply(self, *entries: Entry) -> list[Outcome]:
        return [applied.outcome for applied in self.results(*entries)]

    def results(self, *entries: Entry) -> list[Applied]:
        return self.applier.apply(entries)

    def catch_up(self, log: Log) -> None:
        """Apply what the log has and the store has not."""
        self.applier.apply(log.entries[self.applier.index :])

    def after_crash(self) -> "Store":
        """The process died: all that was written is there."""
        return self._again(self.engine.rows())

    def after_power_cut(self, rows: dict[bytes, bytes] | None = None) -> "Store":
        """Only what was synced is surely there; `rows` may have survived besides."""
        self.files.cut_power()
        return self._again(self.engine.survivors() if rows is None else rows)

    def _again(self, rows: dict[bytes, bytes]) -> "Store":
        engine = MemoryEngine(rows.items())
        return Store(engine, self.files, segment_bytes_max=self.segment_bytes_max)

    def redo(self, log: Log) -> int:
        """What a start does after the crash, before it applies anything."""
        return self.applier.redo_blobs(log.entries[self.checkpointer.index : self.applier.index])


def bytes_of(size: int, seed: int = 1) -> bytes:
    """Bytes like no others."""
    return random.Random(seed).randbytes(size)


def whole(data: bytes) -> list[BlobPart]:
    """A blob in all its parts."""
    return list(cut_blob(blob_id(data), data))


def deliveries(count: int, size: int = 3_000) -> Log:
    """A log of rows and blobs."""
    log = Log()
    log.register(N1)
    for number in range(count):
        key = keys.REPLICATED + b"mail%04d" % number
        data = bytes_of(size, number)
        log.batch(ack_below=number + 1, put=[(key, blob_id(data))], blobs=whole(data))
    return log


def reference(log: Log) -> bytes:
    """The state all nodes end in."""
    store = Store()
    store.catch_up(log)
    return state_hash(store.engine)


def blobs_are_whole(blobs: BlobStore, log: Log) -> bool:
    """Every message that `deliveries` put into the log can be read."""
    messages = (bytes_of(3_000, number) for number in range(len(log.entries) - 1))
    return all(blobs.read(blob_id(data), 0, 10**6) == data for data in messages)
