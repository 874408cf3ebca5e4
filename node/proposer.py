"""ports.Writer: commands become batches, batches go to the leader, our own apply answers.

Commands queue by account (node/queues.py). One task plans whatever waits, several accounts at a
time; no command costs a task, a timeout or a thread. A batch is proposed until its outcome is
known (node/rounds.py), and then:

    APPLIED      the commands' results are returned
    CONFLICT     somebody else changed the account: the commands are planned again, first in queue,
                 when it is our turn on the account (node/turns.py)
    (no batch)   a command was refused or had nothing to write: it is planned once more behind a
                 read barrier, since another node may have acknowledged what we had not applied
    (silence)    callers are told Unavailable at their deadline, which says nothing of the
                 outcome; the batch stays under way, and its account's queue behind it
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from node import logs
from node.freight import Freight, name_of
from node.machine import Machine
from node.queues import BlobGone, Queue, Waiting, fill_plan
from node.rounds import Fenced, Origin, ProposeLog, Round, Rounds
from node.turns import Turns
from protocols.ports import Clock, Command, R, ReadOctets, Unavailable
from storage.apply import Applied, Outcome
from storage.batch import encode_batch
from storage.blobs import cut_blob
from storage.engine import Rows
from storage.ids import AccountId, BlobId
from storage.keys import blob_key
from storage.plan import Plan

KIB: Final = 1024
MIB: Final = 1024 * KIB

# A caller is told Unavailable after this; what it asked for may still happen.
WRITE_TIMEOUT_S: Final = 8.0
# Deadlines and resends are looked at this often, for all commands at once.
SWEEP_S: Final = 0.05
# A command that was overtaken this often, its turn notwithstanding, pauses a little each time ...
PLAN_ATTEMPTS_MAX: Final = 6
PAUSE_S: Final = 0.02
# ... and is given up after this many: nothing of it was written, and the client may try again.
CONFLICTS_MAX: Final = 10
# Commands of all accounts that wait, and the blob bytes they hold: beyond, Unavailable at once.
COMMANDS_MAX: Final = 10_000
COMMAND_OCTETS_MAX: Final = 128 * MIB
# Blobs up to this travel with their command; larger ones go ahead, one part a proposal.
INLINE_OCTETS_MAX: Final = 512 * KIB
# Planned before the loop is given back.
PLANNED_ROUNDS_MAX: Final = 64
PLANNED_OCTETS_MAX: Final = 2 * MIB

log = logs.named("node.proposer")


class Proposer:
    """Implements ports.Writer; `run` must be running."""

    def __init__(
        self,
        machine: Machine,
        log: ProposeLog,
        clock: Clock,
        chance: random.Random,
        origin: Origin,
        barrier: Callable[[], Awaitable[object]],
        *,
        lacks_room: Callable[[], bool] = lambda: False,
        timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        """`barrier` returns when every write acknowledged before is applied here; Unavailable.
        While it `lacks_room` nothing is taken."""
        self._lacks_room = lacks_room
        self._barrier = barrier
        self._machine = machine
        self._clock = clock
        self._chance = chance
        self._timeout_s = timeout_s
        self._rounds = Rounds(machine, log, clock, chance, origin)
        self._freight = Freight(machine, self._rounds, chance, self._stir)
        self._turns = Turns(origin.replica, clock)
        self._held: set[AccountId] = set()  # ready, but it is another node's turn
        machine.listen(self._on_applied)
        self._octets = 0  # blob bytes that callers hold
        self._open: dict[Waiting, None] = {}  # whoever waits, earliest deadline first
        self._queues: dict[AccountId, Queue] = {}
        self._ready: deque[AccountId] = deque()  # whose turn it is to be planned
        self._paused: list[tuple[float, AccountId]] = []
        self._bell = trio.Event()
        self._stirred = trio.Event()  # there is something to sweep

    async def write(
        self, account: AccountId, command: Command[R], *, blobs: Sequence[bytes] = ()
    ) -> R:
        """See ports.Writer. A command over BATCH_BYTES_MAX raises BatchError: cut it up."""
        octets = sum(map(len, blobs)) if blobs else 0
        self._check_room()
        if len(self._open) >= COMMANDS_MAX or self._octets + octets > COMMAND_OCTETS_MAX:
            raise Unavailable("too much is waiting to be written")
        waiting = Waiting(account, command, self._clock.monotonic_s() + self._timeout_s)
        self._open[waiting] = None
        self._octets += octets
        self._stirred.set()
        try:
            if blobs:
                await self._bring(waiting, blobs)
            if not waiting.gone:  # its deadline may have passed meanwhile
                self._enqueue(waiting)
            await waiting.wait()
            is_gone = isinstance(waiting.error, BlobGone)
            if waiting.unwritten:
                waiting.begin_again()
                await self._barrier()
                if blobs and is_gone:
                    await self._bring(waiting, blobs)
                if not waiting.gone:
                    self._enqueue(waiting)
                await waiting.wait()
        finally:
            waiting.gone = True
            self._open.pop(waiting, None)
            self._octets -= octets
            if waiting.queued:
                self._queues[account].drop(waiting)
        if waiting.error is not None:
            raise waiting.error
        result: R = waiting.result
        return result

    def leader_changed(self) -> None:
        """Consensus has a new leader: what was given to the old one is sent again."""
        self._rounds.leader_changed()

    @property
    def boot(self) -> int:
        """Our boot epoch; 0 while it is not in the log."""
        return self._rounds.epoch

    @property
    def registered(self) -> bool:
        """Our boot epoch is in the log: writes can go through."""
        return self._rounds.epoch > 0

    @property
    def under_way(self) -> int:
        """Proposals without a known outcome."""
        return len(self._rounds)

    def depths(self) -> dict[str, int]:
        """What waits where, for logs: callers, queues with work, proposals under way."""
        return {
            "callers": len(self._open),
            "ready": len(self._ready),
            "held": len(self._held),
            "paused": len(self._paused),
            "proposals": len(self._rounds),
        }

    async def run(self) -> None:
        """Register, then plan and propose until cancelled. Raises Fenced."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                await self._rounds.register()
                while True:
                    self._bell = trio.Event()
                    if not self._ready or self._rounds.closed:
                        await self._bell.wait()
                    self._propose_ready()
                    if self._ready:
                        await trio.lowlevel.checkpoint()
        finally:
            for waiting in list(self._open):
                waiting.finish(Unavailable("this node is stopping"))

    # --- queues and rounds

    def _enqueue(self, waiting: Waiting) -> None:
        queue = self._queues.get(waiting.account)
        if queue is None:
            queue = self._queues[waiting.account] = Queue()
        queue.add(waiting)
        if not queue.busy:
            self._make_ready(waiting.account, queue)

    def _make_ready(self, account: AccountId, queue: Queue) -> None:
        """It is the queue's turn; or it is empty, and nothing of it remains."""
        queue.busy = bool(queue.commands)
        if queue.busy:
            self._ready.append(account)
            self._bell.set()
        else:
            del self._queues[account]

    def _propose_ready(self) -> None:
        """Plan a round for each queue whose turn it is, and propose them together."""
        rounds: list[Round] = []
        octets = 0
        # Nothing is applied meanwhile: all is planned on the same rows, and at one time.
        rows, now_ms = self._machine.current, self._clock.now_ms()
        while self._ready and not self._rounds.closed:
            account = self._ready.popleft()
            if not self._turns.is_ours(account):
                self._held.add(account)
                continue
            planned = self._plan_round(account, rows, now_ms)
            if planned is not None:
                rounds.append(planned)
                octets += len(planned.payload)
            if len(rounds) >= PLANNED_ROUNDS_MAX or octets > PLANNED_OCTETS_MAX:
                break
        self._rounds.send(rounds)

    def _plan_round(self, account: AccountId, rows: Rows, now_ms: int) -> Round | None:
        queue = self._queues[account]
        plan = Plan(rows, now_ms=now_ms, chance=self._chance)
        commands, parts = fill_plan(queue, plan)
        if plan.empty:
            for waiting in commands:
                waiting.unwritten = True
                waiting.finish()  # nothing to write: what it read is its answer
            self._make_ready(account, queue)
            return None
        try:
            return self._rounds.open(
                lambda pid, ack_below: encode_batch(plan.batch(pid, ack_below, parts)),
                lambda outcome: self._settle(account, commands, outcome),
            )
        except ValueError as error:  # BatchError: only a single command can be too large
            for waiting in commands:
                waiting.finish(error)
            self._make_ready(account, queue)
            return None

    def _settle(self, account: AccountId, commands: list[Waiting], outcome: Outcome) -> None:
        """Our apply has told what became of a round."""
        queue = self._queues[account]
        if outcome is Outcome.APPLIED:
            for waiting in commands:
                waiting.finish()
            self._make_ready(account, queue)
            return
        conflicts = 0
        for waiting in commands:
            waiting.conflicts += 1
            conflicts = max(conflicts, waiting.conflicts)
            if waiting.conflicts >= CONFLICTS_MAX:
                log.warning("an account is changed faster than it is planned", account=account)
                waiting.finish(Unavailable("others keep changing the account"))
        queue.back([waiting for waiting in commands if not waiting.gone])
        if conflicts < PLAN_ATTEMPTS_MAX or not queue.commands:
            self._make_ready(account, queue)
        else:
            pause_s = (
                PAUSE_S * 2 ** (conflicts - PLAN_ATTEMPTS_MAX) * self._chance.uniform(0.5, 1.5)
            )
            self._paused.append((self._clock.monotonic_s() + pause_s, account))

    def _on_applied(self, results: Sequence[Applied]) -> None:
        self._release(self._turns.note(results))
        if self._must_sweep:
            self._stirred.set()

    def _release(self, accounts: Sequence[AccountId]) -> None:
        """The turn on these accounts has passed on, perhaps to us."""
        for account in accounts:
            if account in self._held and self._turns.is_ours(account):
                self._held.discard(account)
                self._ready.append(account)
                self._bell.set()

    def _stir(self) -> None:
        self._stirred.set()

    @property
    def _must_sweep(self) -> bool:
        under_way = self._open or self._paused or self._rounds or self._turns
        return bool(under_way) or self._rounds.fenced

    async def _sweep(self) -> None:
        """Time, for everybody: deadlines, pauses, resends; and whether we are fenced."""
        while True:
            if not self._must_sweep:
                self._stirred = trio.Event()
                await self._stirred.wait()
            await trio.sleep(SWEEP_S)
            if self._rounds.fenced:
                raise Fenced("another process has registered as this replica")
            now_s = self._clock.monotonic_s()
            late = []
            for waiting in self._open:
                if waiting.deadline_s > now_s:
                    break
                late.append(waiting)
            if late:
                log.warning("writes without an outcome in time", writes=len(late), **self.depths())
            for waiting in late:
                del self._open[waiting]
                waiting.finish(Unavailable("no outcome in time"))
            paused, self._paused = self._paused, []
            for at_s, account in paused:
                if at_s <= now_s:
                    self._make_ready(account, self._queues[account])
                else:
                    self._paused.append((at_s, account))
            self._release(self._turns.expire())
            self._rounds.resend_due()
            self._bell.set()  # rounds may be open again

    # --- blobs

    async def _bring(self, waiting: Waiting, blobs: Sequence[bytes]) -> None:
        """How each blob travels: not at all if it is here, with its command, or ahead of it."""
        named = {await name_of(data): data for data in blobs}
        view = self._machine.view()
        missing = [name for name in named if view.get(blob_key(name)) is None]
        parts = [part for name in missing for part in cut_blob(name, named[name])]
        if sum([len(part.data) for part in parts]) > INLINE_OCTETS_MAX:
            await self._freight.send_ahead(parts, waiting.deadline_s - self._clock.monotonic_s())
            missing, parts = [], []
        waiting.parts = tuple(parts)
        waiting.needs = tuple(name for name in named if name not in missing)

    def _check_room(self) -> None:
        if self._lacks_room():
            raise Unavailable("the disk of this node is nearly full")

    async def carry(self, blob: BlobId, octets: int, read: ReadOctets) -> None:
        """See ports.Writer."""
        self._check_room()
        await self._freight.carry(blob, octets, read, patience_s=self._timeout_s)
