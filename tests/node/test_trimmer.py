"""The leader trims every account's change log, and only where there is something to trim."""

import pytest
import trio
from trio.testing import MockClock

from node.jobs import Jobs
from node.trimmer import LOOK_S, PASS_S, Trimmer
from storage import changes, trimming
from storage.ids import AccountId
from storage.keys import TypeCode
from tests.fakes import FakeHouse, make_house

ALICE, BOB = AccountId(7), AccountId(8)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> FakeHouse:
    monkeypatch.setattr(trimming, "CHANGES_KEPT", 3)
    monkeypatch.setattr(trimming, "CHANGES_MAX", 5)
    monkeypatch.setattr(changes, "TRIM_ROWS_MAX", 2)
    return make_house()


def change(house: FakeHouse, account: AccountId, times: int) -> None:
    for number in range(times):
        house.run(
            lambda plan, number=number: changes.record(
                plan, account, TypeCode.MAILBOX, updated=[number]
            )
        )


async def test_every_account_is_kept_short(house: FakeHouse, autojump_clock: MockClock) -> None:
    change(house, ALICE, 12)
    change(house, BOB, 3)
    applied = house.applier.index
    assert await Trimmer(house.ports).trim(lambda: True)
    assert changes.horizon(house.engine, ALICE) == 7
    assert not changes.has_untrimmed(house.engine, ALICE)
    assert changes.horizon(house.engine, BOB) == 0
    assert house.applier.index == applied + 4  # seven rows, two at a time, and nothing for Bob
    assert await Trimmer(house.ports).trim(lambda: True)
    assert house.applier.index == applied + 4


async def test_what_cannot_be_written_is_for_later(
    house: FakeHouse, autojump_clock: MockClock
) -> None:
    change(house, ALICE, 12)
    house.unavailable = True
    assert not await Trimmer(house.ports).trim(lambda: True)
    assert changes.horizon(house.engine, ALICE) == 0


async def test_the_leader_comes_by_now_and_then(
    house: FakeHouse, autojump_clock: MockClock
) -> None:
    change(house, ALICE, 12)
    leads = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Jobs(house.ports).run, lambda: leads)
        await trio.sleep(2 * LOOK_S)
        assert changes.horizon(house.engine, ALICE) == 0
        leads = True
        await trio.sleep(2 * LOOK_S)
        assert changes.horizon(house.engine, ALICE) == 7
        change(house, ALICE, 1)
        await trio.sleep(PASS_S + 2 * LOOK_S)
        assert changes.horizon(house.engine, ALICE) == 8
        nursery.cancel_scope.cancel()
