"""Env: everything of a node that is not decided by its inputs, as one set of ports.

The real one is made here and nowhere else. Under simulation the same house is built on another
Env: virtual clock, seeded chance, simulated network and disk, blocking calls run in line.
"""

import os
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from node.clock import SystemClock
from node.network import Network, TrioNetwork
from protocols.ports import Clock

R = TypeVar("R")


class RunBlocking(Protocol):
    """Run a function that blocks, off the event loop."""

    def __call__(self, work: Callable[[], R]) -> Awaitable[R]:
        """Its result, or what it raised."""


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
    data: Path


def real_env(data: Path) -> Env:
    """The machine as it is."""
    return Env(
        network=TrioNetwork(),
        clock=SystemClock(),
        chance=secrets.SystemRandom(),
        draw=os.urandom,
        run_blocking=_in_thread,
        data=data,
    )
