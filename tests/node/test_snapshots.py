"""A state given by one node and taken by another: over a wire that breaks, or lies."""

import zlib
from collections.abc import Callable
from random import Random
from typing import TypeVar, cast

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.news import ALL_TYPES
from node.rounds import Rounds
from node.rpc.calls import (
    Answer,
    Call,
    SnapshotBytes,
    SnapshotOpen,
    SnapshotParts,
    SnapshotPartsAnswer,
    SnapshotRows,
)
from node.rpc.errors import CallLost, CallRefused
from node.rpc.peers import Peers
from node.snapshot_desk import IDLE_S, SnapshotDesk
from node.snapshot_fetch import SnapshotFetch
from node.snapshot_note import decode_note
from raft import Membership, SnapshotMeta, Transfers
from storage import keys, local_keys
from storage.apply import Outcome
from storage.dump import state_hash
from storage.ids import AccountId, blob_id
from storage.memory_home import MemoryHome
from storage.snapshot import installed
from tests.node.cluster_of_one import ME, ClusterOfOne
from tests.storage.story import Log, bytes_of, whole

R = TypeVar("R")
ALICE = AccountId(1)
MEMBERS = Membership(frozenset({1, 2, 3}))
BLOBS = 90


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


class Wanting:
    """raft.Transfers as a test holds it in its hand."""

    def __init__(self, start: int = 0, at_least: int = 0) -> None:
        self.start, self.term, self.at_least = start, 7, at_least
        self.ended: list[tuple[SnapshotMeta, int]] = []
        self.is_wanted_no_more = False
        self.asked = trio.Event()
        if at_least:
            self.asked.set()

    async def wait_wanted(self) -> int:
        await self.asked.wait()
        return self.at_least

    def meta(self, index: int, term: int) -> SnapshotMeta | None:
        return SnapshotMeta(index, term, MEMBERS)

    def begin(self, index: int) -> bool:
        return not self.is_wanted_no_more

    def end(self, meta: SnapshotMeta, seen_term: int) -> None:
        self.ended.append((meta, seen_term))
        self.asked = trio.Event()


class Wire:
    """Peers with one peer, whose answers a test may spoil."""

    def __init__(self, desk: SnapshotDesk) -> None:
        self.desk = desk
        self.spoil: Callable[[Call, Answer], Answer] = lambda call, answer: answer
        self.calls: list[Call] = []

    async def call(self, replica: int, call: Call, *, timeout_s: float) -> Answer:
        self.calls.append(call)
        match call:
            case SnapshotOpen():
                return self.spoil(call, await self.desk.open(call))
            case SnapshotRows():
                return self.spoil(call, await self.desk.rows(call))
            case SnapshotParts():
                return self.spoil(call, await self.desk.parts(call))
            case _:
                raise CallRefused("another call")


class Pair:
    """One who has mail, and one who has nothing, or the first half."""

    def __init__(self) -> None:
        self.log = Log()
        self.log.register(ME.replica, nonce=b"n")
        for number in range(BLOBS):
            data = bytes_of(20_000, number)
            row = (keys.version_key(ALICE), (number + 1).to_bytes(8, "big"))
            self.log.batch(ME.replica, put=[row], blobs=whole(data))
        self.giver, self.taker = ClusterOfOne(), ClusterOfOne()
        self.giver.applier.apply(self.log.entries)
        last = self.giver.applier.index
        self.wanting = Wanting(at_least=last)
        self.desk = self.desk_of(self.giver, Wanting())
        self.wire = Wire(self.desk)
        self.fetch = SnapshotFetch(
            self.taker.machine,
            cast(Transfers, self.wanting),
            self.desk_of(self.taker, Wanting()),
            MemoryHome(),
            cast(Peers, self.wire),
            inline,
            Random(1),
            givers=lambda: [1],
        )

    def desk_of(self, one: ClusterOfOne, transfers: Wanting) -> SnapshotDesk:
        return SnapshotDesk(one.machine, cast(Transfers, transfers), MemoryHome(), inline)

    def are_alike(self) -> bool:
        ours, theirs = self.taker.machine.state, self.giver.machine.state
        blobs = [bytes_of(20_000, number) for number in range(BLOBS)]
        return state_hash(ours.engine) == state_hash(theirs.engine) and all(
            self.taker.machine.current.read(blob_id(data), 0, 1 << 20) == data for data in blobs
        )


