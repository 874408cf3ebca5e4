"""Room comes back: segments that are mostly dead are emptied and removed, whatever happens then."""

import random
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock

from node.config import StorageSection
from node.machine import Machine
from node.news import Bells
from node.reclaimer import Reclaimer
from node.space import Room
from storage import keys, local_keys, reclaim
from storage.apply import Applier
from storage.blobs import BlobStore, unpack_place
from storage.checkpoint import Checkpointer, checkpoint_index
from storage.ids import BlobId, blob_id
from storage.memory import MemoryEngine
from storage.opening import State
from storage.reclaim import Segment, choose
from storage.segments import MemoryFiles
from tests.node.collecting_world import Killed, NoDamage
from tests.storage.story import Log, bytes_of, whole

R = TypeVar("R")
SEGMENT = 1_000


class Hospital:
    """A mender that only takes notes."""

    def __init__(self) -> None:
        self.noted: list[BlobId] = []

    def note(self, blob: BlobId) -> None:
        self.noted.append(blob)


class Story:
    """A machine whose log a test writes, and its reclaimer."""

    def __init__(self, rows: dict[bytes, bytes] | None = None, files: MemoryFiles | None = None):
        self.engine = MemoryEngine((rows or {}).items())
        self.files = files or MemoryFiles()
        self.blobs = BlobStore(self.engine, self.files, segment_bytes_max=SEGMENT)
        applier = Applier(self.engine, self.blobs)
        checkpointer = Checkpointer(self.engine, self.blobs, applier)
        self.machine = Machine(State(self.engine, self.blobs, applier, checkpointer), Bells())
        self.hospital: Any = Hospital()
        self.room = Room(floor_bytes=10**6, reserve_bytes=1, has_reserve=True)
        self.is_giving = False
        self.before: Callable[[], None] = lambda: None
        self.reclaimer = Reclaimer(
            self.machine,
            self.hospital,
            self._run_blocking,
            StorageSection(),
            self.room,
            lambda: self.is_giving,
        )
        self.log = Log()

    async def _run_blocking(self, work: Callable[[], R]) -> R:
        await trio.lowlevel.checkpoint()
        self.before()
        return work()

    def apply(self, log: Log) -> None:
        self.log = log
        self.machine.state.applier.apply(log.entries[self.machine.applied_index :])

    def bring(self, log: Log, *datas: bytes) -> None:
        for data in datas:
            log.batch(blobs=whole(data))
        self.apply(log)

    def forget(self, log: Log, *datas: bytes) -> None:
        """As the leader's collector has it."""
        log.batch(delete=[keys.blob_key(blob_id(data)) for data in datas])
        self.apply(log)

    def read(self, data: bytes) -> bytes:
        return self.blobs.read(blob_id(data), 0, 10**6)

    def segment(self, data: bytes) -> int:
        held = self.engine.get(local_keys.place_key(blob_id(data), 0))
        assert held is not None
        return unpack_place(held).segment


@pytest.fixture
def log() -> Log:
    made = Log()
    made.register()
    return made


@pytest.fixture
def story() -> Story:
    return Story()


DATAS = [bytes_of(300, seed) for seed in range(9)]
ONE, TWO, THREE, FOUR, *REST = DATAS


async def test_a_segment_that_is_mostly_dead_is_emptied_and_removed(
    story: Story, autojump_clock: MockClock, log: Log
) -> None:
    story.bring(log, *DATAS)
    assert story.blobs.sizes() == {1: 900, 2: 900, 3: 900}
    story.forget(log, ONE, TWO)
    assert await story.reclaimer.reclaim() == 900
    assert story.blobs.sizes() == {2: 900, 3: 900, 4: 300}
    for data in DATAS[2:]:
        assert story.read(data) == data
    with pytest.raises(KeyError):
        story.read(ONE)
    assert story.reclaimer.octets == 2_700 and story.reclaimer.dead == 600


async def test_one_that_is_mostly_in_use_stays(
    story: Story, autojump_clock: MockClock, log: Log
) -> None:
    story.bring(log, *DATAS)
    story.forget(log, ONE)
    assert await story.reclaimer.reclaim() == 0
    assert story.blobs.sizes() == {1: 900, 2: 900, 3: 900}
    assert story.engine.get(local_keys.place_key(blob_id(ONE), 0)) is None


async def test_what_is_forgotten_and_comes_again_is_written_again(
    story: Story, autojump_clock: MockClock, log: Log
) -> None:
    story.bring(log, *DATAS)
    story.forget(log, ONE, TWO, THREE)
    story.bring(log, TWO)
    assert story.segment(TWO) == 4
    assert await story.reclaimer.reclaim() == 900
    assert story.read(TWO) == TWO and story.read(FOUR) == FOUR


