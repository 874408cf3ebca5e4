"""A whole cluster of cores, logs and disks on one heap of events: no task, no thread, no clock.

One seed decides everything, so a failure comes back as often as one likes. Each part draws from
its own stream of chance, so that a change in one does not reshuffle the others.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final, TextIO

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.damage import LogDamaged
from raft.disk import DiskFailed
from raft.log import RaftLog
from raft.messages import Message
from raft.model import KIB, NOBODY, Index, Membership, Persist, ReplicaId
from raft.stable import DurableLog, open_log
from raft.state import Role
from raft.wal import DOUBT_NAME
from tests.simulation.checkers import Checker, require
from tests.simulation.damage import NobodyTells, ask_back, ask_others, mended
from tests.simulation.disk import Crashed, SimDisk
from tests.simulation.network import CLUSTER, US_PER_MS, Network
from tests.simulation.snapshots import Snapshots
from tests.simulation.trace import Trace

SEGMENT_BYTES: Final = 32 * KIB  # small, so that runs rotate often
DIRECTORY: Final = "wal"
# How many applied entries a state machine may forget when its process ends.
FORGET_MAX: Final = 40


class Node:
    """One machine: its disk outlives its process."""

    def __init__(self, replica: ReplicaId, disk: SimDisk) -> None:
        self.replica = replica
        self.disk = disk
        self.boot = 0
        self.is_up = False
        self.paused_until_us = 0
        self.clock_rate = 1.0
        self.clock_ms = 0.0
        self.shown_ms = 0
        self.clock_at_us = 0
        self.sync_us_max = 3 * US_PER_MS
        self.is_hung = False
        self.is_damaged = False
        self.core: Core | None = None
        self.storage: DurableLog | None = None
        self.queue: deque[Persist] = deque()
        self.writing: list[Persist] = []
        self.in_doubt: list[list[Persist]] = []
        self.mended: list[Persist] = []  # what its log has heard of repairs, if they were finished
        self.readers: deque[tuple[int, Index]] = deque()  # (ticket, what they must see)

    def now_ms(self, now_us: int) -> int:
        """This machine's clock, which may run fast or slow."""
        if now_us != self.clock_at_us:
            self.clock_ms += (now_us - self.clock_at_us) * self.clock_rate / US_PER_MS
            self.clock_at_us = now_us
            self.shown_ms = int(self.clock_ms)
        return self.shown_ms


