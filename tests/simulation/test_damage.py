"""Logs that rot while their replica is down are mended by the others, or wait for them."""

from collections import Counter
from random import Random

import pytest

from raft.config import RaftConfig
from raft.mending import Repair
from tests.simulation import cluster as cluster_file
from tests.simulation.checkers import Violation
from tests.simulation.cluster import Cluster
from tests.simulation.damage import spoil
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
    for seed in range(3):
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
