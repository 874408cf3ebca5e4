"""StateHome in memory, for nodes under virtual time: a state ends with its process."""

import io
from typing import BinaryIO

from storage.apply import Applier
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer
from storage.dump import state_hash
from storage.memory import MemoryEngine
from storage.opening import State
from storage.segments import MemoryFiles
from storage.snapshot import Install, SnapshotDamaged, SnapshotHead


class MemoryHome:
    """Makes states of MemoryEngines."""

    def begin(self, head: SnapshotHead) -> "MemoryNest":
        """An empty state."""
        return MemoryNest(head)

    def spool(self) -> BinaryIO:
        """Bytes in memory."""
        return io.BytesIO()

    def sweep(self) -> None:
        """Nothing is left behind."""


class MemoryNest:
    """A state that is being filled."""

    def __init__(self, head: SnapshotHead) -> None:
        self._head = head
        self._engine = MemoryEngine()
        self._blobs = BlobStore(self._engine, MemoryFiles())
        self.install = Install(self._engine, self._blobs, head)

    def settle(self, note: bytes) -> State:
        """Verified as on a disk."""
        self.install.finish(note)
        if state_hash(self._engine) != self._head.digest:
            raise SnapshotDamaged("the rows read back are not those of the other node")
        applier = Applier(self._engine, self._blobs)
        checkpointer = Checkpointer(self._engine, self._blobs, applier)
        return State(self._engine, self._blobs, applier, checkpointer)

    def adopt(self) -> None:
        """It is, until the process ends."""

    def discard(self) -> None:
        """Nothing is open."""
