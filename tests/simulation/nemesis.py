"""Faults for clusters of cores: which kinds are on is drawn per seed, then they come and go."""

from collections.abc import Sequence

from raft.model import ReplicaId
from tests.simulation.cluster import Cluster
from tests.simulation.damage import spoil, spoil_head
from tests.simulation.faults import Swarm
from tests.simulation.memberships import Reformer
from tests.simulation.network import US_PER_MS, Weather


class Nemesis:
    """Draws faults and lets them happen, then mends them."""

    def __init__(self, cluster: Cluster, always: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._random = random = cluster.stream("nemesis")
        self._swarm = Swarm("a", random, always)
        self._swarm.draw_later(cluster.seed, always)
        on = self._swarm.enabled
        if "reorder" in on and "reorder" not in always and (always or random.random() < 0.7):
            on.remove("reorder")  # dear: every message out of order is sent again
        self._pause_us_max = random.choice([400, 1500, 6000]) * US_PER_MS
        cluster.network.weather = Weather(
            loss=random.choice([0.01, 0.1, 0.3]) if "loss" in on else 0.0,
            repeat=random.choice([0.01, 0.2]) if "repeat" in on else 0.0,
            late=random.choice([0.01, 0.2]) if "late" in on else 0.0,
            damage=0.02 if "damage" in on else 0.0,
            in_order="reorder" not in on,
        )
        self._reformer = Reformer(cluster, cluster.stream("reformer"))

    @property
    def enabled(self) -> list[str]:
        """The faults that are on."""
        return self._swarm.enabled

    def start(self) -> None:
        """From now on, something happens every little while."""
        self._swarm.start()
        self._later()

    def _later(self) -> None:
        self._cluster.at(self._random.randint(20_000, self._pause_us_max), self._act)

    def _act(self) -> None:
        self._swarm.happen(self)
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
                self._cluster.at(delay_ms * US_PER_MS, self._cluster.read, replica)

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
        self._cluster.at(self._random.randint(1_000, 3_000_000), self._boot, replica)

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
        self._cluster.at(3_500_000, self._boot, replica)

    def _log_damaged(self) -> None:
        replica = self._anyone()
        if spoil(self._cluster, self._random, replica):
            self._count("log damaged")
            self._boot_later(replica)

    def _head_damaged(self) -> None:
        replica = self._anyone()
        if spoil_head(self._cluster, self._random, replica):
            self._count("head damaged")
            self._boot_later(replica)

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
        self._cluster.at(pause_us, self._cluster.read, replica)
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
        self._swarm.stop()
        cluster = self._cluster
        cluster.network.weather = Weather()
        cluster.network.cut.clear()
        for node in cluster.nodes.values():
            node.disk.fail_next_sync = node.disk.crash_next_sync = False
            node.is_hung, node.paused_until_us = False, 0
            node.now_ms(cluster.now_us)
            node.clock_rate, node.sync_us_max = 1.0, 3 * US_PER_MS
            if not node.is_up:
                self._boot(node.replica)
