"""One replica as a Trio task: inputs in, then persist -> send -> apply, over and over.

One turn at a time has the core, and no turn waits. Everything that arrives between two turns
(messages, finished writes, proposals, readers) is handled in one, so the work per entry is small
and batches grow by themselves under load. Turns are this task's, but for what a client waits for: a
proposal, which comes with all that was planned beside it, and the disk's word take theirs at once.
A turn never waits for the disk or the network: the log has its writer, the transport drops what it
cannot take. Applying happens here too, one bounded batch a turn.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Final

import trio

from raft import reads
from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core, entry_fits
from raft.disk import DiskFailed
from raft.log import RaftLog
from raft.messages import Message, payload_bytes
from raft.model import NOBODY, Index, Membership, ReadsConfirmed, ReplicaId
from raft.ports import (
    EntryTooLarge,
    LogWriter,
    NoLeader,
    PeerStatus,
    ReadTimeout,
    StateAheadOfLog,
    StateMachine,
    Status,
    TooBusy,
    Transport,
)
from raft.stable import LogStorage
from raft.steering import Steering
from raft.transfers import Transfers
from raft.writer import ThreadWriter

# Batches of readers with a ticket of their own; more readers join the one that has none yet.
READ_BATCHES_MAX: Final = 2


@dataclass(slots=True)
class _Readers:
    """Readers that share one ticket."""

    answered: trio.Event = field(default_factory=trio.Event)
    ticket: int = 0
    index: Index = 0


class Driver:
    """Runs one replica of one group."""

    def __init__(
        self,
        *,
        config: RaftConfig,
        replica: ReplicaId,
        membership: Membership,
        cluster: bytes,
        storage: LogStorage,
        transport: Transport,
        machine: StateMachine,
        random: Random,
        writer: LogWriter | None = None,
        on_leader: Callable[[ReplicaId], None] | None = None,
        on_membership: Callable[[Membership, bool], None] | None = None,
    ) -> None:
        """Start from what storage and machine remember; raises StateAheadOfLog.

        `membership` counts while the log holds none. `on_leader` is told when another replica
        leads: what was passed to the one before may be lost. `on_membership` is told the one that
        counts, and whether it is committed. Neither may block or propose.
        """
        assert (storage.cluster, storage.replica) == (cluster, replica), "another replica's log"
        applied = machine.applied_index
        if applied > storage.last:
            raise StateAheadOfLog(f"applied is {applied}, the log ends at {storage.last}")
        self._config = config
        self._transport = transport
        self._machine = machine
        self._on_leader = on_leader
        self._on_membership = on_membership
        self._membership_told: tuple[Index, bool] | None = None
        self._leader_told: ReplicaId = NOBODY
        self._writer: LogWriter = writer if writer is not None else ThreadWriter(storage)
        self._core = Core(
            config=config,
            replica=replica,
            configs=_configs(membership, storage),
            log=RaftLog(
                storage,
                last=storage.last,
                term_runs=storage.term_runs,
                window_bytes_max=config.window_bytes_max,
                start=0 if storage.snapshot is None else storage.snapshot.index,
            ),
            hard_state=storage.hard_state,
            applied=applied,
            random=random,
            now_ms=0,
        )
        self.steering: Final = Steering(self._core, self._now_ms, self._ring)
        self.transfers: Final = Transfers(
            self._core, storage, self._now_ms, self._ring, self._on_installed
        )
        self._applied = applied
        self._started_s = 0.0
        self._wake = trio.Event()
        self._is_serving = False  # the core may be turned
        self._tick_due = False
        self._inbox: list[Message] = []
        self._inbox_bytes = 0
        self._messages_dropped = 0
        self._proposals: list[bytes] = []
        self._proposals_bytes = 0
        self._proposals_dropped = 0
        self._lost_peers: list[ReplicaId] = []
        self._durable_number = self._durable_told = 0
        self._readers_joining: _Readers | None = None
        self._readers_waiting: deque[_Readers] = deque()
        self._apply_waiters: list[tuple[Index, int, trio.Event]] = []
        self._order = count()

    # --- the task ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled; raises DiskFailed, after which the node must stop."""
        self._started_s = trio.current_time()
        failures: list[DiskFailed] = []
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._writer.run, self._on_durable)
                nursery.start_soon(self._tick)
                task_status.started()
                await self._serve()
        except* DiskFailed as group:
            failures += [leaf for leaf in _leaves(group) if isinstance(leaf, DiskFailed)]
        if failures:
            raise failures[0]

    async def _tick(self) -> None:
        """Look at the clock when the next deadline comes, but at least every heartbeat.

        A deadline that moves to an earlier time meanwhile is late by at most that.
        """
        config = self._config
        while True:
            left_ms = self._core.due_ms - self._now_ms()
            await trio.sleep(min(max(left_ms, config.tick_ms), config.heartbeat_ms) / 1000)
            self._tick_due = True
            self._wake.set()

    async def _serve(self) -> None:
        self._is_serving = True
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._turn():
                    await trio.lowlevel.checkpoint()
        finally:
            self._is_serving = False

    def _turn_now(self) -> None:
        """A turn in the task of whoever brings what a client waits for: one hand-over less."""
        if not self._is_serving or self._turn():
            self._wake.set()

    def _ring(self) -> None:
        self._wake.set()

    def _now_ms(self) -> int:
        return int((trio.current_time() - self._started_s) * 1000)

    def _turn(self) -> bool:
        """Handle all that waits and act on it; True when there is more to apply.

        What is brought meanwhile, from within, is for the next turn.
        """
        self._is_serving = False
        now_ms = self._now_ms()
        self._take_inputs(now_ms)
        ready = self._core.ready(now_ms)
        if ready.persist is not None:
            self._writer.submit(ready.persist)
        if ready.send:
            self._send(ready.send)
        if ready.reads is not None:
            self._answer_readers(ready.reads)
        leader = self._core.state.leader
        if leader not in (NOBODY, self._leader_told):
            self._leader_told = leader
            if self._on_leader is not None:
                self._on_leader(leader)
        self._tell_membership()
        self.transfers.look()
        more = self._apply()
        self._is_serving = True
        return more

    def _tell_membership(self) -> None:
        state = self._core.state
        index = state.configs.active_index
        now = (index, index <= state.commit)
        if now != self._membership_told:
            self._membership_told = now
            if self._on_membership is not None:
                self._on_membership(state.membership, now[1])

    def _take_inputs(self, now_ms: int) -> None:
        core = self._core
        inbox, self._inbox, self._inbox_bytes = self._inbox, [], 0
        for message in inbox:
            core.step(message, now_ms)
        if self._durable_number > self._durable_told:
            self._durable_told = self._durable_number
            core.persisted(self._durable_told, now_ms)
        for replica in self._lost_peers:
            core.peer_lost(replica, now_ms)
        self._lost_peers.clear()
        if self._proposals:
            self._pass_on_proposals(now_ms)
        if self._tick_due:
            self._tick_due = False
            core.tick(now_ms)
        if self._readers_joining and len(self._readers_waiting) < READ_BATCHES_MAX:
            readers, self._readers_joining = self._readers_joining, None
            readers.ticket = core.take_read_ticket(now_ms)
            self._readers_waiting.append(readers)

    def _pass_on_proposals(self, now_ms: int) -> None:
        proposals, self._proposals, self._proposals_bytes = self._proposals, [], 0
        for part in _portions(proposals, self._config.append_bytes_max):
            if not self._core.propose(part, now_ms):
                self._proposals_dropped += len(part)

    def _send(self, messages: Sequence[Message]) -> None:
        by_peer: dict[ReplicaId, list[Message]] = {}
        for message in messages:
            by_peer.setdefault(message.to, []).append(message)
        for peer, theirs in by_peer.items():
            self._transport.send(peer, theirs)

    def _apply(self) -> bool:
        core = self._core
        entries = core.take_committed()
        if not entries:
            return False
        self._machine.apply(entries)
        self._applied = entries[-1].index
        self._wake_applied()
        return self._applied < core.applicable

    def _wake_applied(self) -> None:
        waiters = self._apply_waiters
        while waiters and waiters[0][0] <= self._applied:
            heapq.heappop(waiters)[2].set()

    def _answer_readers(self, confirmed: ReadsConfirmed) -> None:
        waiting = self._readers_waiting
        while waiting and waiting[0].ticket <= confirmed.ticket:
            readers = waiting.popleft()
            readers.index = confirmed.index
            readers.answered.set()
        if self._readers_joining:
            self._wake.set()  # there is room for their ticket now

    def _on_installed(self, index: Index) -> None:
        self._applied = index
        self._wake_applied()

    def _on_durable(self, number: int) -> None:
        self._durable_number = number
        self._turn_now()

    # --- what others call ---

    def receive(self, message: Message) -> None:
        """Take one message from the transport; beyond the inbox's bounds it is dropped."""
        size = payload_bytes(message)
        if (
            len(self._inbox) >= self._config.inbox_messages_max
            or self._inbox_bytes + size > self._config.inbox_bytes_max
        ):
            self._messages_dropped += 1
            return
        self._inbox.append(message)
        self._inbox_bytes += size
        self._wake.set()

    def peer_lost(self, replica: ReplicaId) -> None:
        """The transport saw a peer's connection break: a hint that it died."""
        if replica not in self._lost_peers:
            self._lost_peers.append(replica)
            self._wake.set()

    def propose(self, *payloads: bytes) -> None:
        """Send payloads towards the log, up to one that raises NoLeader, TooBusy, EntryTooLarge.

        No answer says that it was committed: it is, when it is applied. It can get lost, and
        whoever proposes sends it again then; so payloads carry ids that make this harmless.
        """
        config, state = self._config, self._core.state
        uncommitted = state.uncommitted_bytes
        for payload in payloads:
            if not entry_fits(config, payload):
                raise EntryTooLarge(f"{len(payload)} bytes; limit {config.entry_bytes_max}")
            if state.leader == NOBODY:
                raise NoLeader
            under_way = self._proposals_bytes + uncommitted
            if state.handover is not None or under_way >= config.uncommitted_bytes_max:
                raise TooBusy
            self._proposals.append(payload)
            self._proposals_bytes += len(payload)
        self._turn_now()

    @property
    def known_index(self) -> Index | None:
        """What read_index would say without a wait: a single voter needs to ask nobody."""
        state = self._core.state
        return state.commit if not state.progress and reads.knows_commit(state) else None

    async def read_index(self, *, timeout_s: float) -> Index:
        """How far a reader who starts now must wait for apply; raises NoLeader or ReadTimeout.

        While no leader is known it waits too, since most elections are short.
        """
        if (known := self.known_index) is not None:
            return known
        if self._readers_joining is None:
            self._readers_joining = _Readers()
            self._wake.set()
        readers = self._readers_joining
        with trio.move_on_after(timeout_s):
            await readers.answered.wait()
            return readers.index
        if self._core.state.leader == NOBODY:
            raise NoLeader
        raise ReadTimeout

    async def wait_applied(self, index: Index, *, timeout_s: float) -> None:
        """Return when the machine has applied `index`, at once if it has; raises ReadTimeout."""
        if index <= self._applied:
            return
        waiter = (index, next(self._order), trio.Event())
        heapq.heappush(self._apply_waiters, waiter)
        try:
            with trio.fail_after(timeout_s):
                await waiter[2].wait()
        except trio.TooSlowError:
            raise ReadTimeout from None
        finally:
            if not waiter[2].is_set():
                self._apply_waiters.remove(waiter)
                heapq.heapify(self._apply_waiters)

    def status(self) -> Status:
        """What this replica knows now."""
        state = self._core.state
        now_ms = self._now_ms() if self._started_s else 0
        peers = tuple(
            PeerStatus(
                replica=p.replica,
                match=p.match,
                lag=state.log.last - p.match,
                sending=p.sending,
                heard_ms_ago=now_ms - p.heard_ms,
            )
            for p in state.progress.values()
        )
        return Status(
            replica=state.replica,
            role=state.role,
            term=state.term,
            leader=state.leader,
            commit=state.commit,
            applied=self._applied,
            durable=state.log.durable,
            last=state.log.last,
            voters=tuple(sorted(state.membership.voters)),
            learners=tuple(sorted(state.membership.learners)),
            peers=peers,
            uncommitted_bytes=state.uncommitted_bytes,
            messages_dropped=self._messages_dropped,
            proposals_dropped=self._proposals_dropped,
            is_disk_silent=state.is_disk_silent,
        )


def _configs(formed_with: Membership, storage: LogStorage) -> Configs:
    if storage.snapshot is None:
        return Configs(formed_with, entries=storage.configs)
    base = storage.snapshot
    return Configs(base.membership, base_index=base.index, entries=storage.configs)


def _portions(payloads: list[bytes], bytes_max: int) -> list[list[bytes]]:
    """Payloads in order, in lists of at most bytes_max, or of one larger payload."""
    portions: list[list[bytes]] = []
    size = bytes_max
    for payload in payloads:
        if size + len(payload) > bytes_max or not portions:
            portions.append([])
            size = 0
        portions[-1].append(payload)
        size += len(payload)
    return portions


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The single exceptions inside nested groups."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
