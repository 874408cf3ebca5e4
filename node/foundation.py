"""What must stand before anything runs: secret, identity, rows, blobs and the log, opened.

The rows are a cache of the log: whatever of them is damaged was moved aside, and the log is
replayed. Blob bytes that a power cut took are written again from the log's entries after the last
checkpoint, before the first new entry is applied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from gossip import GossipConfig
from node import logs
from node.config import Config, NodeSection
from node.env import Env
from node.identity import (
    MARK_BYTES,
    IdentityError,
    joiner_id,
    mark_number,
    read_mark,
    read_replica,
    replica_id,
    write_mark,
    write_replica,
)
from node.keyring import Ring, read_ring
from node.machine import Machine, state_payload
from node.network import Address
from node.raft_transport import RaftTransport
from node.secret import read_first_ring
from node.small_files import read_small, write_small
from node.snapshot_note import decode_note
from raft import (
    DamagedLog,
    Disk,
    Driver,
    HardState,
    LogDamaged,
    LogStorage,
    Membership,
    Persist,
    RaftConfig,
    Repair,
    WalCorrupt,
    WrongLog,
    open_log,
    others_vote,
    unheard_install,
)
from storage.apply import registered_identity
from storage.engine import Rows
from storage.opening import State
from storage.snapshot import installed

LOG_NAME: Final = "raft"
# The log keeps at most so many times its trailing bytes for a live follower that is behind.
HELD_FACTOR: Final = 16
INCARNATION_NAME: Final = "incarnation"
# Octets of entries handed over at a time when blobs are redone.
REDO_OCTETS: Final = 4 * 1024 * 1024

log = logs.named("node.foundation")


class StateLost(Exception):
    """Nobody has this node's rows any more; the text says what happened and the mend."""


class LogToMend(Exception):
    """The log has gaps that other nodes may fill: ask them as this replica, then open it again."""

    def __init__(self, log: DamagedLog, own: NodeSection, ring: Ring, replica: int) -> None:
        """What is there, and who we are."""
        super().__init__(str(log.gaps[0].why))
        self.log = log
        self.own = own
        self.ring = ring
        self.replica = replica


