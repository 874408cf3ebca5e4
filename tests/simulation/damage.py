"""Synced bytes of a log that rot while its replica is down, and how the others bring them back.

Damage of what was written last cannot be told from a write that was never acknowledged: the end is
cut, and the replica has its head in doubt until a leader has brought it up to date. One log at a
time is hurt in either way, and only where the others can elect without it.

The atlas of damage: one log at a time, and only places whose entries are committed, whole, on a
majority of voters besides. What is mended must then be just what was there, or begin later.
"""

from random import Random
from typing import TYPE_CHECKING, Final

from raft.damage import DamagedLog
from raft.mending import Repair
from raft.model import Index, Persist, ReplicaId
from raft.repair import Mender, answer
from raft.segment import BLOCK_BYTES, FLUSH_HEADER_BYTES, unpack_flush_header
from tests.simulation.checkers import require
from tests.simulation.memberships import decides
from tests.simulation.network import US_PER_MS

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster, Node

PLACES_MAX: Final = 3
ASK_BACK_US: Final = 300 * US_PER_MS


class NobodyTells(Exception):
    """Whoever has what is missing is down too: the replica must wait."""


def spoil(cluster: "Cluster", random: Random, replica: ReplicaId) -> bool:
    """Stop a replica and flip bits of entries in its older segments; False: there are none."""
    node = cluster.nodes[replica]
    if node.storage is None or cluster.is_hurt:
        return False
    storage = node.storage
    low, anchor = storage.start + 1, storage._positions.first_in(storage._sequence)
    if low == anchor or not _is_safe(cluster, node, anchor):
        return False
    indexes = [random.randrange(low, anchor) for _ in range(random.randint(1, PLACES_MAX))]
    places = {storage._positions.place(index) for index in indexes}
    names = {sequence: storage._names[sequence] for sequence, _ in places}
    cluster.stop(replica, power=False)
    for sequence, offset in sorted(places):
        # A segment may have gone with the last write.
        if names[sequence] in node.disk.list_names("wal"):
            node.disk.flip_bit(f"wal/{names[sequence]}", offset * 8 + random.randrange(8))
            node.is_damaged = True
    return True


def spoil_head(cluster: "Cluster", random: Random, replica: ReplicaId) -> bool:
    """Stop a replica between two writes and damage its last flush, or the seal behind it; False:
    it has written nothing since it started, or the others need it."""
    node = cluster.nodes[replica]
    storage = node.storage
    if storage is None or cluster.is_hurt or not cluster.checker.has_written(replica):
        return False
    if not _others_elect(cluster, replica):
        return False
    path, start, seal = (
        f"wal/{storage._names[storage._sequence]}",
        _last_flush(node),
        storage._offset,
    )
    cluster.checker.head_damaged(replica)
    cluster.end_process(node)
    node.is_damaged = True
    match random.randrange(4):
        case 0:
            node.disk.flip_bit(path, random.randrange(start * 8, (start + FLUSH_HEADER_BYTES) * 8))
        case 1 if seal + FLUSH_HEADER_BYTES <= storage._segment_bytes:
            node.disk.flip_bit(path, random.randrange(seal * 8, (seal + FLUSH_HEADER_BYTES) * 8))
        case 2:
            node.disk.cut_short(path, random.randrange(start, storage._segment_bytes))
        case _:
            for block in range(start, min(seal + BLOCK_BYTES, storage._segment_bytes), BLOCK_BYTES):
                for octet in range(block, block + FLUSH_HEADER_BYTES):
                    node.disk.flip_bit(path, octet * 8 + random.randrange(8))
    return True


def _last_flush(node: "Node") -> int:
    """Where what was written last begins in its segment."""
    storage = node.storage
    assert storage is not None
    data = node.disk.read(f"wal/{storage._names[storage._sequence]}")
    for offset in range(storage._offset - BLOCK_BYTES, 0, -BLOCK_BYTES):
        flush = unpack_flush_header(data, offset, storage._salt)
        if flush is not None and flush.number == storage._number - 1:
            return offset
    raise AssertionError("a write without a flush")


def _others_elect(cluster: "Cluster", replica: ReplicaId) -> bool:
    """Whether every membership that may count has a quorum without this one."""
    memberships = cluster.checker.memberships
    counting = [memberships.committed]
    counting += [memberships.active(member) for member in memberships.committed.everyone]
    return all(
        decides(one, one.voters.union(one.outgoing) - {replica}) for one in counting if one.voters
    )


def _is_safe(cluster: "Cluster", node: "Node", anchor: Index) -> bool:
    """This entry of ours, and so all before it, a majority of voters has without us."""
    assert node.core is not None and node.storage is not None
    truth = cluster.checker.applied
    if anchor > min(len(truth), node.storage.last):
        return False
    voters = node.core.state.membership.voters
    shadows = [cluster.checker.shadows[r] for r in voters if r != node.replica]
    whole = [
        shadow
        for shadow in shadows
        if shadow.start >= anchor or shadow.terms[anchor - 1 : anchor] == [truth[anchor - 1].term]
    ]
    return 2 * len(whole) > len(voters)


def ask_others(cluster: "Cluster", node: "Node", log: DamagedLog) -> Repair:
    """What mends it, from whoever runs now; raises NobodyTells."""
    mender = Mender(log)
    others = [each for each in cluster.nodes.values() if each is not node]
    while mender.ask is not None:
        moved = False
        for other in others:
            while other.core is not None and (ask := mender.ask) is not None:
                if not mender.hear(answer(other.core.state, ask)):
                    break
                moved = True
        if not moved and not mender.end_round(len(others)):
            raise NobodyTells
    cluster.faults["log mended" if mender.repair.base is None else "log begun later"] += 1
    return mender.repair


def mended(cluster: "Cluster", node: "Node", log: DamagedLog, repair: Repair) -> list[Persist]:
    """What a mended log has heard besides, in one step: that it ends earlier, or begins later.

    What was given up must have been proven to be of no use: its anchor was never committed.
    """
    cut, truth = repair.cut, cluster.checker.applied
    if cut is not None:
        anchors = [gap for gap in log.gaps if gap.anchor > cut][:1]
        for gap in anchors:
            committed = truth[gap.anchor - 1].term if gap.anchor <= len(truth) else None
            require(committed != gap.anchor_term, "committed entries were given up", node.replica)
        cluster.faults["log given up"] += 1
        if cluster.checker.applied_by[node.replica] >= cut:
            cluster.snapshots.refuse(node.replica)
    if cut is None and repair.base is None:
        return []
    return [Persist(0, None, cut, (), repair.base)]


def ask_back(cluster: "Cluster", node: "Node", asked: tuple[bytes, ...] = ()) -> None:
    """Vote again once something that was proposed after the loss has come back through the log,
    as a node's registration does. Nobody tells whoever leads that its process was another one:
    what it had acknowledged counts there until it refuses what it lacks.
    """
    assert node.storage is not None
    places = [cluster.checker.applied_at.get(payload) for payload in asked]
    if any(place and place <= cluster.checker.applied_by[node.replica] for place in places):
        node.storage.restore_head()
        cluster.checker.head_restored(node.replica)
        cluster.faults["head restored"] += 1
        return
    payload = cluster.propose(node.replica, 0)
    asked += () if payload is None else (payload,)
    cluster.of_process(ASK_BACK_US, node, ask_back, cluster, node, asked)
