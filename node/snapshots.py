"""Snapshots of this node's state as the house sees them: given, fetched, and the log cut behind
them. One object with one task, so that the house has one name for all three.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from node import logs
from node.env import Env
from node.machine import Machine
from node.rpc.calls import Answer, SnapshotOpen, SnapshotParts, SnapshotRows
from node.rpc.peers import Peers
from node.snapshot_desk import SnapshotDesk
from node.snapshot_fetch import SnapshotFetch
from raft import Driver

log = logs.named("node.snapshots")


class Snapshots:
    """Gives, fetches, and compacts."""

    def __init__(
        self,
        machine: Machine,
        driver: Driver,
        peers: Peers,
        env: Env,
        *,
        own: int,
        is_pressed: Callable[[], bool],
    ) -> None:
        """`own` is this replica's id; `is_pressed`: the log is to be as short as it may be."""
        self._machine = machine
        self._driver = driver
        self._peers = peers
        self._run_blocking = env.run_blocking
        self._own = own
        self._is_pressed = is_pressed
        transfers = driver.transfers
        self._desk = SnapshotDesk(machine, transfers, env.state_home, env.run_blocking)
        self._fetch = SnapshotFetch(
            machine,
            transfers,
            self._desk,
            env.state_home,
            peers,
            env.run_blocking,
            env.chance,
            givers=self.givers,
        )

    async def run(self) -> None:
        """Checkpoints, compaction after each, and a snapshot whenever one is needed."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._desk.run, name="snapshot desk")
                nursery.start_soon(self._fetch.run, name="snapshot fetch")
                await self._machine.run_checkpoints(self._run_blocking, self._compact)
        finally:
            with trio.CancelScope(shield=True):
                await self._desk.drop()

    def givers(self) -> Sequence[int]:
        """Whom to ask for a state, or a part of one: the leader first, then who has a link."""
        leader = self._driver.status().leader
        members = self._driver.steering.membership.everyone
        others = [replica for replica in members if replica not in (self._own, leader)]
        asked = [replica for replica in others if self._peers.is_up(replica)]
        return asked if leader in (0, self._own) else [leader, *asked]

    def is_giving(self) -> bool:
        """Another node may ask for any blob that a snapshot of ours names."""
        return self._desk.is_giving

    def _compact(self, durable: int, *, all_of_it: bool = False) -> bool:
        return self._driver.transfers.compact(
            durable, in_use=self._desk.in_use, all_of_it=all_of_it or self._is_pressed()
        )

    async def answer(self, call: SnapshotOpen | SnapshotRows | SnapshotParts) -> Answer:
        """What another node asks; raises CallRefused."""
        match call:
            case SnapshotOpen():
                return await self._desk.open(call)
            case SnapshotRows():
                return await self._desk.rows(call)
            case SnapshotParts():
                return await self._desk.parts(call)

    def calls(self) -> dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        """What an operator may ask, by name."""
        return {"node.cut-log": self._cut_log}

    async def _cut_log(self, args: Mapping[str, Any]) -> Any:
        """An operator wants the log short now: a checkpoint, and all behind it forgotten."""
        durable = await self._machine.checkpoint(self._run_blocking)
        was_cut = self._compact(durable, all_of_it=True)
        start = self._driver.transfers.start
        log.info("the log was cut by hand", behind=start, was_cut=was_cut)
        return {"durable": durable, "log_starts_behind": start, "was_cut": was_cut}
