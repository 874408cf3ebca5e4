"""Raft's state machine: committed entries become rows, waiting proposers and readers wake.

Everything here runs on the event loop inside one call of `apply`: rows are written, then those
who wait for an index or an outcome are told, then bells ring. So whoever is told reads the
rows. Checkpoints make rows and blobs durable behind apply's back; the log does until then, and may
forget entries afterwards. A snapshot of another node can take the place of the whole state
(`adopt`): never beside an apply, and never while a checkpoint works on the old one (`at_rest`).
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final

import trio

from node.current_state import CurrentState
from node.env import RunBlocking
from node.news import Bells
from raft.model import Entry, EntryKind
from storage.apply import Applied, Outcome
from storage.batch import ProposalId
from storage.checkpoint import CHECKPOINT_OCTETS, CHECKPOINT_S
from storage.engine import OnDamage, untold
from storage.mail.state import version as read_version
from storage.opening import State
from storage.view import View

OnApplied = Callable[[Sequence[Applied]], None]


def state_payload(entry: Entry) -> bytes:
    """What an entry asks of the state; nothing when it is consensus' own."""
    return entry.payload if entry.kind is EntryKind.NORMAL else b""


class Machine:
    """Applies entries to this node's state and tells who waits."""

    def __init__(self, state: State, bells: Bells) -> None:
        self.current: Final = CurrentState(state)
        self.at_rest: Final = trio.Lock()
        """Held while a thread works on the state, or it is replaced."""
        self._bells = bells
        self._listeners: list[OnApplied] = []
        self._on_adopted: list[Callable[[], None]] = []
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []  # a heap, by index
        self._tickets = 0
        self._pressed = trio.Event()
        self._on_damage: OnDamage = untold
        self._stop: tuple[int, Callable[[], None]] | None = None
        self.sync_ms: int | None = None
        """How long the last checkpoint took to reach the disk."""

    @property
    def state(self) -> State:
        """The state that stands now."""
        return self.current.state

    @property
    def applied_index(self) -> int:
        """The last entry whose effects can be read here."""
        return self.current.state.applier.index

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries, which follow the applied index."""
        if self._stop is not None:
            index, take = self._stop
            first = index - self.applied_index
            if first <= len(entries):
                self._stop = None
                self._apply(entries[:first])
                take()
                entries = entries[first:]
        if entries:
            self._apply(entries)

    def at_index(self, index: int, take: Callable[[], None]) -> bool:
        """Call `take` between two entries, when exactly `index` is applied; False: too late.

        Whoever asks last is called; `take` may not wait. A state that another takes the place of
        may never be there.
        """
        self._stop = None
        if self.applied_index < index:
            self._stop = (index, take)
        elif self.applied_index == index:
            take()
        return self.applied_index <= index

    def at_no_index(self) -> None:
        """Whoever asked for an index does not wait any more."""
        self._stop = None

    def _apply(self, entries: Sequence[Entry]) -> None:
        results = self.current.state.applier.apply(
            [
                (index, term, payload if kind is EntryKind.NORMAL else b"")  # as state_payload
                for index, term, kind, payload in entries
            ]
        )
        for listener in self._listeners:
            listener(results)
        self._wake()
        if self._bells.heard:
            for result in results:
                self._bells.ring(result.announces)
        if self.current.state.checkpointer.octets_waiting >= CHECKPOINT_OCTETS:
            self._pressed.set()

    def _wake(self) -> None:
        index = self.applied_index
        while self._waiting and self._waiting[0][0] <= index:
            heappop(self._waiting)[2]()

    def adopt(self, state: State) -> State:
        """Another node's state, which is further than ours, takes its place; gives back the old.

        The results of the entries between are not known one by one: listeners look for theirs,
        and every account that somebody watches may have changed.
        """
        assert state.applier.index > self.applied_index, "a snapshot older than the state"
        old = self.state
        self._stop = None
        old.engine.on_damage = untold
        state.engine.on_damage = self._on_damage
        self.current.adopt(state)
        for adopted in self._on_adopted:
            adopted()
        self._wake()
        self._bells.ring_all(lambda account: read_version(self.current, account))
        return old

    def watch_damage(self, on_damage: OnDamage) -> None:
        """Call `on_damage`, perhaps from another thread, when rows cannot be read any more."""
        self._on_damage = self.state.engine.on_damage = on_damage

    def view(self) -> View:
        """What is applied now."""
        return View(self.current, self.applied_index)

    def registered(self, replica: int) -> tuple[int, bytes]:
        """The newest boot epoch of a replica, and the nonce of the process that has it."""
        return self.current.state.applier.registered(replica)

    def listen(self, listener: OnApplied) -> None:
        """Call `listener` with every result of every apply, in order, before readers wake."""
        self._listeners.append(listener)

    def outcome(self, pid: ProposalId) -> Outcome | None:
        """What became of a proposal that was not acknowledged yet; None: nothing so far."""
        return self.state.applier.outcome(pid)

    def listen_adopted(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a whole state has taken the place of this one."""
        self._on_adopted.append(listener)

    def when_applied(self, index: int, wake: Callable[[], None]) -> None:
        """Call `wake` once `index` is applied; at once if it is."""
        if index <= self.applied_index:
            wake()
            return
        self._tickets += 1
        heappush(self._waiting, (index, self._tickets, wake))

    async def run_checkpoints(
        self, run_blocking: RunBlocking, then: Callable[[int], object] = lambda index: None
    ) -> None:
        """Take a checkpoint every CHECKPOINT_S or CHECKPOINT_OCTETS until cancelled; `then` hears
        up to which index the state is durable."""
        while True:
            with trio.move_on_after(CHECKPOINT_S):
                await self._pressed.wait()
            self._pressed = trio.Event()
            then(await self.checkpoint(run_blocking))

    async def checkpoint(self, run_blocking: RunBlocking) -> int:
        """Make what is applied now durable; up to which index the state is then."""
        async with self.at_rest:
            checkpointer = self.state.checkpointer
            checkpoint = checkpointer.begin()
            if checkpoint is not None:
                # Shielded: what has begun ends before the files are closed.
                with trio.CancelScope(shield=True):
                    began_s = trio.current_time()
                    await run_blocking(lambda: checkpointer.flush(checkpoint))
                    checkpointer.commit(checkpoint)
                    await run_blocking(checkpointer.settle)
                    self.sync_ms = int((trio.current_time() - began_s) * 1000)
            return checkpointer.index
