"""Disks that are slow to sync, hang, or fail to: strace delays or answers the calls of a node.

Nothing is built into the node for it: what it asks of the kernel is asked late, or is refused.
LevelDB's own calls are met as the log's are. Only one tracer can hold a process at a time.
"""

import contextlib
import os
import subprocess
from typing import Final

CALLS: Final = "fdatasync,fsync"
ATTACH_S: Final = 10.0


def slow(milliseconds: int) -> str:
    """Each sync begins so much later."""
    return f"delay_enter={milliseconds * 1000}"


FAILING: Final = "error=EIO"


class Tracer:
    """One process whose syncs are troubled until `release`, or until it ends."""

    def __init__(self, pid: int, trouble: str) -> None:
        """Returns when the process is held, or has ended. Blocks."""
        self._strace = subprocess.Popen(
            [
                *("strace", "-f", "-o", os.devnull, "-p", str(pid)),
                *("-e", f"trace={CALLS}", "-e", f"inject={CALLS}:{trouble}"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._strace.stderr is not None
        self._strace.stderr.readline()  # "Process 1234 attached", or why not

    def release(self) -> None:
        """Let go of the process; what was delayed goes on at once. Blocks."""
        self._strace.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._strace.communicate(timeout=ATTACH_S)
        if self._strace.poll() is None:
            self._strace.kill()
            self._strace.communicate()
