"""Whoever asks the real machine for time, chance or a thread in a simulation is stopped at once."""

import os
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

# Log records of the standard library carry the wall clock; nothing reads it back.
EXEMPT: Final = frozenset({"logging"})

SPOTS: Final[tuple[tuple[Any, str], ...]] = (
    (time, "time"),
    (time, "time_ns"),
    (time, "monotonic"),
    (time, "perf_counter"),
    (time, "sleep"),
    (os, "urandom"),
    (uuid, "uuid4"),
    (secrets, "token_bytes"),
    (secrets, "token_hex"),
    (random, "random"),
    (random, "randint"),
    (random, "randrange"),
    (random, "choice"),
    (random, "shuffle"),
    (random, "uniform"),
    (threading.Thread, "start"),
)


class NotDeterministic(BaseException):
    """Something was asked whose answer no seed decides. Not an Exception: nothing contains it."""


def _wire(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def trip(*args: Any, **named: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") in EXEMPT:
            return real(*args, **named)
        raise NotDeterministic(f"{name} was called inside the simulation")

    return trip


@contextmanager
def tripwires() -> Iterator[None]:
    """While this is open, every spot is wired."""
    held = [(owner, name, getattr(owner, name)) for owner, name in SPOTS]
    for owner, name, real in held:
        setattr(owner, name, _wire(f"{owner.__name__}.{name}", real))
    try:
        yield
    finally:
        for owner, name, real in held:
            setattr(owner, name, real)
