"""The machine: rows first, then everyone who waits, then bells; checkpoints behind its back."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from node.machine import Machine
from node.news import Bells
from raft.model import Entry, EntryKind
from storage import keys, local_keys
from storage.apply import Outcome
from storage.batch import Announce, Batch, ProposalId, encode_batch
from storage.checkpoint import CHECKPOINT_OCTETS, CHECKPOINT_S
from storage.ids import AccountId, Version
from storage.opening import open_state
from tests.node.cluster_of_one import ClusterOfOne

R = TypeVar("R")
ALICE = AccountId(1)
ROW = keys.state_key(ALICE)


def batch(sequence: int, value: bytes, replica: int = 3) -> bytes:
    return encode_batch(
        Batch(
            ProposalId(replica, 1, sequence),
            sequence,
            puts=((ROW, value),),
            announces=(Announce(ALICE, Version(sequence), 1),),
        )
    )


@pytest.fixture
def one() -> ClusterOfOne:
    one = ClusterOfOne()
    one.register_rival(replica=3)
    return one


def test_who_waits_reads_the_rows(one: ClusterOfOne) -> None:
    seen: list[tuple[str, bytes | None]] = []
    one.machine.listen(lambda _: seen.append(("outcome", one.engine.get(ROW))))
    one.machine.when_applied(2, lambda: seen.append(("reader", one.engine.get(ROW))))
    one.machine.when_applied(3, lambda: seen.append(("too early", None)))
    with one.bells.watch([ALICE]) as watch:
        one.propose([batch(1, b"v")])
        assert watch.take() == {ALICE: (1, 1)}
    assert seen == [("outcome", b"v"), ("reader", b"v")]
    one.machine.when_applied(2, lambda: seen.append(("at once", None)))
    assert seen[-1] == ("at once", None)
    assert one.machine.view().index == one.machine.applied_index == 2


def test_who_listens_to_all_accounts_hears_though_nobody_listens_to_one(one: ClusterOfOne) -> None:
    with one.bells.watch_all() as watch:
        one.propose([batch(1, b"v")])
        assert watch.take() == {ALICE: (1, 1)}


def test_a_conflict_rings_no_bell(one: ClusterOfOne) -> None:
    with one.bells.watch([ALICE]) as watch:
        one.propose([batch(1, b"v", replica=99)])
        assert watch.take() == {}
    assert one.outcomes[-1][1] is Outcome.FENCED


def test_a_leaders_first_entry_is_applied(one: ClusterOfOne) -> None:
    one.machine.apply([Entry(2, 5, EntryKind.NOOP, b"")])
    assert one.machine.applied_index == 2


async def inline(work: Callable[[], R]) -> R:
    await trio.lowlevel.checkpoint()
    return work()


async def test_checkpoints_come_with_time(
    one: ClusterOfOne, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    nursery.start_soon(one.machine.run_checkpoints, inline)
    one.propose([batch(1, b"v")])
    assert ROW not in one.memory.survivors()
    await trio.sleep(CHECKPOINT_S * 1.1)
    assert one.memory.survivors()[ROW] == b"v"
    nursery.cancel_scope.cancel()


async def test_and_with_octets(
    one: ClusterOfOne, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    nursery.start_soon(one.machine.run_checkpoints, inline)
    await trio.sleep(0.01)
    for sequence in range(1, CHECKPOINT_OCTETS // 500_000 + 2):
        one.propose([batch(sequence, bytes(500_000))])
    await trio.sleep(0.01)
    assert ROW in one.memory.survivors()
    nursery.cancel_scope.cancel()


async def test_a_checkpoint_tells_of_nothing_that_was_applied_while_it_ran(
    one: ClusterOfOne,
) -> None:
    one.propose([batch(1, b"v")])
    index = one.machine.applied_index

    async def meanwhile(work: Callable[[], R]) -> R:
        one.propose([batch(one.machine.applied_index, b"later")])
        return await inline(work)

    assert await one.machine.checkpoint(meanwhile) == index < one.machine.applied_index


async def test_a_checkpoint_under_way_ends_before_the_node_does(one: ClusterOfOne) -> None:
    entered, release = trio.Event(), trio.Event()

    async def slowly(work: Callable[[], R]) -> R:
        entered.set()
        await release.wait()
        return work()

    async with trio.open_nursery() as nursery:
        for sequence in range(1, CHECKPOINT_OCTETS // 500_000 + 2):
            one.propose([batch(sequence, bytes(500_000))])
        nursery.start_soon(one.machine.run_checkpoints, slowly)
        await entered.wait()
        nursery.cancel_scope.cancel()
        release.set()
    assert one.memory.survivors()[local_keys.CHECKPOINT_KEY]


async def test_on_disk_in_threads(tmp_path: Path) -> None:
    state = open_state(tmp_path)
    machine = Machine(state, Bells())

    async def in_thread(work: Callable[[], R]) -> R:
        return await trio.to_thread.run_sync(work)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(machine.run_checkpoints, in_thread)
        for index in range(1, 40):
            machine.apply([Entry(index, 1, EntryKind.NORMAL, batch(index, bytes(300_000)))])
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    state.close()
    again = open_state(tmp_path)
    assert again.refused is None and again.applier.index == 39
    again.close()
