"""Answers what other nodes ask of this one: each call goes to the part that knows.

Who may ask at all is the server's business (rpc/server.py); a question nobody here understands,
from a newer version perhaps, is refused in words.
"""

from collections.abc import Callable

import msgspec

from gossip import GossipFormatError
from node.belonging import Belonging
from node.foundation import Foundation
from node.log_desk import ask_of, tell
from node.machine import Machine
from node.rpc import (
    AdminAnswer,
    AdminCall,
    Answer,
    BlobParts,
    Call,
    CallRefused,
    GossipAnswer,
    GossipExchange,
    Hello,
    HelloAnswer,
    LogQuestion,
    Marks,
    Rebuild,
    Remote,
    SnapshotOpen,
    SnapshotParts,
    SnapshotRows,
    VerifyBegin,
    VerifyLook,
)
from node.snapshots import Snapshots
from node.status_desk import StatusDesk
from node.upkeep import Upkeep
from raft import Driver


class RpcDesk:
    """One node's."""

    def __init__(
        self,
        foundation: Foundation,
        machine: Machine,
        driver: Driver,
        belonging: Belonging,
        snapshots: Snapshots,
        upkeep: Upkeep,
        status: StatusDesk,
        *,
        hear_gossip: Callable[[bytes], bytes],
    ) -> None:
        """`hear_gossip` answers an exchange, and raises GossipFormatError."""
        self._base = foundation
        self._machine = machine
        self._driver = driver
        self._belonging = belonging
        self._snapshots = snapshots
        self._upkeep = upkeep
        self._status = status
        self._hear_gossip = hear_gossip

    async def answer(self, remote: Remote, call: Call) -> Answer:
        """What is said to a call; raises CallRefused."""
        match call:
            case GossipExchange(payload):
                try:
                    return GossipAnswer(self._hear_gossip(payload))
                except GossipFormatError as error:
                    raise CallRefused(str(error)) from error
            case Hello():
                return self._hello(remote)
            case SnapshotOpen() | SnapshotRows() | SnapshotParts():
                return await self._snapshots.answer(call)
            case BlobParts() | Marks() | VerifyBegin() | VerifyLook() | Rebuild():
                return await self._upkeep.answer(call)
            case LogQuestion():
                return tell(self._driver.transfers.answer(ask_of(call)))
            case AdminCall(b"status"):
                return AdminAnswer(msgspec.json.encode(self._status.row()))
            case AdminCall(payload):
                return AdminAnswer(await self._belonging.desk.answer(payload))
            case _:
                raise CallRefused("this node does not know that call")

    def _hello(self, remote: Remote) -> HelloAnswer:
        machine = self._machine
        if not self._base.fresh and machine.applied_index == 0:
            raise CallRefused("this node has a log and has not read it yet")
        formed = machine.applied_index > 0
        return self._belonging.hello(remote, machine.current, formed=formed)