async def test_the_segment_in_use_is_left_when_it_is_worth_it(
    story: Story, autojump_clock: MockClock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.bring(log, ONE, TWO)
    story.forget(log, ONE)
    assert await story.reclaimer.reclaim() == 0
    monkeypatch.setattr(reclaim, "DEAD_BYTES_MIN", 300)
    assert await story.reclaimer.reclaim() == 600
    assert story.blobs.sizes() == {2: 300} and story.read(TWO) == TWO
    story.bring(log, FOUR)
    assert story.segment(FOUR) == 2


async def test_a_segment_goes_after_a_checkpoint_of_what_let_it_go(
    story: Story, log: Log, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.bring(log, *DATAS)
    story.machine.state.checkpointer.run()
    story.forget(log, ONE, TWO)
    durable: list[int] = []
    remove = story.files.remove

    def noted(segment: int) -> None:
        durable.append(checkpoint_index(MemoryEngine(story.engine.survivors().items())))
        remove(segment)

    monkeypatch.setattr(story.files, "remove", noted)
    await story.reclaimer.reclaim()
    assert durable == [story.machine.applied_index]


async def test_a_number_is_never_given_again(
    story: Story, autojump_clock: MockClock, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclaim, "DEAD_BYTES_MIN", 1)
    story.bring(log, ONE)
    story.forget(log, ONE)
    await story.reclaimer.reclaim()
    assert story.blobs.sizes() == {}
    story.files.cut_power()
    again = Story(story.engine.survivors(), story.files)
    again.bring(log, TWO)
    assert again.segment(TWO) == 3


async def test_an_empty_blob_moves_too(story: Story, autojump_clock: MockClock, log: Log) -> None:
    story.bring(log, b"", *DATAS[:3])
    story.forget(log, *DATAS[:3])
    story.blobs.turn_page()
    assert await story.reclaimer.reclaim() == 900
    assert story.read(b"") == b"" and story.blobs.sizes() == {}


async def test_what_is_damaged_keeps_its_segment_until_it_is_mended(
    story: Story, autojump_clock: MockClock, log: Log
) -> None:
    story.bring(log, *DATAS)
    story.forget(log, ONE, TWO)
    story.files.damage(1, 700)
    assert await story.reclaimer.reclaim() == 0
    assert story.hospital.noted == [blob_id(THREE)] and 1 in story.blobs.sizes()
    story.engine.write([story.blobs.append(part) for part in whole(THREE)])  # as the mender does
    story.reclaimer._seen = None
    assert await story.reclaimer.reclaim() == 900
    assert story.read(THREE) == THREE


async def test_what_a_snapshot_names_stays_until_it_was_fetched(
    story: Story, autojump_clock: MockClock, log: Log
) -> None:
    story.bring(log, *DATAS)
    story.forget(log, ONE, TWO)
    story.is_giving = True
    assert await story.reclaimer.reclaim() == 0
    assert story.blobs.read_part(blob_id(ONE), 0) == ONE
    story.is_giving = False
    assert await story.reclaimer.reclaim() == 900


@pytest.mark.parametrize("dies_after", range(1, 9))
@pytest.mark.parametrize("power", [True, False])
async def test_killed_anywhere_it_has_lost_nothing(
    story: Story, autojump_clock: MockClock, log: Log, dies_after: int, power: bool
) -> None:
    story.bring(log, *DATAS)
    story.machine.state.checkpointer.run()
    story.forget(log, ONE, TWO)
    left = dies_after

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    story.before = die
    try:
        await story.reclaimer.reclaim()
    except Killed:
        pass
    else:
        assert left > 0, "it was to die"
    if power:
        story.files.cut_power()
    rows = story.engine.survivors() if power else story.engine.rows()
    again = Story(rows, story.files)
    again.hospital = NoDamage()
    start = checkpoint_index(again.engine)
    applier = again.machine.state.applier
    applier.redo_blobs(log.entries[start : applier.index])
    assert 1 in again.blobs.sizes() or applier.index == len(log.entries), "gone too early"
    again.apply(log)
    for data in DATAS[2:]:
        assert again.read(data) == data
    await again.reclaimer.reclaim()
    assert 1 not in again.blobs.sizes()
    for data in DATAS[2:]:
        assert again.read(data) == data


async def test_a_pass_follows_what_was_collected_and_only_that(
    story: Story, autojump_clock: MockClock, log: Log, nursery: trio.Nursery
) -> None:
    story.bring(log, *DATAS)
    passes = 0
    reclaim_once = story.reclaimer.reclaim

    async def counted() -> int:
        nonlocal passes
        passes += 1
        return await reclaim_once()

    story.reclaimer.reclaim = counted  # type: ignore[method-assign]
    nursery.start_soon(story.reclaimer.run)
    await trio.sleep(3.5 * 3_600)
    assert passes == 1, "once after the start, for what an earlier process left"
    log.batch(put=[(keys.account_prefix(0) + b"Y", bytes(15) + b"\x01")])  # type: ignore[arg-type]
    story.apply(log)
    await trio.sleep(3 * 3_600)
    assert passes == 2
    story.room.note(10)  # the disk is nearly full
    await trio.sleep(3_600 + 300)
    assert passes >= 5


def test_the_deadest_go_first_and_no_more_than_there_is_room_for() -> None:
    found = [Segment(1, 100, 50), Segment(2, 100, 0), Segment(3, 100, 20), Segment(4, 100, 60)]
    assert [each.number for each in choose(found, 9, pressed=False, spare=1_000)] == [2, 3, 1]
    assert [each.number for each in choose(found, 9, pressed=False, spare=69)] == [2, 3]
    assert [each.number for each in choose(found, 9, pressed=False, spare=-5)] == [2]
    assert [each.number for each in choose(found, 9, pressed=True, spare=1_000)] == [2, 3, 1, 4]


def test_random_segments_never_need_more_than_the_spare_room() -> None:
    chance = random.Random(1)
    for _ in range(200):
        found = [
            Segment(number, size, chance.randrange(size + 1))
            for number, size in enumerate(chance.choices(range(1, 1_000), k=10))
        ]
        spare = chance.randrange(2_000)
        chosen = choose(found, 99, pressed=chance.random() < 0.5, spare=spare)
        assert sum(each.live for each in chosen) <= spare
        assert all(each in chosen for each in found if each.live == 0)
