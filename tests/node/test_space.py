"""Room on the disk: the floor, the reserve, and a node that stands aside below the floor."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import trio
from trio.testing import MockClock

from node.config import StorageSection
from node.env import real_env
from node.rpc.peers import Peers
from node.snapshots import Snapshots
from node.space import (
    HAND_OVER_PAUSE_S,
    HAND_OVER_PAUSE_S_MAX,
    LOOK_S,
    MAKE_PAUSE_S,
    RESERVE_NAME,
    Room,
    Space,
    Step,
)
from raft import DiskFailed, Driver, OsDisk
from raft.disk import OsFile
from storage.checkpoint import CHECKPOINT_S
from tests.node.cluster_of_one import ClusterOfOne

R = TypeVar("R")
FLOOR, RESERVE = 1_000_000, 8192
AMPLE, RESUMED, LOW, PRESSED = 9_000_000, 1_300_000, 700_000, 400_000


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


class QuotaDisk(OsDisk):
    """A disk that may refuse to make files, whatever it says is free."""

    def __init__(self) -> None:
        self.refuses = False
        self.made = 0

    def create_zeroed(self, path: str, size: int, *, is_bulk: bool = False) -> OsFile:
        assert not is_bulk, "a reserve that is not written may be given to others"
        self.made += 1
        if not self.refuses:
            return super().create_zeroed(path, size)
        super().create_zeroed(path, size // 2).close()
        raise DiskFailed("write: Disk quota exceeded")


class Story:
    """A node's room on a disk whose free bytes the test sets; its helm notes what it is told."""

    def __init__(self, data: Path) -> None:
        self.free: int | None = AMPLE
        self.leads = False
        self.handed_over_at: list[float] = []
        self.told: list[bool] = []
        self.disk = QuotaDisk()
        self.path = data / RESERVE_NAME
        self.env = replace(
            real_env(data), disk=self.disk, free_bytes=lambda: self.free, run_blocking=inline
        )
        self.space = self.start()

    def start(self) -> Space:
        section = StorageSection(free_bytes_min=FLOOR, reserve_bytes=RESERVE)
        self.space = Space(self.env, section, self)
        return self.space

    async def find(self, free: int | None) -> str | None:
        """So much is free at the next look; what the status says then."""
        self.free = free
        await self.space.look()
        return self.space.room.told

    @property
    def reserve(self) -> int | None:
        """Its size, when it is there."""
        return self.path.stat().st_size if self.path.exists() else None

    def refuse_payloads(self, refused: bool) -> None:
        self.told.append(refused)

    async def step_down(self, *, timeout_s: float) -> bool:
        await trio.lowlevel.checkpoint()
        self.handed_over_at.append(trio.current_time())
        return not self.leads


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_below_the_floor_it_is_low_and_a_quarter_above_it_is_not_any_more() -> None:
    room = Room(floor_bytes=1000, reserve_bytes=100, has_reserve=True)
    seen = [(free, room.note(free), room.is_low) for free in (1000, 999, 1000, 1249, 1250, 1000)]
    assert [(free, is_low) for free, _, is_low in seen] == [
        *((1000, False), (999, True), (1000, True)),
        *((1249, True), (1250, False), (1000, False)),
    ]
    assert {step for _, step, _ in seen} == {None}


def test_the_reserve_is_given_up_when_half_of_the_floor_is_left_and_its_room_is_not_counted() -> (
    None
):
    room = Room(floor_bytes=1000, reserve_bytes=100, has_reserve=True)
    assert room.note(500) is None and not room.is_pressed
    assert room.note(499) is Step.GIVE_UP
    room.has_reserve = False
    assert room.is_pressed and room.note(300) is None
    assert room.note(1349) is None and room.is_low
    assert room.note(1350) is Step.MAKE and not room.is_low


async def test_the_reserve_is_made_at_start_when_there_is_room(story: Story) -> None:
    assert await story.find(FLOOR + RESERVE) == "ample"
    assert story.reserve == RESERVE and story.path.read_bytes() == bytes(RESERVE)
    assert await story.find(FLOOR + RESERVE) == "ample"
    assert story.disk.made == 1


async def test_without_room_for_it_nothing_is_made_and_nothing_taken(story: Story) -> None:
    assert await story.find(FLOOR + RESERVE - 1) == "low, without a reserve"
    assert story.reserve is None and story.told == [True]


