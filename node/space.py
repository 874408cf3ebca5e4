"""Room on the disk: a floor of free bytes, a reserve file, and what this node does below the floor.

    room             free bytes, less what the reserve has still to take
    ample -> low     room < free-bytes-min: no write is taken, and somebody else shall lead
    low -> ample     room >= free-bytes-min and a quarter more; the reserve is made anew

A log, a checkpoint and a merge of LevelDB's tables need room to give room back, so they go on. When
half of the floor is left the reserve is given up for them, and the log forgets all that it may.
A log write that meets a full disk all the same is final, as any error of a write is.
"""

import contextlib
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

import trio

from node import logs
from node.config import StorageSection
from node.env import Env, RunBlocking
from raft import Disk, DiskFailed

RESERVE_NAME: Final = "reserve"
# Free space is asked for this often: a disk written at 100 MB/s does not get past the default
# floor between two looks.
LOOK_S: Final = 0.5
# Above the floor by this part of it, writes are taken again: not at every octet up and down.
RESUME_PART: Final = 4
# With less than this part of the floor left, the reserve is given up.
GIVE_UP_PART: Final = 2
# For somebody else to take over; after that we lead on, and take nothing.
HAND_OVER_S: Final = 1.0
# Where every disk is nearly full leadership must not wander: each try waits twice as long.
HAND_OVER_PAUSE_S: Final = 1.0
HAND_OVER_PAUSE_S_MAX: Final = 60.0
# A reserve that could not be made, though there seemed to be room (a quota), is tried again later.
MAKE_PAUSE_S: Final = 60.0

log = logs.named("node.space")


class Step(Enum):
    """What is to become of the reserve."""

    MAKE = "make"
    GIVE_UP = "give up"


