"""Whose state is right: hashes at equal indexes, and the voters who have spoken."""

import pytest

from node.agreement import Told, Verdict, judge

VOTERS = frozenset({1, 2, 3})
SAME: Told = {64: b"a", 128: b"b"}
OTHER: Told = {64: b"a", 128: b"x"}
THIRD: Told = {64: b"a", 128: b"y"}


def test_nodes_that_agree_where_they_can_be_compared_agree() -> None:
    told = {1: SAME, 2: {64: b"a"}, 3: {999: b"z"}}
    assert judge(1, told, VOTERS) == (Verdict.AGREE, 0)


def test_a_node_that_differs_from_a_majority_knows_itself_from_the_others() -> None:
    told = {1: SAME, 2: SAME, 3: OTHER}
    assert judge(3, told, VOTERS) == (Verdict.WE_DIFFER, 128)
    assert judge(1, told, VOTERS) == (Verdict.OTHERS_DIFFER, 128)


@pytest.mark.parametrize("own", [1, 3])
def test_two_that_differ_wait_for_the_third(own: int) -> None:
    assert judge(own, {1: SAME, 3: OTHER}, VOTERS) == (Verdict.OPEN, 128)


@pytest.mark.parametrize("own", [1, 2, 3])
def test_when_all_have_spoken_and_none_has_a_majority_nobody_is_right(own: int) -> None:
    assert judge(own, {1: SAME, 2: OTHER, 3: THIRD}, VOTERS) == (Verdict.TIE, 128)


def test_two_voters_that_differ_are_a_tie() -> None:
    assert judge(1, {1: SAME, 2: OTHER}, frozenset({1, 2})) == (Verdict.TIE, 128)


def test_a_learner_is_judged_and_does_not_judge() -> None:
    told = {1: SAME, 2: SAME, 7: OTHER, 8: OTHER, 9: OTHER}
    assert judge(7, told, VOTERS) == (Verdict.WE_DIFFER, 128)
    assert judge(1, told, VOTERS) == (Verdict.OTHERS_DIFFER, 128)


def test_the_leader_counts_as_one() -> None:
    """There is no leader here at all: nobody's word is more than another's."""
    told = {1: OTHER, 2: SAME, 3: SAME}
    assert judge(1, told, VOTERS) == (Verdict.WE_DIFFER, 128)