@pytest.mark.parametrize("size", [RESERVE - 1, RESERVE + 1])
async def test_a_reserve_of_another_size_is_made_anew(story: Story, size: int) -> None:
    story.path.write_bytes(bytes(size))
    story.start()
    await story.find(AMPLE)
    assert story.reserve == RESERVE


async def test_one_that_stands_is_left_alone(story: Story) -> None:
    await story.find(AMPLE)
    story.start()
    await story.find(AMPLE)
    assert story.disk.made == 1


async def test_a_node_low_on_room_refuses_until_there_is_room_again(story: Story) -> None:
    await story.find(AMPLE)
    assert (await story.find(LOW), story.space.is_low()) == ("low", True)
    assert await story.find(LOW - 1) == "low"
    assert (await story.find(RESUMED), story.space.is_low()) == ("ample", False)
    assert story.told == [True, False] and story.reserve == RESERVE


async def test_pressed_it_gives_the_reserve_up_and_makes_it_anew_afterwards(story: Story) -> None:
    await story.find(AMPLE)
    assert await story.find(PRESSED) == "low, without a reserve"
    assert story.reserve is None and story.space.is_pressed()
    assert await story.find(PRESSED) == "low, without a reserve"
    assert await story.find(AMPLE) == "ample"
    assert story.reserve == RESERVE and not story.space.is_pressed()


async def test_a_reserve_that_cannot_be_made_leaves_nothing_and_is_tried_later(
    story: Story, autojump_clock: MockClock
) -> None:
    story.disk.refuses = True
    for _ in range(3):
        assert await story.find(AMPLE) == "ample"
    assert story.disk.made == 1 and story.reserve is None
    story.disk.refuses = False
    await trio.sleep(MAKE_PAUSE_S)
    await story.find(AMPLE)
    assert story.reserve == RESERVE


async def test_a_leader_hands_over_at_once_and_wanders_ever_less(
    story: Story, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    story.free, story.leads = LOW, True
    began_s = trio.current_time()
    nursery.start_soon(story.space.run)
    await trio.sleep(1000)
    at = [moment - began_s for moment in story.handed_over_at]
    assert at[0] == LOOK_S
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert pauses[:3] == [HAND_OVER_PAUSE_S * 2**turn for turn in range(3)]
    assert max(pauses) == pauses[-1] == HAND_OVER_PAUSE_S_MAX
    story.free = AMPLE
    await trio.sleep(LOOK_S)
    story.free = LOW
    count = len(story.handed_over_at)
    await trio.sleep(LOOK_S)
    assert len(story.handed_over_at) == count + 1
    nursery.cancel_scope.cancel()


async def test_a_follower_has_nothing_to_hand_over(story: Story) -> None:
    await story.find(LOW)
    assert story.handed_over_at == []


async def test_where_free_space_cannot_be_measured_there_is_neither_floor_nor_reserve(
    story: Story,
) -> None:
    assert await story.find(None) is None
    assert story.reserve is None and story.told == []
    await story.find(LOW)
    assert await story.find(None) == "low, without a reserve"


class Cuts:
    """raft.Driver and its Transfers, as far as a log is cut: whether all of it should be."""

    def __init__(self) -> None:
        self.transfers = self
        self.all_of_it: list[bool] = []

    async def wait_wanted(self) -> int:
        await trio.sleep_forever()
        return 0

    def compact(self, safe: int, **how: Any) -> bool:
        self.all_of_it.append(how["all_of_it"])
        return True


async def test_pressed_every_checkpoint_cuts_the_log_as_short_as_it_may(
    story: Story, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    cuts, peers = Cuts(), cast(Peers, None)
    machine, pressed = ClusterOfOne().machine, story.space.is_pressed
    driver = cast(Driver, cuts)
    snapshots = Snapshots(machine, driver, peers, story.env, own=1, is_pressed=pressed)
    nursery.start_soon(snapshots.run)
    await trio.sleep(CHECKPOINT_S / 2)
    for free in (AMPLE, LOW, PRESSED, AMPLE):
        await story.find(free)
        await trio.sleep(CHECKPOINT_S)
    assert cuts.all_of_it == [False, False, True, False]
    nursery.cancel_scope.cancel()
