"""Deliveries remembered: known for their time, and never more of them than the bound."""

import random
from hashlib import blake2b

import pytest

from storage import deliveries, keys
from storage.deliveries import (
    DELIVERIES_MAX,
    KEPT_MS,
    KEY_BYTES,
    plan_remember,
    remembered,
    was_delivered,
)
from storage.ids import AccountId
from tests.fakes import FakeHouse, make_house

ALICE = AccountId(7)
BOB = AccountId(8)


@pytest.fixture
def house() -> FakeHouse:
    return make_house()


def key(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=KEY_BYTES).digest()


def remember(house: FakeHouse, *names: str) -> None:
    """Each in a command of its own."""
    for name in names:
        house.run(lambda plan, name=name: plan_remember(plan, ALICE, key(name)))


def known(house: FakeHouse, name: str, account: AccountId = ALICE) -> bool:
    return was_delivered(house.engine, account, key(name), house.clock.now_ms())


def rows_held(house: FakeHouse) -> int:
    return len(house.engine.scan(*keys.account_range(ALICE)))


def test_a_delivery_is_known_to_its_account(house: FakeHouse) -> None:
    assert not known(house, "a")
    remember(house, "a")
    assert known(house, "a") and not known(house, "b") and not known(house, "a", BOB)


def test_its_time_ends_to_the_millisecond(house: FakeHouse) -> None:
    remember(house, "a")
    house.clock.pass_s(KEPT_MS / 1000 - 0.001)
    assert known(house, "a")
    house.clock.pass_s(0.001)
    assert not known(house, "a")


def test_a_new_one_lets_go_of_two_that_are_over(house: FakeHouse) -> None:
    remember(house, "a", "b", "c")
    house.clock.pass_s(KEPT_MS / 1000)
    remember(house, "d")
    assert remembered(house.engine, ALICE) == 2  # c, d
    remember(house, "e")
    assert remembered(house.engine, ALICE) == 2  # d, e
    assert known(house, "d") and known(house, "e")
    assert rows_held(house) == 2 * 2 + 1  # a key and a place each, and where they begin and end


def test_what_came_again_after_its_time_is_known_by_its_newer_place(house: FakeHouse) -> None:
    remember(house, "x", "y", "a")
    house.clock.pass_s(KEPT_MS / 1000)
    remember(house, "a")  # lets go of x and y: the old place of a is still there
    assert known(house, "a")
    remember(house, "b")
    assert remembered(house.engine, ALICE) == 2
    assert known(house, "a")


def test_no_more_are_remembered_than_the_bound(
    house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DELIVERIES_MAX == 4096
    monkeypatch.setattr(deliveries, "DELIVERIES_MAX", 3)
    remember(house, "a", "b", "c")
    assert known(house, "a")
    remember(house, "d")
    assert [known(house, name) for name in "abcd"] == [False, True, True, True]
    assert remembered(house.engine, ALICE) == 3 and rows_held(house) == 2 * 3 + 1


def test_whatever_comes_when_the_rows_agree(
    house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "DELIVERIES_MAX", 5)
    chance = random.Random(5)
    told: dict[str, int] = {}  # name -> when it was last remembered
    for _ in range(200):
        house.clock.pass_s(chance.random() * KEPT_MS / 1000 / 4)
        name = chance.choice("abcdefgh")
        now_ms = house.clock.now_ms()
        if known(house, name):
            assert told[name] > now_ms - KEPT_MS
            continue
        remember(house, name)
        told[name] = now_ms
        assert known(house, name)
        assert remembered(house.engine, ALICE) <= 6  # one over: those past their time go two by two
    assert rows_held(house) <= 2 * 6 + 1
