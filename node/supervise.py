"""The only restart loop: a child restarts on the errors it names, with pauses; the rest rises.

A task that runs well for `steady_s` has its pauses back, so a failure a day is not counted
against it. When the pauses are used up the failure rises and stops the node, loudly.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from node import logs

PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0)
STEADY_S: Final = 60.0

log = logs.named("node.supervise")


async def keep_running(
    name: str,
    task: Callable[[], Awaitable[None]],
    *,
    retry_on: tuple[type[Exception], ...],
    pauses_s: tuple[float, ...] = PAUSES_S,
    steady_s: float = STEADY_S,
) -> None:
    """Run `task` until it returns; start it again after the errors in `retry_on`."""
    failures = 0
    while True:
        started = trio.current_time()
        try:
            await task()
        except retry_on as error:
            if trio.current_time() - started >= steady_s:
                failures = 0
            if failures == len(pauses_s):
                raise
            pause_s = pauses_s[failures]
            failures += 1
            log.warning("restart", task=name, error=repr(error), pause_s=pause_s)
            await trio.sleep(pause_s)
        else:
            return


async def keep_trying(
    name: str,
    task: Callable[[], Awaitable[None]],
    *,
    retry_on: tuple[type[Exception], ...],
    pause_s: float,
) -> None:
    """Run `task` until it succeeds, however long: for what waits for a cluster to form."""
    while True:
        try:
            await task()
        except retry_on as error:
            log.debug("not yet", task=name, error=repr(error))
            await trio.sleep(pause_s)
        else:
            return
