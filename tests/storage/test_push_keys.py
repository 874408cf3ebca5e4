"""The keys that sign pushes, and what a rotation does to what was made under the old one."""

import random

import pytest

from storage.memory import MemoryEngine
from storage.plan import Plan
from storage.push_keys import (
    OLD_KEY_MS,
    P256_ORDER,
    StillTurning,
    is_signed_for,
    key_mark,
    old_push_key,
    plan_push_key,
    plan_rotate,
    push_key,
    signed_until_ms,
    signing_key,
)

NOW = 77
ENDS = NOW + OLD_KEY_MS


@pytest.fixture
def plan() -> Plan:
    return Plan(MemoryEngine(), now_ms=NOW, chance=random.Random(1))


def test_the_signing_key_is_made_once(plan: Plan) -> None:
    assert push_key(plan) is None and is_signed_for(plan, b"", NOW)
    made = plan_push_key(plan)
    assert 0 < int.from_bytes(made, "big") < P256_ORDER
    assert plan_push_key(plan) == push_key(plan) == made
    assert signing_key(plan, key_mark(made), NOW) == made
    assert signed_until_ms(plan, key_mark(made)) is None


def test_an_old_key_signs_for_its_own_until_it_ends(plan: Plan) -> None:
    first = plan_push_key(plan)
    assert plan_rotate(plan, at_once=False) == old_push_key(plan) == (first, ENDS)
    second = push_key(plan)
    assert second is not None and second != first
    for mark in (key_mark(first), b""):
        assert signing_key(plan, mark, ENDS - 1) == first
        assert signed_until_ms(plan, mark) == ENDS
        assert signing_key(plan, mark, ENDS) is None and not is_signed_for(plan, mark, ENDS)
    assert signing_key(plan, key_mark(second), ENDS) == second


def test_two_rotations_do_not_overlap_unless_that_is_meant(plan: Plan) -> None:
    first = plan_push_key(plan)
    plan_rotate(plan, at_once=False)
    second = push_key(plan)
    assert second is not None
    with pytest.raises(StillTurning) as refused:
        plan_rotate(plan, at_once=False)
    assert refused.value.args == (ENDS,) and push_key(plan) == second
    assert plan_rotate(plan, at_once=True) == (second, NOW)
    for gone in (first, second):
        assert signing_key(plan, key_mark(gone), NOW) is None
    third = push_key(plan)
    plan_rotate(plan, at_once=False)
    assert third is not None and signing_key(plan, key_mark(third), NOW) == third


def test_an_unmarked_subscription_is_of_the_first_key(plan: Plan) -> None:
    made = plan_push_key(plan)
    assert signing_key(plan, b"", NOW) == made
    assert signing_key(plan, b"nobody's", NOW) is None