@dataclass(frozen=True, slots=True)
class Foundation:
    """An opened node, at rest."""

    config: Config
    own: NodeSection
    ring: Ring
    """The keys as they were at the start (node/key_holder.py has them since)."""
    replica: int
    mark: bytes
    directory: Path
    disk: Disk
    state: State
    """As it was opened; another may have taken its place since (node/machine.py)."""
    raft_log: LogStorage
    joined: bool
    """Whether this disk came to a cluster that was there already: its file founded nothing."""
    join: tuple[Address, ...]
    """Where to ask to be a member."""

    @property
    def cluster(self) -> bytes:
        """The cluster's id, which no change of keys changes."""
        return self.ring.cluster

    def replica_of(self, name: str) -> int:
        """The replica id of a node of the file: a founder's, unless it is our own."""
        return self.replica if name == self.own.name else replica_id(self.cluster, name)

    @property
    def founding(self) -> Membership:
        """Who counts while the log says nothing; a joiner has no right to an opinion."""
        if self.joined:
            return Membership(frozenset())
        voters, replicas = (
            frozenset(self.replica_of(node.name) for node in self.config.node if node.role == role)
            for role in ("voter", "replica")
        )
        return Membership(voters, learners=replicas)

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
        on_membership: Callable[[Membership, bool], None],
    ) -> Driver:
        """Raft over this node's log."""
        section = self.config.raft
        return Driver(
            config=RaftConfig(
                heartbeat_ms=section.heartbeat_ms,
                election_ms_min=section.election_min_ms,
                election_ms_max=section.election_max_ms,
                trailing_bytes=section.trailing_bytes,
                held_bytes_max=HELD_FACTOR * section.trailing_bytes,
            ),
            replica=self.replica,
            membership=self.founding,
            cluster=self.cluster,
            storage=self.raft_log,
            transport=transport,
            machine=machine,
            random=env.chance,
            on_leader=on_leader,
            on_membership=on_membership,
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

    def registered(self, rows: Rows) -> dict[str, int]:
        """By node name, the disk that the replicated state knows for it (see node/identity)."""
        known = {
            node.name: registered_identity(rows, replica_id(self.cluster, node.name))
            for node in self.config.node
        }
        return {name: mark_number(mark) for name, mark in known.items() if mark}

    def close(self, state: State) -> None:
        """Take a last checkpoint of the state that stands now, and close all files."""
        state.close()
        self.raft_log.close()


def _identify(
    config: Config,
    env: Env,
    cluster: bytes,
    name: str,
    join: tuple[Address, ...],
    *,
    log_is_new: bool,
) -> tuple[bytes, int, bool]:
    """This disk's mark, the replica it is, and whether it joined.

    All are made now on a fresh disk; one whose log is gone is not the one that it was.
    """
    mark = read_mark(env.disk, env.data)
    joined_as = read_replica(env.disk, env.data)
    if mark is not None and not log_is_new:
        founder = replica_id(cluster, name)
        if joined_as is None and join and _forget_nothing(config, env, cluster, name):
            # A founder's start that was refused, for its disk is new: it joins instead.
            joined_as = joiner_id(cluster, name, mark)
            write_replica(env.disk, env.data, joined_as)
        return mark, joined_as or founder, joined_as is not None
    mark = env.draw(MARK_BYTES)
    if join:
        joined_as = joiner_id(cluster, name, mark)
        write_replica(env.disk, env.data, joined_as)
    elif joined_as is not None:
        raise IdentityError(
            f"{env.data}: its first start ended before it could join, or its log is gone: "
            "start it with --join again."
        )
    write_mark(env.disk, env.data, mark)
    return mark, joined_as or replica_id(cluster, name), bool(join)


def _forget_nothing(config: Config, env: Env, cluster: bytes, name: str) -> bool:
    """Whether the log here has never held or promised anything; then it is gone."""
    directory = str(env.data / LOG_NAME)
    # Opened as a founder's always is: what this finds damaged, the next opening may not see.
    others_found = any(voter != name for voter in config.voters)
    try:
        empty = _open_raft_log(config, env, cluster, replica_id(cluster, name), others_found)
    except LogDamaged:
        return False
    empty.close()
    if empty.last or empty.snapshot or empty.hard_state != HardState() or empty.head_in_doubt:
        return False
    for name in env.disk.list_names(directory):
        env.disk.remove(f"{directory}/{name}")
    env.disk.sync_directory(directory)
    return True


def lay_foundation(
    config: Config,
    name: str,
    env: Env,
    join: tuple[Address, ...] = (),
    repair: Repair | None = None,
) -> Foundation:
    """Open everything of one node. Raises ConfigError, IdentityError, StateLost, EngineBusy,
    OSError, LogToMend for what others may `repair`, and raft.WalCorrupt for what they cannot."""
    own = config.member(name)
    env.disk.make_directory(str(env.data))
    ring = read_ring(env.disk, env.data) or read_first_ring(config)
    cluster = ring.cluster
    log_is_new = not _has_log(env)
    mark, replica, joined = _identify(config, env, cluster, name, join, log_is_new=log_is_new)
    others_found = joined or any(voter != name for voter in config.voters)
    reopen = partial(_open_raft_log, config, env, cluster, replica, others_found)
    try:
        raft_log = reopen(repair)
    except LogDamaged as damaged:
        raise LogToMend(damaged.log, own, ring, replica) from None
    state = env.open_state(env.data, log_end=raft_log.last)
    if state.refused is not None:
        source = "the log" if raft_log.snapshot is None else "another node's snapshot"
        log.warning("rows moved aside, to be rebuilt", reason=state.refused, source=source)
    check_source(env, state, raft_log, replica)
    if state.log_lost and others_vote(
        raft_log.configs, raft_log.snapshot, replica, default=others_found
    ):
        raft_log.doubt_head()
    if raft_log.head_in_doubt:
        log.warning("the log's end is damaged: no vote until a leader has brought it up to date")
    if (step := _unheard(state, raft_log)) is not None:
        if raft_log.hard_state == HardState():
            # Who was sent a snapshot knew the leader's term: the log that did is gone.
            raise IdentityError(
                f"{env.data}: its log is gone, and {state.applier.index} entries are applied: "
                "bring it back; to go on with an empty disk, remove the node with "
                f"trireme cluster remove-node {name} and start it with --join."
            )
        log.info("telling the log of the snapshot that is in place", index=state.applier.index)
        raft_log.write([step])
        raft_log.close()
        raft_log = reopen()
    foundation = Foundation(
        config=config,
        own=own,
        ring=ring,
        replica=replica,
        mark=mark,
        directory=env.data,
        disk=env.disk,
        state=state,
        raft_log=raft_log,
        joined=joined,
        join=join if joined else (),
    )
    _redo_blobs(foundation)
    return foundation


def check_source(env: Env, state: State, raft_log: LogStorage, replica: int) -> None:
    """Rows that the log does not reach back to need somebody else who has them."""
    start = raft_log.snapshot
    if start is None or state.applier.index >= start.index:
        return
    newest = raft_log.configs[-1][1] if raft_log.configs else start.membership
    if set(newest.everyone) <= {replica}:
        raise StateLost(
            f"{env.data}: its rows are lost ({state.refused or 'the state is empty'}), its log "
            f"begins behind entry {start.index}, and no other member has them: put back a copy of "
            "this directory from before the loss; what was refused is kept in state.refused."
        )


def _has_log(env: Env) -> bool:
    directory = str(env.data / LOG_NAME)
    env.disk.make_directory(directory)
    return any(name.endswith(".wal") for name in env.disk.list_names(directory))


def _open_raft_log(
    config: Config,
    env: Env,
    cluster: bytes,
    replica: int,
    others_found: bool,
    repair: Repair | None = None,
) -> LogStorage:
    """The log; damage is told with its place and the mend."""
    directory = env.data / LOG_NAME
    try:
        return open_log(
            env.disk,
            str(directory),
            cluster=cluster,
            replica=replica,
            random=env.chance,
            segment_bytes=config.raft.segment_bytes,
            head_may_be_lost=others_found,
            repair=repair,
        )
    except LogDamaged:
        raise
    except WalCorrupt as error:
        raise WalCorrupt(
            f"{directory}: {error}: put back an undamaged copy of this file, "
            "or remove the node from the cluster and add it with an empty disk."
        ) from error
    except WrongLog as error:
        raise WrongLog(f"{directory}: {error}: give each node its own data directory.") from error


def _unheard(state: State, raft_log: LogStorage) -> Persist | None:
    """What the log must hear of a snapshot that a crash kept from it."""
    index, note = installed(state.engine)
    return unheard_install(raft_log, *decode_note(index, note)) if note else None


def _redo_blobs(foundation: Foundation) -> None:
    state, start = foundation.state, foundation.raft_log.snapshot
    # A log is cut behind a checkpoint; if it begins later, the whole state is to be fetched.
    first = max(state.checkpointer.index, 0 if start is None else start.index) + 1
    restored = 0
    while first <= state.applier.index:
        entries = foundation.raft_log.read(first, state.applier.index, REDO_OCTETS)
        restored += state.applier.redo_blobs(
            (entry.index, entry.term, state_payload(entry)) for entry in entries
        )
        first += len(entries)
    if restored:
        log.info("blobs written again from the log", parts=restored)
