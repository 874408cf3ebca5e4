"""The leader's collector: passes beside deliveries, by whoever leads, with nothing lost between."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from node.collector import Collector
from node.config import StorageSection
from storage import blob_links, keys
from storage.ids import AccountId, BlobId, blob_id
from storage.keys import TypeCode
from storage.plan import Plan
from tests.fakes import REPLICA, FakeHouse, make_house

ALICE = AccountId(7)
SECTION = StorageSection(collect_interval_ms=60_000, collect_grace_ms=30_000)
RIVAL = 2


@pytest.fixture
def house() -> FakeHouse:
    return make_house()


def collector(house: FakeHouse, members: tuple[int, ...] = (REPLICA,)) -> Collector:
    return Collector(house.ports, SECTION, lambda: members, own=REPLICA)


def deliver(house: FakeHouse, data: bytes) -> Callable[[], None]:
    """A blob that a record holds; gives back how it lets go."""
    blob = blob_id(data)

    def link(plan: Plan) -> None:
        blob_links.plan_link(plan, ALICE, blob, TypeCode.UPLOAD, 1)

    house.run(link, blobs=[data])
    return lambda: house.run(
        lambda plan: blob_links.plan_unlink(plan, ALICE, blob, TypeCode.UPLOAD, 1)
    )


def is_marked(house: FakeHouse, blob: BlobId) -> bool:
    return house.engine.get(keys.lone_blob_key(blob)) is not None


async def test_what_is_let_go_is_forgotten_two_passes_later(
    house: FakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    let_go, blob = deliver(house, b"mail"), blob_id(b"mail")
    deliver(house, b"kept")
    leads = False
    nursery.start_soon(collector(house).run, lambda: leads)
    await trio.sleep(200)
    let_go()
    await trio.sleep(200)
    assert not is_marked(house, blob), "it does not lead"
    leads = True
    await trio.sleep(65)
    assert is_marked(house, blob) and house.is_whole(blob)
    house.clock.pass_s(60)
    await trio.sleep(65)
    assert not house.is_whole(blob) and not is_marked(house, blob)
    assert house.is_whole(blob_id(b"kept"))


async def test_a_successor_goes_on_with_the_marks(
    house: FakeHouse, autojump_clock: MockClock
) -> None:
    deliver(house, b"mail")()
    first, second = collector(house), collector(house)
    await first._guard()
    assert await first.collect(lambda: True) == 0
    house.clock.pass_s(60)
    assert await second.collect(lambda: True) == 1


async def test_what_cannot_be_written_now_is_tried_again(
    house: FakeHouse, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    deliver(house, b"mail")()
    house.unavailable = True
    nursery.start_soon(collector(house).run, lambda: True)
    await trio.sleep(200)
    house.unavailable = False
    await trio.sleep(100)
    house.unavailable = True
    await trio.sleep(100)
    house.unavailable = False
    await trio.sleep(100)
    house.clock.pass_s(60)
    await trio.sleep(100)
    assert not house.is_whole(blob_id(b"mail"))


async def test_nothing_is_forgotten_beside_one_that_knows_no_marks(
    house: FakeHouse, autojump_clock: MockClock
) -> None:
    deliver(house, b"mail")()
    both = collector(house, (REPLICA, RIVAL))
    await both._guard()
    for _ in range(3):
        assert await both.collect(lambda: True) == 0
        house.clock.pass_s(60)
    assert house.is_whole(blob_id(b"mail")) and is_marked(house, blob_id(b"mail"))


async def test_who_leads_no_longer_stops(house: FakeHouse, autojump_clock: MockClock) -> None:
    deliver(house, b"mail")()
    assert await collector(house).collect(lambda: False) == 0
    assert not is_marked(house, blob_id(b"mail"))
