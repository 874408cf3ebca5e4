"""Blobs that no record holds are forgotten, by whoever leads then (storage/collecting.py).

A pass looks through the links of all accounts, slowly and beside everything else, and settles what
it found in small batches: marks at first, and a pass later than the grace, forgets. A leader that
goes leaves marks; the next one goes on with them.
"""

from collections.abc import Callable, Collection
from typing import Final, TypeVar

import trio

from node import logs
from node.config import StorageSection
from protocols.ports import Ports, Unavailable
from storage.collecting import Found, plan_guard, plan_settle, portions, walk
from storage.ids import SYSTEM_ACCOUNT, BlobId
from storage.slices import STEP_ROWS, Steps

T = TypeVar("T")

# Rows looked at, at most: a few hundredths of a processor while a pass goes on.
ROWS_PER_S: Final = 40_000
# After each batch of marks.
BATCH_PAUSE_S: Final = 0.1
# Until our guard is in the rows we try again after this.
GUARD_PAUSE_S: Final = 1.0

log = logs.named("node.collector")


class Collector:
    """One node's."""

    def __init__(
        self,
        ports: Ports,
        section: StorageSection,
        members: Callable[[], Collection[int]],
        *,
        own: int,
    ) -> None:
        """`members` are the replicas that may propose; `own` is this one."""
        self._ports = ports
        self._section = section
        self._members = members
        self._own = own

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled."""
        await self._guard()
        while True:
            await trio.sleep(self._section.collect_interval_ms / 1000)
            try:
                await self.collect(leads)
            except Unavailable as error:
                log.debug("not now", error=str(error))

    async def _guard(self) -> None:
        """Say in the rows that this process knows of marks."""
        while True:
            try:
                await self._ports.writer.write(
                    SYSTEM_ACCOUNT, lambda plan: plan_guard(plan, self._own)
                )
            except Unavailable:
                await trio.sleep(GUARD_PAUSE_S)
            else:
                return

    async def collect(self, leads: Callable[[], bool]) -> int:
        """One pass; how many blobs are forgotten. Raises Unavailable."""
        after: BlobId | None = None
        gone, is_last = 0, False
        while leads() and not is_last:
            found, after = await _slowly(walk(self._ports.reader.local(), after))
            for portion in portions(found):
                gone += await self._settle(portion)
                await trio.sleep(BATCH_PAUSE_S)
            is_last = after is None
        if gone:
            log.info("blobs that nothing holds are forgotten", blobs=gone)
        return gone

    async def _settle(self, found: list[Found]) -> int:
        members, grace_ms = self._members(), self._section.collect_grace_ms
        return await self._ports.writer.write(
            SYSTEM_ACCOUNT, lambda plan: plan_settle(plan, found, members, grace_ms)
        )


async def _slowly(steps: Steps[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await trio.sleep(STEP_ROWS / ROWS_PER_S)
