"""The leader does what is due, once, and again when it could not."""

import pytest
import trio
from trio.testing import MockClock

from node.jobs import DUE_MAX, LOOK_S, Jobs
from storage.codes import EXPIRED_TOLD_MS, Asked, plan_device
from storage.due import Due, list_due, plan_due
from storage.ids import AccountId, BlobId, blob_id
from storage.keys import TypeCode
from storage.oauth_rows import Kind, row_range
from storage.uploads import UPLOAD_KEPT_MS, plan_upload, uploaded_octets
from tests.fakes import FakeHouse, make_house

ALICE = AccountId(7)


@pytest.fixture
def house() -> FakeHouse:
    return make_house()


def upload(house: FakeHouse, number: int = 1) -> BlobId:
    """Something that is over a day later."""
    blob = blob_id(b"%d" % number)
    house.run(lambda plan: plan_upload(plan, ALICE, blob, 1, octets_max=10_000))
    return blob


async def test_the_leader_acts_when_the_time_has_come(
    house: FakeHouse, autojump_clock: MockClock
) -> None:
    upload(house)
    leads = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Jobs(house.ports).run, lambda: leads)
        house.clock.pass_s(UPLOAD_KEPT_MS / 1000)
        await trio.sleep(3 * LOOK_S)
        assert uploaded_octets(house.engine, ALICE) == 1
        leads = True
        await trio.sleep(3 * LOOK_S)
        assert uploaded_octets(house.engine, ALICE) == 0
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_done_now_is_done_later(house: FakeHouse) -> None:
    upload(house)
    house.clock.pass_s(UPLOAD_KEPT_MS / 1000)
    house.unavailable = True
    jobs = Jobs(house.ports)
    assert await jobs.look() is False
    assert uploaded_octets(house.engine, ALICE) == 1
    house.unavailable = False
    assert await jobs.look() is False
    assert uploaded_octets(house.engine, ALICE) == 0


async def test_much_is_done_in_several_looks(house: FakeHouse) -> None:
    for number in range(DUE_MAX + 1):
        due = Due(UPLOAD_KEPT_MS, TypeCode.UPLOAD, ALICE, blob_id(b"%d" % number))
        house.run(lambda plan, due=due: plan_due(plan, due))
    jobs = Jobs(house.ports)
    assert await jobs.look() is True
    assert await jobs.look() is False
    assert list_due(house.engine, house.clock.now_ms(), limit=1) == []


async def test_a_grant_ends_in_its_time(house: FakeHouse) -> None:
    house.run(lambda plan: plan_device(plan, Asked("bird", "Bird", ()), user_code_ms=1_000))
    house.clock.pass_s(1 + EXPIRED_TOLD_MS / 1000)
    assert await Jobs(house.ports).look() is False
    assert not house.engine.scan(*row_range(Kind.DEVICE))
    assert not list_due(house.engine, 2**60, limit=1)
