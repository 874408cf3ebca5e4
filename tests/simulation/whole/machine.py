"""One simulated machine: its disk, its rows and blobs, and the node's process while it runs.

A kill leaves what the page cache holds; a power cut leaves what was synced, and whatever else the
device had got to. A dead process writes nothing: its disk and its network raise `Crashed`, and the
rows it could still touch were copied before. The log has its writer as on a real machine, so that
acknowledgements wait for an fsync that takes time, hangs or fails.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
import trio

from node.config import Config
from node.env import Env
from node.foundation import Foundation, lay_foundation
from node.house import House
from node.identity import IdentityError
from node.network import Address
from raft import DiskFailed, LogStorage
from raft.model import Persist
from storage.apply import Applier, applied_index
from storage.blobs import BlobStore
from storage.checkpoint import Checkpointer, verify_groups
from storage.engine import EngineRefused
from storage.memory import MemoryEngine
from storage.memory_home import MemoryHome, MemoryNest
from storage.opening import State
from storage.segments import MemoryFiles
from storage.snapshot import SnapshotHead, installed
from tests.simulation.disk import Crashed, SimDisk
from tests.simulation.trace import Trace
from tests.simulation.whole import scheduling
from tests.simulation.whole.clock import SimClock
from tests.simulation.whole.network import Process, SimNetwork
from tests.simulation.whole.watch import Watch

R = TypeVar("R")

START_MS: Final = 1_793_534_400_000
# One call that blocks (a hash, a checkpoint) keeps its thread for up to this.
BLOCKING_S_MAX: Final = 0.004
SYNC_S_MAX: Final = 0.003
HUNG_S: Final = 0.05
# Room on a disk as [storage] has it, and what is free as long as nothing fills it.
FREE_BYTES_MIN: Final = 1_000_000
RESERVE_BYTES: Final = 64 * 1024
AMPLE_BYTES: Final = 10 * FREE_BYTES_MIN


class MortalDisk:
    """A machine's disk as one process sees it: it ends with the process. Implements raft.Disk."""

    def __init__(self, disk: SimDisk, process: Process) -> None:
        self._disk, self._process = disk, process

    def __getattr__(self, name: str) -> Any:
        self._process.check()
        return getattr(self._disk, name)


