"""A constant load through whichever nodes are members: LMTP, JMAP and IMAP, every write numbered.

Each worker does one thing at a steady pace, through a member drawn anew each time, and counts what
became of it: acknowledged; refused politely (an answer that says no, or not now); broken (no
answer). Afterwards every acknowledged number must be there exactly once, on every member.
"""

import json
import random
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.bench.clients import Imap, Jmap, Lines, Lmtp
from tests.e2e.chaos import NUMBER, PASSWORD, UID, USER, numbered
from tests.e2e.cluster import RealNode

PATIENCE_S: Final = 15.0
# Each worker has numbers of its own.
NUMBERS_EACH: Final = 1_000_000
FLAGS: Final = re.compile(rb"FLAGS \(([^)]*)\)")


class Refused(Exception):
    """A whole answer came, and it was no."""


@dataclass
class Counts:
    """What became of a worker's operations."""

    acknowledged: list[int] = field(default_factory=list)
    flagged: set[int] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def row(self) -> dict[str, Any]:
        """For a line of output."""
        return {
            "acknowledged": len(self.acknowledged),
            "refused": len(self.refusals),
            "broken": len(self.broken),
            "slowest_s": round(self.slowest_s, 2),
        }


class Worker(threading.Thread, ABC):
    """One kind of operation at a pace."""

    kind = ""

    def __init__(self, load: "Load", place: int, pace_s: float) -> None:
        super().__init__(daemon=True, name=self.kind)
        self.load, self.pace_s = load, pace_s
        self.chance = random.Random(f"{load.seed}-{place}")
        self.next_number = place * NUMBERS_EACH
        self.counts = Counts()
        self.lines: dict[str, Lines] = {}
        self.busy_at = ""

    def run(self) -> None:
        due = time.monotonic()
        while not self.load.ended.is_set():
            due = max(due + self.pace_s, time.monotonic() - 1.0)
            node = self.load.pick(self)
            number, self.next_number = self.next_number, self.next_number + 1
            began = time.monotonic()
            made = self.counted(node, partial(self.attempt, node, number))
            self.counts.slowest_s = max(self.counts.slowest_s, time.monotonic() - began)
            if made is not None:
                self.counts.acknowledged.append(number)
                self.follow_up(number, made)
            self.load.ended.wait(max(0.0, due - time.monotonic()))
        for line in self.lines.values():
            line.close()

    def counted(self, node: RealNode, act: Callable[[], str]) -> str | None:
        """What an acknowledged operation gave back; None when it was not acknowledged."""
        try:
            return act()
        except Refused as refusal:
            self.counts.refusals.append(f"{node.name}: {refusal}")
        except OSError as error:
            self.counts.broken.append(f"{node.name}: {error!r}")
        finally:
            self.busy_at = ""
        if line := self.lines.pop(node.name, None):
            line.close()  # begin afresh next time
        return None

    def line(self, node: RealNode) -> Any:
        """The connection to a node."""
        if node.name not in self.lines:
            self.lines[node.name] = self.connect(node)
            self.lines[node.name].socket.settimeout(PATIENCE_S)
        return self.lines[node.name]

    @abstractmethod
    def connect(self, node: RealNode) -> Lines:
        """A new one."""

    @abstractmethod
    def attempt(self, node: RealNode, number: int) -> str:
        """Do it; the id of what was made, where it has one. Raises Refused or OSError."""

    def follow_up(self, number: int, made: str) -> None:
        """What is done next to something that was made."""


class Deliver(Worker):
    """A message by LMTP."""

    kind = "LMTP delivery"

    def connect(self, node: RealNode) -> Lines:
        return Lmtp(node.address("lmtp"))

    def attempt(self, node: RealNode, number: int) -> str:
        reply = self.line(node).deliver(numbered(number))
        if not reply.startswith(b"250"):
            raise Refused(reply.decode().strip())
        return ""


class Append(Worker):
    """A message by IMAP APPEND."""

    kind = "IMAP APPEND"

    def connect(self, node: RealNode) -> Lines:
        return imap_of(node)

    def attempt(self, node: RealNode, number: int) -> str:
        line: Imap = self.line(node)
        mail, tag = numbered(number), b"a%d" % number
        line.socket.sendall(tag + b" APPEND INBOX {%d+}\r\n" % len(mail) + mail + b"\r\n")
        while not (answer := line.line()).startswith(tag):
            if answer.startswith(b"* BYE"):
                raise Refused(answer.decode().strip())
        if not answer.startswith(tag + b" OK"):
            raise Refused(answer.decode().strip())
        return ""


