"""Rows that cannot be read end the house; a process that begins anew too often stops."""

import pytest
import trio

from node.damage import REBUILDS_MAX, REBUILDS_S, DamageBell, StateDamaged, may_rebuild
from node.machine import Machine
from storage import local_keys
from storage.engine import EngineRefused
from tests.node.cluster_of_one import ClusterOfOne


async def test_a_read_that_finds_damage_rings_though_its_reader_goes_on() -> None:
    one = ClusterOfOne()
    bell = DamageBell(one.machine)
    with pytest.raises(StateDamaged, match="a bad block"):
        await with_the_bell(bell, one)


async def with_the_bell(bell: DamageBell, one: ClusterOfOne) -> None:
    """A reader that keeps its errors to itself, beside the bell."""

    async def read() -> None:
        await trio.lowlevel.checkpoint()
        one.memory.damage("a bad block")
        with pytest.raises(EngineRefused):
            one.machine.current.get(local_keys.APPLIED_KEY)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await bell.run()
    except* StateDamaged as group:
        raise group.exceptions[0] from None
    finally:
        assert one.memory.condemned == "a bad block", "the next opening must refuse these rows"


async def test_damage_in_another_thread_rings_too() -> None:
    one = ClusterOfOne()
    bell = DamageBell(one.machine)

    async def read() -> None:
        one.memory.damage("found by a scrub")
        with pytest.raises(EngineRefused):
            await trio.to_thread.run_sync(one.memory.scrub, b"", 10)

    with pytest.RaisesGroup(StateDamaged):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(bell.run)


async def test_an_adopted_state_is_listened_to_and_the_old_one_no_more() -> None:
    old, new = ClusterOfOne(), ClusterOfOne()
    heard: list[str] = []
    machine: Machine = old.machine
    machine.watch_damage(heard.append)
    new.propose([b""])
    machine.adopt(new.machine.state)
    for one, reason in ((old, "old"), (new, "new")):
        one.memory.damage(reason)
        with pytest.raises(EngineRefused):
            one.memory.get(b"x")
    assert heard == ["new"]


def test_three_rebuilds_in_ten_minutes_are_too_many() -> None:
    environment: dict[str, str] = {}
    now_s = 1_000_000.0
    assert [may_rebuild(environment, now_s + n) for n in range(REBUILDS_MAX)] == [
        True
    ] * REBUILDS_MAX
    assert not may_rebuild(environment, now_s + REBUILDS_MAX)
    assert may_rebuild(environment, now_s + 2 * REBUILDS_S)


def test_rubbish_in_the_environment_counts_for_nothing() -> None:
    environment = {"TRIREME_REBUILT": "x,,nan,inf,-5"}
    assert may_rebuild(environment, 1_000_000.0)
    assert environment["TRIREME_REBUILT"] == "1000000"
