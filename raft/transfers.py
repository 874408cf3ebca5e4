"""What the house does with snapshots of this replica's state, beside its driver (trio).

    wait_wanted   our log, or a leader, says that we need the state of another replica
    begin, end    around putting one in place: nothing is applied in between, nobody campaigns
    compact       the state machine is durable up to an index: what may the log forget?

A log keeps its newest `trailing_bytes`, and up to `held_bytes_max` for a follower that was heard
lately and is behind, or a transfer under way: forgetting what they will ask for next would send
them around in a circle of snapshots (hashicorp/raft 212). A lone voter forgets nothing: if its
state were lost, only its log could rebuild it.
"""

from collections.abc import Callable

import trio

from raft import repair
from raft.core import Core
from raft.model import HardState, Index, Persist, SnapshotMeta, Term
from raft.stable import LogStorage
from raft.state import Role


class Transfers:
    """Compaction and snapshots of one replica."""

    def __init__(
        self,
        core: Core,
        storage: LogStorage,
        now_ms: Callable[[], int],
        wake: Callable[[], None],
        on_installed: Callable[[Index], None],
    ) -> None:
        """`wake` makes the driver take a turn; `on_installed` tells it where apply goes on."""
        self._core = core
        self._storage = storage
        self._now_ms = now_ms
        self._wake = wake
        self._on_installed = on_installed
        self._bell = trio.Event()

    def look(self) -> None:
        """Called by the driver once a turn."""
        if self._core.snapshot_wanted:
            self._bell.set()

    @property
    def wanted(self) -> Index:
        """A snapshot of this index or later is needed; 0 when none is."""
        return self._core.snapshot_wanted

    async def wait_wanted(self) -> Index:
        """Block until a snapshot is needed; at least this index."""
        while not self.wanted:
            self._bell = trio.Event()
            await self._bell.wait()
        return self.wanted

    @property
    def start(self) -> Index:
        """The entry behind which the log begins."""
        return self._core.state.log.start

    @property
    def term(self) -> Term:
        """The term we are in: whoever takes a snapshot from us must follow nobody older."""
        return self._core.state.term

    def meta(self, index: Index, term: Term) -> SnapshotMeta | None:
        """What a snapshot taken here, at an entry that was applied, stands for.

        None while we do not know who counted there: we have just joined.
        """
        membership = self._core.state.configs.at(index)
        return SnapshotMeta(index, term, membership) if membership.voters else None

    def answer(self, ask: repair.LogAsk) -> repair.LogAnswer:
        """What our log can tell a replica whose own is damaged."""
        return repair.answer(self._core.state, ask)

    def begin(self, index: Index) -> bool:
        """A whole snapshot came; False when we have got further without it meanwhile."""
        return self._core.begin_install(index)

    def end(self, meta: SnapshotMeta, seen_term: Term) -> None:
        """It is in place, and will be after a crash."""
        self._core.snapshot_installed(meta, seen_term, self._now_ms())
        self._on_installed(meta.index)
        self._wake()

    def compact(self, safe: Index, *, in_use: Index | None = None, all_of_it: bool = False) -> bool:
        """Forget what may be forgotten; whether that was anything.

        `safe` is what the state machine has made durable, `in_use` the index of a snapshot that
        somebody is fetching from us. `all_of_it` keeps no trailing bytes.
        """
        state, config, storage = self._core.state, self._core.state.config, self._storage
        if len(state.membership.everyone) < 2:
            return False
        safe = min(safe, state.applied, state.log.durable)
        point = storage.compaction_point(safe, 0 if all_of_it else config.trailing_bytes)
        needed = min([self._needed_by_followers(), point if in_use is None else in_use])
        if needed < point:
            point = max(needed, storage.compaction_point(safe, config.held_bytes_max))
            point = storage.compaction_point(point, 0)
        if point <= state.log.start or not state.configs.at(point).voters:
            return False
        self._core.compact(point)
        self._wake()
        return True

    def _needed_by_followers(self) -> Index:
        """The last entry that everybody who was heard lately has."""
        state = self._core.state
        if state.role is not Role.LEADER:
            return state.log.last
        now_ms, lately_ms = self._now_ms(), state.config.election_ms_max
        live = [p.match for p in state.progress.values() if now_ms - p.heard_ms < lately_ms]
        return min(live, default=state.log.last)


def unheard_install(storage: LogStorage, meta: SnapshotMeta, seen_term: Term) -> Persist | None:
    """The state came from this snapshot; what the log must be told if it has not heard of it.

    A crash can come between a state in place and the log's hearing of it.
    """
    start = 0 if storage.snapshot is None else storage.snapshot.index
    if meta.index < start or _holds(storage, meta):
        return None
    hard_state = storage.hard_state
    if seen_term > hard_state.term:
        hard_state = HardState(seen_term)
    truncate_from = meta.index if meta.index <= storage.last else None
    return Persist(0, hard_state, truncate_from, (), meta)


def _holds(storage: LogStorage, meta: SnapshotMeta) -> bool:
    terms = [term for first, term in storage.term_runs if first <= meta.index]
    return meta.index <= storage.last and terms[-1:] == [meta.term]