class Room:
    """How much there is, and what follows from it; touches no disk."""

    def __init__(self, *, floor_bytes: int, reserve_bytes: int, has_reserve: bool) -> None:
        assert floor_bytes > 0 and reserve_bytes > 0
        self.floor_bytes: Final = floor_bytes
        self._reserve_bytes = reserve_bytes
        self.has_reserve = has_reserve
        self.is_low = False
        self.free_bytes: int | None = None
        """As last measured; None while it cannot be."""

    @property
    def is_pressed(self) -> bool:
        """The reserve is gone, and it is still not enough."""
        return self.is_low and not self.has_reserve

    def note(self, free_bytes: int) -> Step | None:
        """So much is free now; what is to be done."""
        self.free_bytes = free_bytes
        room = free_bytes - (0 if self.has_reserve else self._reserve_bytes)
        enough = self.floor_bytes + (self.floor_bytes // RESUME_PART if self.is_low else 0)
        self.is_low = room < enough
        if not self.is_low:
            return None if self.has_reserve else Step.MAKE
        if self.has_reserve and free_bytes < self.floor_bytes // GIVE_UP_PART:
            return Step.GIVE_UP
        return None

    @property
    def spare_bytes(self) -> int | None:
        """What may be written to get more room back: down to the floor, and below it half of what
        is left. None while nothing is known."""
        if self.free_bytes is None:
            return None
        return self.free_bytes // 2 if self.is_low else self.free_bytes - self.floor_bytes

    @property
    def told(self) -> str | None:
        """In a word or two; None while nothing is known."""
        if self.free_bytes is None:
            return None
        if not self.is_low:
            return "ample"
        return "low" if self.has_reserve else "low, without a reserve"


class _Reserve:
    """The file: zeros that take room until it is needed."""

    def __init__(self, disk: Disk, directory: Path, size: int) -> None:
        self._disk = disk
        self._directory = str(directory)
        self._path = str(directory / RESERVE_NAME)
        self._size = size

    def stands(self) -> bool:
        """It is there in its full size: one that a crash or another setting left is not."""
        if RESERVE_NAME not in self._disk.list_names(self._directory):
            return False
        file = self._disk.open(self._path)
        try:
            return len(file.read_at(self._size - 1, 2)) == 1
        finally:
            file.close()

    def make(self) -> bool:
        """Whether it stands now; if not, nothing of it is left."""
        try:
            self._disk.create_zeroed(self._path, self._size).close()
            self._disk.sync_directory(self._directory)
        except DiskFailed as error:
            log.warning("the reserve file could not be made", reason=str(error))
            with contextlib.suppress(DiskFailed):
                self._disk.remove(self._path)
            return False
        return True

    def give_up(self) -> None:
        """Its room is free once the directory is on the disk."""
        self._disk.remove(self._path)
        self._disk.sync_directory(self._directory)


class Helm(Protocol):
    """What is asked of consensus. Implemented by raft's Steering."""

    @property
    def leads(self) -> bool:
        """This replica leads."""

    def refuse_payloads(self, refused: bool) -> None:
        """Append nothing for proposers, or go on."""

    async def step_down(self, *, timeout_s: float) -> bool:
        """Hand leadership over; True when we do not lead any more."""


class Space:
    """Looks after the room of one node. Where free space cannot be measured it does nothing."""

    def __init__(self, env: Env, section: StorageSection, helm: Helm) -> None:
        """Over the disk of the data directory, which exists."""
        self._measure = env.free_bytes
        self._run_blocking: RunBlocking = env.run_blocking
        self._helm = helm
        self._reserve = _Reserve(env.disk, env.data, section.reserve_bytes)
        self._pause_s = HAND_OVER_PAUSE_S
        self._hand_over_at_s = self._make_at_s = 0.0
        self.room: Final = Room(
            floor_bytes=section.free_bytes_min,
            reserve_bytes=section.reserve_bytes,
            has_reserve=self._reserve.stands(),
        )

    def is_low(self) -> bool:
        """No write is taken."""
        return self.room.is_low

    def is_pressed(self) -> bool:
        """The log is to be as short as it may be."""
        return self.room.is_pressed

    def row(self) -> dict[str, Any]:
        """Its fields of this node's status."""
        return {"free_bytes": self.room.free_bytes, "space": self.room.told}

    async def run(self) -> None:
        """Until cancelled. `look` once before anything else is written."""
        while True:
            await trio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Measure, and do what follows."""
        free_bytes = await self._run_blocking(self._measure)
        if free_bytes is None:
            return
        was_low = self.room.is_low
        step = self.room.note(free_bytes)
        if self.room.is_low != was_low:
            self._turn(free_bytes)
        if step is not None:
            await self._mend(step)
        if self.room.is_low:
            await self._stand_aside()

    def _turn(self, free_bytes: int) -> None:
        """It has become low, or is not any more."""
        self._helm.refuse_payloads(self.room.is_low)
        sizes = {"free_bytes": free_bytes, "free_bytes_min": self.room.floor_bytes}
        if self.room.is_low:
            log.warning("the disk is nearly full: no writes here until there is room", **sizes)
        else:
            log.info("the disk has room again: writes go on", **sizes)
            self._pause_s, self._hand_over_at_s = HAND_OVER_PAUSE_S, 0.0

    async def _mend(self, step: Step) -> None:
        if step is Step.GIVE_UP:
            log.warning(
                "the reserve file is given up, the log is cut", free_bytes=self.room.free_bytes
            )
            await self._run_blocking(self._reserve.give_up)
            self.room.has_reserve = False
        elif trio.current_time() >= self._make_at_s:
            self.room.has_reserve = await self._run_blocking(self._reserve.make)
            self._make_at_s = trio.current_time() + MAKE_PAUSE_S * (not self.room.has_reserve)

    async def _stand_aside(self) -> None:
        if not self._helm.leads or trio.current_time() < self._hand_over_at_s:
            return
        handed_over = await self._helm.step_down(timeout_s=HAND_OVER_S)
        log.info("leadership given up for want of room", handed_over=handed_over)
        self._hand_over_at_s = trio.current_time() + self._pause_s
        self._pause_s = min(2 * self._pause_s, HAND_OVER_PAUSE_S_MAX)
