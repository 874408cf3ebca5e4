"""Compaction and snapshots in the simulation: states that are lost, fetched and put in place.

A node's state is the index it has applied up to and a hash chained over all it has applied, which
must be the same for everybody who got there, by replay or by snapshot (37). The state is durable
up to `safe`; a snapshot is durable before the log hears of it, and crashes come in between.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING

from raft.model import NOBODY, Entry, Index, Persist, ReplicaId, SnapshotMeta, Term
from raft.stable import DurableLog
from raft.transfers import Transfers, unheard_install
from tests.simulation.network import US_PER_MS

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster, Node


class StateLost(AssertionError):
    """A state is not what replaying the log makes."""


class Snapshots:
    """The states of all nodes, and who fetches whose."""

    def __init__(self, cluster: "Cluster", random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._chains: list[bytes] = [b""]  # by index: what everybody's state is there
        self._chain: dict[ReplicaId, bytes] = {}
        self._safe: dict[ReplicaId, Index] = {}
        self._installed: dict[ReplicaId, tuple[SnapshotMeta, Term]] = {}
        self._fetching: dict[ReplicaId, int] = {}  # the boot that does
        self._lost: set[ReplicaId] = set()

    # --- states

    def applied(self, replica: ReplicaId, entries: Sequence[Entry]) -> None:
        """37: whoever applies an entry is in the same state afterwards."""
        chain, chains = self._chain[replica], self._chains
        for entry in entries:
            if chain is chains[entry.index - 1] and entry.index < len(chains):
                chain = chains[entry.index]  # the same entry (4) behind the same state
                continue
            chain = blake2b(chain + repr(entry).encode(), digest_size=16).digest()
            if entry.index == len(self._chains):
                self._chains.append(chain)
            elif self._chains[entry.index] != chain:
                raise StateLost(f"37: replica {replica} has another state at {entry.index}")
        self._chain[replica] = chain

    def kept(self, replica: ReplicaId, applied: Index, forget_max: int) -> Index:
        """How far the state of a process that ended is there when the next one starts."""
        safe = self._safe.setdefault(replica, 0)
        if replica in self._lost:
            self._lost.discard(replica)
            self._installed.pop(replica, None)
            self._safe[replica] = safe = applied = 0
        kept = self._random.randint(max(applied - forget_max, safe), max(applied, safe))
        self._chain[replica] = self._chains[kept]
        return kept

    def unheard(self, replica: ReplicaId, kept: Index, storage: DurableLog) -> Persist | None:
        """What a start tells its log before anything else."""
        if replica not in self._installed:
            return None
        meta, seen_term = self._installed[replica]
        if kept > storage.last and kept != meta.index:
            raise StateLost(f"replica {replica} applied {kept}, its log ends at {storage.last}")
        return unheard_install(storage, meta, seen_term)

    def lose(self, replica: ReplicaId) -> bool:
        """The rows of a node that is down are refused at its next start, if others have theirs."""
        others = [n for n in self._cluster.nodes.values() if n.replica != replica and n.is_up]
        whole = [n for n in others if n.core is not None and not n.core.state.lacks_state]
        if self._lost or len(whole) < max(1, len(self._cluster.nodes) - 1):
            return False
        self._lost.add(replica)
        return True

    def refuse(self, replica: ReplicaId) -> None:
        """The rows of a node are refused, being ahead of its log."""
        self._lost.add(replica)

    # --- compaction

    def checkpoint(self, node: "Node") -> None:
        """A part of the state is durable from now on; the log forgets what it may."""
        assert node.core is not None and node.storage is not None
        replica, state = node.replica, node.core.state
        safe = self._safe[replica]
        if state.lacks_state or state.applied <= safe:
            return
        self._safe[replica] = self._random.randint(safe, state.applied)
        transfers = self._transfers(node)
        if transfers.compact(self._safe[replica], all_of_it=self._random.random() < 0.2):
            self._cluster.faults["compaction"] += 1
            self._cluster.turn(node)

    def _transfers(self, node: "Node") -> Transfers:
        assert node.core is not None and node.storage is not None
        cluster = self._cluster

        def now_ms() -> int:
            return node.now_ms(cluster.now_us)

        return Transfers(node.core, node.storage, now_ms, lambda: None, lambda index: None)

    # --- transfers

    def look(self, node: "Node") -> None:
        """Whoever needs a snapshot fetches one: from the leader, or from anybody."""
        core = node.core
        if core is None or not core.snapshot_wanted:
            return
        if self._fetching.get(node.replica) == node.boot:
            return
        self._fetching[node.replica] = node.boot
        self._later(node, 200, lambda: self._open(node))

    def _later(self, node: "Node", ms_max: int, action: Callable[[], None]) -> None:
        delay_us = self._random.randint(1, ms_max) * US_PER_MS
        self._cluster.of_process(delay_us, node, action)

    def _open(self, node: "Node") -> None:
        """Ask somebody; what is given is the giver's state of this moment."""
        assert node.core is not None
        leader = node.core.state.leader
        others = [replica for replica in self._cluster.replicas if replica != node.replica]
        if not others:
            return
        if leader in others and leader != NOBODY and self._random.random() < 0.8:
            giver = self._cluster.nodes[leader]
        else:
            giver = self._cluster.nodes[self._random.choice(others)]
        core, wanted = giver.core, node.core.snapshot_wanted
        cut = self._cluster.network.cut
        reaches = not {(node.replica, giver.replica), (giver.replica, node.replica)} & cut
        if core is None or not reaches or core.state.lacks_state or not wanted:
            self._give_up(node)
            return
        index = core.state.applied
        if index < wanted:
            self._give_up(node)
            return
        term = core.state.log.term(index)
        meta = self._transfers(giver).meta(index, term)
        if meta is None:
            self._give_up(node)
            return
        chain, seen_term = self._chain[giver.replica], core.state.term
        self._later(node, 600, lambda: self._arrived(node, meta, seen_term, chain))

    def _give_up(self, node: "Node") -> None:
        self._cluster.faults["snapshot not given"] += 1
        self._later(node, 300, lambda: self._end(node.replica))

    def _end(self, replica: ReplicaId) -> None:
        self._fetching.pop(replica, None)

    def _arrived(self, node: "Node", meta: SnapshotMeta, seen_term: Term, chain: bytes) -> None:
        assert node.core is not None
        replica, cluster = node.replica, self._cluster
        if not node.core.begin_install(meta.index):
            cluster.faults["snapshot too old"] += 1
            self._fetching.pop(replica, None)
            return
        self._chain[replica], self._safe[replica] = chain, meta.index
        if self._chains[meta.index] != chain:
            raise StateLost(f"37: the snapshot of {meta.index} is another state")
        self._installed[replica] = (meta, seen_term)
        cluster.checker.applied_by[replica] = meta.index
        cluster.faults["snapshot in place"] += 1
        if self._random.random() < 0.15:
            cluster.faults["crash in install"] += 1
            cluster.stop(replica, power=self._random.random() < 0.5)
            cluster.at(500 * US_PER_MS, lambda: self._boot(replica))
            return
        self._later(node, 40, lambda: self._tell_log(node, meta, seen_term))

    def _boot(self, replica: ReplicaId) -> None:
        if not self._cluster.nodes[replica].is_up and not self._cluster.boot(replica):
            self._cluster.at(300 * US_PER_MS, lambda: self._boot(replica))

    def _tell_log(self, node: "Node", meta: SnapshotMeta, seen_term: Term) -> None:
        assert node.core is not None
        self._cluster.checker.installed(node.replica, meta.index)
        node.core.snapshot_installed(meta, seen_term, node.now_ms(self._cluster.now_us))
        self._fetching.pop(node.replica, None)
        self._cluster.faults["snapshot installed"] += 1
        self._cluster.turn(node)
