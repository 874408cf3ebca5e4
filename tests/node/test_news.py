"""Bells: told once, however much happened; and only of what one listens to."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.news import ACCOUNTS_WATCHED_MAX, ALL_TYPES, Bells
from storage.batch import Announce
from storage.ids import SYSTEM_ACCOUNT, AccountId, Version

ALICE, BOB = AccountId(1), AccountId(2)


def change(bells: Bells, account: AccountId, version: int, types: int = 1) -> None:
    bells.ring([Announce(account, Version(version), types)])


async def test_a_listener_hears_the_newest_of_everything() -> None:
    bells = Bells()
    with bells.watch([ALICE, BOB]) as watch:
        change(bells, ALICE, 1, 0b001)
        change(bells, ALICE, 3, 0b100)
        change(bells, ALICE, 2, 0b010)
        change(bells, BOB, 9)
        await watch.wait()
        assert watch.take() == {ALICE: (3, 0b111), BOB: (9, 1)}
        assert watch.take() == {}


async def test_waiting_ends_with_the_first_change() -> None:
    bells = Bells()
    heard = []

    async def listen(account: AccountId) -> None:
        with bells.watch([account]) as watch:
            await watch.wait()
            heard.append((account, watch.take()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, ALICE)
        nursery.start_soon(listen, BOB)
        await wait_all_tasks_blocked()
        change(bells, BOB, 5)
        await wait_all_tasks_blocked()
        assert heard == [(BOB, {BOB: (5, 1)})]
        change(bells, ALICE, 6)
    assert len(heard) == 2


async def test_nothing_is_missed_between_take_and_wait() -> None:
    bells = Bells()
    with bells.watch([ALICE]) as watch:
        change(bells, ALICE, 1)
        watch.take()
        change(bells, ALICE, 2)
        await watch.wait()
        assert watch.take() == {ALICE: (2, 1)}
        with trio.move_on_after(0.01) as scope:
            await watch.wait()
        assert scope.cancelled_caught
        change(bells, ALICE, 3)
        await watch.wait()


def test_two_listeners_of_one_account_each_hear() -> None:
    bells = Bells()
    with bells.watch([ALICE]) as one, bells.watch([ALICE, ALICE]) as other:
        change(bells, ALICE, 1)
        assert one.take() == other.take() == {ALICE: (1, 1)}


def test_who_left_costs_nothing() -> None:
    bells = Bells()
    with bells.watch([ALICE, BOB]) as watch:
        assert bells.watched == 2 and bells.heard
    assert bells.watched == 0
    change(bells, ALICE, 1)
    assert watch.take() == {}


def test_a_listener_watches_a_bounded_number() -> None:
    bells = Bells()
    with pytest.raises(ValueError), bells.watch(range(ACCOUNTS_WATCHED_MAX + 1)):  # type: ignore[arg-type]
        pass
    assert bells.watched == 0


async def test_who_listens_to_all_hears_of_every_account() -> None:
    bells = Bells()
    with bells.watch_all() as watch:
        change(bells, ALICE, 1, 0b01)
        change(bells, BOB, 2, 0b10)
        assert watch.take() == {ALICE: (1, 0b01), BOB: (2, 0b10)}
        bells.ring_all(lambda account: Version(7))
        assert watch.take() == {SYSTEM_ACCOUNT: (7, ALL_TYPES)}
    change(bells, ALICE, 3)
    assert watch.take() == {}
