"""Logs that rot while their replica is down are mended by the others, or wait for them."""

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from raft.config import RaftConfig
from raft.log import RaftLog
from raft.mending import Repair
from raft.model import Entry, EntryKind, HardState, Membership, ReplicaId, SnapshotMeta
from raft.wal import Wal
from tests.simulation import cluster as cluster_file
from tests.simulation.checkers import Shadow, Violation
from tests.simulation.cluster import Cluster
from tests.simulation.damage import spoil, spoil_head
from tests.simulation.network import US_PER_MS
from tests.simulation.run import run_seed

SECOND_US = 1000 * US_PER_MS


def grown(seed: str) -> Cluster:
    """Three replicas whose logs are several segments long."""
    cluster = Cluster(seed, size=3, config=RaftConfig())
    for number in range(400):
        cluster.at(SECOND_US + number * 10 * US_PER_MS, cluster.propose, 1 + number % 3, 400)
    cluster.run_until(7 * SECOND_US)
    return cluster


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_a_damaged_log_waits_until_somebody_can_tell(seed: str) -> None:
    cluster = grown(seed)
    before = list(cluster.checker.shadows[2].terms)
    assert spoil(cluster, Random(seed), 2)
    assert not spoil(cluster, Random(seed), 3), "one log at a time"
    for replica in (1, 3):
        cluster.stop(replica, power=True)
    assert not cluster.boot(2) and cluster.nodes[2].is_damaged
    assert cluster.boot(1) and cluster.boot(2)
    assert cluster.faults["log mended"] == 1 and not cluster.nodes[2].is_damaged
    storage = cluster.nodes[2].storage
    assert storage is not None and storage.last >= len(before) - 1


def test_nothing_is_damaged_that_a_majority_does_not_hold_besides() -> None:
    cluster = grown("4")
    cluster.checker.shadows[1].terms.clear()
    assert not spoil(cluster, Random(4), 2)
    assert cluster.nodes[2].is_up


def test_seeds_have_it_and_mend_it() -> None:
    faults: Counter[str] = Counter()
    for seed in range(3, 6):
        faults += run_seed(f"rot {seed}", 15, ["log damaged"]).faults
    assert faults["log damaged"] > 0
    assert faults["log mended"] + faults["log begun later"] > 0


def test_entries_given_up_that_others_have_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = grown("5")
    assert spoil(cluster, Random(5), 2)
    give_up = Repair(cut=cluster.checker.shadows[2].start + 1)
    monkeypatch.setattr(cluster_file, "ask_others", lambda cluster, node, log: give_up)
    with pytest.raises(Violation, match="committed entries were given up"):
        cluster.boot(2)


# --- the end of a log


FLIPPED_FLUSH = next(seed for seed in range(99) if Random(seed).randrange(4) == 0)


@pytest.mark.parametrize("seed", [str(number) for number in range(8)])
def test_a_damaged_end_is_doubted_until_a_leader_has_brought_it_back(seed: str) -> None:
    cluster = grown(seed)
    before = list(cluster.checker.shadows[2].terms)
    assert spoil_head(cluster, Random(seed), 2)
    assert not spoil_head(cluster, Random(seed), 3), "one log at a time"
    assert not spoil(cluster, Random(seed), 3)
    assert cluster.boot(2)
    storage = cluster.nodes[2].storage
    assert storage is not None
    assert storage.head_in_doubt or storage.last == len(before)
    cluster.run_until(cluster.now_us + 3 * SECOND_US)
    assert not storage.head_in_doubt and not cluster.is_hurt
    assert cluster.checker.shadows[2].terms[: len(before)] == before


def forgetful(seed: str) -> tuple[Cluster, ReplicaId]:
    """A write that two of three have, the leader and one that then loses it; the leader is gone."""
    cluster = grown(seed)
    leader = cluster.leader()
    assert leader is not None
    other, away = (replica for replica in cluster.replicas if replica != leader.replica)
    cluster.stop(away, power=False)
    cluster.propose(leader.replica, 10)
    cluster.run_until(cluster.now_us + SECOND_US // 2)
    shadow = cluster.checker.shadows[other]
    assert len(shadow.terms) == len(cluster.checker.applied)
    assert spoil_head(cluster, Random(FLIPPED_FLUSH), other)
    cluster.stop(leader.replica, power=False)
    assert cluster.boot(other) and cluster.boot(away)
    storage = cluster.nodes[other].storage
    assert storage is not None and storage.head_in_doubt
    assert storage.last < len(cluster.checker.applied)
    return cluster, leader.replica


def test_who_has_forgotten_its_end_elects_nobody() -> None:
    cluster, gone = forgetful("6")
    cluster.run_until(cluster.now_us + 5 * SECOND_US)
    assert cluster.leader() is None
    assert cluster.boot(gone)
    cluster.run_until(cluster.now_us + 5 * SECOND_US)
    assert cluster.faults["head restored"] == 1 and not cluster.is_hurt
    assert cluster.slowest_applied() == len(cluster.checker.applied)


def test_a_vote_of_one_in_doubt_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaftLog, "head_in_doubt", False)
    with pytest.raises(Violation, match="a leader lacks a committed entry"):
        cluster, _ = forgetful("6")
        cluster.run_until(cluster.now_us + 5 * SECOND_US)


def test_an_end_that_is_lost_without_a_word_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wal, "doubt_head", lambda log: None)
    with pytest.raises(Violation, match="a lost end, untold"):
        forgetful("6")


def test_seeds_have_damaged_ends_and_outlive_them() -> None:
    faults: Counter[str] = Counter()
    for seed in range(3, 6):
        faults += run_seed(f"head {seed}", 15, ["head damaged"]).faults
    assert faults["head damaged"] > 0
    assert faults["head restored"] > 0


def test_a_log_that_lost_where_it_begins_may_begin_where_it_did_before() -> None:
    """The record is gone with its flush, and the others brought back what stood between."""
    members = Membership(frozenset({1, 2, 3}))
    truth = [Entry(index, 1, EntryKind.NORMAL, b"") for index in range(1, 6)]
    held = Shadow(truth, HardState(1, 1), [1] * 6, start=4)

    def opened(start: int, last: int = 6) -> Any:
        snapshot = SnapshotMeta(start, 1, members)
        runs = [(start + 1, 1)]
        return SimpleNamespace(
            snapshot=snapshot, hard_state=HardState(1, 1), term_runs=runs, last=last
        )

    assert held.is_what_reads_back(opened(4))
    assert not held.is_what_reads_back(opened(2)), "nothing was damaged"
    assert held.is_what_reads_back(opened(2), rotten=True)
    assert not held.is_what_reads_back(opened(5), rotten=True), "that was never said"
    assert not held.is_what_reads_back(opened(2, last=5), rotten=True), "an entry is missing"
    truth[3] = Entry(4, 2, EntryKind.NORMAL, b"")
    assert not held.is_what_reads_back(opened(2), rotten=True), "not as it was committed"
