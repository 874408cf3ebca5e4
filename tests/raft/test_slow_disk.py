"""Disks that take longer than an election timeout: slow must not become never."""

from collections import deque
from random import Random

import pytest

from raft.config import RaftConfig
from raft.configs import Configs
from raft.core import Core
from raft.log import RaftLog
from raft.messages import Message
from raft.model import Index, Membership, Persist, ReplicaId
from raft.stable import MemoryLog
from raft.state import Role

CLUSTER = b"slow"
STEP_MS = 15


class SlowReplica:
    """A core whose disk takes `flush_ms` for each write; what waits meanwhile is one write."""

    def __init__(self, replica: ReplicaId, voters: frozenset[ReplicaId], flush_ms: int) -> None:
        self.storage = MemoryLog(cluster=CLUSTER, replica=replica)
        self.flush_ms = flush_ms
        self.waiting: list[Persist] = []
        self.writing: list[Persist] = []
        self.done_ms = 0
        self.applied: Index = 0
        self.core = Core(
            config=RaftConfig(),
            replica=replica,
            configs=Configs(Membership(voters)),
            log=RaftLog(self.storage, last=0, term_runs=(), window_bytes_max=1 << 20),
            hard_state=self.storage.hard_state,
            applied=0,
            random=Random(replica),
            now_ms=0,
        )

    @property
    def leads(self) -> bool:
        return self.core.state.role is Role.LEADER

    def turn(self, now_ms: int) -> tuple[Message, ...]:
        if self.writing and now_ms >= self.done_ms:
            self.storage.write(self.writing)
            self.core.persisted(self.writing[-1].number, now_ms)
            self.writing = []
        self.core.tick(now_ms)
        ready = self.core.ready(now_ms)
        if ready.persist is not None:
            self.waiting.append(ready.persist)
        if self.waiting and not self.writing:
            self.writing, self.waiting = self.waiting, []
            self.done_ms = now_ms + self.flush_ms
        while entries := self.core.take_committed():
            self.applied = entries[-1].index
        return ready.send


class SlowCluster:
    """Replicas with an instant network, looked at every STEP_MS."""

    def __init__(self, *flush_ms: int) -> None:
        voters = frozenset(range(1, len(flush_ms) + 1))
        self.replicas = {
            number: SlowReplica(number, voters, ms) for number, ms in enumerate(flush_ms, 1)
        }
        self.now_ms = 0

    def run(self, for_ms: int, *, propose_every_ms: int) -> None:
        until_ms = self.now_ms + for_ms
        while self.now_ms < until_ms:
            self.now_ms += STEP_MS
            leader = self.leader()
            if leader and self.now_ms % propose_every_ms < STEP_MS:
                leader.core.propose([b"a write"], self.now_ms)
            mail = deque(self.turns())
            while mail:
                message = mail.popleft()
                target = self.replicas[message.to]
                target.core.step(message, self.now_ms)
                mail.extend(target.turn(self.now_ms))

    def turns(self) -> list[Message]:
        return [
            message for replica in self.replicas.values() for message in replica.turn(self.now_ms)
        ]

    def leader(self) -> SlowReplica | None:
        return next((replica for replica in self.replicas.values() if replica.leads), None)

    @property
    def terms(self) -> int:
        return max(replica.core.state.term for replica in self.replicas.values())


@pytest.mark.parametrize("flush_ms", [450, 900, 3000])
def test_a_single_node_on_a_slow_disk_leads_on_and_commits(flush_ms: int) -> None:
    cluster = SlowCluster(flush_ms)

    cluster.run(10 * flush_ms, propose_every_ms=90)

    leader = cluster.leader()
    assert leader is not None and cluster.terms <= 3
    written = leader.applied
    cluster.run(5 * flush_ms, propose_every_ms=90)
    assert leader.leads and leader.applied > written > 10


def test_three_nodes_on_one_slow_disk_keep_their_leader_and_commit() -> None:
    cluster = SlowCluster(480, 510, 540)
    cluster.run(15_000, propose_every_ms=90)
    leader, term = cluster.leader(), cluster.terms
    assert leader is not None
    written = leader.applied

    cluster.run(20_000, propose_every_ms=90)

    assert leader.leads and cluster.terms == term
    assert leader.applied > written + 100


def test_a_leader_whose_disk_hangs_alone_makes_way_for_another() -> None:
    cluster = SlowCluster(3, 3, 3)
    cluster.run(3_000, propose_every_ms=90)
    stuck = cluster.leader()
    assert stuck is not None

    stuck.flush_ms = 1_000_000
    cluster.run(3_000, propose_every_ms=90)

    leader = cluster.leader()
    assert not stuck.leads and leader is not None
    assert leader.applied > stuck.applied
