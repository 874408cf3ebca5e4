"""Whoever holds a connection open to hear of changes: EventSource and WebSocket alike.

A follower keeps per account the version it was told and a mask of what changed since: however
slow the client, there is nothing to queue. How many hold connections is bounded, by account and
for the node; when the node stops, or the account's password is changed, they end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from protocols.http.gates import Gate, Room
from protocols.jmap.state_change import (
    Told,
    changed_since,
    parse_token,
    render_token,
    state_change,
    told_now,
)
from protocols.ports import Ports, Principal, Reader, Watch
from storage.accounts import get_account
from storage.engine import Rows
from storage.grants import stands
from storage.ids import AccountId, Version

# Of one account on this node, EventSource and WebSocket together: a person's devices and tabs.
FOLLOWERS_MAX: Final = 32
# Of all accounts on this node; each holds a connection and two tasks.
FOLLOWERS_OF_NODE_MAX: Final = 4096
# The least time between two events of one follower: what happens meanwhile is told together. It is
# what a change that follows another waits at most, of the 100 ms in which all are to hear of it; an
# event costs some 0.1 ms.
EVENT_PAUSE_S: Final = 0.02


class Follower:
    """What one listener has been told, and what it is to be told next."""

    def __init__(self, reader: Reader, watch: Watch, principal: Principal, wanted: int) -> None:
        """`watch` is open already, or a change before it is would be missed."""
        rows = reader.local()
        self._reader = reader
        self._watch = watch
        self._principal = principal
        self._wanted = wanted
        self._credential = credential_of(rows, principal.account)
        self.told: Told = told_now(rows, (principal.account,))
        """What the follower's token stands for."""
        self._due: dict[AccountId, tuple[Version, int]] = {}
        self._waiting: trio.CancelScope | None = None
        self.ended = False
        """The node stops: nothing more will be told."""

    @property
    def token(self) -> str:
        """The token of what has been told."""
        return render_token(self.told)

    def come_back(self, rows: Rows, token: str) -> None:
        """The client was told up to this token, perhaps by another node."""
        for account, (newest, types) in changed_since(rows, self.told, parse_token(token)).items():
            self._note(account, newest, types)

    def still_valid(self, rows: Rows, now_ms: int) -> bool:
        """Whether the password or the token it signed in with is still good."""
        return signed_in(rows, self._principal, self._credential, now_ms)

    def _note(self, account: AccountId, newest: Version, types: int) -> None:
        held, mask = self._due.get(account, (newest, 0))
        self._due[account] = (max(held, newest), mask | types)
        self.told[account] = max(self.told[account], newest)

    async def wait(self, until_s: float) -> None:
        """Block until there may be something to tell, or it is that time, or the end."""
        if self._due or self.ended:
            return
        with trio.CancelScope(deadline=until_s) as self._waiting:
            await self._watch.wait()

    def end(self) -> None:
        """Whoever waits now, or will, is let go at once."""
        self.ended = True
        if self._waiting is not None:
            self._waiting.cancel()

    def take(self) -> dict[str, Any] | None:
        """The StateChange that is due, if any of the wanted types changed; it counts as told."""
        for account, (newest, types) in self._watch.take().items():
            if newest > self.told.get(account, newest):
                self._note(account, newest, types)
        due, self._due = self._due, {}
        return state_change(self._reader.local(), due, self._wanted)


def credential_of(rows: Rows, account: AccountId) -> str | None:
    """What the account signs in with now: whoever signed in with another is not served on."""
    held = get_account(rows, account)
    return None if held is None else held.password


def signed_in(rows: Rows, principal: Principal, credential: str | None, now_ms: int) -> bool:
    """Whether who signed in when the account had this credential may stay."""
    access = principal.access
    if access is not None and not stands(rows, access, now_ms):
        return False
    return credential is not None and credential_of(rows, principal.account) == credential


class Followers:
    """All of this node."""

    def __init__(
        self,
        ports: Ports,
        *,
        each_max: int = FOLLOWERS_MAX,
        most: int = FOLLOWERS_OF_NODE_MAX,
    ) -> None:
        self._ports = ports
        self._by_account = Gate(each_max)
        self._seats = Room(most)
        self._all: dict[int, Follower] = {}
        self.stopping = trio.Event()
        """Set when the node takes no more requests."""

    def stop(self) -> None:
        """End all of them."""
        self.stopping.set()
        for follower in self._all.values():
            follower.end()

    @contextmanager
    def seat(self, account: AccountId) -> Iterator[None]:
        """A place for one more connection; raises GateFull."""
        with self._by_account.enter(account), self._seats.tenant() as tenant:
            tenant.grow(1)
            yield

    @contextmanager
    def follow(
        self, principal: Principal, wanted: int, token: str | None = None
    ) -> Iterator[Follower]:
        """Hear of this user's changes until the context closes, and first of those since `token`.

        The caller has passed a read barrier since the client spoke, so that what another node has
        told it is known here.
        """
        with self._ports.news.watch((principal.account,)) as watch:
            reader = self._ports.reader
            follower = Follower(reader, watch, principal, wanted)
            if token is not None:
                follower.come_back(reader.local(), token)
            if self.stopping.is_set():
                follower.end()
            self._all[id(follower)] = follower
            try:
                yield follower
            finally:
                del self._all[id(follower)]

    def still_valid(self, follower: Follower) -> bool:
        """Whether what the follower signed in with is still good."""
        return follower.still_valid(self._ports.reader.local(), self._ports.clock.now_ms())
