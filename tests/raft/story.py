"""A small vocabulary for stories about logs and cores, shared by the tests of this room."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.log import RaftLog
from raft.messages import Message
from raft.model import Entry, EntryKind, HardState, Index, Membership, Persist, ReplicaId, Term
from raft.stable import DurableLog, MemoryLog, open_log
from raft.state import Role
from tests.simulation.disk import SimDisk

CLUSTER: Final = b"cluster-of-tests"


def entry(index: Index, term: Term = 1, payload: bytes | None = None) -> Entry:
    """A normal entry that says which one it is."""
    return Entry(index, term, EntryKind.NORMAL, b"%d" % index if payload is None else payload)


def entries(first: Index, last: Index, term: Term = 1) -> tuple[Entry, ...]:
    """first..last, all of one term."""
    return tuple(entry(index, term) for index in range(first, last + 1))


def step(
    *written: Entry, hard_state: HardState | None = None, truncate_from: Index | None = None
) -> Persist:
    """One step for a log."""
    return Persist(1, hard_state, truncate_from, written)


class LogStory:
    """A log on a simulated disk: write, damage, open again, read."""

    def __init__(self, segment_bytes: int = 64 * 1024) -> None:
        self.disk = SimDisk(Random(1))
        self.boots = 0
        self.segment_bytes = segment_bytes
        self.log = self.open()

    def open(self) -> DurableLog:
        self.boots += 1
        self.log = open_log(
            self.disk,
            "wal",
            cluster=CLUSTER,
            replica=7,
            random=Random(self.boots),
            segment_bytes=self.segment_bytes,
        )
        return self.log

    def write(self, *steps: Persist) -> None:
        self.log.write(steps)

    def read(self) -> list[Entry]:
        return self.log.read(1, self.log.last, 1 << 30)

    def files(self) -> list[str]:
        return [name for name in self.disk.list_names("wal") if name.endswith(".wal")]


class Council:
    """Cores joined by a perfect, instant network, with disks that finish unless they are stuck."""

    def __init__(self, size: int = 3, config: RaftConfig | None = None) -> None:
        self.config = config or RaftConfig()
        self.now_ms = 0
        self.members = tuple(range(1, size + 1))
        self.storage = {r: MemoryLog(cluster=CLUSTER, replica=r) for r in self.members}
        self.restarts = 0
        self.cores = {r: self.new_core(r) for r in self.members}
        self.cut: set[ReplicaId] = set()
        self.stuck_disks: set[ReplicaId] = set()
        self.steps: dict[ReplicaId, list[Persist]] = {r: [] for r in self.members}
        self.applied: dict[ReplicaId, list[Entry]] = {r: [] for r in self.members}
        self.confirmed: dict[ReplicaId, list[tuple[int, Index]]] = {r: [] for r in self.members}
        self.sent: list[Message] = []
        self.drop: Callable[[Message], bool] = lambda message: False
        self.mail: deque[Message] = deque()

    def new_core(self, replica: ReplicaId) -> Core:
        storage = self.storage[replica]
        start = 0 if storage.snapshot is None else storage.snapshot.index
        log = RaftLog(
            storage,
            last=storage.last,
            term_runs=storage.term_runs,
            window_bytes_max=self.config.window_bytes_max,
            start=start,
        )
        return Core(
            config=self.config,
            replica=replica,
            configs=Configs(Membership(frozenset(self.members)), base_index=start),
            log=log,
            hard_state=storage.hard_state,
            applied=start,
            random=Random(replica + 100 * self.restarts),
            now_ms=self.now_ms,
        )

    def restart(self, replica: ReplicaId) -> None:
        self.restarts += 1
        self.cores[replica] = self.new_core(replica)
        self.applied[replica], self.steps[replica] = [], []

    def settle(self) -> None:
        """Let messages and disks go on until nothing moves."""
        moved = True
        while moved:
            moved = False
            for replica in self.members:
                moved |= self._turn(replica)
            while self.mail:
                message = self.mail.popleft()
                if not {message.sender, message.to} & self.cut and not self.drop(message):
                    self.cores[message.to].step(message, self.now_ms)
                    moved = True

    def _turn(self, replica: ReplicaId) -> bool:
        core = self.cores[replica]
        ready = core.ready(self.now_ms)
        self.sent += ready.send
        self.mail.extend(ready.send)
        if ready.persist is not None:
            self.steps[replica].append(ready.persist)
        moved = bool(ready.send) or self.finish_disk(replica)
        if ready.reads is not None:
            self.confirmed[replica].append((ready.reads.ticket, ready.reads.index))
        while taken := core.take_committed():
            self.applied[replica] += taken
            moved = True
        return moved

    def finish_disk(self, replica: ReplicaId) -> bool:
        steps, self.steps[replica] = self.steps[replica], self.steps[replica]
        if replica in self.stuck_disks or not steps:
            return False
        self.steps[replica] = []
        self.storage[replica].write(steps)
        self.cores[replica].persisted(steps[-1].number, self.now_ms)
        return True

    def pass_ms(self, milliseconds: int, step_ms: int = 15) -> None:
        """Time goes by for everybody, in ticks."""
        until = self.now_ms + milliseconds
        while self.now_ms < until:
            self.now_ms = min(self.now_ms + step_ms, until)
            for core in self.cores.values():
                core.tick(self.now_ms)
            self.settle()

    def elect(self, replica: ReplicaId = 1) -> Core:
        """Make this one the leader, by its clock alone."""
        core = self.cores[replica]
        core.state.election_due_ms = self.now_ms
        core.tick(self.now_ms)
        self.settle()
        assert core.state.role is Role.LEADER, core.state.role
        return core

    def propose(self, replica: ReplicaId, *payloads: bytes) -> bool:
        taken = self.cores[replica].propose(payloads, self.now_ms)
        self.settle()
        return taken

    def leader(self) -> ReplicaId:
        leaders = [r for r, core in self.cores.items() if core.state.role is Role.LEADER]
        return max(leaders, key=lambda r: self.cores[r].state.term)

    def payloads(self, replica: ReplicaId) -> list[bytes]:
        return [e.payload for e in self.applied[replica] if e.kind is EntryKind.NORMAL]

    def roles(self) -> list[Role]:
        return [core.state.role for core in self.cores.values()]

    def terms(self) -> Sequence[Term]:
        return [core.state.term for core in self.cores.values()]
