"""Majorities, simple and joint."""

import pytest

from raft.model import Membership
from raft.quorum import Vote, agreed, majority, vote_result


@pytest.mark.parametrize(("size", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(size: int, needed: int) -> None:
    assert majority(size) == needed


def test_an_election_is_open_until_it_cannot_change() -> None:
    three = Membership(frozenset({1, 2, 3}))
    assert vote_result(three, {1: True}) is Vote.OPEN
    assert vote_result(three, {1: True, 2: False}) is Vote.OPEN
    assert vote_result(three, {1: True, 2: True}) is Vote.WON
    assert vote_result(three, {2: False, 3: False}) is Vote.LOST


def test_learners_and_strangers_never_count() -> None:
    members = Membership(frozenset({1, 2, 3}), learners=frozenset({4, 5}))
    assert vote_result(members, {1: True, 4: True, 5: True, 9: True}) is Vote.OPEN
    assert agreed(members, {1: 7, 4: 7, 5: 7}) == 0
    assert not members.counts(4) and 4 in members.everyone


def test_a_joint_change_needs_both_majorities() -> None:
    joint = Membership(frozenset({1, 2, 3}), outgoing=frozenset({3, 4, 5}))
    assert vote_result(joint, {1: True, 2: True}) is Vote.OPEN
    assert vote_result(joint, {1: True, 2: True, 4: True, 5: True}) is Vote.WON
    assert vote_result(joint, {1: True, 2: True, 4: False, 5: False}) is Vote.LOST
    assert agreed(joint, {1: 9, 2: 9, 3: 1, 4: 4, 5: 4}) == 4


@pytest.mark.parametrize(
    ("reached", "index"),
    [({1: 5}, 0), ({1: 5, 2: 3}, 3), ({1: 5, 2: 3, 3: 4}, 4), ({1: 5, 2: 5, 3: 5}, 5)],
)
def test_what_a_majority_has_reached(reached: dict[int, int], index: int) -> None:
    assert agreed(Membership(frozenset({1, 2, 3})), reached) == index
