"""The account's limit in octets."""

import pytest

from storage.keys import TypeCode
from storage.mail.errors import OverQuota
from storage.mail.quota import QUOTA_ID, check_room, limit, plan_limit, room
from tests.storage.mail.story import ALICE, House


def set_limit(house: House, octets: int) -> None:
    with house.command() as plan:
        plan_limit(plan, ALICE, octets)


def test_it_bounds_what_comes_in(house: House) -> None:
    set_limit(house, 1_500)
    assert house.changes(TypeCode.QUOTA, house.version - 1).updated == [QUOTA_ID]
    house.deliver(size=1_000)
    assert room(house.engine, ALICE) == 500
    with pytest.raises(OverQuota):
        house.deliver(size=501)
    house.deliver(size=500)
    assert room(house.engine, ALICE) == 0


def test_without_a_limit_all_fits(house: House) -> None:
    assert limit(house.engine, ALICE) == 0
    assert room(house.engine, ALICE) is None
    check_room(house.engine, ALICE, 2**62)


def test_who_is_over_a_new_limit_keeps_what_is_there(house: House) -> None:
    house.deliver(size=1_000)
    set_limit(house, 10)
    assert (limit(house.engine, ALICE), room(house.engine, ALICE)) == (10, 0)
    with pytest.raises(OverQuota):
        house.deliver(size=1)
    set_limit(house, 0)
    house.deliver(size=1_000)


def test_setting_what_is_set_changes_nothing(house: House) -> None:
    plan = house.plan()
    with plan.command():
        plan_limit(plan, ALICE, 0)
    assert plan.empty
