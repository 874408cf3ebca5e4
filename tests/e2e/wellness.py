"""Is a node well: does it serve others quickly, in how much memory, and what stands in its log."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.clients import Imap, Jmap, Lmtp
from tests.e2e.cluster import RealCluster, RealNode

USER, PASSWORD = "alice@example.org", "alice-demo"
SERVED_S_MAX: Final = 3.0
GROWTH_MIB_MAX: Final = 60.0
PLAIN: Final = b"From: Well <well@example.net>\r\nSubject: are you well\r\n\r\nYes.\r\n"


def resident_mib(node: RealNode) -> float:
    """What the node's process has in memory."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def deliver(node: RealNode, message: bytes = PLAIN, to: str = USER) -> bytes:
    """The reply to one message over a connection of its own."""
    line = Lmtp(node.address("lmtp"))
    try:
        return line.deliver(message, to)
    finally:
        line.close()


def newest(node: RealNode, properties: list[str]) -> dict[str, Any]:
    """These properties of the newest email, by JMAP on a connection of its own."""
    client = Jmap(node.address("http"), USER, PASSWORD)
    sort = [{"property": "receivedAt", "isAscending": False}]
    ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    query = {"accountId": client.account, "sort": sort, "limit": 1}
    get = {"accountId": client.account, "#ids": ids, "properties": properties}
    asked = client.prepare(["Email/query", query, "q"], ["Email/get", get, "g"])
    answers = json.loads(client.send(asked))["methodResponses"]
    client.close()
    assert [answer[0] for answer in answers] == ["Email/query", "Email/get"], answers
    email: dict[str, Any] = answers[1][1]["list"][0]
    return email


def served_s(node: RealNode) -> float:
    """How long a delivery, a JMAP list and an IMAP session take together, each on a new line."""
    began = time.monotonic()
    assert deliver(node).startswith(b"250")
    assert newest(node, ["subject"])["subject"] == "are you well"
    imap = Imap(node.address("imap"), USER, PASSWORD)
    imap.command("SELECT INBOX")
    imap.command("FETCH * (ENVELOPE FLAGS BODY.PEEK[])")
    imap.command("NOOP")
    imap.close()
    return time.monotonic() - began


def complaints(cluster: RealCluster) -> list[str]:
    """Lines of the logs that a peer must not be able to cause: bugs, and the node's own trouble."""
    return [
        f"{path.name}: {line}"
        for path in sorted(cluster.directory.glob("n*.log"))
        for line in path.read_text(errors="replace").splitlines()
        if "Traceback" in line or "connection failed" in line or "level=error" in line
    ]


@contextmanager
def unharmed(cluster: RealCluster, node: RealNode, what: str) -> Iterator[None]:
    """What is done inside leaves the node serving others, in bounded memory, without a bug."""
    before, said = resident_mib(node), len(complaints(cluster))
    yield
    assert node.alive, cluster.logs()
    took = served_s(node)
    grown = resident_mib(node) - before
    print(f"{what}: then served in {took * 1000:.0f} ms, {grown:+.1f} MiB")
    assert took < SERVED_S_MAX, f"{what}: served in {took:.1f} s only"
    assert grown < GROWTH_MIB_MAX, f"{what}: grew by {grown:.0f} MiB"
    assert complaints(cluster)[said:] == []
