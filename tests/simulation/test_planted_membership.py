"""Bugs of membership changes planted on purpose: the simulation must see each by its own name."""

import pytest

from raft import configs, membership, quorum, replication
from raft.model import Membership
from raft.state import State
from tests.simulation import run
from tests.simulation.report import SeedFailed
from tests.simulation.run import run_seed

SEEDS = range(40)
SECONDS = 20.0


def finds(*invariants: str) -> None:
    """Some seed must fail, by one of these names."""
    for seed in SEEDS:
        try:
            run_seed(f"reform {seed}", SECONDS, always=["reform"])
        except SeedFailed as failure:
            assert any(name in str(failure) for name in invariants), failure
            assert "--always reform" in str(failure)
            return
    pytest.fail(f"{len(SEEDS)} seeds did not find it")


def test_a_learner_that_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(members: Membership, reached: dict[int, int]) -> int:
        return quorum._agreed_of(members.voters | members.learners, reached)

    monkeypatch.setattr(replication, "agreed", generous)
    finds("5: committed without a majority")


def test_a_joint_change_in_which_only_the_new_voters_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hasty(members: Membership, reached: dict[int, int]) -> int:
        return quorum._agreed_of(members.voters, reached)

    monkeypatch.setattr(replication, "agreed", hasty)
    finds("5: committed without a majority")


def test_a_change_of_voters_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_joint", lambda before, after: after)
    finds("9: quorums need not overlap")


def test_two_configurations_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_check_moment", lambda state: None)
    finds("9: two configurations at once", "9: quorums need not overlap")


def test_a_configuration_that_survives_its_truncation(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: configs.Configs, first: int) -> bool:
        place = len(self._indexes)
        while self._indexes[place - 1] >= first:
            place -= 1
        if place < len(self._indexes):
            # Its place in the log is gone, what it said still counts.
            self._indexes[place:] = []
            self._memberships[place - 1 :] = [self._memberships[-1]]
            self._choose()
        return False

    monkeypatch.setattr(configs.Configs, "truncate", forgetful)
    finds("9: not the newest of the log")


def test_a_joint_change_that_nobody_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next leader must leave what the last one entered; here nobody does."""

    def idle(state: State) -> None:
        state.departing.clear()

    monkeypatch.setattr(membership, "advance", idle)
    monkeypatch.setattr(run, "CATCH_UP_US_MAX", 30 * run.US_PER_S)  # nobody joins late here
    finds("a joint change that nobody ended")
