"""ports.Reader: a read barrier, then a view of what this node has applied.

A barrier asks consensus how far one must have applied to have seen every acknowledged write
(Raft thesis 6.4). All readers that come while a round is under way share the next one:
a round that began before a reader came may not know of a write that reader was told of.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from node import logs
from node.machine import Machine
from protocols.ports import Clock, Unavailable
from storage.view import View

# A reader that has waited this long is told that the cluster is unavailable.
READ_TIMEOUT_S: Final = 5.0
# One round is given up and asked again after this: its answer may have died with a leader.
ROUND_TIMEOUT_S: Final = 1.0
# How often deadlines are looked at; one task for all readers is cheaper than a timeout for each.
SWEEP_S: Final = 0.1
# Readers waiting at once; each is a connection's task, so doors bound them below this.
READERS_MAX: Final = 20_000


log = logs.named("node.reads")


class ReadLog(Protocol):
    """What is asked of consensus. Implemented by raft.driver."""

    @property
    def known_index(self) -> int | None:
        """What read_index would say, when nobody has to be asked; None otherwise."""
        ...

    def read_index(self) -> Awaitable[int]:
        """An index at or above every entry committed before the call; may wait for long."""


@dataclass(slots=True, eq=False)
class _Waiting:
    deadline_s: float
    done: trio.Event = field(default_factory=trio.Event)
    failed: bool = False


class Barriers:
    """Implements ports.Reader; `run` must be running."""

    def __init__(
        self,
        machine: Machine,
        log: ReadLog,
        clock: Clock,
        *,
        timeout_s: float = READ_TIMEOUT_S,
        round_timeout_s: float = ROUND_TIMEOUT_S,
    ) -> None:
        self._machine = machine
        self._log = log
        self._clock = clock
        self._timeout_s = timeout_s
        self._round_timeout_s = round_timeout_s
        self._open: dict[_Waiting, None] = {}  # everybody, earliest deadline first
        self._next: list[_Waiting] = []  # for the next round
        self._bell = trio.Event()
        self._opened = trio.Event()

    async def view(self) -> View:
        """A view that shows every write acknowledged, anywhere, before this call."""
        index = self._log.known_index
        if index is not None and index <= self._machine.applied_index:
            await (
                trio.lowlevel.checkpoint_if_cancelled()
            )  # whoever reads also sends, and waits there
            return self._machine.view()
        if len(self._open) >= READERS_MAX:
            raise Unavailable("too many readers are waiting")
        waiting = _Waiting(self._clock.monotonic_s() + self._timeout_s)
        self._open[waiting] = None
        self._next.append(waiting)
        self._bell.set()
        self._opened.set()
        try:
            await waiting.done.wait()
        finally:
            self._open.pop(waiting, None)
        if waiting.failed:
            raise Unavailable("no leader confirmed the read in time")
        return self._machine.view()

    def local(self) -> View:
        """What this node has applied, with no promise but monotonicity on this node."""
        return self._machine.view()

    async def run(self) -> None:
        """Hold rounds until cancelled; readers still waiting then are told Unavailable."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                while True:
                    await self._bell.wait()
                    self._bell = trio.Event()
                    await self._hold_round()
        finally:
            self._fail(list(self._open))

    async def _hold_round(self) -> None:
        """One question to consensus for all who wait now."""
        readers, self._next = self._next, []
        with trio.move_on_after(self._round_timeout_s) as scope:
            index = await self._log.read_index()
        if scope.cancelled_caught:
            self._next = [waiting for waiting in readers if waiting in self._open] + self._next
            if self._next:
                self._bell.set()
            return
        self._machine.when_applied(index, lambda: _wake(readers))

    async def _sweep(self) -> None:
        while True:
            if not self._open:
                self._opened = trio.Event()
                await self._opened.wait()
            await trio.sleep(SWEEP_S)
            now_s, late = self._clock.monotonic_s(), []
            for waiting in self._open:
                if waiting.deadline_s > now_s:
                    break
                late.append(waiting)
            if late:
                log.warning("reads without a leader's word in time", reads=len(late))
            self._fail(late)

    def _fail(self, readers: list[_Waiting]) -> None:
        for waiting in readers:
            del self._open[waiting]
            waiting.failed = True
            waiting.done.set()


def _wake(readers: list[_Waiting]) -> None:
    for waiting in readers:
        waiting.done.set()
