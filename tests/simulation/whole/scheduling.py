"""The only file that touches Trio's private parts: a scheduler that a seed decides, and no epoll.

Trio 0.35 runs each batch of ready tasks in an order of its own chance. With its switch for
Hypothesis on, a batch is sorted by the order in which tasks were made and then shuffled by one
`random.Random`; seeded, that is exploration of schedules that can be replayed. `verify` says
at the start whether the parts are where this file believes them, so a new Trio cannot quietly take
determinism away.
"""

import gc
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import trio
from trio._core import _run

R = TypeVar("R")

TRIO: Final = "0.35."
SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
# So many turns of the loop without time going on are a livelock, not work.
TURNS_MAX: Final = 200_000


NO_EVENTS: Final[tuple[()]] = ()


class SchedulerUnknown(RuntimeError):
    """This Trio is not the one whose scheduler we know."""


def verify() -> None:
    """Raise SchedulerUnknown unless the private parts are as this file needs them."""
    if not trio.__version__.startswith(TRIO):
        raise SchedulerUnknown(f"trio {trio.__version__}: the simulation was made for {TRIO}x")
    if not isinstance(getattr(_run, SWITCH, None), bool) or not isinstance(_run._r, random.Random):
        raise SchedulerUnknown("trio's scheduler switches have changed")


class Stuck(RuntimeError):
    """Tasks run in circles, or all wait for what never comes."""


class _NoFiles:
    """Trio's I/O manager, asked only while callbacks from outside wait: nothing else has a file."""

    def __init__(self, runner: Any, clock: trio.abc.Clock, stuck: Callable[[], None]) -> None:
        self._clock, self._inner = clock, runner.io_manager
        self._from_outside = runner.entry_queue
        self._stuck = stuck
        self._turns, self._at = 0, -1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_events(self, timeout: float) -> Any:
        now = self._clock.current_time()
        self._turns = self._turns + 1 if now == self._at else 0
        self._at = now
        if self._turns > TURNS_MAX:
            self._stuck()
            self._turns = 0
        if self._from_outside.queue or self._from_outside.idempotent_queue:
            return self._inner.get_events(min(timeout, 0.01))
        return NO_EVENTS

    def process_events(self, events: Any) -> None:
        if events:
            self._inner.process_events(events)


# Whose task this is; whoever a task starts belongs to the same.
OWNER: Final[ContextVar[str]] = ContextVar("owner", default="")


class _Shuffler(random.Random):
    """Draws the order of a batch of tasks, and keeps those out whose owner is frozen."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.frozen: dict[str, list[trio.lowlevel.Task]] = {}

    def shuffle(self, x: Any) -> None:
        if self.frozen:
            self._hold(x)
        if len(x) > 1:  # most batches have one task: nothing to draw
            super().shuffle(x)

    def _hold(self, batch: list[trio.lowlevel.Task]) -> None:
        going = []
        for task in batch:
            held = self.frozen.get(task.context.get(OWNER, ""))
            (going if held is None else held).append(task)
        batch[:] = going


def freeze(owner: str) -> None:
    """No task of this owner runs from here on, as of a process after SIGSTOP; time goes on."""
    _shuffler().frozen.setdefault(owner, [])


def thaw(owner: str) -> None:
    """They go on, with all that has come and all deadlines that have passed meanwhile."""
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    for task in _shuffler().frozen.pop(owner, []):
        runner.runq.append(task)


def is_frozen(owner: str) -> bool:
    """Whether its tasks are kept from running."""
    return owner in _shuffler().frozen


def _shuffler() -> _Shuffler:
    assert isinstance(_run._r, _Shuffler), "tasks are frozen in a simulation only"
    return _run._r


@contextmanager
def _seeded(seed: str) -> Iterator[None]:
    verify()
    before, switch, gc_was_on = _run._r, getattr(_run, SWITCH), gc.isenabled()
    setattr(_run, SWITCH, True)
    _run._r = _Shuffler(seed)
    # A collection at some moment would close what is garbage at that moment.
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if gc_was_on:
            gc.enable()
        setattr(_run, SWITCH, switch)
        _run._r = before


def run(main: Callable[[], Awaitable[R]], *, seed: str, clock: trio.abc.Clock) -> R:
    """trio.run with a schedule that follows from the seed alone."""

    async def without_files() -> R:
        runner = _run.GLOBAL_RUN_CONTEXT.runner
        with trio.CancelScope() as scope:
            runner.io_manager = _NoFiles(runner, clock, scope.cancel)  # type: ignore[assignment]
            # Nobody instruments a run; an empty dict says so five times a step in C.
            runner.instruments = {}  # type: ignore[assignment]
            return await main()
        raise Stuck(f"no progress at {clock.current_time():.6f} virtual seconds")

    with _seeded(seed):
        return trio.run(without_files, clock=clock)
