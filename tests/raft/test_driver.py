"""The Trio task around the core, on a virtual clock: batches, bounds, readers, failures."""

from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

import pytest
import trio
from trio.testing import MockClock

from raft.config import RaftConfig
from raft.disk import DiskFailed
from raft.driver import Driver
from raft.messages import Heartbeat, Message
from raft.model import ENTRY_HEADER_BYTES, Entry, EntryKind, Index, Membership, Persist, ReplicaId
from raft.ports import (
    EntryTooLarge,
    LogWriter,
    NoLeader,
    ReadTimeout,
    StateAheadOfLog,
    TooBusy,
)
from raft.stable import LogStorage, MemoryLog
from raft.state import Role
from raft.wire import decode, encode
from raft.writer import InlineWriter, ThreadWriter
from tests.raft.story import CLUSTER, entries, step


class Machine:
    """A state machine that keeps payloads and the sizes of its batches."""

    def __init__(self, applied_index: Index = 0) -> None:
        self.applied_index = applied_index
        self.payloads: list[bytes] = []
        self.batches: list[int] = []

    def apply(self, entries: Sequence[Entry]) -> None:
        assert entries[0].index == self.applied_index + 1
        self.applied_index = entries[-1].index
        self.batches.append(len(entries))
        self.payloads += [e.payload for e in entries if e.kind is EntryKind.NORMAL]


class House:
    """Drivers joined by the codec; whoever is `away` neither hears nor is heard."""

    def __init__(
        self,
        size: int,
        config: RaftConfig,
        *,
        threads: bool = False,
        make_log: type[MemoryLog] = MemoryLog,
    ) -> None:
        self.away: set[ReplicaId] = set()
        self.machines = {r: Machine() for r in range(1, size + 1)}
        self.storages = {r: make_log(cluster=CLUSTER, replica=r) for r in self.machines}
        writer = ThreadWriter if threads else InlineWriter
        self.drivers = {
            r: Driver(
                config=config,
                replica=r,
                membership=Membership(frozenset(self.machines)),
                cluster=CLUSTER,
                storage=storage,
                transport=Wire(self, r),
                machine=self.machines[r],
                random=Random(r),
                writer=writer(storage),
            )
            for r, storage in self.storages.items()
        }

    async def leader(self) -> Driver:
        while True:
            for driver in self.drivers.values():
                status = driver.status()
                if status.role is Role.LEADER and status.replica not in self.away:
                    return driver
            await trio.sleep(0.02)

    def followers(self) -> list[Driver]:
        return [d for d in self.drivers.values() if d.status().role is not Role.LEADER]


class Wire:
    """Transport: encode, decode, deliver."""

    def __init__(self, house: House, sender: ReplicaId) -> None:
        self.house = house
        self.sender = sender

    def send(self, to: ReplicaId, messages: Sequence[Message]) -> None:
        if {to, self.sender} & self.house.away:
            return
        for message in messages:
            data = encode(message, cluster=CLUSTER)
            self.house.drivers[to].receive(decode(data, cluster=CLUSTER))


CONFIG = RaftConfig(
    entry_bytes_max=1000,
    uncommitted_bytes_max=5000,
    apply_entries_max=10,
    inbox_messages_max=50,
    inbox_bytes_max=100_000,
)


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    built = House(3, CONFIG)
    for driver in built.drivers.values():
        await nursery.start(driver.run)
    yield built
    nursery.cancel_scope.cancel()


