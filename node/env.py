"""Env: everything of a node that is not decided by its inputs, as one set of ports.

The real one is made here and nowhere else. Under simulation the same house is built on another
Env: virtual clock, seeded chance, simulated network and disk, blocking calls run in line.
"""

import os
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from node.admin import open_socket
from node.clock import SystemClock
from node.network import Network, TrioNetwork
from protocols.ports import Clock
from raft import Disk, LogStorage, LogWriter, OsDisk, ThreadWriter
from storage.memory_home import MemoryHome
from storage.opening import DirectoryHome, State, StateHome, open_state

R = TypeVar("R")


class RunBlocking(Protocol):
    """Run a function that blocks, off the event loop."""

    def __call__(self, work: Callable[[], R]) -> Awaitable[R]:
        """Its result, or what it raised."""


class OpenState(Protocol):
    """Open rows and blobs in a directory (storage.opening.open_state)."""

    def __call__(self, directory: Path, *, log_end: int) -> State:
        """The state; what cannot be trusted is moved aside first."""


async def _in_thread(work: Callable[[], R]) -> R:
    return await trio.to_thread.run_sync(work)


@dataclass(frozen=True, slots=True)
class Env:
    """Network, time, chance, blocking calls, and where files are."""

    network: Network
    clock: Clock
    chance: random.Random
    draw: Callable[[int], bytes]
    """That many bytes nobody can guess: keys, nonces, salts."""
    run_blocking: RunBlocking
    disk: Disk
    """Where the log and the few small files are."""
    open_state: OpenState
    log_writer: Callable[[LogStorage], LogWriter]
    """Who writes the log: a thread of its own, or, under virtual time, whoever submits."""
    open_admin: Callable[[Path], trio.abc.Listener[trio.abc.Stream]]
    """The operator's socket in a data directory."""
    data: Path
    state_home: StateHome = field(default_factory=MemoryHome)
    """Where the state of another node is put together, to take the place of ours."""
    free_bytes: Callable[[], int | None] = lambda: None
    """What the disk has left for us, where there is one."""


def _free_bytes(data: Path) -> int | None:
    try:
        found = os.statvfs(data)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def real_env(data: Path) -> Env:
    """The machine as it is."""
    return Env(
        network=TrioNetwork(),
        clock=SystemClock(),
        chance=secrets.SystemRandom(),
        draw=os.urandom,
        run_blocking=_in_thread,
        disk=OsDisk(),
        open_state=open_state,
        log_writer=ThreadWriter,
        open_admin=open_socket,
        data=data,
        state_home=DirectoryHome(data),
        free_bytes=partial(_free_bytes, data),
    )
