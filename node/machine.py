"""Raft's state machine: committed entries become rows, waiting proposers and readers wake.

Everything here runs on the event loop inside one call of `apply`: rows are written, then those
who wait for an index or an outcome are told, then bells ring. So whoever is told reads the
rows. Checkpoints make rows and blobs durable behind apply's back; the log does until then.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

import trio

from node.env import RunBlocking
from node.news import Bells
from raft.model import Entry, EntryKind
from storage.apply import Applied
from storage.checkpoint import CHECKPOINT_OCTETS, CHECKPOINT_S
from storage.opening import State
from storage.view import View

OnApplied = Callable[[Sequence[Applied]], None]


def state_payload(entry: Entry) -> bytes:
    """What an entry asks of the state; nothing when it is consensus' own."""
    return entry.payload if entry.kind is EntryKind.NORMAL else b""


class Machine:
    """Applies entries to this node's state and tells who waits."""

    def __init__(self, state: State, bells: Bells) -> None:
        self._state = state
        self._bells = bells
        self._listeners: list[OnApplied] = []
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []  # a heap, by index
        self._tickets = 0
        self._pressed = trio.Event()

    @property
    def applied_index(self) -> int:
        """The last entry whose effects can be read here."""
        return self._state.applier.index

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries, which follow the applied index."""
        results = self._state.applier.apply([(e.index, e.term, state_payload(e)) for e in entries])
        for listener in self._listeners:
            listener(results)
        index = self.applied_index
        while self._waiting and self._waiting[0][0] <= index:
            heappop(self._waiting)[2]()
        for result in results:
            if result.announces:
                self._bells.ring(result.announces)
        if self._state.checkpointer.octets_waiting >= CHECKPOINT_OCTETS:
            self._pressed.set()

    def view(self) -> View:
        """What is applied now."""
        return View(self._state.engine, self.applied_index)

    def registered(self, replica: int) -> tuple[int, bytes]:
        """The newest boot epoch of a replica, and the nonce of the process that has it."""
        return self._state.applier.registered(replica)

    def listen(self, listener: OnApplied) -> None:
        """Call `listener` with every result of every apply, in order, before readers wake."""
        self._listeners.append(listener)

    def when_applied(self, index: int, wake: Callable[[], None]) -> None:
        """Call `wake` once `index` is applied; at once if it is."""
        if index <= self.applied_index:
            wake()
            return
        self._tickets += 1
        heappush(self._waiting, (index, self._tickets, wake))

    async def run_checkpoints(self, run_blocking: RunBlocking) -> None:
        """Take a checkpoint every CHECKPOINT_S or CHECKPOINT_OCTETS until cancelled."""
        checkpointer = self._state.checkpointer
        while True:
            with trio.move_on_after(CHECKPOINT_S):
                await self._pressed.wait()
            self._pressed = trio.Event()
            checkpoint = checkpointer.begin()
            if checkpoint is None:
                continue
            # Shielded: what has begun ends before the files are closed.
            with trio.CancelScope(shield=True):
                await run_blocking(lambda due=checkpoint: checkpointer.flush(due))  # type: ignore[misc]
                checkpointer.commit(checkpoint)
                await run_blocking(checkpointer.settle)