@pytest.fixture
def pair() -> Pair:
    return Pair()


async def test_a_whole_state_comes_over(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(5)
    assert pair.fetch.installed == 1 and pair.are_alike()
    index = len(pair.log.entries)
    assert pair.wanting.ended == [(SnapshotMeta(index, 1, MEMBERS), 7)]
    # A log that a crash kept from hearing it finds it in the state.
    note = installed(pair.taker.machine.state.engine)
    assert decode_note(*note) == pair.wanting.ended[0]


async def test_parts_that_are_here_do_not_travel(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    pair.taker.applier.apply(pair.log.entries[:60])
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(5)
    asked = {part for c in pair.wire.calls if isinstance(c, SnapshotParts) for part in c.parts}
    here = {blob_id(bytes_of(20_000, number)) for number in range(59)}
    assert pair.are_alike()
    assert asked and not {blob for blob, _ in asked} & here


async def test_a_lost_connection_goes_on_where_it_was(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lost: list[Call] = []

    def spoil(call: Call, answer: Answer) -> Answer:
        if not isinstance(call, SnapshotOpen) and len(lost) < 5 and call not in lost:
            lost.append(call)
            raise CallLost("the link broke")
        return answer

    pair.wire.spoil = spoil
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(10)
    assert len(lost) >= 2 and pair.fetch.installed == 1 and pair.are_alike()
    assert sum(isinstance(call, SnapshotOpen) for call in pair.wire.calls) == 1


@pytest.mark.parametrize("what", ["rows", "crc", "blob", "too few"])
async def test_what_is_damaged_is_never_adopted(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock, what: str
) -> None:
    def spoil(call: Call, answer: Answer) -> Answer:
        match answer:
            case SnapshotBytes(data, checksum) if what == "crc":
                return SnapshotBytes(data, checksum ^ 1)
            case SnapshotBytes(data, _) if what == "rows":
                broken = data[:-1] + bytes((data[-1] ^ 1,))
                return SnapshotBytes(broken, zlib.crc32(broken))
            case SnapshotPartsAnswer(parts) if what == "blob":
                return SnapshotPartsAnswer((*parts[:-1], bytes(len(parts[-1]))))
            case SnapshotPartsAnswer() if what == "too few":
                return SnapshotPartsAnswer(())
        return answer

    pair.wire.spoil = spoil
    before = state_hash(pair.taker.machine.state.engine)
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(5)
    assert pair.fetch.installed == 0 and pair.wanting.ended == []
    assert state_hash(pair.taker.machine.state.engine) == before
    pair.wire.spoil = lambda call, answer: answer
    await trio.sleep(5)  # it is tried again
    assert pair.fetch.installed == 1 and pair.are_alike()


async def test_a_snapshot_that_is_needed_no_more_is_put_away(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    pair.wanting.is_wanted_no_more = True
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(5)
    assert pair.fetch.installed == 0 and pair.taker.machine.applied_index == 0


async def test_whoever_watches_hears_and_whoever_waits_goes_on(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    taker, woken = pair.taker, trio.Event()
    old_view = taker.machine.view()
    taker.machine.when_applied(50, woken.set)
    with taker.bells.watch([ALICE]) as watch:
        nursery.start_soon(pair.fetch.run)
        await woken.wait()
        await watch.wait()
        assert watch.take() == {ALICE: (BLOBS, ALL_TYPES)}
    assert old_view.get(keys.version_key(ALICE)) == BLOBS.to_bytes(8, "big")


async def test_proposals_learn_their_outcome_from_the_state(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    taker = pair.taker
    taker.applier.apply(pair.log.entries[:1])
    taker.losing = True
    rounds = Rounds(taker.machine, taker, taker.clock, taker.chance, ME)
    rounds.epoch = 1  # registered by the first entry
    outcomes: list[Outcome] = []
    for _ in range(3):  # sequences 1, 2, 3: others saw them applied
        rounds.send([rounds.open(lambda pid, ack_below: b"lost", outcomes.append)])
    taker.machine.registered = lambda replica: (1, ME.nonce)  # type: ignore[method-assign]
    nursery.start_soon(pair.fetch.run)
    await trio.sleep(5)
    assert outcomes == [Outcome.APPLIED] * 3 and not rounds.fenced


async def test_the_desk_gives_one_snapshot_to_all_and_drops_it_when_nobody_asks(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    nursery.start_soon(pair.desk.run)
    one, other = await pair.desk.open(SnapshotOpen(1)), await pair.desk.open(SnapshotOpen(5))
    assert one == other and pair.desk.in_use == one.index
    with pytest.raises(CallRefused, match="has applied"):
        await pair.desk.open(SnapshotOpen(10_000))
    with pytest.raises(CallRefused, match="not held"):
        await pair.desk.rows(SnapshotRows(one.number + 1, one.index, 0))
    with pytest.raises(CallRefused, match="blob"):
        await pair.desk.parts(SnapshotParts(one.number, one.index, ((bytes(32), 0),)))
    await trio.sleep(2 * IDLE_S)
    assert [pair.desk.in_use] == [None]
    with pytest.raises(CallRefused, match="not held"):
        await pair.desk.rows(SnapshotRows(one.number, one.index, 0))


async def test_while_a_snapshot_is_given_nothing_that_it_names_may_go(
    pair: Pair, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    nursery.start_soon(pair.desk.run)
    seen: list[tuple[bool, int | None]] = []

    async def noted(work: Callable[[], R]) -> R:
        seen.append((pair.desk.is_giving, pair.desk.in_use))
        return await inline(work)

    pair.desk._run_blocking = noted
    assert not pair.desk.is_giving
    await pair.desk.open(SnapshotOpen(1))
    assert seen and set(seen) == {(True, None)}, "while it is taken, too"
    assert pair.desk.is_giving and pair.desk.in_use is not None
    await trio.sleep(2 * IDLE_S)
    assert not pair.desk.is_giving


async def test_a_snapshot_that_names_what_is_gone_gives_way_to_a_newer_one(pair: Pair) -> None:
    opened = await pair.desk.open(SnapshotOpen(1))
    blob = blob_id(bytes_of(20_000, 1))
    place = local_keys.place_key(blob, 0)
    asked = SnapshotParts(opened.number, opened.index, ((bytes(blob), 0),))
    held = pair.giver.engine.get(place)
    assert held is not None
    pair.giver.engine.write((), [place])
    with pytest.raises(CallRefused, match="not here"):
        await pair.desk.parts(asked)
    assert pair.desk.in_use == opened.index, "its place is lost, and the mender's"
    pair.giver.engine.write((), [keys.blob_key(blob)])
    with pytest.raises(CallRefused, match="not here"):
        await pair.desk.parts(asked)
    assert [pair.desk.in_use] == [None]


async def test_what_is_given_leaves_the_wire_room(pair: Pair, autojump_clock: MockClock) -> None:
    opened = await pair.desk.open(SnapshotOpen(1))
    began_s, octets = trio.current_time(), 0
    parts = tuple((bytes(blob_id(bytes_of(20_000, n))), 0) for n in range(BLOBS))
    while parts:
        answer = await pair.desk.parts(SnapshotParts(opened.number, opened.index, parts))
        octets += sum(map(len, answer.parts))
        parts = parts[len(answer.parts) :]
    took_s = trio.current_time() - began_s
    assert took_s == pytest.approx(octets / (32 * 1024 * 1024), rel=0.3)
