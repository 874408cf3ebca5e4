"""A leader whose disk hangs, with real threads and a real wait inside `write`: it must not lead on.

It is nobody's failure yet: the system call does not return, and everything but the disk works, so
heartbeats could go on for ever (hashicorp/raft 503, 612, 666). Writes go on under another leader,
and when the disk comes back the old one follows with what the others decided.
"""

import threading
from collections.abc import AsyncIterator, Sequence

import pytest
import trio

from raft.config import RaftConfig
from raft.driver import Driver
from raft.model import NOBODY, Persist
from raft.ports import NoLeader, TooBusy
from raft.stable import MemoryLog
from raft.state import Role
from tests.raft.test_driver import House

CONFIG = RaftConfig(heartbeat_ms=50, election_ms_min=200, election_ms_max=400)
PATIENCE_S = 60


class HangingLog(MemoryLog):
    """A log whose writes do not return while it hangs."""

    def __init__(self, *, cluster: bytes, replica: int) -> None:
        super().__init__(cluster=cluster, replica=replica)
        self.works = threading.Event()
        self.works.set()

    def write(self, steps: Sequence[Persist]) -> None:
        self.works.wait()
        super().write(steps)


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    built = House(3, CONFIG, threads=True, make_log=HangingLog)
    for driver in built.drivers.values():
        await nursery.start(driver.run)
    yield built
    for log in built.storages.values():
        assert isinstance(log, HangingLog)
        log.works.set()  # or its thread would never end
    nursery.cancel_scope.cancel()


def disk_of(house: House, driver: Driver) -> HangingLog:
    log = house.storages[driver.status().replica]
    assert isinstance(log, HangingLog)
    return log


async def written(house: House, payload: bytes) -> None:
    """Propose it anywhere, again and again, until two machines have applied it."""
    with trio.fail_after(PATIENCE_S):
        while sum(payload in machine.payloads for machine in house.machines.values()) < 2:
            for driver in house.drivers.values():
                try:
                    driver.propose(payload)
                except (NoLeader, TooBusy):
                    continue
            await trio.sleep(0.05)


async def test_a_leader_whose_disk_hangs_is_replaced_and_follows_later(house: House) -> None:
    with trio.fail_after(PATIENCE_S):
        stuck = await house.leader()
    await written(house, b"before")
    disk_of(house, stuck).works.clear()

    await written(house, b"on two disks of three")
    with trio.fail_after(PATIENCE_S):
        while stuck.status().role is Role.LEADER:
            await trio.sleep(0.02)
    await written(house, b"meanwhile")

    machine = house.machines[stuck.status().replica]
    assert set(machine.payloads) == {b"before"}  # never ahead of its own disk
    disk_of(house, stuck).works.set()
    with trio.fail_after(PATIENCE_S):
        while b"meanwhile" not in machine.payloads:
            await trio.sleep(0.02)
    assert stuck.status().leader not in (NOBODY, stuck.status().replica)


async def test_a_follower_whose_disk_hangs_holds_nobody_up(house: House) -> None:
    with trio.fail_after(PATIENCE_S):
        leader = await house.leader()
    stuck = house.followers()[0]
    disk_of(house, stuck).works.clear()

    await written(house, b"meanwhile")

    assert b"meanwhile" not in house.machines[stuck.status().replica].payloads
    # It still answers heartbeats, so the leader does not take it for dead; and it never campaigns.
    await trio.sleep(2 * CONFIG.election_ms_max / 1000)
    assert stuck.status().role is Role.FOLLOWER
    assert leader.status().term == stuck.status().term
