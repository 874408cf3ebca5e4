"""Storage, machine and a log that a test holds in its hand: what a proposer sees of a cluster.

The log commits what is proposed when `commit` is called, or at once while `running`; it can lose
proposals, deliver them twice, or have somebody else's entries in between.
"""

import random
from collections.abc import Sequence

import trio

from node.machine import Machine
from node.news import Bells
from node.rounds import Origin
from raft.model import Entry, EntryKind
from storage.apply import Applier, Outcome
from storage.batch import Batch, ProposalId, Registration, decode_payload, encode_registration
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer
from storage.engine import Engine
from storage.memory import MemoryEngine
from storage.opening import State
from storage.segments import MemoryFiles

ME = Origin(replica=7, node="n1", identity=b"uuid", nonce=b"this boot")


class TrioTime:
    """Clock ports over Trio's time, real or mocked."""

    def now_ms(self) -> int:
        return int(trio.current_time() * 1000)

    def monotonic_s(self) -> float:
        return trio.current_time()


class ClusterOfOne:
    """One node's machine under a log in memory."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.memory = MemoryEngine()
        self.engine: Engine = self.memory if engine is None else engine
        self.blobs = BlobStore(self.engine, MemoryFiles())
        self.applier = Applier(self.engine, self.blobs)
        checkpointer = Checkpointer(self.engine, self.blobs, self.applier)
        self.bells = Bells()
        self.machine = Machine(
            State(self.engine, self.blobs, self.applier, checkpointer), self.bells
        )
        self.clock = TrioTime()
        self.chance = random.Random(1)
        self.entries: list[Entry] = []
        self.waiting: list[bytes] = []
        self.running = True
        self.losing = False
        self.proposed = 0
        self.outcomes: list[tuple[ProposalId | None, Outcome]] = []
        self.machine.listen(
            lambda results: self.outcomes.extend((done.pid, done.outcome) for done in results)
        )

    def propose(self, payloads: Sequence[bytes]) -> None:
        """As raft.driver: no answer, and no promise."""
        self.proposed += len(payloads)
        if self.losing:
            return
        self.waiting.extend(payloads)
        if self.running:
            self.commit()

    def commit(self, *, copies: int = 1) -> None:
        """Commit and apply what waits, perhaps more than once."""
        payloads, self.waiting = self.waiting * copies, []
        start = self.machine.applied_index + 1
        entries = [
            Entry(start + place, 1, EntryKind.NORMAL, payload)
            for place, payload in enumerate(payloads)
        ]
        self.entries += entries
        self.machine.apply(entries)

    async def read_index(self) -> int:
        """As raft.driver, for a leader of one."""
        await trio.lowlevel.checkpoint()
        return self.machine.applied_index

    def register_rival(self, *, replica: int = ME.replica, nonce: bytes = b"other boot") -> int:
        """Another process registers; returns its epoch."""
        epoch = self.machine.registered(replica)[0] + 1
        self.waiting.insert(
            0, encode_registration(Registration(replica, epoch, "n1", b"uuid", nonce))
        )
        self.commit()
        return epoch

    def batches(self) -> list[Batch]:
        """Every batch in the log."""
        decoded = [decode_payload(entry.payload) for entry in self.entries if entry.payload]
        return [each for each in decoded if isinstance(each, Batch)]
