"""What `trireme status` says of this node, and of all: everybody's own row, asked over RPC."""

import os
from collections.abc import Mapping
from typing import Any, Final

from node import VERSION
from node.belonging import Belonging
from node.foundation import Foundation
from node.listeners import Listeners
from node.machine import Machine
from node.roster import Roster
from node.rpc import AdminAnswer, AdminCall, Peers, RpcError
from node.space import Space
from node.status import StatusRow, gather, role_told
from node.upkeep import Upkeep
from raft import Driver

# A node that does not answer in this time counts as one that is down.
ASK_S: Final = 1.0
NOBODY: Final = 0


class StatusDesk:
    """Gathers what the parts know; asks nobody but the other nodes."""

    def __init__(
        self,
        base: Foundation,
        space: Space,
        machine: Machine,
        driver: Driver,
        belonging: Belonging,
        roster: Roster,
        peers: Peers,
        listeners: Listeners,
        upkeep: Upkeep,
    ) -> None:
        self._base = base
        self._space = space
        self._machine = machine
        self._driver = driver
        self._belonging = belonging
        self._roster = roster
        self._peers = peers
        self._listeners = listeners
        self._upkeep = upkeep

    def row(self) -> StatusRow:
        """This node's own row."""
        status = self._driver.status()
        leader = None if status.leader == NOBODY else self._roster.name(status.leader)
        standing = self._belonging.members.role(self._base.replica)
        return StatusRow(
            name=self._base.own.name,
            up=True,
            pid=os.getpid(),
            role=role_told(status.role, standing),
            standing=standing,
            term=status.term,
            commit=status.commit,
            applied=self._machine.applied_index,
            leader=leader,
            seen=",".join(
                entry.name for entry in self._roster.entries() if self._seems_up(entry.replica)
            ),
            doors=",".join(
                f"{name}:{counts.open}" for name, counts in self._listeners.counts.items()
            ),
            chain=self._machine.state.applier.chain.hex(),
            version=VERSION,
            **self._space.row(),
            **self._upkeep.row(),
        )

    def _seems_up(self, replica: int) -> bool:
        return replica == self._base.replica or self._peers.is_up(replica)

    async def everybody(self, args: Mapping[str, Any]) -> Any:
        """The rows of all members, as `trireme status --json` prints them."""

        async def ask(name: str) -> bytes | None:
            replica = self._belonging.members.named(name)
            try:
                answer = await self._peers.call(replica, AdminCall(b"status"), timeout_s=ASK_S)
            except RpcError:
                return None
            return answer.payload if isinstance(answer, AdminAnswer) else None

        return await gather(self.row(), self._belonging.names(), ask)
