"""Rows that cannot be believed end the process, which starts again at once and rebuilds them.

Whoever meets damage gets EngineRefused, but a door answers its own errors and goes on: so the
engine tells a bell as well, and the bell ends the house. The mark that is left beside the rows has
them moved aside by the next opening (storage/opening.py); the log, or another node's snapshot,
brings them back. Nothing is served in between, and nothing wrong was.
"""

import math
from collections.abc import MutableMapping
from typing import Final

import trio

from node.machine import Machine

# A machine whose rows are lost so often within so long has another trouble than a bad sector.
REBUILDS_MAX: Final = 3
REBUILDS_S: Final = 600.0
# Where a process that starts again tells its next life when it did, in seconds since 1970.
REBUILT: Final = "TRIREME_REBUILT"


class StateDamaged(Exception):
    """The rows of this node must be rebuilt; the text says why."""


class DamageBell:
    """Waits for the engine, or whoever compares nodes, to say that rows are wrong."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._reason = ""
        self._rung = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        machine.watch_damage(self._hear)

    def _hear(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._token is not None:
            self._token.run_sync_soon(self._rung.set)

    def condemn(self, reason: str) -> None:
        """These rows differ from what they should be: have them rebuilt."""
        self._machine.state.engine.condemn(reason)
        self._hear(reason)

    async def run(self) -> None:
        """Until it rings; then raises StateDamaged."""
        self._token = trio.lowlevel.current_trio_token()
        if not self._reason:
            await self._rung.wait()
        raise StateDamaged(self._reason)


def may_rebuild(environment: MutableMapping[str, str], now_s: float) -> bool:
    """Note one more life in the environment it inherits; False when there were too many lately."""
    times = [float(text) for text in environment.get(REBUILT, "").split(",") if _is_time(text)]
    lately = [at for at in times if 0 <= now_s - at < REBUILDS_S]
    environment[REBUILT] = ",".join(f"{at:.0f}" for at in (*lately, now_s))
    return len(lately) < REBUILDS_MAX


def _is_time(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
