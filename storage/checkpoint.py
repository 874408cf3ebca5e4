"""Checkpoint: up to which index the engine and the blob segments are surely on disk.

Apply writes without fsync. Every two seconds or 8 MiB the house runs one checkpoint:

    begin (loop)      note the applied index and the segments written to
    flush (thread)    fdatasync those segments
    commit (loop)     write the checkpoint row, unsynced
    settle (thread)   one synced write: the engine's log, checkpoint row included, is on disk

The row comes after every row it speaks of, so wherever the disk's copy of the engine's log ends,
a checkpoint in it is true. LevelDB's log is a chain of files, though, and syncing one says
nothing of the file before it, which may still wait for its table to be written. So each applied
group leaves a row that names the group before, kept until LevelDB must have long written that
table; `verify_groups` walks them at start, and a missing link means a hole: rebuild.
"""

from dataclasses import dataclass
from typing import Final

from storage import local_keys
from storage.apply import Applier, applied_index
from storage.blobs import BlobStore
from storage.engine import Engine, EngineRefused, Row
from storage.values import pack_u64, unpack_u64

MIB: Final = 1024 * 1024

# Run a checkpoint at the latest after this much time or this many octets of rows and blobs.
CHECKPOINT_S: Final = 2.0
CHECKPOINT_OCTETS: Final = 8 * MIB
# Links are kept over this many octets of rows: four times LevelDB's write buffer, of which at
# most two are without a table.
LINKED_OCTETS: Final = 32 * MIB
# The most links one checkpoint drops; the rest go with the next ones.
LINKS_DROPPED_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint under way."""

    index: int
    octets: int
    segments: list[int]
    segments_row: Row


class Checkpointer:
    """Takes checkpoints of one engine and its blobs; never two at once."""

    def __init__(self, engine: Engine, blobs: BlobStore, applier: Applier) -> None:
        self._engine = engine
        self._blobs = blobs
        self._applier = applier
        self._octets = 0
        self.index = checkpoint_index(engine)
        """The last index known to be on disk."""

    @property
    def octets_waiting(self) -> int:
        """Written since the last checkpoint began."""
        return self._applier.octets - self._octets

    def begin(self) -> Checkpoint | None:
        """Note what is to be made durable; None when nothing was applied since the last one."""
        if self._applier.index == self.index:
            return None
        self._octets = self._applier.octets
        return Checkpoint(self._applier.index, self._octets, *self._blobs.take_unsynced())

    def flush(self, checkpoint: Checkpoint) -> None:
        """Make the blobs durable. Blocks; may run in a thread."""
        self._blobs.sync(checkpoint.segments)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint's row and drop links that are no longer needed."""
        groups = self._applier.groups
        dropped: list[bytes] = []
        while (
            len(groups) > 1
            and len(dropped) < LINKS_DROPPED_MAX
            and groups[0][1] < checkpoint.octets - LINKED_OCTETS
        ):
            dropped.append(local_keys.group_key(groups.popleft()[0]))
        row = (local_keys.CHECKPOINT_KEY, pack_u64(checkpoint.index))
        self._engine.write([row, checkpoint.segments_row], dropped)
        self.index = checkpoint.index

    def settle(self) -> None:
        """Make the engine's writes so far durable. Blocks; may run in a thread."""
        self._engine.write((), sync=True)

    def run(self) -> None:
        """A whole checkpoint at once: for an orderly stop, and where blocking does not matter."""
        checkpoint = self.begin()
        if checkpoint is not None:
            self.flush(checkpoint)
            self.commit(checkpoint)
            self.settle()


def checkpoint_index(engine: Engine) -> int:
    """The applied index up to which rows and blobs are surely on disk."""
    held = engine.get(local_keys.CHECKPOINT_KEY)
    return 0 if held is None else unpack_u64(held)


def verify_groups(engine: Engine) -> None:
    """Raise EngineRefused when a group of entries is missing below the applied index."""
    links = [
        (unpack_u64(value), local_keys.unpack_group_key(key))
        for key, value in engine.scan(*local_keys.GROUPS_RANGE)
    ]
    reached = links[0][0] if links else applied_index(engine)
    for before, last in links:
        if before != reached:
            raise EngineRefused(f"the group of entries after {reached} is missing")
        reached = last
    if reached != applied_index(engine) or checkpoint_index(engine) > reached:
        raise EngineRefused(f"groups end at {reached}, applied is {applied_index(engine)}")
