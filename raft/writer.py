"""The one thread that writes the log, so that a slow fsync never holds up a heartbeat.

It takes whatever waits, writes it as one flush (group commit), and tells the loop by an octet
through a pair of sockets, on which `run` waits: what follows from a write is done there and then.
A thread of its own costs a tenth of trio.to_thread for each hand-over. The next segment's file is
made by a second, short-lived thread, since zeroing 16 MiB takes longer than a follower waits for
an ack.
"""

import socket
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
# Octets that say "look", taken at once: there is one, or two when two threads ring.
OCTETS_HEARD_MAX: Final = 16


class ThreadWriter:
    """LogWriter over one dedicated thread."""

    def __init__(self, storage: LogStorage) -> None:
        """Nothing runs before `run`."""
        self._storage = storage
        self._queue: SimpleQueue[Persist | None] = SimpleQueue()
        self._failure: Exception | None = None
        self._preparing: threading.Thread | None = None
        self._durable_number = 0
        self._is_over = False  # the thread has ended, or what it needs cannot be had
        self._is_rung = False  # an octet is under way

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
        ear, mouth = socket.socketpair()
        with ear, mouth:
            ear.setblocking(False)
            mouth.setblocking(False)
            thread = threading.Thread(
                target=self._work, args=(mouth,), name="raft-log", daemon=True
            )
            thread.start()
            task_status.started()
            told = 0
            try:
                while not self._is_over:
                    await self._hear(ear)
                    if self._durable_number > told:
                        told = self._durable_number
                        on_durable(told)
            finally:
                self._queue.put(None)
                with trio.move_on_after(STOP_S, shield=True):
                    while not self._is_over:
                        await self._hear(ear)
        if self._failure is not None:
            raise self._failure

    async def _hear(self, ear: socket.socket) -> None:
        """Wait until the thread rings."""
        await trio.lowlevel.wait_readable(ear)
        try:
            ear.recv(OCTETS_HEARD_MAX)
        except BlockingIOError:
            return  # the kernel thought better of it
        # What rings after this is heard the next time; what was told before it is seen now.
        self._is_rung = False

    def _ring(self, mouth: socket.socket) -> None:
        if not self._is_rung:
            self._is_rung = True
            try:
                mouth.send(b"!")
            except OSError:
                return  # nobody is left to be told

    def _work(self, mouth: socket.socket) -> None:
        try:
            while (steps := self._gather()) is not None:
                self._storage.write(steps)
                self._durable_number = steps[-1].number
                self._ring(mouth)
                if self._storage.needs_spare and self._preparing is None:
                    self._start_preparing(mouth)
        except Exception as failure:  # raised again by `run`
            self._failure = failure
        self._is_over = True
        self._ring(mouth)

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

    def _start_preparing(self, mouth: socket.socket) -> None:
        def prepare() -> None:
            try:
                self._storage.prepare()
            except Exception as failure:  # raised again by `run`
                self._failure = failure
                self._is_over = True
                self._ring(mouth)
            finally:
                self._preparing = None

        self._preparing = threading.Thread(target=prepare, name="raft-log-spare", daemon=True)
        self._preparing.start()


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
