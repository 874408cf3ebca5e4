"""What keeps this node's state right by itself, under one name for the house: it scrubs, mends
blobs, compares itself with the others, verifies when asked, and rings when rows must be rebuilt.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import trio

from node.agreement import Agreement
from node.config import StorageSection
from node.damage import DamageBell
from node.env import RunBlocking
from node.inspection import Inspector
from node.machine import Machine
from node.mender import Mender
from node.reclaimer import Reclaimer
from node.rpc.calls import (
    Answer,
    BlobParts,
    Marks,
    Rebuild,
    RebuildAnswer,
    UpkeepCall,
    VerifyAnswer,
    VerifyBegin,
    VerifyLook,
)
from node.rpc.errors import CallRefused
from node.rpc.peers import Peers
from node.scrubber import Scrubber
from node.space import Room
from node.verify import Verify
from protocols.ports import Clock
from raft import Membership

# Whoever asked us to rebuild is answered before our process ends.
PARTING_S: Final = 0.2


class Upkeep:
    """One node's."""

    def __init__(
        self,
        machine: Machine,
        peers: Peers,
        run_blocking: RunBlocking,
        clock: Clock,
        section: StorageSection,
        *,
        own: int,
        givers: Callable[[], Sequence[int]],
        members: Callable[[], Membership],
        name: Callable[[int], str],
        room: Room,
        is_giving: Callable[[], bool],
    ) -> None:
        """`own` is this replica; `givers` are whom to ask for blobs; `name` is a replica's;
        `is_giving`: somebody may ask for what a snapshot of ours names."""
        self._machine = machine
        self._condemned = ""
        self._told = trio.Event()
        self.bell: Final = DamageBell(machine)
        self.mender: Final = Mender(machine, peers, run_blocking, givers)
        self.scrubber: Final = Scrubber(machine, self.mender, run_blocking, section)
        self.reclaimer: Final = Reclaimer(
            machine, self.mender, run_blocking, section, room, is_giving
        )
        self.agreement: Final = Agreement(machine, peers, self.bell, members, name, own=own)
        self._inspector = Inspector(machine, self.mender, run_blocking, clock)
        self.verify: Final = Verify(
            machine,
            peers,
            self._inspector,
            self.bell,
            lambda: dict(sorted((name(each), each) for each in {*members().everyone, own})),
            own=own,
        )

    async def run(self) -> None:
        """Until cancelled. Raises StateDamaged, EngineRefused, NoAgreement."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.bell.run, name="damage bell")
            nursery.start_soon(self.mender.run, name="mender")
            nursery.start_soon(self.scrubber.run, name="scrubber")
            nursery.start_soon(self.reclaimer.run, name="reclaimer")
            nursery.start_soon(self.agreement.run, name="agreement")
            nursery.start_soon(self._inspector.run, name="inspector")
            nursery.start_soon(self.verify.run, name="verify")
            await self._told.wait()
            await trio.sleep(PARTING_S)
            self.bell.condemn(self._condemned)

    async def answer(self, call: UpkeepCall) -> Answer:
        """What another node asks. Raises CallRefused."""
        match call:
            case BlobParts():
                return self.mender.answer(call)
            case Marks():
                return self.agreement.marks()
            case VerifyBegin(index, repair):
                await self._inspector.begin(index, repair=repair)
                return VerifyAnswer(b"{}")
            case VerifyLook():
                report = self._inspector.report
                if report is None:
                    raise CallRefused("it has begun anew, and verifies nothing")
                return VerifyAnswer(msgspec.json.encode(report))
            case Rebuild(reason):
                self._condemned = reason
                self._told.set()
                return RebuildAnswer()

    def calls(self) -> dict[str, Any]:
        """What an operator may ask, by name."""
        return self.verify.calls()

    def row(self) -> dict[str, Any]:
        """Its fields of this node's status."""
        return {
            "rtt_ms": self.agreement.rtt_ms,
            "sync_ms": self._machine.sync_ms,
            "blob_bytes": self.reclaimer.octets,
            "dead_blob_bytes": self.reclaimer.dead,
            "scrub": self.scrubber.standing,
            "verified": self.verify.last or None,
            "agrees": self.agreement.verdict.value,
        }
