"""Large blobs: read as they go, a few parts at a time, whole or not there."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from node.freight import (
    HASHED_OCTETS,
    LOAD_PARTS_MAX,
    LOAD_RESEND_S,
    STAGED_LOADS_MAX,
    name_of,
)
from node.proposer import WRITE_TIMEOUT_S
from protocols.ports import Unavailable
from storage.batch import BATCH_BYTES_MAX, BLOB_PART_BYTES_MAX
from storage.ids import BlobId, blob_id
from tests.node.test_proposer import Story


class Reader:
    """Octets that are read piece by piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    @property
    def name(self) -> BlobId:
        return blob_id(self.data)

    def read(self, start: int, length: int) -> bytes:
        self.reads.append((start, length))
        return self.data[start : start + length]


@pytest.fixture
async def story(nursery: trio.Nursery) -> AsyncIterator[Story]:
    story = Story()
    nursery.start_soon(story.proposer.run)
    await story.registered()
    yield story
    nursery.cancel_scope.cancel()


async def carry(story: Story, cargo: Reader) -> None:
    await story.proposer.carry(cargo.name, len(cargo.data), cargo.read)


@pytest.mark.parametrize("octets", [0, 1, BLOB_PART_BYTES_MAX, 3 * BLOB_PART_BYTES_MAX + 1])
async def test_it_arrives_whole(story: Story, octets: int, autojump_clock: MockClock) -> None:
    cargo = Reader(story.chance.randbytes(octets))
    await carry(story, cargo)
    assert story.blobs.read(cargo.name, 0, octets + 1) == cargo.data
    assert [length for _, length in cargo.reads[:-1]] == [BLOB_PART_BYTES_MAX] * (
        len(cargo.reads) - 1
    )
    before = len(cargo.reads)
    await carry(story, cargo)
    assert len(cargo.reads) == before, "what is here does not travel again"


async def test_no_more_is_read_than_is_under_way(story: Story, autojump_clock: MockClock) -> None:
    story.running = False
    cargo = Reader(bytes(40 * BLOB_PART_BYTES_MAX))
    async with trio.open_nursery() as callers:
        callers.start_soon(carry, story, cargo)
        await trio.testing.wait_all_tasks_blocked()
        # One load more has been read, and waits for its turn.
        assert len(cargo.reads) == (STAGED_LOADS_MAX + 1) * LOAD_PARTS_MAX
        assert story.proposer.under_way == STAGED_LOADS_MAX
        story.running = True
        story.commit()
    assert story.blobs.size(cargo.name) == len(cargo.data)


async def test_a_load_is_as_much_as_a_batch_holds(story: Story, autojump_clock: MockClock) -> None:
    cargo = Reader(story.chance.randbytes(7 * BLOB_PART_BYTES_MAX))
    await carry(story, cargo)
    loads = [len(batch.blobs) for batch in story.batches()]
    assert loads == [LOAD_PARTS_MAX, LOAD_PARTS_MAX, 1]
    # One part more would not fit.
    assert (LOAD_PARTS_MAX + 1) * BLOB_PART_BYTES_MAX > BATCH_BYTES_MAX


async def test_a_slow_disk_is_not_given_everything_twice(
    story: Story, autojump_clock: MockClock
) -> None:
    story.running = False
    cargo, before = Reader(bytes(LOAD_PARTS_MAX * BLOB_PART_BYTES_MAX)), story.proposed
    async with trio.open_nursery() as callers:
        callers.start_soon(carry, story, cargo)
        await trio.sleep(LOAD_RESEND_S * 0.7)
        assert story.proposed == before + 1
        await trio.sleep(LOAD_RESEND_S * 0.7)
        assert story.proposed == before + 2, "but what is lost is sent again"
        story.running = True
        story.commit()


async def test_patience_begins_anew_with_every_load(
    story: Story, autojump_clock: MockClock
) -> None:
    story.running = False
    cargo = Reader(bytes((STAGED_LOADS_MAX + 4) * LOAD_PARTS_MAX * BLOB_PART_BYTES_MAX))
    async with trio.open_nursery() as callers:
        callers.start_soon(carry, story, cargo)
        for _ in range(3):
            await trio.sleep(WRITE_TIMEOUT_S * 0.9)
            story.commit()
        story.running = True
        story.commit()
    assert story.blobs.size(cargo.name) == len(cargo.data)


async def test_when_nothing_gets_on_it_is_unavailable(
    story: Story, autojump_clock: MockClock
) -> None:
    story.losing = True
    cargo = Reader(bytes(20 * BLOB_PART_BYTES_MAX))
    with pytest.raises(Unavailable):
        await carry(story, cargo)
    story.losing = False
    story.proposer.leader_changed()
    await carry(story, cargo)
    story.lacks_room = True
    with pytest.raises(Unavailable):
        await carry(story, Reader(b"x"))


async def test_what_reading_raises_is_told(story: Story, autojump_clock: MockClock) -> None:
    def broken(start: int, _: int) -> bytes:
        if start:
            raise OSError("the spool is gone")
        return bytes(BLOB_PART_BYTES_MAX)

    with pytest.raises(OSError, match="spool"):
        await story.proposer.carry(blob_id(b"x"), 5 * BLOB_PART_BYTES_MAX, broken)
    assert story.blobs.size(blob_id(b"x")) is None


async def test_a_large_blob_is_named_like_a_small_one() -> None:
    for octets in (0, HASHED_OCTETS, 3 * HASHED_OCTETS + 5):
        data = bytes(octets)
        assert await name_of(data) == blob_id(data)
