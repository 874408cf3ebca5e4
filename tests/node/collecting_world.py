"""A log, nodes that follow it each at their own pace, and proposals that come late or never: what
collecting blobs and reclaiming segments must stand. For test_collecting_story.py.

Everything random comes from one seed. Commands are planned on what some node has applied, by the
true rules of node/queues.py, and their batches reach the log whenever they like, or not at all.
Nodes are killed, also in the middle of reclaiming, lose power, and get each other's snapshots. A
node's reclaimer is the true one.
"""

import io
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import trio

from node.config import StorageSection
from node.machine import Machine
from node.news import Bells
from node.queues import Queue, Waiting, fill_plan
from node.reclaimer import Reclaimer
from node.space import Room
from raft.model import Entry, EntryKind
from storage import blob_links, keys
from storage.apply import Applier
from storage.batch import BlobPart, ProposalId, Registration, encode_batch, encode_registration
from storage.blobs import BlobStore, cut_blob
from storage.checkpoint import Checkpointer, verify_groups
from storage.collecting import Found, plan_guard, plan_settle, portions, walk
from storage.dump import state_hash
from storage.ids import SYSTEM_ACCOUNT, AccountId, BlobId, blob_id
from storage.keys import TypeCode
from storage.memory import MemoryEngine
from storage.opening import State
from storage.plan import Plan
from storage.segments import MemoryFiles
from storage.snapshot import Export, Install
from storage.values import unpack_u64

R = TypeVar("R")

REPLICAS: Final = (11, 12)
ACCOUNTS: Final = (AccountId(1), AccountId(2))
SEGMENT_BYTES: Final = 4_000
PART: Final = 256 * 1024
GRACE_MS: Final = 1_000


class Killed(BaseException):
    """The process died in the middle of it."""


class NoDamage:
    """A mender in whose world no blob is ever damaged."""

    def note(self, blob: BlobId) -> None:
        raise AssertionError(f"{blob.hex()} is damaged")


@dataclass
class Node:
    """One node's storage, its reclaimer, and its ends."""

    chance: random.Random
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    files: MemoryFiles = field(default_factory=MemoryFiles)
    dies_after: int | None = None  # so many blocking calls from now
    giving: int = 0

    def __post_init__(self) -> None:
        self.machine = Machine(self._open(self.engine, self.files), Bells())
        self.reclaimer = self._reclaimer()

    def _open(self, engine: MemoryEngine, files: MemoryFiles) -> State:
        verify_groups(engine)
        blobs = BlobStore(engine, files, segment_bytes_max=SEGMENT_BYTES)
        applier = Applier(engine, blobs)
        return State(engine, blobs, applier, Checkpointer(engine, blobs, applier))

    def _reclaimer(self) -> Reclaimer:
        mender: Any = NoDamage()
        room = Room(floor_bytes=1, reserve_bytes=1, has_reserve=True)
        section = StorageSection()
        return Reclaimer(
            self.machine, mender, self.run_blocking, section, room, lambda: self.giving > 0
        )

    async def run_blocking(self, work: Callable[[], R]) -> R:
        await trio.lowlevel.checkpoint()
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after <= 0 and self.chance.random() < 0.5:
                work()  # it got so far
            if self.dies_after <= 0:
                raise Killed
        return work()

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def index(self) -> int:
        return self.machine.applied_index

    def apply(self, log: list[bytes], count: int) -> None:
        start = self.index
        self.machine.apply(
            [
                Entry(start + 1 + place, 1, EntryKind.NORMAL, payload)
                for place, payload in enumerate(log[start : start + count])
            ]
        )

    async def reclaim(self, log: list[bytes], *, dies_after: int | None = None) -> None:
        self.dies_after = dies_after
        try:
            await self.reclaimer.reclaim()
        except Killed:
            self.end(log, power=self.chance.random() < 0.7)
        self.dies_after = None

    def checkpoint(self) -> None:
        self.state.checkpointer.run()

    def end(self, log: list[bytes], *, power: bool) -> None:
        """The process dies, or the machine: what a disk keeps is there at the next start."""
        rows = self.engine.survivors() if power else self.engine.rows()
        if power:
            self.files.cut_power()
        self.engine, self.giving, self.dies_after = MemoryEngine(rows.items()), 0, None
        self.__post_init__()
        state = self.state
        lost = range(state.checkpointer.index, state.applier.index)
        state.applier.redo_blobs((index + 1, 1, log[index]) for index in lost)

    def adopt(self, engine: MemoryEngine, files: MemoryFiles) -> None:
        """Another node's state takes the place of this one's."""
        self.engine, self.files = engine, files
        self.machine.adopt(self._open(engine, files))

    def links(self) -> set[BlobId]:
        """Every blob that something holds."""
        found = set()
        for account in ACCOUNTS:
            for key, _ in self.engine.scan(*keys.account_range(account)):
                if key[11:12] == b"b":
                    found.add(keys.unpack_blob_link_key(key)[0])
        return found

    def whole(self) -> set[BlobId]:
        """Every blob that the rows say is here."""
        return {BlobId(key[-32:]) for key, _ in self.engine.scan(*keys.blobs_range(b"B"))}