class SimWriter:
    """LogWriter whose fsync takes virtual time. What waits is written as one."""

    def __init__(self, machine: "Machine", process: Process, storage: LogStorage) -> None:
        self._machine, self._process, self._storage = machine, process, storage
        self.waiting: list[Persist] = []
        self._filled = trio.Event()
        machine.writer = self

    def submit(self, step: Persist) -> None:
        self.waiting.append(step)
        self._filled.set()

    async def run(
        self,
        on_durable: Callable[[int], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        machine = self._machine
        task_status.started()
        while True:
            await self._filled.wait()
            await trio.sleep(machine.chance.uniform(0.0001, machine.sync_s_max))
            while machine.is_hung:
                await trio.sleep(HUNG_S)
            self._process.check()
            self._filled = trio.Event()
            number = self.write()
            if self._storage.needs_spare:
                self._storage.prepare()
            on_durable(number)

    def write(self) -> int:
        """Write all that waits; the number of the last step."""
        steps, self.waiting = self.waiting, []
        self._storage.write(steps)
        return steps[-1].number


class SimHome(MemoryHome):
    """Where another node's state is put together; adopted, it is what the machine's disk has."""

    def __init__(self, machine: "Machine", process: Process) -> None:
        self._machine, self._process = machine, process

    def begin(self, head: SnapshotHead) -> "SimNest":
        self._process.check()
        return SimNest(head, self._machine, self._process)


class SimNest(MemoryNest):
    """A state being filled, lost with its process until it is adopted."""

    def __init__(self, head: SnapshotHead, machine: "Machine", process: Process) -> None:
        super().__init__(head)
        self._machine, self._process = machine, process
        self._settled: State | None = None

    def settle(self, note: bytes) -> State:
        self._settled = super().settle(note)
        self._settled.engine.write((), sync=True)
        self._settled.blobs.sync(self._files.numbers())
        return self._settled

    @property
    def _files(self) -> MemoryFiles:
        files = self._blobs._files
        assert isinstance(files, MemoryFiles)
        return files

    def adopt(self) -> None:
        self._process.check()
        self._machine.state, self._machine.files = self._settled, self._files
        self._machine.trace.fault("snapshot adopted", self._machine.name)


@dataclass(slots=True)
class Wall:
    """This machine's idea of the time of day. Implements ports.Clock."""

    clock: SimClock
    ahead_ms: int = 0
    rate: float = 1.0
    since_s: float = 0.0

    def now_ms(self) -> int:
        now_s = self.clock.current_time()
        drifted_s = (now_s - self.since_s) * (self.rate - 1)
        return START_MS + self.ahead_ms + int((now_s + drifted_s) * 1000)

    def drift(self, rate: float) -> None:
        """From now on it goes at this rate."""
        now_s = self.clock.current_time()
        self.ahead_ms += int((now_s - self.since_s) * (self.rate - 1) * 1000)
        self.since_s, self.rate = now_s, rate

    def monotonic_s(self) -> float:
        return self.clock.current_time()


class Silence(trio.abc.Listener[trio.abc.Stream]):
    """The operator's socket: no operator comes."""

    async def accept(self) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass(eq=False)
class Machine:
    """One node of the cluster."""

    name: str
    config: Config
    network: SimNetwork
    clock: SimClock
    trace: Trace
    seed: str
    watch: Watch
    replica: int = 0
    disk: SimDisk = field(init=False)
    chance: random.Random = field(init=False)
    wall: Wall = field(init=False)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    files: MemoryFiles = field(default_factory=MemoryFiles)
    boots: int = 0
    process: Process | None = None
    house: House | None = None
    state: State | None = None
    writer: SimWriter | None = None
    join: tuple[Address, ...] = ()  # whom it asks to be a member again, once it was removed
    may_be_removed: bool = False
    loses_rows: bool = False
    is_hung: bool = False
    free_bytes: int | None = None  # nobody measures it in seeds whose disks are never full
    sync_s_max: float = SYNC_S_MAX
    stopping: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def __post_init__(self) -> None:
        self.disk = SimDisk(random.Random(f"{self.seed}/disk/{self.name}"))
        self.chance = random.Random(f"{self.seed}/machine/{self.name}")
        self.wall = Wall(self.clock)

    @property
    def host(self) -> str:
        return self.config.member(self.name).host

    @property
    def is_up(self) -> bool:
        """Whether a process runs and is not on its way out."""
        return self.process is not None and self.process.alive

    @property
    def is_settled(self) -> bool:
        """Whether it was never to be removed, or has come back from that."""
        came_back = bool(self.join) and self.house is not None and self.house.ready()
        return not self.may_be_removed or came_back

    # --- a process's life ---

    def start(self, nursery: trio.Nursery) -> None:
        """Boot in a task of its own; `ended` is set when the process is gone."""
        self.stopping, self.ended = trio.Event(), trio.Event()
        nursery.start_soon(self.run)

    async def run(self) -> None:
        """Boot and run until killed, stopped, or ended by its disk; anything else rises."""
        assert not self.is_up
        self.boots += 1
        self.process = process = Process(self.host, self.boots)
        self.is_hung = False
        self.trace("boot", self.name, self.boots)
        structlog.contextvars.bind_contextvars(node=self.name)
        scheduling.OWNER.set(self.name)
        env = self._env(process)
        try:
            with trio.CancelScope() as self.scope:
                await self._live(env)
                self.trace("ended", self.name)
        except* Crashed:
            self.trace("crashed", self.name)  # some task of it still wanted to do something
        except* IdentityError as told:
            if not self.may_be_removed:
                raise
            self._start_anew(_leaf(told))
        except* DiskFailed as failure:
            self.trace.fault("node ended by its disk", self.name, _leaf(failure))
        finally:
            if process.alive:
                self._bury(process)
            self.house = None
            self.ended.set()

    def leave_free(self, octets: int) -> None:
        """Somebody else's files leave this much room; with none, no file can be made."""
        self.free_bytes = octets
        self.disk.is_full = octets == 0

    def _start_anew(self, why: BaseException) -> None:
        """It was removed: its disk is emptied, and it asks to be let in as another replica."""
        self.trace.fault("removed, and starts anew", self.name, why)
        self.watch.ended(self.replica)
        self.watch.wiped(self.replica)
        self.state = None
        self.disk = SimDisk(random.Random(f"{self.seed}/disk/{self.name}/{self.boots}"))
        self.disk.is_full = self.free_bytes == 0
        self.rows, self.files = {}, MemoryFiles()
        self.join = tuple(
            (node.host, node.peer) for node in self.config.node if node.name != self.name
        )

    async def _live(self, env: Env) -> None:
        foundation: Foundation = lay_foundation(self.config, self.name, env, self.join)
        self.replica = foundation.replica
        self.house = House(foundation, env)
        await self.house.run(self.stopping)

    def _env(self, process: Process) -> Env:
        chance = random.Random(f"{self.seed}/boot/{self.name}/{self.boots}")

        async def run_blocking(work: Callable[[], R]) -> R:
            await trio.sleep(self.chance.uniform(0, BLOCKING_S_MAX))
            process.check()
            return work()

        return Env(
            network=self.network.lend(process),
            clock=self.wall,
            chance=chance,
            draw=chance.randbytes,
            run_blocking=run_blocking,
            disk=MortalDisk(self.disk, process),
            open_state=self._open_state,
            log_writer=partial(SimWriter, self, process),
            open_admin=lambda _: Silence(),
            data=Path("/virtual") / self.name,
            state_home=SimHome(self, process),
            free_bytes=lambda: self.free_bytes,
        )

    def _open_state(self, directory: Path, *, log_end: int) -> State:
        """storage.opening over what the last process left."""
        try:
            if self.loses_rows:
                self.loses_rows = False
                raise EngineRefused("simulated damage")
            self.state = self._state(MemoryEngine(self.rows.items()), self.files, log_end)
        except EngineRefused as refusal:
            self.trace.fault("rows moved aside", self.name, refusal)
            self.state = self._state(MemoryEngine(), MemoryFiles(), log_end, str(refusal))
        return self.state

    def _state(
        self, engine: MemoryEngine, files: MemoryFiles, log_end: int, refused: str | None = None
    ) -> State:
        self.files = files
        verify_groups(engine)
        if applied_index(engine) > log_end and applied_index(engine) != installed(engine)[0]:
            raise EngineRefused(f"applied is {applied_index(engine)}, the log ends at {log_end}")
        blobs = BlobStore(engine, files)
        applier = Applier(engine, blobs)
        return State(engine, blobs, applier, Checkpointer(engine, blobs, applier), refused)

    # --- its ends ---

    def kill(self, *, power: bool) -> None:
        """At this instant: no more of it is heard or written. What a disk keeps is kept."""
        process, writer = self.process, self.writer
        assert process is not None and process.alive
        self.trace.fault("power" if power else "kill", self.name)
        if writer is not None and writer.waiting and self.chance.random() < 0.5:
            self.disk.crash_next_sync = True  # it dies in the middle of this write
            try:
                writer.write()
            except (Crashed, DiskFailed):
                self.trace.fault("died while writing its log", self.name)
        if power:
            self.network.dark.add(self.host)
        self._bury(process, power=power)
        self.scope.cancel()

    def _bury(self, process: Process, *, power: bool = False) -> None:
        scheduling.thaw(self.name)  # even a stopped process can be killed
        self.watch.ended(self.replica)
        self.network.end(process)
        self.disk.crash_next_sync = self.disk.fail_next_sync = False
        if self.state is not None:
            engine = self.state.engine
            assert isinstance(engine, MemoryEngine)
            self.files = copy.deepcopy(self.files)
            keeps_all = not power or self.chance.random() < 0.3
            self.rows = engine.rows() if keeps_all else engine.survivors()
            if power and self.chance.random() < 0.7:
                self.files.cut_power()
        if power:
            self.disk.cut_power()
        self.state = self.writer = None

    async def wait_ready(self) -> None:
        """Until the node says that it has a leader and is caught up, and is not on its way out."""
        while self.stopping.is_set() or self.house is None or not self.house.ready():
            await trio.sleep(0.05)


def _leaf(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
