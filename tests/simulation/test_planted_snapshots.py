"""Bugs of compaction and snapshots, planted: the simulation must see each of them."""

import pytest

from raft import replication, snapshots
from raft.model import Index
from raft.progress import Progress
from raft.state import State
from raft.wal import Wal
from tests.simulation.report import SeedFailed
from tests.simulation.run import run_seed

SEEDS_MAX = 40
SECONDS = 15.0


def finds() -> None:
    """Some seed must fail."""
    for seed in range(SEEDS_MAX):
        try:
            run_seed(f"planted {seed}", SECONDS, always=["compact", "rows lost"])
        except SeedFailed:
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not find it")


def test_a_follower_that_is_believed_when_it_is_offered_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """d-engine 308: match goes up before the install is done."""
    real = snapshots.offer

    def trusting(state: State, progress: Progress) -> None:
        real(state, progress)
        progress.acknowledged(state.log.start)

    monkeypatch.setattr(replication, "offer", trusting)
    finds()


def test_a_log_that_forgets_a_segment_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Wal._sequence_after

    def hasty(self: Wal, index: Index) -> int:
        return min(real(self, index) + 1, self._sequence)

    monkeypatch.setattr(Wal, "_sequence_after", hasty)
    finds()