class World:
    """The log, what is on its way to it, and the nodes."""

    def __init__(self, seed: int, nodes: int = 3) -> None:
        self.chance = random.Random(seed)
        self.now_ms = 1_000_000
        self.log: list[bytes] = [
            encode_registration(Registration(replica, 1, "n", b"uuid", b"nonce"))
            for replica in REPLICAS
        ]
        self.under_way: list[bytes] = []
        self.sequences = dict.fromkeys(REPLICAS, 0)
        self.nodes = [Node(random.Random(seed + number)) for number in range(nodes)]
        sizes = (0, 1, 300, 900, 1_500, 1_500, 2_500, PART + 10)
        self.blobs = {
            blob_id(data): data
            for data in (random.Random(n).randbytes(size) for n, size in enumerate(sizes))
        }
        self.holder = 0
        self.walks: list[tuple[Node, Generator[None, None, tuple[list[Found], Any]]]] = []
        self.gone = 0
        for replica in REPLICAS:
            self.follow()
            self.plan(self.nodes[0], lambda plan, replica=replica: plan_guard(plan, replica))
            self.commit_all()

    def follow(self) -> None:
        for node in self.nodes:
            node.apply(self.log, len(self.log))

    def commit_all(self) -> None:
        self.log += self.under_way
        self.under_way = []

    def plan(
        self,
        node: Node,
        command: Callable[[Plan], Any],
        account: AccountId = SYSTEM_ACCOUNT,
        blob: BlobId | None = None,
    ) -> bool:
        """Plan on what a node has applied, as its proposer does; whether a batch is under way."""
        waiting = Waiting(account, command, 0.0)
        if blob is not None:
            if node.engine.get(keys.blob_key(blob)) is None and len(self.blobs[blob]) < PART:
                waiting.parts = tuple(cut_blob(blob, self.blobs[blob]))
            else:
                waiting.needs = (blob,)
        queue = Queue()
        queue.add(waiting)
        plan = Plan(node.machine.view(), now_ms=self.now_ms, chance=self.chance)
        _, parts = fill_plan(queue, plan)
        if not plan.empty:
            self.propose(plan, tuple(parts))
        return not plan.empty

    def propose(self, plan: Plan, parts: tuple[BlobPart, ...]) -> None:
        replica = self.chance.choice(REPLICAS)
        self.sequences[replica] += 1
        pid = ProposalId(replica, 1, self.sequences[replica])
        self.under_way.append(encode_batch(plan.batch(pid, 0, parts)))

    # --- what may happen

    def carry(self, node: Node, blob: BlobId) -> None:
        """Parts on their way, and perhaps no link after them."""
        nothing = Plan(node.machine.view(), now_ms=0, chance=self.chance)
        parts = list(cut_blob(blob, self.blobs[blob]))
        if self.chance.random() < 0.3:
            parts = parts[: self.chance.randrange(len(parts) + 1)]
        for part in parts:
            self.propose(nothing, (part,))

    def link(self, node: Node, blob: BlobId) -> None:
        """A delivery, which moves the account's version; or an upload, which does not."""
        account, kind = self.chance.choice(ACCOUNTS), self.chance.choice(list(HOLDERS))
        self.holder += 1

        def command(plan: Plan) -> None:
            if kind is TypeCode.EMAIL:
                plan.touch(account, kind.bit)
            blob_links.plan_link(plan, account, blob, kind, self.holder)

        self.plan(node, command, account, blob)

    def unlink(self, node: Node) -> None:
        account = self.chance.choice(ACCOUNTS)
        held = [
            keys.unpack_blob_link_key(key)
            for key, _ in node.engine.scan(*keys.account_range(account))
            if key[11:12] == b"b"
        ]
        if not held:
            return
        blob, kind, number = self.chance.choice(held)

        def command(plan: Plan) -> None:
            if kind == TypeCode.EMAIL:
                plan.touch(account, TypeCode.EMAIL.bit)
            blob_links.plan_unlink(plan, account, blob, TypeCode(kind), number)

        self.plan(node, command, account)

    def copy(self, node: Node) -> None:
        """Beside an email, under its account's version."""
        account = self.chance.choice(ACCOUNTS)
        for blob in self.blobs:
            emails = [
                number
                for kind, number in blob_links.holders(node.engine, account, blob)
                if kind == TypeCode.EMAIL
            ]
            if emails and self.chance.random() < 0.5:
                break
        else:
            return
        self.holder += 1

        def command(plan: Plan) -> None:
            plan.touch(account, TypeCode.EMAIL.bit)
            plan.put(*blob_links.link_beside(account, blob, TypeCode.EMAIL, self.holder))

        self.plan(node, command, account)

    def walk_on(self, node: Node) -> None:
        """Some steps of looking through all accounts; at the end a batch is on its way."""
        if len(self.walks) < 2 and self.chance.random() < 0.5:
            self.walks.append((node, walk(node.machine.view(), None)))
        if not self.walks:
            return
        walked = self.chance.choice(self.walks)
        try:
            for _ in range(self.chance.randrange(6)):
                next(walked[1])
        except StopIteration as end:
            self.walks.remove(walked)
            self.settle(walked[0], end.value[0])

    def settle(self, node: Node, found: list[Found]) -> None:
        def command(plan: Plan, portion: list[Found]) -> None:
            self.gone += plan_settle(plan, portion, REPLICAS, GRACE_MS)

        for portion in portions(found):
            self.plan(node, lambda plan, portion=portion: command(plan, portion))

    async def give_snapshot(self, giver: Node, taker: Node) -> None:
        """Rows of one moment, blobs of a later one: the giver goes on meanwhile."""
        if giver is taker or giver.index <= taker.index:
            return
        giver.giving += 1
        spool = io.BytesIO()
        export = Export(giver.engine, giver.state.applier, spool)
        while export.step():
            pass
        giver.apply(self.log, self.chance.randrange(20))
        await giver.reclaim(self.log)
        assert export.head is not None
        engine, files = MemoryEngine(), MemoryFiles()
        blobs = BlobStore(engine, files, segment_bytes_max=SEGMENT_BYTES)
        install = Install(engine, blobs, export.head)
        while not install.rows_are_here:
            install.feed(export.read(install.offset, 5_000))
        for blob, total, offsets in install.blobs_wanted():
            for offset in offsets:
                data = giver.state.blobs.read_part(blob, offset)
                install.take_part(
                    BlobPart(blob, offset, total or 0, data), is_whole=total is not None
                )
        install.finish(b"")
        assert state_hash(engine) == export.head.digest
        giver.giving -= 1
        export.close()
        if export.index > taker.index:
            taker.adopt(engine, files)
        self.walks = [walked for walked in self.walks if walked[0] is not taker]

    # --- what must hold

    def check(self) -> None:
        """Whatever something holds is here, with its bytes, on every node, at all times."""
        for node in self.nodes:
            for blob in node.links():
                data = self.blobs[blob]
                held = node.engine.get(keys.blob_key(blob))
                assert held is not None and unpack_u64(held) == len(data), "held, and not here"
                assert node.state.blobs.read(blob, 0, len(data) + 1) == data


HOLDERS: Final = (TypeCode.EMAIL, TypeCode.UPLOAD)
