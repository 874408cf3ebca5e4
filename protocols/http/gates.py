"""Bounds that requests share: how many of one account run at once, how many octets wait in memory.

Both are taken and given back without an await between look and take, so a bound never slips.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from storage.ids import AccountId

# A request that finds its account's places taken waits so long for one: the others that a page
# has sent at once are done by then, and who lets his uploads hang still hears what the limit is.
# So many wait at once.
PLACE_WAIT_S: Final = 2.0
WAITING_MAX: Final = 256


class GateFull(Exception):
    """As many are inside as may be."""


class Gate:
    """At most `most` inside at once per account."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: dict[AccountId, int] = {}
        self._waiting: dict[AccountId, deque[trio.Event]] = {}

    async def place(self, account: AccountId) -> None:
        """Return when one may go in, or when it is no use to wait longer; in the order they came.

        Browsers ask for many things at once, and what is in their way is soon done.
        """
        waiting = self._waiting.get(account)
        if not waiting and self._inside.get(account, 0) < self._most:
            return
        if waiting is None:
            waiting = self._waiting[account] = deque()
        if len(waiting) >= WAITING_MAX:
            return
        turn = trio.Event()
        waiting.append(turn)
        with trio.move_on_after(PLACE_WAIT_S):
            try:
                await turn.wait()
            finally:
                self._forget(account, turn)

    def _forget(self, account: AccountId, turn: trio.Event) -> None:
        waiting = self._waiting[account]
        waiting.remove(turn)
        if not waiting:
            del self._waiting[account]

    @contextmanager
    def enter(self, account: AccountId) -> Iterator[None]:
        """Be inside while the context is open; raises GateFull."""
        self.go_in(account)
        try:
            yield
        finally:
            self.go_out(account)

    def go_in(self, account: AccountId) -> None:
        """Be inside until `go_out`; raises GateFull."""
        inside = self._inside.get(account, 0)
        if inside >= self._most:
            raise GateFull
        self._inside[account] = inside + 1

    def go_out(self, account: AccountId) -> None:
        """Somebody of the account leaves."""
        left = self._inside[account] - 1
        if left:
            self._inside[account] = left
        else:
            del self._inside[account]
        for turn in self._waiting.get(account, ()):
            if not turn.is_set():
                turn.set()
                break


class Room:
    """Octets held in memory by all requests of the door together."""

    def __init__(self, octets_max: int) -> None:
        self._free = octets_max

    @property
    def free(self) -> int:
        """Octets that may still be taken."""
        return self._free

    @contextmanager
    def tenant(self) -> Iterator["Tenant"]:
        """One request's share, given back when the context closes."""
        tenant = Tenant(self)
        try:
            yield tenant
        finally:
            tenant.leave()

    def tenancy(self) -> "Tenant":
        """A share for one who says by himself when it is given back."""
        return Tenant(self)

    def give_back(self, octets: int) -> None:
        """Free what was taken."""
        self._free += octets

    def take(self, octets: int) -> None:
        """Take octets; raises GateFull when there are not as many."""
        if octets > self._free:
            raise GateFull
        self._free -= octets


class Tenant:
    """What one request holds of a Room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held = 0

    def leave(self) -> None:
        """Hold nothing any more."""
        self._room.give_back(self.held)
        self.held = 0

    def grow(self, octets: int) -> None:
        """Hold at least `octets` in all; raises GateFull.

        Taken as octets come: what is only announced must not keep others out.
        """
        if octets > self.held:
            self._room.take(octets - self.held)
            self.held = octets


class Admission:
    """One request's place: inside a gate, with a share of a room; given back when it closes.

    A class and not a generator, since every request enters one.
    """

    __slots__ = ("_account", "_gate", "tenant")

    def __init__(self, gate: Gate, account: AccountId, room: Room) -> None:
        """Raises GateFull."""
        gate.go_in(account)
        self._gate = gate
        self._account = account
        self.tenant = room.tenancy()

    def __enter__(self) -> Tenant:
        return self.tenant

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, with all that was held."""
        self.tenant.leave()
        self._gate.go_out(self._account)
