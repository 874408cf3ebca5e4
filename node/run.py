"""One node as a process: open, run until SIGTERM or SIGINT, stop in good order.

Exit status 0 after an orderly stop; 1 when it cannot start or must stop, with one sentence; 70
when the disk failed (nothing may be trusted that was not acknowledged before). When rows are found
damaged the process begins anew in its own place, and rebuilds them.
"""

import ctypes
import fcntl
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Final

import trio

from node import logs
from node.agreement import NoAgreement
from node.clock import SystemClock
from node.config import Config, ConfigError
from node.damage import REBUILDS_MAX, REBUILDS_S, StateDamaged, may_rebuild
from node.env import Env, real_env
from node.foundation import Foundation, LogToMend, StateLost, lay_foundation
from node.house import House
from node.identity import IdentityError
from node.log_desk import LogDesk
from node.network import Address
from node.rounds import Fenced
from node.secret import ensure_secret
from node.tls import TlsError
from raft import DiskFailed, Repair, WalCorrupt, WrongLog
from storage.engine import EngineRefused, StorageFailed
from storage.leveldb import EngineBusy

EXIT_DISK_FAILED: Final = 70
# The loop shares the interpreter with threads that sync and hash: they give way this often.
SWITCH_INTERVAL_S: Final = 0.0005
LOCK_NAME: Final = "lock"
_M_ARENA_MAX: Final = -8  # malloc.h

log = logs.named("node.run")

_EXPECTED: Final = (
    ConfigError,
    IdentityError,
    TlsError,
    EngineBusy,
    WalCorrupt,
    WrongLog,
    Fenced,
    NoAgreement,
    StateLost,
    OSError,
)


def share_one_heap() -> bool:
    """Have all threads take memory from one heap, where the C library is glibc; whether it is.

    It would give each thread a heap of its own, so that what one has freed - 19 MiB after each
    password - no other can use. Under the interpreter's lock threads hardly wait for a heap.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1


def run_one(config: Config, name: str, join: tuple[Address, ...] = ()) -> int:
    """Run the node of this name until a signal; its exit status. `join`: whom to ask to be in."""
    config.member(name)
    logs.set_up(name, level=config.log.level, form=config.log.format)
    ensure_secret(config)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    share_one_heap()
    directory = config.data_directory(name)
    status = 0
    try:
        with _Lock(directory):
            trio.run(_run, config, name, directory, join)
    except* (DiskFailed, StorageFailed) as failures:
        # os._exit: nothing that believes in the disk may run any more, not even a clean-up.
        log.error("the disk failed", error=str(_first(failures)))
        sys.stderr.flush()
        os._exit(EXIT_DISK_FAILED)
    except* (EngineRefused, StateDamaged) as failures:
        reason = str(_first(failures))
        if may_rebuild(os.environ, SystemClock().now_ms() / 1000):
            _begin_anew(reason)
        print(
            f"trireme: {name}'s rows were rebuilt {REBUILDS_MAX} times in {REBUILDS_S / 60:g} "
            f"minutes and are wrong again ({reason}): look at this machine's disk and memory, "
            "or remove the node and join it with an empty directory on another.",
            file=sys.stderr,
        )
        status = 1
    except* _EXPECTED as failures:
        print(f"trireme: {_first(failures)}", file=sys.stderr)
        status = 1
    return status


def _begin_anew(reason: str) -> None:
    """The same command in the same process: whatever believed in the rows is gone with a wink.

    The log is left as if the power had failed, which it is made for.
    """
    log.error("rows are damaged: beginning anew to rebuild them", reason=reason)
    sys.stderr.flush()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  ourselves


async def _run(config: Config, name: str, directory: Path, join: tuple[Address, ...]) -> None:
    env = real_env(directory)
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_until_signal, stopping)
        foundation = await _open(config, name, env, join, stopping)
        if foundation is not None:
            house = House(foundation, env)
            # What stands now stands for good: the collector need not look at it again and again.
            gc.freeze()
            await house.run(stopping)
        nursery.cancel_scope.cancel()


async def _open(
    config: Config, name: str, env: Env, join: tuple[Address, ...], stopping: trio.Event
) -> Foundation | None:
    """The node's files, after others have mended its log if it must be; None when stopped first."""
    try:
        return lay_foundation(config, name, env, join)
    except LogToMend as need:
        seeds = [(node.host, node.peer) for node in config.node if node.name != name]
        desk = LogDesk(need, env, [*seeds, *join])
    repair: Repair | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at, stopping, nursery.cancel_scope)
        repair = await desk.run()
        nursery.cancel_scope.cancel()
    return None if repair is None else lay_foundation(config, name, env, join, repair)


async def _cancel_at(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()


async def _until_signal(
    stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stopping.set()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


class _Lock:
    """One process per data directory; the lock goes with the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / LOCK_NAME
        self._handle = -1

    def __enter__(self) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise OSError(
                f"{self._path.parent} is in use by a running node: stop that one first."
            ) from None

    def __exit__(self, *args: object) -> None:
        os.close(self._handle)
