"""Commands of an account, first come first, and how a batch is planned from them. No I/O.

An account has at most one batch under way. Until its outcome is known nothing else is planned
for the account, however long that takes and whoever has stopped waiting; so no plan ever
assumes that an unresolved one failed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from protocols.ports import Unavailable
from storage.batch import BATCH_BYTES_MAX, BlobPart
from storage.ids import AccountId, BlobId
from storage.keys import blob_key
from storage.plan import Plan

KIB: Final = 1024

# Commands join a batch until blobs and rows have this many bytes: well under the batch's limit,
# so that framing and expectations always fit. One command alone may go up to that limit.
ROUND_OCTETS_MAX: Final = 640 * KIB
assert ROUND_OCTETS_MAX < BATCH_BYTES_MAX
# Commands in one batch; bounds how long planning holds the loop.
ROUND_COMMANDS_MAX: Final = 128


@dataclass(slots=True, eq=False)
class Waiting:
    """A command and whoever waits for it."""

    account: AccountId
    command: Callable[[Plan], Any]
    deadline_s: float
    parts: tuple[BlobPart, ...] = ()
    needs: tuple[BlobId, ...] = ()
    """Blobs that were here when the command came, and must be when its batch applies."""
    conflicts: int = 0
    result: Any = None
    error: Exception | None = None
    gone: bool = False
    """Nobody waits any more: not to be planned if it has not been."""
    queued: bool = False
    """It stands in its account's queue."""
    unwritten: bool = False
    """It was refused or had nothing to write: no apply has checked what it read."""
    task: trio.lowlevel.Task | None = None
    """Who sleeps in `wait`."""

    async def wait(self) -> None:
        """Block until `finish`. As an Event of its own, for one task and at half the cost."""
        if self.gone:
            await trio.lowlevel.checkpoint()
            return
        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)

    def _stop_waiting(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def finish(self, error: Exception | None = None) -> None:
        """Wake whoever waits; a second end changes nothing."""
        if not self.gone:
            self.error = error
            self.gone = True
            if self.task is not None:
                trio.lowlevel.reschedule(self.task)
                self.task = None

    def begin_again(self) -> None:
        """Forget the answer; the deadline stays."""
        self.result = self.error = None
        self.gone = self.unwritten = False

    @property
    def octets(self) -> int:
        """Of the blob parts that travel with it."""
        return sum([len(part.data) for part in self.parts])


@dataclass(slots=True, eq=False)
class Queue:
    """One account's commands. `busy`: a batch is under way, or a pause, or its turn is coming."""

    commands: deque[Waiting] = field(default_factory=deque)
    busy: bool = False

    def add(self, waiting: Waiting) -> None:
        """Put a command at the end."""
        self.commands.append(waiting)
        waiting.queued = True

    def take(self) -> Waiting:
        """Take the first command out."""
        waiting = self.commands.popleft()
        waiting.queued = False
        return waiting

    def back(self, commands: list[Waiting]) -> None:
        """Put commands in front again, in their order."""
        self.commands.extendleft(reversed(commands))
        for waiting in commands:
            waiting.queued = True

    def drop(self, waiting: Waiting) -> None:
        """Take out a command that nobody waits for; while nothing commits, nobody else would."""
        if waiting.queued:
            self.commands.remove(waiting)  # whoever gives up is mostly near the front
            waiting.queued = False


class BlobGone(Unavailable):
    """A blob was collected between when it was looked up and when a record came to hold it."""


class _Full(Exception):
    """The command fits no more; it comes first in the next batch."""


def fill_plan(queue: Queue, plan: Plan) -> tuple[list[Waiting], list[BlobPart]]:
    """Plan commands from the front of the queue; returns them, and the blob parts they bring.

    What a command raises ends it alone. Commands left over are for the next batch. One that wrote
    nothing brings nothing: no row would ever refer to its blobs.
    """
    taken: list[Waiting] = []
    parts: dict[tuple[BlobId, int], BlobPart] = {}
    octets = 0
    while queue.commands and len(taken) < ROUND_COMMANDS_MAX:
        waiting = queue.commands[0]
        if not waiting.gone:
            brought = waiting.octets if waiting.parts else 0
            room = None if not taken else ROUND_OCTETS_MAX - octets - brought
            try:
                wrote = _plan_one(waiting, plan, room)
            except _Full:
                break
            except Exception as error:
                waiting.unwritten = True
                waiting.finish(error)
            else:
                taken.append(waiting)
                if wrote:
                    octets += brought
                    for part in waiting.parts:
                        parts[part.blob, part.offset] = part
        queue.take()
    return taken, list(parts.values())


def _plan_one(waiting: Waiting, plan: Plan, room: int | None) -> bool:
    """Run one command; `room` bounds the plan's rows after it (None: it is the first).

    Whether it wrote anything.
    """
    with plan.command() as command:
        waiting.result = waiting.command(plan)
        brought = {part.blob for part in waiting.parts}
        for blob in (*waiting.needs, *plan.linked):
            if blob not in brought and plan.expect(blob_key(blob)) is None:
                raise BlobGone("a blob was collected since it was looked up")
        if room is not None and plan.octets > room:
            raise _Full
    return command.wrote
