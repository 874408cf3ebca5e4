"""Gives the disk of this node back what its segments hold of forgotten blobs (trio).

The steps and why they are safe: storage/reclaim.py. Here is when and how fast: after blobs were
forgotten, once in an interval at most; oftener while there is little room. What a snapshot names
that another node is fetching stays until it has it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from node import logs
from node.config import StorageSection
from node.env import RunBlocking
from node.machine import Machine
from node.mender import Mender
from node.space import Room
from storage import local_keys, reclaim
from storage.collecting import collected
from storage.opening import State
from storage.reclaim import MOVE_OCTETS, MOVE_PARTS_MAX, Held, Segment
from storage.slices import STEP_ROWS

# Place rows looked at, at most.
ROWS_PER_S: Final = 100_000
# While there is little room we look this often, if that is oftener than the interval.
PRESSED_S: Final = 60.0

log = logs.named("node.reclaimer")


class _NotNow(Exception):
    """The state is another, or a snapshot of it is being fetched: begin anew later."""


class Reclaimer:
    """One node's."""

    def __init__(
        self,
        machine: Machine,
        mender: Mender,
        run_blocking: RunBlocking,
        section: StorageSection,
        room: Room,
        is_giving: Callable[[], bool],
    ) -> None:
        """`is_giving`: another node may ask for any blob that a snapshot of ours names."""
        self._machine = machine
        self._mender = mender
        self._run_blocking = run_blocking
        self._section = section
        self._room = room
        self._is_giving = is_giving
        self._seen: tuple[int, int] | None = None  # of what was collected, when we last ended
        self.octets: int | None = None
        """Bytes of all segments, as last surveyed."""
        self.dead: int | None = None
        """Those of them that came back, or will when their segment is dead enough."""

    async def run(self) -> None:
        """Until cancelled. Raises StorageFailed, EngineRefused."""
        while True:
            interval_s = self._section.collect_interval_ms / 1000
            await trio.sleep(min(interval_s, PRESSED_S) if self._room.is_low else interval_s)
            if self._room.is_low or collected(self._machine.state.engine) != self._seen:
                await self.reclaim()

    async def reclaim(self) -> int:
        """One pass; how many bytes of files came back."""
        state = self._machine.state
        seen = collected(state.engine)
        try:
            chosen = await self._choose(state)
            removed = await self._empty(state, chosen) if chosen else []
        except _NotNow:
            return 0
        self._seen = seen
        freed = sum(each.octets for each in removed)
        if removed:
            log.info("blob segments removed", segments=len(removed), octets=freed)
        return freed

    async def _choose(self, state: State) -> list[Segment]:
        """Which segments to empty; one that is written to is left for another first."""
        sizes = state.blobs.sizes()  # before the rows: what comes in between counts as in use
        live: dict[int, int] = {}
        start: bytes | None = local_keys.PLACES_RANGE[0]
        while start is not None:
            held, start = await self._page(state, start)
            for each in held:
                live[each.place.segment] = live.get(each.place.segment, 0) + each.place.length
        found = [Segment(number, size, live.get(number, 0)) for number, size in sizes.items()]
        self.octets, self.dead = sum(sizes.values()), sum(each.dead for each in found)
        spare = self._room.spare_bytes
        async with self._machine.at_rest:  # nobody is between its bytes and their rows
            self._check(state)
            current = state.blobs.segment
            chosen = reclaim.choose(
                found,
                current,
                pressed=self._room.is_low,
                spare=self.octets if spare is None else spare,
            )
            if any(each.number == current for each in chosen):
                state.blobs.turn_page()
        return chosen

    async def _page(self, state: State, start: bytes) -> tuple[list[Held], bytes | None]:
        """The next rows of parts that are named; those of others are dropped here and now."""
        await trio.sleep(STEP_ROWS / ROWS_PER_S)
        self._check(state)
        held, following = reclaim.page(state.engine, start)
        dead = [each for each in held if not each.is_named]
        if dead:
            if self._is_giving():
                raise _NotNow
            reclaim.drop(state.engine, dead)
        return [each for each in held if each.is_named], following

    def _check(self, state: State) -> None:
        if self._machine.state is not state:
            raise _NotNow

    async def _empty(self, state: State, chosen: Sequence[Segment]) -> list[Segment]:
        """Move what is in use of the segments, and remove those that nothing refers to then."""
        numbers = {each.number for each in chosen}
        await self._move_all(state, numbers)
        referred: set[int] = set()
        start: bytes | None = local_keys.PLACES_RANGE[0]
        while start is not None:
            held, start = await self._page(state, start)
            referred |= reclaim.refers_to(held, numbers)
        empty = [each for each in chosen if each.number not in referred]
        seen_at = self._machine.applied_index
        durable = await self._machine.checkpoint(self._run_blocking)
        async with self._machine.at_rest:
            self._check(state)
            assert durable >= seen_at, (durable, seen_at)
            row = state.blobs.numbers_row()
            with trio.CancelScope(shield=True):
                await self._run_blocking(lambda: state.engine.write([row], sync=True))
            for each in empty:
                state.blobs.remove(each.number)
        return empty

    async def _move_all(self, state: State, numbers: set[int]) -> None:
        waiting: list[Held] = []
        start: bytes | None = local_keys.PLACES_RANGE[0]
        while start is not None:
            held, start = await self._page(state, start)
            for each in held:
                if each.place.segment in numbers:
                    waiting.append(each)
                    octets = sum(other.place.length for other in waiting)
                    if octets >= MOVE_OCTETS or len(waiting) >= MOVE_PARTS_MAX:
                        await self._move(state, waiting)
                        waiting = []
        if waiting:
            await self._move(state, waiting)

    async def _move(self, state: State, held: list[Held]) -> None:
        files = state.blobs.files_apart()
        try:
            data = await self._run_blocking(partial(reclaim.read, files, held))
        finally:
            files.close()
        async with self._machine.at_rest:
            self._check(state)
            rows, damaged = reclaim.append(state.engine, state.blobs, held, data)
            for blob in damaged:
                self._mender.note(blob)
            if rows:
                with trio.CancelScope(shield=True):
                    await self._run_blocking(
                        partial(reclaim.settle, state.engine, state.blobs, rows)
                    )
        octets = sum(each.place.length for each in held)
        await trio.sleep(octets / self._section.reclaim_bytes_per_s)
