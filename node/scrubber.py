"""Reads all rows and blobs of this node for their checksums, again and again (trio).

A flipped byte is met only when its block is read, perhaps years later and on the last good copy:
so a pass begins with the process, and another follows after every interval, at a rate that leaves
the disk to mail. Damaged rows raise EngineRefused out of the scan (node/damage.py); damaged blobs
go to the mender.
"""

from functools import partial
from typing import Final

import trio

from node.config import StorageSection
from node.env import RunBlocking
from node.machine import Machine
from node.mender import Mender
from storage import local_keys
from storage.scrub import damaged_parts, parts_page, still_damaged

# Rows passed over in one step: a few milliseconds of a thread's time.
STEP_ROWS: Final = 2_048
# Parts read in one step; mail is mostly small, and none is over 256 KiB.
STEP_PARTS: Final = 64


class Scrubber:
    """One node's passes."""

    def __init__(
        self,
        machine: Machine,
        mender: Mender,
        run_blocking: RunBlocking,
        section: StorageSection,
    ) -> None:
        self._machine = machine
        self._mender = mender
        self._run_blocking = run_blocking
        self._section = section
        self.passes = 0
        """Whole passes since the start."""
        self._at = ""

    @property
    def standing(self) -> str:
        """What `trireme status` says of it."""
        if self._mender.waiting:
            return f"{self._mender.waiting} blobs damaged"
        return self._at or "clean"

    async def run(self) -> None:
        """Until cancelled. Raises EngineRefused."""
        while True:
            await self._rows()
            await self._blobs()
            self.passes += 1
            self._at = ""
            await trio.sleep(self._section.scrub_interval_ms / 1000)

    async def _rows(self) -> None:
        start: bytes | None = b""
        done = 0
        while start is not None:
            async with self._machine.at_rest:
                engine = self._machine.state.engine
                start = await self._run_blocking(partial(engine.scrub, start, STEP_ROWS))
            done += STEP_ROWS
            self._at = f"rows {done}"
            await trio.sleep(STEP_ROWS / self._section.scrub_rows_per_s)

    async def _blobs(self) -> None:
        start: bytes | None = local_keys.PLACES_RANGE[0]
        done = 0
        while start is not None:
            state = self._machine.state
            parts, start = parts_page(state.engine, start, STEP_PARTS)
            files = state.blobs.files_apart()
            try:
                damaged = await self._run_blocking(partial(damaged_parts, files, parts))
            finally:
                files.close()
            for part in damaged:
                if self._machine.state is state and still_damaged(state.engine, state.blobs, part):
                    self._mender.note(part.blob)
            done += len(parts)
            self._at = f"parts {done}"
            octets = sum(part.place.length for part in parts if part.place is not None)
            await trio.sleep(octets / self._section.scrub_bytes_per_s)
