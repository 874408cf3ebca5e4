"""What must stand before anything runs: secret, identity, rows, blobs and the log, opened.

The rows are a cache of the log: whatever of them is damaged was moved aside, and the log is
replayed. Blob bytes that a power cut took are written again from the log's entries after the last
checkpoint, before the first new entry is applied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gossip import GossipConfig
from node import logs
from node.config import Config, ConfigError, NodeSection
from node.env import Env
from node.identity import MARK_BYTES, cluster_id, mark_number, read_mark, replica_id, write_mark
from node.machine import Machine, state_payload
from node.raft_transport import RaftTransport
from node.secret import read_secret
from node.small_files import read_small, write_small
from raft import Disk, Driver, LogStorage, Membership, RaftConfig, open_log
from storage.apply import registered_identity
from storage.opening import State

INCARNATION_NAME: Final = "incarnation"
# Octets of entries handed over at a time when blobs are redone.
REDO_OCTETS: Final = 4 * 1024 * 1024

log = logs.named("node.foundation")


@dataclass(frozen=True, slots=True)
class Foundation:
    """An opened node, at rest."""

    config: Config
    own: NodeSection
    secret: bytes
    cluster: bytes
    replica: int
    mark: bytes
    directory: Path
    disk: Disk
    state: State
    raft_log: LogStorage

    def replica_of(self, name: str) -> int:
        """The replica id of a node of the file."""
        return replica_id(self.cluster, name)

    @property
    def fresh(self) -> bool:
        """This disk has no log yet: it remembers nothing."""
        return self.raft_log.last == 0

    @property
    def drain_s(self) -> float:
        """How long doors may drain at a stop."""
        return self.config.limits.shutdown_ms / 1000

    @property
    def gossip_config(self) -> GossipConfig:
        """Gossip's own section."""
        interval = self.config.gossip.probe_interval_ms
        return GossipConfig(probe_interval_ms=interval, probe_timeout_ms=max(1, interval // 2))

    def build_driver(
        self,
        transport: RaftTransport,
        machine: Machine,
        env: Env,
        on_leader: Callable[[int], None],
    ) -> Driver:
        """Raft over this node's log."""
        section = self.config.raft
        return Driver(
            config=RaftConfig(
                heartbeat_ms=section.heartbeat_ms,
                election_ms_min=section.election_min_ms,
                election_ms_max=section.election_max_ms,
            ),
            replica=self.replica,
            membership=Membership(
                frozenset(
                    self.replica_of(node.name) for node in self.config.node if node.role == "voter"
                )
            ),
            cluster=self.cluster,
            storage=self.raft_log,
            transport=transport,
            machine=machine,
            random=env.chance,
            on_leader=on_leader,
            writer=env.log_writer(self.raft_log),
        )

    def read_incarnation(self) -> int:
        """The last gossip incarnation this disk knows of; 0 when it knows none."""
        text = read_small(self.disk, self.directory, INCARNATION_NAME)
        # Gossip starts from the wall clock when that is higher, so nothing is lost by a 0.
        return int(text) if text is not None and text.isdigit() and len(text) < 19 else 0

    def write_incarnation(self, incarnation: int) -> None:
        """Keep it for the next start."""
        write_small(self.disk, self.directory, INCARNATION_NAME, b"%d" % incarnation)

    def registered(self) -> dict[str, int]:
        """By node name, the disk that the replicated state knows for it (see node/identity)."""
        known = {
            node.name: registered_identity(self.state.engine, self.replica_of(node.name))
            for node in self.config.node
        }
        return {name: mark_number(mark) for name, mark in known.items() if mark}

    def close(self) -> None:
        """Take a last checkpoint and close all files."""
        self.state.close()
        self.raft_log.close()


def lay_foundation(config: Config, name: str, env: Env) -> Foundation:
    """Open everything of one node. Raises ConfigError, IdentityError, EngineBusy, OSError and
    what the log says when it is damaged (raft.WalCorrupt)."""
    own = config.member(name)
    if own.role == "replica":
        raise ConfigError(
            f"{config.path}: {name} is a replica, which this version cannot run: make it a voter."
        )
    secret = read_secret(config)
    cluster = cluster_id(config.cluster.name, secret)
    env.disk.make_directory(str(env.data))
    mark = read_mark(env.disk, env.data)
    if mark is None:
        mark = env.draw(MARK_BYTES)
        write_mark(env.disk, env.data, mark)
    replica = replica_id(cluster, name)
    raft_log = open_log(
        env.disk, str(env.data / "raft"), cluster=cluster, replica=replica, random=env.chance
    )
    state = env.open_state(env.data, log_end=raft_log.last)
    if state.refused is not None:
        log.warning("rows moved aside, to be rebuilt from the log", reason=state.refused)
    foundation = Foundation(
        config=config,
        own=own,
        secret=secret,
        cluster=cluster,
        replica=replica,
        mark=mark,
        directory=env.data,
        disk=env.disk,
        state=state,
        raft_log=raft_log,
    )
    _redo_blobs(foundation)
    return foundation


def _redo_blobs(foundation: Foundation) -> None:
    state, first = foundation.state, foundation.state.checkpointer.index + 1
    restored = 0
    while first <= state.applier.index:
        entries = foundation.raft_log.read(first, state.applier.index, REDO_OCTETS)
        restored += state.applier.redo_blobs(
            (entry.index, entry.term, state_payload(entry)) for entry in entries
        )
        first += len(entries)
    if restored:
        log.info("blobs written again from the log", parts=restored)
