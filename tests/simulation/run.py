"""One seed: a cluster, clients, and a choice of faults; then healing and what must follow.

Which faults are on at all is drawn per seed (swarm testing): constant crashes would hide the
states that only long quiet runs reach. Limits are drawn too, small ones more often than not.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Final

from raft.config import RaftConfig
from raft.model import KIB, ReplicaId
from tests.simulation.checkers import Violation
from tests.simulation.cluster import Cluster
from tests.simulation.memberships import Reformer
from tests.simulation.network import US_PER_MS, Weather

US_PER_S: Final = 1_000_000
# After everything is healed, a write must be applied everywhere within this (invariant 34).
HEAL_US_MAX: Final = 12 * US_PER_S
# A member that joined late may have all of the log to catch up with, one entry at a time: as long
# as the last one gets nearer, it is waited for.
CATCH_UP_US_MAX: Final = 600 * US_PER_S

FAULTS: Final = (
    "loss",
    "repeat",
    "late",
    "reorder",
    "damage",
    "split",
    "one way",
    "isolate leader",
    "kill",
    "power",
    "power all",
    "fsync fails",
    "slow disk",
    "hung disk",
    "pause",
    "drift",
    "handover",
    "false alarm",
    "died opening",
    "reform",
    "compact",
    "rows lost",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What one seed did."""

    seed: str
    seconds: float
    events: int
    real_s: float
    applied: int
    reads: int
    terms: int
    faults: Counter[str]


class SeedFailed(AssertionError):
    """A seed found something; says how to see it again."""


def draw_config(random: Random) -> RaftConfig:
    """Limits small enough to be hit."""
    return RaftConfig(
        tick_ms=25,
        append_bytes_max=random.choice([1, 300, 4 * KIB]),
        inflight_messages_max=random.choice([1, 2, 8, 64]),
        inflight_bytes_max=random.choice([200, 4 * KIB, 64 * KIB]),
        window_bytes_max=random.choice([1, 2 * KIB, 64 * KIB]),
        apply_entries_max=random.choice([1, 3, 64]),
        trailing_bytes=random.choice([1, 20 * KIB, 100 * KIB]),
        held_bytes_max=random.choice([100 * KIB, 400 * KIB]),
        uncommitted_bytes_max=16 * KIB,
        entry_bytes_max=4 * KIB,
        transfer_lag_max=random.choice([1, 10, 1000]),
    )


