"""The one thread that writes the log, so that a slow fsync never holds up a heartbeat.

It takes whatever waits, writes it as one flush (group commit), and tells the loop. A thread of its
own costs a tenth of trio.to_thread for each hand-over. The next segment's file is made by a
second, short-lived thread, since zeroing 16 MiB takes longer than a follower waits for an ack.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

import trio

from raft.disk import DiskFailed
from raft.model import MIB, Persist
from raft.stable import LogStorage

# Steps gathered into one write, which is put together in memory; the log cuts larger ones into
# flushes of its own. A flush of this size takes so long that the next has gathered meanwhile.
GATHER_BYTES_MAX: Final = 2 * MIB
# How long a stopping node waits for the write under way; a hung disk must not keep it alive.
STOP_S: Final = 5.0


class ThreadWriter:
    """LogWriter over one dedicated thread."""

    def __init__(self, storage: LogStorage) -> None:
        """Nothing runs before `run`."""
        self._storage = storage
        self._queue: SimpleQueue[Persist | None] = SimpleQueue()
        self._failure: Exception | None = None
        self._preparing: threading.Thread | None = None

    def submit(self, step: Persist) -> None:
        """Queue one step."""
        self._queue.put(step)

    async def run(
        self,
        on_durable: Callable[[int], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Own the thread until cancelled; raises what ended it: DiskFailed, or a bug of ours."""
        stopped = trio.Event()
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(
            target=self._work, args=(token, on_durable, stopped), name="raft-log", daemon=True
        )
        thread.start()
        task_status.started()
        try:
            await stopped.wait()
        finally:
            self._queue.put(None)
            with trio.move_on_after(STOP_S, shield=True):
                await stopped.wait()
        if self._failure is not None:
            raise self._failure

    def _work(
        self,
        token: trio.lowlevel.TrioToken,
        on_durable: Callable[[int], None],
        stopped: trio.Event,
    ) -> None:
        try:
            while (steps := self._gather()) is not None:
                self._storage.write(steps)
                token.run_sync_soon(on_durable, steps[-1].number)
                if self._storage.needs_spare and self._preparing is None:
                    self._start_preparing(token, stopped)
        except trio.RunFinishedError:
            return  # the loop ended without waiting for us
        except Exception as failure:  # raised again by `run`
            self._failure = failure
        self._tell(token, stopped.set)

    def _gather(self) -> list[Persist] | None:
        """Everything that waits, up to a limit; blocks for the first. None: stop."""
        step = self._queue.get()
        steps: list[Persist] = []
        size = 0
        while step is not None:
            steps.append(step)
            size += sum([len(entry.payload) for entry in step.entries])
            if size >= GATHER_BYTES_MAX:
                return steps
            try:
                step = self._queue.get_nowait()
            except Empty:
                return steps
        if steps:
            self._queue.put(None)  # write these first, then stop
        return steps or None

    def _start_preparing(self, token: trio.lowlevel.TrioToken, stopped: trio.Event) -> None:
        def prepare() -> None:
            try:
                self._storage.prepare()
            except Exception as failure:  # raised again by `run`
                self._failure = failure
                self._tell(token, stopped.set)
            finally:
                self._preparing = None

        self._preparing = threading.Thread(target=prepare, name="raft-log-spare", daemon=True)
        self._preparing.start()

    @staticmethod
    def _tell(token: trio.lowlevel.TrioToken, callback: Callable[[], None]) -> None:
        try:
            token.run_sync_soon(callback)
        except trio.RunFinishedError:
            return  # nobody is left to be told


class InlineWriter:
    """LogWriter without a thread, for tests under a virtual clock: each step is written at once."""

    def __init__(self, storage: LogStorage) -> None:
        """Write to this storage."""
        self._storage = storage
        self._on_durable: Callable[[int], None] | None = None
        self._failed = trio.Event()
        self._failure: DiskFailed | None = None

    def submit(self, step: Persist) -> None:
        """Write, then report."""
        assert self._on_durable is not None, "submit before run"
        try:
            self._storage.write([step])
        except DiskFailed as failure:
            self._failure = failure
            self._failed.set()
            return
        if self._storage.needs_spare:
            self._storage.prepare()
        self._on_durable(step.number)

    async def run(
        self,
        on_durable: Callable[[int], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Wait for an error of the disk."""
        self._on_durable = on_durable
        task_status.started()
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure
