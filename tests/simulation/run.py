"""One seed: a cluster, clients, and a choice of faults; then healing and what must follow.

Which faults are on at all is drawn per seed (swarm testing): constant crashes would hide the
states that only long quiet runs reach. Limits are drawn too, small ones more often than not.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from time import process_time
from typing import Final, TextIO

from raft.config import RaftConfig
from raft.model import KIB
from tests.simulation.checkers import Violation
from tests.simulation.cluster import Cluster
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import US_PER_MS
from tests.simulation.report import Job, Report

US_PER_S: Final = 1_000_000
# After everything is healed, a write must be applied everywhere within this (invariant 34).
HEAL_US_MAX: Final = 12 * US_PER_S
# A member that joined late may have all of the log to catch up with, one entry at a time: as long
# as the last one gets nearer, it is waited for.
CATCH_UP_US_MAX: Final = 600 * US_PER_S
# Clients are many, or few, for at most this long; a crowd fills every queue within a second.
WAVE_US_MAX: Final = 8 * US_PER_S
CROWD_US_MAX: Final = 5 * US_PER_S // 2
CROWD_PAUSE_MS: Final = 10


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


class Clients:
    """Writers and readers at all nodes, until told to stop; they come in waves."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._random = cluster.stream("clients")
        self._pause_us_max = 0

    def start(self) -> None:
        """One more operation, and so on."""
        self._turn_tide()
        self._act()

    def _turn_tide(self) -> None:
        """Crowded for a while, or quiet: a long queue and an idle leader have bugs of their own."""
        (pause_ms,) = self._random.choices((CROWD_PAUSE_MS, 60, 300, 1500), (1, 2, 4, 4))
        self._pause_us_max = pause_ms * US_PER_MS
        longest_us = CROWD_US_MAX if pause_ms == CROWD_PAUSE_MS else WAVE_US_MAX
        self._cluster.at(self._random.randint(200_000, longest_us), self._turn_tide)

    def _act(self) -> None:
        chance = self._random.random
        replica = self._random.choice(self._cluster.replicas)
        if chance() < 0.25:
            self._cluster.read(replica)
        else:
            many = 5 if chance() < 0.25 else 1
            sizes = self._random.choices((0, 10, 200, 1500), k=many)
            self._cluster.propose(replica, *sizes)
        self._cluster.at(500 + int(chance() * self._pause_us_max), self._act)


def run_seed(
    seed: str, seconds: float, always: Sequence[str] = (), out: TextIO | None = None
) -> Report:
    """Faults for so many virtual seconds, then healing; raises SeedFailed with a way back.

    `always` names faults that are on whatever the seed draws; `out` gets the trace.
    """
    job = Job("a", seed, seconds, tuple(always))
    random = Random(f"{seed}/shape")
    size = random.choice([1, 3, 3, 3, 5])
    started = process_time()
    with _without_collections():
        cluster = Cluster(seed, size=size, config=draw_config(random), out=out)
        nemesis = Nemesis(cluster, always)
        enabled = list(nemesis.enabled)
        try:
            Clients(cluster).start()
            nemesis.start()
            cluster.run_until(int(seconds * US_PER_S))
            nemesis.heal()
            _expect_life(cluster)
        except Exception as error:  # whatever it was, the way back to it is its seed
            said = f"{type(error).__name__} {error}"
            raise job.failed(cluster.now_us / US_PER_S, size, enabled, said) from error
    counts = Counter(cluster.counts)
    counts["terms"] = max(n.core.state.term for n in cluster.nodes.values() if n.core)
    counts["entries committed"] = len(cluster.checker.applied)
    return Report(
        tier="a",
        seed=seed,
        seconds=cluster.now_us / US_PER_S,
        cpu_s=process_time() - started,
        events=cluster.events,
        digest=cluster.trace.digest(),
        faults=cluster.faults,
        counts=counts,
    )


@contextmanager
def _without_collections() -> Iterator[None]:
    """A run makes no garbage in cycles worth looking for; looking costs a tenth of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