class Cluster:
    """Nodes, network and the heap; the faults are somebody else's."""

    def __init__(
        self, seed: str, *, size: int, config: RaftConfig, out: TextIO | None = None
    ) -> None:
        self.seed = seed
        self.config = config
        self.trace = Trace(out)
        self.faults = self.trace.faults
        self.events = 0
        self.now_us = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self.replicas: tuple[ReplicaId, ...] = tuple(range(1, size + 1))
        self.checker = Checker(self.replicas)
        self._asked: set[bytes] = set()
        self.checker.proposed = self._asked
        self.network = Network(self.stream("network"), self.faults)
        self._random = self.stream("cluster")
        self.snapshots = Snapshots(self, self.stream("snapshots"))
        self.nodes = {r: Node(r, SimDisk(self.stream(f"disk {r}"))) for r in self.replicas}
        self._proposed = 0
        self.counts: Counter[str] = Counter()
        for replica in self.replicas:
            self.boot(replica)

    def stream(self, name: str) -> Random:
        """A stream of chance of its own."""
        return Random(f"{self.seed}/{name}")

    # --- the heap ---

    def at(self, delay_us: int, action: Callable[..., None], *about: Any) -> None:
        """Do this later."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_us + delay_us, self._sequence, action, about))

    def run_until(self, until_us: int) -> None:
        """Let events happen up to a moment."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_us:
            self.now_us, _, action, about = pop(heap)
            self.events += 1
            action(*about)
        self.now_us = until_us

    def of_process(
        self, delay_us: int, node: Node, action: Callable[..., None], *about: Any
    ) -> None:
        """Do this later in one process: void once it has ended, delayed while it is paused."""
        self.at(delay_us, self._happen, node, node.boot, action, about)

    def _happen(
        self, node: Node, boot: int, action: Callable[..., None], about: tuple[Any, ...]
    ) -> None:
        if node.boot != boot or not node.is_up:
            return
        if self.now_us < node.paused_until_us:
            self.at(node.paused_until_us - self.now_us, self._happen, node, boot, action, about)
            return
        action(*about)

    # --- processes ---

    def boot(self, replica: ReplicaId) -> bool:
        """Start a process; False when it died while opening its log."""
        node = self.nodes[replica]
        node.boot += 1
        random = self.stream(f"boot {replica} {node.boot}")
        try:
            storage = self._open_log(node, random)
            kept = self.snapshots.kept(replica, self.checker.applied_by[replica], FORGET_MAX)
            self.checker.lost_memory(replica, kept)
            step = self.snapshots.unheard(replica, kept, storage)
            if step is not None:
                self.faults["log told of its snapshot at start"] += 1
                node.in_doubt = [[step]]
                storage.write([step])
                storage = self._open_log(node, random)
        except NobodyTells:
            self.faults["a damaged log waits"] += 1
            return False
        except (Crashed, DiskFailed):
            node.disk.crash_next_sync = False
            self.faults["died while opening its log"] += 1
            return False
        require(kept <= storage.last, "applied entries that the log lost", replica, kept)
        node.storage, node.core = storage, self._core(node, storage, kept, random)
        node.queue.clear()
        node.readers.clear()
        node.writing, node.in_doubt = [], []
        node.is_up, node.is_hung, node.paused_until_us = True, False, 0
        self.of_process(0, node, self._tick, node)
        if storage.head_in_doubt:
            self.faults["head in doubt"] += 1
            self.of_process(0, node, ask_back, self, node)
        return True

    def _open_log(self, node: Node, random: Random) -> DurableLog:
        opened = partial(
            open_log,
            node.disk,
            DIRECTORY,
            cluster=CLUSTER,
            replica=node.replica,
            random=random,
            segment_bytes=SEGMENT_BYTES,
            head_may_be_lost=len(self.replicas) > 1,
        )
        rotten = False
        try:
            storage = opened()
        except LogDamaged as damaged:
            rotten = True
            require(node.is_damaged, "36: damage where there is none", node.replica, damaged)
            repair = ask_others(self, node, damaged.log)
            storage = opened(repair=repair)
            node.mended += mended(self, node, damaged.log, repair)
            tells = repair.cut is None or storage.head_in_doubt
            require(tells, "36: entries given up without a word", node.replica)
        node.is_damaged = False
        self.checker.restarted(node.replica, storage, node.in_doubt, node.mended, rotten=rotten)
        if storage.head_in_doubt and self.checker.applied_by[node.replica] > storage.last:
            self.snapshots.refuse(node.replica)
        node.in_doubt, node.mended = [], []
        return storage

    def _core(self, node: Node, storage: DurableLog, applied: Index, random: Random) -> Core:
        log = RaftLog(
            storage,
            last=storage.last,
            term_runs=storage.term_runs,
            window_bytes_max=self.config.window_bytes_max,
            start=0 if storage.snapshot is None else storage.snapshot.index,
        )
        return Core(
            config=self.config,
            replica=node.replica,
            configs=self._configs(node, storage),
            log=log,
            hard_state=storage.hard_state,
            applied=applied,
            random=random,
            now_ms=node.now_ms(self.now_us),
        )

    def _configs(self, node: Node, storage: DurableLog) -> Configs:
        if storage.snapshot is None:
            return Configs(self._base(node), entries=storage.configs)
        base = storage.snapshot
        return Configs(base.membership, base_index=base.index, entries=storage.configs)

    def _base(self, node: Node) -> Membership:
        """What a replica knows before its log says anything: a joiner, nothing at all."""
        founding = self.checker.memberships.founding
        return founding if node.replica in founding.voters else Membership(frozenset())

    def join(self) -> ReplicaId:
        """One more machine, with an empty disk and an id nobody has had."""
        replica = len(self.replicas) + 1
        self.replicas += (replica,)
        self.checker.join(replica)
        self.nodes[replica] = Node(replica, SimDisk(self.stream(f"disk {replica}")))
        self.nodes[replica].clock_at_us = self.now_us
        self.boot(replica)
        return replica

    def stop(self, replica: ReplicaId, *, power: bool) -> None:
        """Kill a process, perhaps in the middle of a write; or cut its machine's power."""
        node = self.nodes[replica]
        if not node.is_up:
            return
        if node.writing and self._random.random() < 0.5:
            node.disk.crash_next_sync = True
            self._write(node)
        self.end_process(node)
        if power:
            node.disk.cut_power()

    @property
    def is_hurt(self) -> bool:
        """Whether a log is damaged, or has its head in doubt."""
        return any(
            node.is_damaged or DOUBT_NAME in node.disk.list_names(DIRECTORY)
            for node in self.nodes.values()
        )

    def end_process(self, node: Node) -> None:
        """It is gone, between two of its writes."""
        node.is_up = False
        node.disk.crash_next_sync = node.disk.fail_next_sync = False
        node.core = node.storage = None

    # --- events of one process ---

    def _tick(self, node: Node) -> None:
        core, config = node.core, self.config
        assert core is not None
        now_ms = node.now_ms(self.now_us)
        core.tick(now_ms)
        if not core.is_idle:
            self.turn(node)
        # As the driver sleeps: until something is due, and never for longer than a heartbeat.
        left_ms = min(max(core.due_ms - now_ms, config.tick_ms), config.heartbeat_ms)
        self.of_process(left_ms * US_PER_MS, node, self._tick, node)

    def _arrive(self, node: Node, parcel: Message | bytes) -> None:
        """Whoever runs at that moment gets it: the network does not know of restarts."""
        if not node.is_up:
            return
        if self.now_us < node.paused_until_us:
            pause_us = node.paused_until_us - self.now_us
            self.of_process(pause_us, node, self._arrive, node, parcel)
            return
        message = self.network.open(parcel)
        if message is not None:
            assert node.core is not None
            node.core.step(message, node.now_ms(self.now_us))
            if not node.core.is_idle:  # else nothing that is checked has changed
                self.turn(node)

    def turn(self, node: Node) -> None:
        """What the driver does: ready -> persist, send, apply; then all invariants."""
        core = node.core
        assert core is not None
        state = core.state
        ready = core.ready(node.now_ms(self.now_us))
        if ready.persist is not None:
            self.checker.handed(state, ready.persist)
            node.queue.append(ready.persist)
            self._start_write(node)
        for message in ready.send:
            self.checker.sent(state, message)
            target = self.nodes[message.to]
            for delay_us, parcel in self.network.deliveries(message, self.now_us):
                self.at(delay_us, self._arrive, target, parcel)
        if state.applied < state.commit and (entries := core.take_committed()):
            self.checker.apply(node.replica, entries)
            self.snapshots.applied(node.replica, entries)
            if state.applied < core.applicable:
                self.of_process(1, node, self.turn, node)
        if ready.reads is not None:
            while node.readers and node.readers[0][0] <= ready.reads.ticket:
                _, floor = node.readers.popleft()
                self.checker.confirmed(node.replica, floor, ready.reads.index)
                self.counts["reads confirmed"] += 1
        if core.snapshot_wanted:
            self.snapshots.look(node)
        self.checker.after_event(state)
        self.trace.line(
            (
                self.now_us,
                node.replica,
                state.term,
                state.vote,
                state.leader,
                state.commit,
                state.log.last,
                state.log.durable,
                state.applied,
                len(ready.send),
            )
        )

    def _start_write(self, node: Node) -> None:
        if node.writing or not node.queue:
            return
        node.writing = list(node.queue)
        node.queue.clear()
        delay_us = self._random.randint(200, node.sync_us_max)
        self.of_process(delay_us, node, self._finish_write, node)

    def _finish_write(self, node: Node) -> None:
        if node.is_hung:
            self.of_process(50 * US_PER_MS, node, self._finish_write, node)
            return
        steps = node.writing
        if not self._write(node):
            return
        assert node.core is not None
        node.core.persisted(steps[-1].number, node.now_ms(self.now_us))
        self._start_write(node)
        if not node.core.is_idle:
            self.turn(node)

    def _write(self, node: Node) -> bool:
        """One write of the log; False when it ended the process."""
        assert node.storage is not None
        steps, node.writing = node.writing, []
        node.in_doubt = list(node.storage._batches(steps))
        try:
            node.storage.write(steps)
        except Crashed:
            self.faults["died while writing its log"] += 1
            return False
        except DiskFailed:
            self.faults["fsync failed"] += 1
            self.end_process(node)
            return False
        for batch in node.in_doubt:
            self.checker.durable(node.replica, batch)
        node.in_doubt = []
        if node.storage.needs_spare and self._random.random() < 0.3:
            node.storage.prepare()
        return True

    # --- clients ---

    def leader(self) -> Node | None:
        """The running leader of the newest term, if any."""
        leaders = [
            node
            for node in self.nodes.values()
            if node.core is not None and node.core.state.role is Role.LEADER
        ]
        return max(leaders, key=lambda node: node.core.state.term if node.core else 0, default=None)

    def propose(self, replica: ReplicaId, *sizes: int) -> bytes | None:
        """Clients write at this node, so many octets each, and it takes up all of it in one turn;
        the last that it did not refuse, None when it refused all.
        """
        taken = None
        node = self.nodes[replica]
        if node.core is None or self.now_us < node.paused_until_us:
            return None
        state, bytes_max = node.core.state, self.config.uncommitted_bytes_max
        for size in sizes:
            if state.leader == NOBODY or state.uncommitted_bytes > bytes_max:
                break
            self._proposed += 1
            taken = b"%d " % self._proposed + b"." * size
            self._asked.add(taken)
            node.core.propose([taken], node.now_ms(self.now_us))
            self.counts["writes asked"] += 1
        if taken is not None:
            self.turn(node)
        return taken

    def read(self, replica: ReplicaId) -> None:
        """A client reads at this node: it must see whatever was applied anywhere before."""
        node = self.nodes[replica]
        if node.core is None or self.now_us < node.paused_until_us:
            return
        floor = len(self.checker.applied)
        ticket = node.core.take_read_ticket(node.now_ms(self.now_us))
        node.readers.append((ticket, floor))
        self.turn(node)

    def hand_over(self, replica: ReplicaId) -> None:
        """An operator asks the leader to make way for this replica."""
        leader = self.leader()
        if leader is None or leader.core is None or self.now_us < leader.paused_until_us:
            return
        if leader.core.hand_over(replica, leader.now_ms(self.now_us)):
            self.faults["handover"] += 1
            self.turn(leader)

    def slowest_applied(self) -> Index:
        """How far the member that is behind all others has applied."""
        members = self.checker.memberships.committed.everyone
        return min(self.checker.applied_by[replica] for replica in members)

    def has_payload_everywhere(self, payload: bytes) -> bool:
        """Whether this write was applied by all members."""
        members = self.checker.memberships.committed.everyone
        index = self.checker.applied_at.get(payload)
        return index is not None and all(self.checker.applied_by[r] >= index for r in members)