async def test_a_write_anywhere_is_applied_everywhere(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    leader.propose(b"at the leader")
    await trio.sleep(0.1)
    house.followers()[0].propose(b"at a follower")
    await trio.sleep(0.2)
    for machine in house.machines.values():
        assert machine.payloads == [b"at the leader", b"at a follower"]


async def test_what_waits_is_applied_in_bounded_batches(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    for number in range(45):
        leader.propose(b"%d" % number)
    await leader.wait_applied(46, timeout_s=1)
    assert max(house.machines[leader.status().replica].batches) == CONFIG.apply_entries_max


async def test_proposals_are_refused_at_their_bounds(
    house: House, autojump_clock: MockClock
) -> None:
    with pytest.raises(NoLeader):
        house.drivers[1].propose(b"too early")
    leader = await house.leader()
    leader.propose(bytes(1000 - ENTRY_HEADER_BYTES))
    with pytest.raises(EntryTooLarge):
        leader.propose(bytes(1000 - ENTRY_HEADER_BYTES + 1))
    with pytest.raises(TooBusy):
        for _ in range(10):
            leader.propose(bytes(900))


async def test_of_many_proposals_those_before_the_refused_one_go_through(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    with pytest.raises(EntryTooLarge):
        leader.propose(b"first", b"second", bytes(1000), b"never")
    await trio.sleep(0.5)
    for machine in house.machines.values():
        assert machine.payloads == [b"first", b"second"]


async def test_without_a_majority_writes_pile_up_to_a_bound_and_then_are_refused(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    house.away |= {d.status().replica for d in house.followers()}
    accepted = 0
    with pytest.raises((TooBusy, NoLeader)):
        while accepted < 100:
            leader.propose(bytes(500))
            accepted += 1
            await trio.sleep(0.01)
    assert accepted <= CONFIG.uncommitted_bytes_max // 500
    assert leader.status().uncommitted_bytes <= CONFIG.uncommitted_bytes_max + 1000


async def test_a_leader_short_of_room_appends_for_nobody_and_leads_on(
    house: House, autojump_clock: MockClock
) -> None:
    leader, follower = await house.leader(), house.followers()[0]
    leader.steering.refuse_payloads(True)
    leader.propose(b"its own")
    follower.propose(b"passed on")
    await trio.sleep(2)
    assert leader.steering.leads and leader.status().proposals_dropped == 1
    assert await follower.read_index(timeout_s=1) == leader.status().last
    leader.steering.refuse_payloads(False)
    follower.steering.refuse_payloads(True)
    follower.propose(b"somebody else appends it")
    await trio.sleep(0.2)
    for machine in house.machines.values():
        assert machine.payloads == [b"somebody else appends it"]


async def test_readers_everywhere_learn_how_far_to_wait(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    leader.propose(b"a")
    await leader.wait_applied(2, timeout_s=1)
    for driver in house.drivers.values():
        index = await driver.read_index(timeout_s=1)
        assert index >= 2
        await driver.wait_applied(index, timeout_s=1)
        assert house.machines[driver.status().replica].payloads == [b"a"]


async def test_many_readers_are_answered_together(house: House, autojump_clock: MockClock) -> None:
    leader = await house.leader()
    indexes: list[Index] = []

    async def read(driver: Driver) -> None:
        indexes.append(await driver.read_index(timeout_s=2))

    async with trio.open_nursery() as nursery:
        for driver in house.drivers.values():
            for _ in range(100):
                nursery.start_soon(read, driver)
    assert len(indexes) == 300 and min(indexes) >= leader.status().term


async def test_a_reader_is_told_why_there_was_no_answer(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    house.away |= {d.status().replica for d in house.followers()}
    with pytest.raises(ReadTimeout):
        await leader.read_index(timeout_s=0.2)
    with pytest.raises(NoLeader):
        await leader.read_index(timeout_s=3)
    with pytest.raises(ReadTimeout):
        await leader.wait_applied(99, timeout_s=0.1)
    assert leader._apply_waiters == []
    assert len(leader._readers_waiting) <= 2


async def test_the_inbox_is_bounded(house: House, autojump_clock: MockClock) -> None:
    await house.leader()
    driver = house.followers()[0]  # nobody else may speak as the leader of a leader's own term
    replica = driver.status().replica
    for _ in range(CONFIG.inbox_messages_max + 7):
        driver.receive(Heartbeat(0, 9, replica, 1, 0, 0))
    assert driver.status().messages_dropped == 7


async def test_leadership_is_handed_over_for_an_orderly_stop(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    leader.propose(b"a")
    assert await leader.steering.step_down(timeout_s=1)
    assert leader.status().role is Role.FOLLOWER
    successor = await house.leader()
    assert successor is not leader
    assert await leader.steering.step_down(timeout_s=1)  # nothing left to do


async def test_a_leader_that_falls_silent_is_replaced(
    house: House, autojump_clock: MockClock
) -> None:
    leader = await house.leader()
    house.away.add(leader.status().replica)
    before = trio.current_time()
    for follower in house.drivers.values():
        follower.peer_lost(leader.status().replica)
    successor = await house.leader()
    assert successor is not leader
    assert trio.current_time() - before < 0.4


async def test_status_tells_what_followers_lack(house: House, autojump_clock: MockClock) -> None:
    leader = await house.leader()
    await trio.sleep(0.2)
    house.away.add(house.followers()[0].status().replica)
    for _ in range(5):
        leader.propose(b"x")
    await trio.sleep(0.2)
    assert sorted(peer.lag for peer in leader.status().peers) == [0, 5]


async def test_a_single_voter_reads_without_waiting(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = House(1, CONFIG)
    await nursery.start(house.drivers[1].run)
    leader = await house.leader()
    await leader.wait_applied(1, timeout_s=1)
    assert await leader.read_index(timeout_s=0) == 1
    assert not await leader.steering.step_down(timeout_s=0.1)
    nursery.cancel_scope.cancel()


class BrokenLog(MemoryLog):
    """A disk that refuses its second write."""

    writes = 0

    def write(self, steps: Sequence[Persist]) -> None:
        self.writes += 1
        if self.writes == 2:
            raise DiskFailed("EIO")
        super().write(steps)


@pytest.mark.parametrize("writer", [InlineWriter, ThreadWriter])
async def test_a_failed_disk_ends_the_driver(writer: type[InlineWriter | ThreadWriter]) -> None:
    storage = BrokenLog(cluster=CLUSTER, replica=1)
    driver = alone(storage, Machine(), writer)
    with pytest.raises(DiskFailed), trio.fail_after(5):
        await driver.run()


class BuggyLog(MemoryLog):
    """A log with a mistake of ours in it, met when writing or when preparing the next file."""

    def __init__(self, place: str) -> None:
        super().__init__(cluster=CLUSTER, replica=1)
        self.place = place

    @property
    def needs_spare(self) -> bool:
        return True

    def write(self, steps: Sequence[Persist]) -> None:
        assert self.place != "write", "ours"
        super().write(steps)

    def prepare(self) -> None:
        assert self.place != "prepare", "ours"


@pytest.mark.parametrize("place", ["write", "prepare"])
async def test_a_bug_met_in_the_writers_threads_ends_the_driver_too(place: str) -> None:
    driver = alone(BuggyLog(place), Machine(), ThreadWriter)
    with trio.fail_after(5):
        with pytest.raises(ExceptionGroup) as caught:
            await driver.run()
    assert caught.group_contains(AssertionError, match="ours")


class HeldWriter:
    """A writer that keeps what is submitted until it is told to finish."""

    def __init__(self, storage: LogStorage) -> None:
        self.storage = storage
        self.steps: list[Persist] = []

    def submit(self, step: Persist) -> None:
        self.steps.append(step)

    async def run(
        self,
        on_durable: Callable[[int], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.on_durable = on_durable
        task_status.started()
        await trio.sleep_forever()

    def finish(self) -> None:
        if self.steps:
            self.storage.write(self.steps)
            number = self.steps[-1].number
            self.steps.clear()
            self.on_durable(number)

    @property
    def payloads(self) -> list[bytes]:
        return [entry.payload for step in self.steps for entry in step.entries]


async def leading_alone(nursery: trio.Nursery, machine: Machine) -> tuple[Driver, HeldWriter]:
    storage = MemoryLog(cluster=CLUSTER, replica=1)
    writer = HeldWriter(storage)
    driver = alone(storage, machine, lambda _: writer)
    await nursery.start(driver.run)
    while driver.status().role is not Role.LEADER or writer.steps:
        await trio.sleep(0.005)
        writer.finish()
    return driver, writer


async def test_what_a_client_waits_for_is_handed_on_in_the_same_step(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """From the proposal to the writer, and from the disk's word to apply, no task is waited for."""
    machine = Machine()
    driver, writer = await leading_alone(nursery, machine)
    driver.propose(b"one", b"two")
    assert writer.payloads == [b"one", b"two"]
    assert machine.payloads == []  # not before it is durable
    writer.finish()
    assert machine.payloads == [b"one", b"two"]
    nursery.cancel_scope.cancel()


async def test_what_is_proposed_from_within_apply_waits_for_the_next_turn(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Answering(Machine):
        def apply(self, entries: Sequence[Entry]) -> None:
            super().apply(entries)
            if self.payloads == [b"question"]:
                driver.propose(b"answer")
                assert writer.payloads == []  # the core is not turned within a turn

    machine = Answering()
    driver, writer = await leading_alone(nursery, machine)
    driver.propose(b"question")
    writer.finish()
    with trio.fail_after(1):
        while not writer.steps:
            await trio.sleep(0.001)
    writer.finish()
    assert machine.payloads == [b"question", b"answer"]
    nursery.cancel_scope.cancel()


def alone(
    storage: LogStorage,
    machine: Machine,
    writer: Callable[[LogStorage], LogWriter] = InlineWriter,
) -> Driver:
    class Nowhere:
        def send(self, to: ReplicaId, messages: Sequence[Message]) -> None:
            """Nobody is there."""

    return Driver(
        config=RaftConfig(heartbeat_ms=5, election_ms_min=20, election_ms_max=30, tick_ms=5),
        replica=1,
        membership=Membership(frozenset({1})),
        cluster=CLUSTER,
        storage=storage,
        transport=Nowhere(),
        machine=machine,
        random=Random(1),
        writer=writer(storage),
    )


def test_a_state_machine_of_another_log_is_refused() -> None:
    with pytest.raises(StateAheadOfLog):
        alone(MemoryLog(cluster=CLUSTER, replica=1), Machine(applied_index=5))


async def test_a_restart_applies_what_the_machine_has_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    storage = MemoryLog(cluster=CLUSTER, replica=1)
    storage.write([step(*entries(1, 30))])
    machine = Machine(applied_index=10)
    driver = alone(storage, machine)
    await nursery.start(driver.run)
    await driver.wait_applied(31, timeout_s=5)
    assert machine.payloads == [b"%d" % index for index in range(11, 31)]
    nursery.cancel_scope.cancel()


async def test_the_writer_thread_keeps_order_and_stops(nursery: trio.Nursery) -> None:
    house = House(3, RaftConfig(), threads=True)
    for driver in house.drivers.values():
        await nursery.start(driver.run)
    leader = await house.leader()
    for number in range(500):
        leader.propose(b"%d" % number)
    with trio.fail_after(10):
        await leader.wait_applied(501, timeout_s=10)
    assert house.machines[leader.status().replica].payloads == [b"%d" % n for n in range(500)]
    nursery.cancel_scope.cancel()