class Nemesis:
    """Draws faults and lets them happen, then mends them."""

    def __init__(self, cluster: Cluster, always: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._random = random = cluster.stream("nemesis")
        self.enabled = [f for f in FAULTS if random.random() < 0.4 or f in always]
        if "reorder" in self.enabled and (always or random.random() < 0.7):
            self.enabled.remove("reorder")  # dear: every message out of order is sent again
        self._pause_us_max = random.choice([400, 1500, 6000]) * US_PER_MS
        on = self.enabled
        cluster.network.weather = Weather(
            loss=random.choice([0.01, 0.1, 0.3]) if "loss" in on else 0.0,
            repeat=random.choice([0.01, 0.2]) if "repeat" in on else 0.0,
            late=random.choice([0.01, 0.2]) if "late" in on else 0.0,
            damage=0.02 if "damage" in on else 0.0,
            in_order="reorder" not in on,
        )
        if "reform" in on:
            on += ["reform", "reform"]  # one change needs the one before: learner, then voter
        self._reformer = Reformer(cluster, cluster.stream("reformer"))
        self._acts = [f for f in on if hasattr(self, f"_{f.replace(' ', '_')}")]

    def start(self) -> None:
        """From now on, something happens every little while."""
        self._later()

    def _later(self) -> None:
        self._cluster.at(self._random.randint(20_000, self._pause_us_max), self._act)

    def _act(self) -> None:
        if self._acts:
            fault = self._random.choice(self._acts)
            getattr(self, f"_{fault.replace(' ', '_')}")()
        self._later()

    def _anyone(self) -> ReplicaId:
        return self._random.choice(self._cluster.replicas)

    def _count(self, fault: str) -> None:
        self._cluster.faults[fault] += 1

    def _mend_later(self) -> None:
        self._cluster.at(self._random.randint(50_000, 2_500_000), self._cluster.network.cut.clear)

    def _split(self) -> None:
        self._part(both_ways=True, fault="split")

    def _one_way(self) -> None:
        self._part(both_ways=False, fault="one way")

    def _part(self, *, both_ways: bool, fault: str) -> None:
        replicas = list(self._cluster.replicas)
        self._random.shuffle(replicas)
        cut = self._random.randint(0, len(replicas))
        self._cluster.network.split(set(replicas[:cut]), set(replicas[cut:]), both_ways=both_ways)
        self._count(fault)
        self._mend_later()

    def _isolate_leader(self) -> None:
        leader = self._cluster.leader()
        if leader is not None:
            others = set(self._cluster.replicas) - {leader.replica}
            both = self._random.random() < 0.5
            self._cluster.network.split({leader.replica}, others, both_ways=both)
            self._count("isolate leader")
            self._mend_later()
            replica = leader.replica
            for delay_ms in range(300, 1500, 25):
                # Readers at the one that may no longer lead, while others write elsewhere.
                self._cluster.at(delay_ms * US_PER_MS, lambda: self._cluster.read(replica))

    def _kill(self) -> None:
        self._stop(self._anyone(), power=False, fault="kill")

    def _power(self) -> None:
        self._stop(self._anyone(), power=True, fault="power")

    def _power_all(self) -> None:
        for replica in self._cluster.replicas:
            self._stop(replica, power=True, fault="power all")

    def _stop(self, replica: ReplicaId, *, power: bool, fault: str) -> None:
        if self._cluster.nodes[replica].is_up:
            self._count(fault)
        self._cluster.stop(replica, power=power)
        self._boot_later(replica)

    def _boot_later(self, replica: ReplicaId) -> None:
        self._cluster.at(self._random.randint(1_000, 3_000_000), lambda: self._boot(replica))

    def _boot(self, replica: ReplicaId) -> None:
        node = self._cluster.nodes[replica]
        if node.is_up:
            return
        if "died opening" in self.enabled and self._random.random() < 0.3:
            node.disk.crash_next_sync = True
        if not self._cluster.boot(replica):
            if self._random.random() < 0.5:
                node.disk.cut_power()
            self._boot_later(replica)

    def _fsync_fails(self) -> None:
        replica = self._anyone()
        self._cluster.nodes[replica].disk.fail_next_sync = True
        self._boot_later(replica)
        self._cluster.at(3_500_000, lambda: self._boot(replica))

    def _slow_disk(self) -> None:
        node = self._cluster.nodes[self._anyone()]
        node.sync_us_max = self._random.choice([3, 30, 300]) * US_PER_MS
        self._count("slow disk")

    def _hung_disk(self) -> None:
        node = self._cluster.nodes[self._anyone()]
        node.is_hung = True
        self._count("hung disk")

        def mend() -> None:
            node.is_hung = False

        self._cluster.at(self._random.randint(100_000, 3_000_000), mend)

    def _pause(self) -> None:
        leader = self._cluster.leader()
        replica = self._anyone() if leader is None else leader.replica
        if self._random.random() < 0.5:
            replica = self._anyone()
        pause_us = self._random.randint(50_000, 4_000_000)
        self._cluster.nodes[replica].paused_until_us = self._cluster.now_us + pause_us
        # The first thing it does when it wakes, before it looks at its clock: answer a reader.
        self._cluster.at(pause_us, lambda: self._cluster.read(replica))
        self._count("pause")

    def _drift(self) -> None:
        node = self._cluster.nodes[self._anyone()]
        node.now_ms(self._cluster.now_us)
        node.clock_rate = self._random.choice([0.7, 0.9, 1.0, 1.1, 1.5])
        self._count("drift")

    def _handover(self) -> None:
        self._cluster.hand_over(self._anyone())

    def _compact(self) -> None:
        for node in self._cluster.nodes.values():
            if node.core is not None and self._random.random() < 0.6:
                self._cluster.snapshots.checkpoint(node)

    def _rows_lost(self) -> None:
        replica = self._anyone()
        if self._cluster.snapshots.lose(replica):
            self._stop(replica, power=False, fault="rows lost")

    def _reform(self) -> None:
        self._reformer.act()

    def _false_alarm(self) -> None:
        leader = self._cluster.leader()
        node = self._cluster.nodes[self._anyone()]
        if leader is None or node.core is None or self._cluster.now_us < node.paused_until_us:
            return
        node.core.peer_lost(leader.replica, node.now_ms(self._cluster.now_us))
        self._count("false alarm")

    def heal(self) -> None:
        """No more faults, and all that were are over."""
        self._acts = []
        cluster = self._cluster
        cluster.network.weather = Weather()
        cluster.network.cut.clear()
        self.enabled = []
        for node in cluster.nodes.values():
            node.disk.fail_next_sync = node.disk.crash_next_sync = False
            node.is_hung, node.paused_until_us = False, 0
            node.now_ms(cluster.now_us)
            node.clock_rate, node.sync_us_max = 1.0, 3 * US_PER_MS
            if not node.is_up:
                self._boot(node.replica)


class Clients:
    """Writers and readers at all nodes, until told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._random = cluster.stream("clients")
        self._pause_us_max = self._random.choice([10, 60, 300]) * US_PER_MS

    def start(self) -> None:
        """One more operation, and so on."""
        self._act()

    def _act(self) -> None:
        replica = self._random.choice(self._cluster.replicas)
        if self._random.random() < 0.25:
            self._cluster.read(replica)
        else:
            for _ in range(self._random.choice([1, 1, 1, 5])):
                self._cluster.propose(replica, self._random.choice([0, 10, 200, 1500]))
        self._cluster.at(self._random.randint(500, self._pause_us_max), self._act)


def run_seed(seed: str, seconds: float, always: Sequence[str] = ()) -> Report:
    """Faults for so many virtual seconds, then healing; raises SeedFailed with a way back.

    `always` names faults that are on whatever the seed draws.
    """
    random = Random(f"{seed}/shape")
    size = random.choice([1, 3, 3, 3, 5])
    started = perf_counter()
    cluster = Cluster(seed, size=size, config=draw_config(random))
    nemesis = Nemesis(cluster, always)
    enabled = ", ".join(nemesis.enabled) or "none"
    try:
        Clients(cluster).start()
        nemesis.start()
        cluster.run_until(int(seconds * US_PER_S))
        nemesis.heal()
        _expect_life(cluster)
    except Exception as error:  # whatever it was, the way back to it is its seed
        raise SeedFailed(
            f"seed {seed} at {cluster.now_us / US_PER_S:.3f} virtual seconds, {size} replicas, "
            f"faults {enabled}: {type(error).__name__} {error}\nto see it again: "
            f"python -m tests.simulation --seed {shlex.quote(seed)} --seconds {seconds:g}"
            + "".join(f" --always {shlex.quote(fault)}" for fault in always)
        ) from error
    return Report(
        seed=seed,
        seconds=cluster.now_us / US_PER_S,
        events=cluster.events,
        real_s=perf_counter() - started,
        applied=len(cluster.checker.applied),
        reads=cluster.reads_confirmed,
        terms=max(n.core.state.term for n in cluster.nodes.values() if n.core),
        faults=cluster.faults,
    )


def _expect_life(cluster: Cluster) -> None:
    """A leader is found, a write of now is applied by all members, no change is left half done."""
    last_us, furthest = cluster.now_us + CATCH_UP_US_MAX, -1
    deadline = cluster.now_us + HEAL_US_MAX
    waiting: list[bytes] = []
    while cluster.now_us < min(deadline, last_us):
        if (slowest := cluster.slowest_applied()) > furthest:
            furthest, deadline = slowest, cluster.now_us + HEAL_US_MAX
        cluster.run_until(cluster.now_us + 100 * US_PER_MS)
        is_alive = any(cluster.has_payload_everywhere(payload) for payload in waiting)
        if is_alive and not cluster.checker.memberships.committed.outgoing:
            return
        leader = cluster.leader()
        if leader is not None and (payload := cluster.propose(leader.replica, 10)):
            waiting.append(payload)
    views = [
        (n.replica, s.role.name, s.term, s.leader, s.commit, s.log.durable, s.log.last)
        for n in cluster.nodes.values()
        if n.core is not None and (s := n.core.state)
    ]
    if cluster.checker.memberships.committed.outgoing:
        raise Violation(f"34: a joint change that nobody ended: {views}")
    raise Violation(f"34: no write went through after healing: {views}")
