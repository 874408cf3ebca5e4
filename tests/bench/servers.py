"""What the bench asks of a server, be it ours or a peer's, and what peers have in common."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final, Protocol

from tests.bench.clients import Imap, Lmtp
from tests.bench.meters import is_there
from tests.e2e.cluster import ACCOUNTS, RealCluster

PASSWORD: Final = ACCOUNTS["alice@example.org"]
USERS: Final = 9
"""Alice, to whom most mail goes, and eight who get some at once."""
READY_S: Final = 30.0
STOP_S: Final = 20.0


class Server(Protocol):
    """One that takes mail and shows it. Users have numbers, from 0 on."""

    @property
    def name(self) -> str:
        """As its column in the table is called."""

    def pids(self) -> list[int]:
        """Of all its processes that there are now."""

    def recipient(self, number: int) -> str:
        """What RCPT TO calls this user."""

    def imap(self, number: int = 0) -> Imap:
        """A new connection of this user's."""

    def lmtp(self, number: int = 0) -> Lmtp:
        """A new connection; of many nodes to this one, counted round."""


def user(number: int) -> str:
    """The local part of this user's address."""
    return f"user{number}" if number else "alice"


class Ours:
    """A cluster of ours."""

    def __init__(self, cluster: RealCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def pids(self) -> list[int]:
        return [node.process.pid for node in self.cluster.nodes if node.process is not None]

    def recipient(self, number: int) -> str:
        return f"{user(number)}@example.org"

    def imap(self, number: int = 0) -> Imap:
        return Imap(self.cluster.nodes[0].address("imap"), self.recipient(number), PASSWORD)

    def lmtp(self, number: int = 0) -> Lmtp:
        nodes = self.cluster.nodes
        return Lmtp(nodes[number % len(nodes)].address("lmtp"))


def accounts() -> str:
    """Our users beside Alice, for the file of a cluster."""
    return "".join(
        f'[[bootstrap.account]]\naddress = "{user(number)}@example.org"\npassword = "{PASSWORD}"\n'
        for number in range(1, USERS)
    )


def children(parent: int) -> list[int]:
    """The pids of all that a process has started and that is there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


class Peer:
    """A server of somebody else's on loopback: one master that starts all others."""

    def __init__(self, master: int, *, imap: int, lmtp: int) -> None:
        self._master = master
        self._imap = imap
        self._lmtp = lmtp

    def pids(self) -> list[int]:
        """The master and all that it has started."""
        return [self._master, *children(self._master)]

    def recipient(self, number: int) -> str:
        return user(number)

    def imap(self, number: int = 0) -> Imap:
        return Imap(("127.0.0.1", self._imap), user(number), PASSWORD)

    def lmtp(self, number: int = 0) -> Lmtp:
        return Lmtp(("127.0.0.1", self._lmtp))


def end(pids: list[int]) -> None:
    """A peer's master, then those it has started, and wait until none of them writes any more.

    Not by asking: whoever serves a connection that is still open would not listen.
    """
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_S
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)


def wait_lmtp(port: int) -> None:
    """Until a peer that was just started answers."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            Lmtp(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
