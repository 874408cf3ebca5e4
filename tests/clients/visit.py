"""One client at one node: what every client's part has, and what it is judged by."""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from tests.clients.packages import Packages
from tests.clients.stage import NODES, Stage, after
from tests.clients.witness import JmapWitness, Letters, by_imap, deliver

# As long as a client may take for one step; a large mailbox may take longer (`ran`).
STEP_S = 120.0
OUTPUT_LINES_SHOWN = 15

T = TypeVar("T")


class Failed(Exception):
    """A client did not do what it was to do, or the server does not show it."""


@dataclass(frozen=True)
class Place:
    """Where a client works: a node, an account of its own there, a directory of its own."""

    stage: Stage
    node: str
    user: str
    home: Path
    packages: Packages
    messages: int
    """How many the large mailbox has, for the client that takes one along."""

    @property
    def elsewhere(self) -> str:
        """The node at which others look and act meanwhile."""
        return after(self.node)

    def port(self, door: str) -> int:
        """A door of the node."""
        return self.stage.port(self.node, door)

    def deliver(self, subject: str, text: str = "Hello.") -> None:
        """Mail comes in at another node."""
        deliver(self.stage, self.elsewhere, self.user, subject, text)

    def imap(self, mailbox: str = "INBOX") -> Letters:
        """What another node shows of a mailbox by IMAP."""
        return by_imap(self.stage, self.elsewhere, self.user, mailbox)

    def jmap(self, mailbox: str = "INBOX") -> Letters:
        """What another node shows of a mailbox by JMAP."""
        with self.witness() as witness:
            return witness.letters(mailbox)

    @contextlib.contextmanager
    def witness(self, node: str = "") -> Iterator[JmapWitness]:
        """Questions by JMAP at another node."""
        witness = JmapWitness(self.stage, node or self.elsewhere, self.user)
        try:
            yield witness
        finally:
            witness.close()


Step = Callable[[], None]


class Visit(ABC):
    """A client at a node. Its steps are taken in order; each is named as its method is."""

    name: ClassVar[str]
    program: ClassVar[str] = ""
    """What must be in the path."""
    install: ClassVar[str] = ""
    """How it comes there."""
    nodes: ClassVar[tuple[str, ...]] = NODES
    """Where it works."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def missing(cls, packages: Packages) -> str:
        """Why this client cannot be tried on this machine; empty when it can."""
        return "" if shutil.which(cls.program) else f"not installed: {cls.install}"

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """What it does, in order."""

    def close(self) -> None:  # noqa: B027 - most are gone by themselves
        """It goes."""


def unique(word: str) -> str:
    """A word that no other message has: searches must find this one only."""
    return f"{word}{uuid.uuid4().hex[:12]}"


def expect(found: T, wanted: T, what: str) -> None:
    """Raise Failed, showing both, when they differ."""
    if found != wanted:
        raise Failed(f"{what}: {found!r}, not {wanted!r}")


def holds(truth: object, what: str) -> None:
    """Raise Failed when it is not so."""
    if not truth:
        raise Failed(what)


def ran(
    words: Sequence[str | Path],
    *,
    input: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    good: Sequence[int] = (0,),
    timeout_s: float = STEP_S,
    terminal: int | None = None,
) -> str:
    """What a program printed; Failed with its last lines when it ended badly or not at all.

    It gets a session of its own, so that none of its children outlives it. On a terminal its
    output is there, and an empty text here.
    """
    with subprocess.Popen(
        [str(word) for word in words],
        stdin=subprocess.PIPE if terminal is None else terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.STDOUT,
        env=os.environ | (env or {}),
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            octets, _ = process.communicate(input.encode() or None, timeout_s)
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            octets, _ = process.communicate()
            raise Failed(f"no end after {timeout_s:.0f} s: {last_lines(octets or b'')}") from None
    if process.returncode not in good:
        raise Failed(f"ended with {process.returncode}: {last_lines(octets or b'')}")
    return (octets or b"").decode(errors="replace")


def last_lines(octets: bytes) -> str:
    """The end of what a program printed."""
    return "\n".join(octets.decode(errors="replace").splitlines()[-OUTPUT_LINES_SHOWN:])
