"""Two states side by side: blobs mended from the other one, damage found by nobody's reading."""

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock

from node.config import StorageSection
from node.inspection import DONE, INDEX_S, Inspector
from node.mender import AGAIN_S, Mender
from node.rpc.calls import Answer, BlobParts, BlobPartsAnswer, Call
from node.rpc.errors import CallRefused
from node.rpc.peers import Peers
from node.scrubber import Scrubber
from protocols.ports import Unavailable
from storage import keys, local_keys
from storage.blobs import unpack_place
from storage.engine import EngineRefused
from storage.ids import AccountId, BlobId, blob_id
from storage.segments import MemoryFiles
from tests.node.cluster_of_one import ME, ClusterOfOne
from tests.storage.story import Log, bytes_of, whole

R = TypeVar("R")
SMALL, LARGE = bytes_of(5_000, 1), bytes_of(700_000, 2)


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


class Two:
    """A node with damage, and one to ask."""

    def __init__(self) -> None:
        log = Log()
        log.register(ME.replica, nonce=b"n")
        for data in (SMALL, LARGE):
            log.batch(ME.replica, blobs=whole(data))
        self.hurt, self.well = ClusterOfOne(), ClusterOfOne()
        for one in (self.hurt, self.well):
            one.machine.apply([])
            one.applier.apply(log.entries)
        self.asked: list[Call] = []
        self.givers = [2]
        self.spoil: Callable[[BlobPartsAnswer], Answer] = lambda answer: answer
        self.other = Mender(self.well.machine, cast(Peers, self), inline, list)
        self.mender = Mender(self.hurt.machine, cast(Peers, self), inline, lambda: self.givers)
        self.scrubber = Scrubber(self.hurt.machine, self.mender, inline, StorageSection())
        self.inspector = Inspector(self.hurt.machine, self.mender, inline, self.hurt.clock)

    async def call(self, replica: int, call: Call, *, timeout_s: float) -> Answer:
        """As rpc.Peers."""
        await trio.lowlevel.checkpoint()
        self.asked.append(call)
        if not isinstance(call, BlobParts):
            raise CallRefused("another call")
        return self.spoil(self.other.answer(call))

    def damage(self, one: ClusterOfOne, data: bytes, offset: int = 0) -> None:
        held = one.engine.get(local_keys.place_key(blob_id(data), offset))
        assert held is not None
        place = unpack_place(held)
        files = one.blobs._files
        assert isinstance(files, MemoryFiles)
        files.damage(place.segment, place.position + place.length // 2)

    def read(self, data: bytes) -> bytes:
        return self.hurt.machine.current.read(blob_id(data), 0, len(data))


@pytest.fixture
def two() -> Two:
    return Two()


@pytest.mark.parametrize(("data", "offset"), [(SMALL, 0), (LARGE, 0), (LARGE, 262_144)])
async def test_a_damaged_blob_is_unavailable_until_it_came_from_another_node(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock, data: bytes, offset: int
) -> None:
    two.damage(two.hurt, data, offset)
    with pytest.raises(Unavailable):
        two.read(data)
    nursery.start_soon(two.mender.run)
    await trio.sleep(1)
    assert two.read(data) == data and two.mender.mended == 1 and two.mender.waiting == 0
    assert two.asked == [BlobParts(((bytes(blob_id(data)), offset),))], "only what was lost"


async def test_a_slice_of_a_damaged_part_is_not_given_out_either(two: Two) -> None:
    two.damage(two.hurt, SMALL)
    with pytest.raises(Unavailable):
        two.hurt.machine.current.read(blob_id(SMALL), 10, 20)


async def test_bytes_that_are_not_the_blobs_are_never_put_in_place(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.damage(two.hurt, SMALL)
    two.mender.note(blob_id(SMALL))
    two.spoil = lambda answer: BlobPartsAnswer((bytes(len(SMALL)),))
    nursery.start_soon(two.mender.run)
    await trio.sleep(3 * AGAIN_S)
    assert two.mender.waiting == 1 and len(two.asked) > 1
    with pytest.raises(Unavailable):
        two.read(SMALL)
    two.spoil = lambda answer: answer
    await trio.sleep(2 * AGAIN_S)
    assert two.read(SMALL) == SMALL


async def test_one_that_is_damaged_too_says_so_and_looks_after_its_own(two: Two) -> None:
    two.damage(two.well, SMALL)
    ask = BlobParts(((bytes(blob_id(SMALL)), 0), (bytes(32), 0)))
    assert two.other.answer(ask) == BlobPartsAnswer((None, None))
    assert two.other.is_waiting(blob_id(SMALL)) and not two.other.is_waiting(BlobId(bytes(32)))


async def test_the_scrubber_finds_what_nobody_reads(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.damage(two.hurt, LARGE, 524_288)
    nursery.start_soon(two.scrubber.run)
    await trio.sleep(1)
    assert two.scrubber.passes == 1 and two.scrubber.standing == "1 blobs damaged"
    nursery.start_soon(two.mender.run)
    await trio.sleep(1)
    assert two.read(LARGE) == LARGE and two.scrubber.standing == "clean"


async def test_what_was_collected_is_not_damaged(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.damage(two.hurt, SMALL)
    two.hurt.engine.write((), [keys.blob_key(blob_id(SMALL))])
    nursery.start_soon(two.scrubber.run)
    await trio.sleep(1)
    assert two.scrubber.passes == 1 and two.scrubber.standing == "clean"
    two.mender.note(blob_id(SMALL))  # a reader met it just before
    nursery.start_soon(two.mender.run)
    await trio.sleep(1)
    assert two.mender.waiting == 0 and two.asked == []


async def test_the_scrubber_raises_what_it_finds_in_rows(two: Two) -> None:
    two.hurt.memory.damage("a bad block")
    with pytest.raises(EngineRefused):
        await two.scrubber.run()


async def test_an_inspection_counts_and_names_what_is_damaged(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.damage(two.hurt, SMALL)
    nursery.start_soon(two.inspector.run)
    await two.inspector.begin(two.hurt.machine.applied_index, repair=False)
    await trio.sleep(1)
    report = two.inspector.report
    assert report is not None and report.state == DONE
    assert (report.blobs, report.done, report.total) == (2, 3, 3)
    assert report.octets == len(SMALL) + len(LARGE)
    assert len(report.differences) == 1 and blob_id(SMALL).hex() in report.differences[0]
    assert two.mender.is_waiting(blob_id(SMALL))
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report


async def test_with_repair_it_waits_until_the_blob_came(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.damage(two.hurt, SMALL)
    nursery.start_soon(two.inspector.run)
    nursery.start_soon(two.mender.run)
    await two.inspector.begin(two.hurt.machine.applied_index, repair=True)
    await trio.sleep(5)
    report = two.inspector.report
    assert report is not None and (report.state, report.mended) == (DONE, 1)
    assert report.differences == []


async def test_states_are_digested_at_exactly_the_index_that_was_named(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Two nodes apply the same entries in other groups, and digest the same state."""
    one, other = ClusterOfOne(), ClusterOfOne()
    one.running = other.running = False
    log = Log()
    log.register(ME.replica, nonce=b"n")
    for number in range(9):
        log.batch(ME.replica, put=[(keys.version_key(account_of(number)), b"%08d" % number)])
    inspectors = [Inspector(c.machine, two.mender, inline, c.clock) for c in (one, other)]
    for inspector in inspectors:
        nursery.start_soon(inspector.run)
        nursery.start_soon(begin, inspector, 6)
    await trio.sleep(0.1)
    one.waiting = [payload for _, _, payload in log.entries]
    one.commit()  # all ten at once: index 6 is in the middle of the group
    for _, _, payload in log.entries:
        other.waiting = [payload]
        other.commit()
    await trio.sleep(1)
    first, second = (inspector.report for inspector in inspectors)
    assert first is not None and second is not None
    assert (first.index, first.digest, first.chain) == (6, second.digest, second.chain)
    assert one.machine.applied_index == other.machine.applied_index == 10


async def begin(inspector: Inspector, index: int) -> None:
    await inspector.begin(index, repair=False)


def account_of(number: int) -> AccountId:
    return AccountId(number % 2 + 1)


async def test_rows_that_make_no_sense_are_told_and_end_nothing(
    two: Two, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    two.hurt.engine.write([(keys.version_key(AccountId(5)), b"no number")])
    nursery.start_soon(two.inspector.run)
    await two.inspector.begin(two.hurt.machine.applied_index, repair=False)
    await trio.sleep(1)
    report = two.inspector.report
    assert report is not None and report.state == DONE
    assert len(report.differences) == 1
    assert report.differences[0].startswith("account 5: its rows cannot be understood")


async def test_an_index_that_has_passed_or_does_not_come_is_refused(
    two: Two, autojump_clock: MockClock
) -> None:
    with pytest.raises(CallRefused, match="passed"):
        await two.inspector.begin(two.hurt.machine.applied_index - 1, repair=False)
    began_s = trio.current_time()
    with pytest.raises(CallRefused, match="not reached"):
        await two.inspector.begin(two.hurt.machine.applied_index + 1, repair=False)
    assert trio.current_time() - began_s == pytest.approx(INDEX_S)
    assert two.inspector.report is None
