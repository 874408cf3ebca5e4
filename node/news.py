"""Who waits for which account's changes, and the ringing of their bells.

Apply rings on every node, whichever node the change came in by. A listener is told once however
much happened between two looks: per account the newest version and every type that changed. So a
slow listener costs one dict entry per account it watches, and nothing is ever queued.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from storage.batch import Announce
from storage.ids import SYSTEM_ACCOUNT, AccountId, Version
from storage.keys import TypeCode

# Accounts one listener may watch: its own and those shared with it.
ACCOUNTS_WATCHED_MAX: Final = 1_000
ALL_TYPES: Final = sum(code.bit for code in TypeCode)


class Watching:
    """One listener's news. Implements ports.Watch; one task waits on it at a time."""

    __slots__ = ("_bell", "_changed")

    def __init__(self) -> None:
        self._changed: dict[AccountId, tuple[Version, int]] = {}
        self._bell: trio.Event | None = None  # made when somebody waits

    def note(self, account: AccountId, version: Version, types: int) -> None:
        """Something of a watched account has changed."""
        newest, mask = self._changed.get(account, (version, 0))
        self._changed[account] = (max(newest, version), mask | types)
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    async def wait(self) -> None:
        """Block until something watched has changed since the last `take`."""
        if self._changed:
            await trio.lowlevel.checkpoint()
            return
        if self._bell is None:
            self._bell = trio.Event()
        await self._bell.wait()

    def take(self) -> dict[AccountId, tuple[Version, int]]:
        """What changed since the last `take`."""
        taken, self._changed = self._changed, {}
        return taken


class Bells:
    """All listeners of this node, by account. Implements ports.News."""

    def __init__(self) -> None:
        self._by_account: dict[AccountId, dict[int, Watching]] = {}
        self._of_all: list[Watching] = []

    @contextmanager
    def watch(self, accounts: Collection[AccountId]) -> Iterator[Watching]:
        """Listen to these accounts until the context closes; ValueError when they are too many."""
        watched = list(dict.fromkeys(accounts))
        if len(watched) > ACCOUNTS_WATCHED_MAX:
            raise ValueError(f"{len(watched)} accounts are over {ACCOUNTS_WATCHED_MAX}")
        watching = Watching()
        for account in watched:
            self._by_account.setdefault(account, {})[id(watching)] = watching
        try:
            yield watching
        finally:
            for account in watched:
                listeners = self._by_account[account]
                del listeners[id(watching)]
                if not listeners:
                    del self._by_account[account]

    @contextmanager
    def watch_all(self) -> Iterator[Watching]:
        """Listen to every account until the context closes."""
        watching = Watching()
        self._of_all.append(watching)
        try:
            yield watching
        finally:
            self._of_all.remove(watching)

    def ring(self, announces: Iterable[Announce]) -> None:
        """Tell everyone who watches what these announce."""
        for announce in announces:
            listeners = self._by_account.get(announce.account)
            if listeners is not None:
                for watching in listeners.values():
                    watching.note(announce.account, announce.version, announce.types)
            for watching in self._of_all:
                watching.note(announce.account, announce.version, announce.types)

    def ring_all(self, version: Callable[[AccountId], Version]) -> None:
        """Any of the accounts may have changed, in any way: tell everyone."""
        for account, listeners in self._by_account.items():
            for watching in listeners.values():
                watching.note(account, version(account), ALL_TYPES)
        for watching in self._of_all:
            watching.note(SYSTEM_ACCOUNT, version(SYSTEM_ACCOUNT), ALL_TYPES)

    @property
    def heard(self) -> bool:
        """Whether anybody listens, to some accounts or to all."""
        return bool(self._by_account or self._of_all)

    @property
    def watched(self) -> int:
        """How many accounts somebody watches."""
        return len(self._by_account)