class SetEmail(Worker):
    """An Email/set that creates a message, and one, by another node, that flags it."""

    kind = "JMAP Email/set"
    inbox = ""

    def connect(self, node: RealNode) -> Lines:
        return Jmap(node.address("http"), USER, PASSWORD)

    def attempt(self, node: RealNode, number: int) -> str:
        made = self._ask(node, {"create": {"m": self._email(node, number)}})
        return str(made["created"]["m"]["id"])

    def follow_up(self, number: int, made: str) -> None:
        node = self.load.pick(self)
        change = {"update": {made: {"keywords/$flagged": True}}}
        if self.counted(node, lambda: str(self._ask(node, change))) is not None:
            self.counts.flagged.add(number)

    def _email(self, node: RealNode, number: int) -> dict[str, Any]:
        if not self.inbox:
            found = self._call(node, "Mailbox/get", {})["list"]
            self.inbox = next(box["id"] for box in found if box["role"] == "inbox")
        return {
            "mailboxIds": {self.inbox: True},
            "subject": f"number {number}",
            "header:X-Number:asText": f"{number}",
            "bodyValues": {"t": {"value": f"This is message {number}."}},
            "textBody": [{"partId": "t", "type": "text/plain"}],
        }

    def _ask(self, node: RealNode, change: dict[str, Any]) -> dict[str, Any]:
        answer = self._call(node, "Email/set", change)
        wrong = answer.get("notCreated") or answer.get("notUpdated")
        if wrong:
            raise Refused(json.dumps(wrong))
        return answer

    def _call(self, node: RealNode, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        line: Jmap = self.line(node)
        request = line.prepare([method, {"accountId": line.account, **arguments}, "c"])
        try:
            name, answer, _ = json.loads(line.send(request))["methodResponses"][0]
        except ConnectionError as error:
            if str(error).startswith("b'HTTP/1.1 "):
                raise Refused(str(error)) from error  # a status, and a body that says why
            raise
        if name == "error":
            raise Refused(json.dumps(answer))
        result: dict[str, Any] = answer
        return result


KINDS: Final[tuple[type[Worker], ...]] = (Deliver, Append, SetEmail)


class Load:
    """All workers, and who they may talk to."""

    def __init__(self, members: Iterable[RealNode], *, seed: int, pace_s: float) -> None:
        self.members, self.seed = list(members), seed
        self.ended = threading.Event()
        self._picking = threading.Lock()
        self.workers = [kind(self, place, pace_s) for place, kind in enumerate(KINDS)]

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        self.ended.set()
        for worker in self.workers:
            worker.join(2 * PATIENCE_S)

    def pick(self, worker: Worker) -> RealNode:
        """Where a worker does its next operation."""
        with self._picking:
            node = worker.chance.choice(self.members)
            worker.busy_at = node.name
            return node

    def admit(self, node: RealNode) -> None:
        """From now on this node is used too."""
        self.members = [*self.members, node]

    def spare(self, node: RealNode) -> None:
        """From now on it is not."""
        with self._picking:
            self.members = [other for other in self.members if other is not node]

    def leave(self, node: RealNode) -> None:
        """As `spare`, and what is under way there has ended, and connections are closed."""
        self.spare(node)
        for worker in self.workers:
            while worker.busy_at == node.name:
                time.sleep(0.01)
            if line := worker.lines.pop(node.name, None):
                line.close()

    @property
    def acknowledged(self) -> set[int]:
        return {number for worker in self.workers for number in worker.counts.acknowledged}

    @property
    def flagged(self) -> set[int]:
        return {number for worker in self.workers for number in worker.counts.flagged}

    def rows(self) -> dict[str, dict[str, Any]]:
        """By kind."""
        return {worker.kind: worker.counts.row() for worker in self.workers}

    def wait_for_more(self, count: int, timeout_s: float) -> bool:
        """Whether every worker had so many more acknowledged in time."""
        before = [len(worker.counts.acknowledged) for worker in self.workers]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            now = [len(worker.counts.acknowledged) for worker in self.workers]
            if all(after - start >= count for start, after in zip(before, now, strict=True)):
                return True
            time.sleep(0.05)
        return False


def imap_of(node: RealNode) -> Imap:
    """A connection, logged in; a refusal to do so is a ConnectionError."""
    return Imap(node.address("imap"), USER, PASSWORD)


def answer_to(client: Imap, command: bytes) -> bytes:
    """All that a node says to a command."""
    client.socket.sendall(b"z " + command + b"\r\n")
    received = bytearray(client.held)
    while not re.search(rb"(^|\r\n)z (OK|NO|BAD)[^\r\n]*\r\n\Z", received[-2048:]):
        chunk = client.socket.recv(1 << 20)
        if not chunk:
            raise ConnectionError("closed by the node")
        received += chunk
    return bytes(received)


def holdings(node: RealNode, newest: int = 0) -> list[tuple[int, int, bool]]:
    """(UID, number, is flagged) of every numbered message, as one node shows them; or of so many
    of the newest messages."""
    client = imap_of(node)
    exists = int(re.findall(rb"\* (\d+) EXISTS", answer_to(client, b"SELECT INBOX"))[0])
    first = max(1, exists - newest + 1) if newest else 1
    what = b"(UID FLAGS BODY.PEEK[HEADER.FIELDS (X-NUMBER)])"
    received = answer_to(client, b"FETCH %d:* %s" % (first, what)) if exists else b""
    client.close()
    rows = []
    for part in re.split(rb"(?m)^\* \d+ FETCH ", received)[1:]:
        uid, flags, number = UID.search(part), FLAGS.search(part), NUMBER.search(part)
        assert uid is not None and flags is not None, part
        if number is not None:
            rows.append((int(uid[1]), int(number[1]), rb"\Flagged" in flags[1]))
    return rows


def violations(load: Load) -> list[str]:
    """What is wrong with what the members hold; empty when all is well."""
    wrong: list[str] = []
    seen = {node.name: holdings(node) for node in load.members}
    for name, rows in seen.items():
        numbers = [number for _, number, _ in rows]
        if [uid for uid, _, _ in rows] != sorted({uid for uid, _, _ in rows}):
            wrong.append(f"{name}: UIDs do not ascend")
        if lost := load.acknowledged - set(numbers):
            wrong.append(f"{name}: lost {sorted(lost)[:10]} ({len(lost)} in all)")
        if len(numbers) != len(set(numbers)):
            twice = sorted({number for number in numbers if numbers.count(number) > 1})
            wrong.append(f"{name}: twice {twice[:10]}")
        if unflagged := load.flagged - {number for _, number, flagged in rows if flagged}:
            wrong.append(f"{name}: not flagged {sorted(unflagged)[:10]}")
    if len({json.dumps(rows) for rows in seen.values()}) != 1:
        wrong.append("the nodes list different messages, UIDs or flags")
    return wrong
