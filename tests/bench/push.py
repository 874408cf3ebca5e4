"""How soon a change at one node is told by another: EventSource (RFC 8620 7.3)."""

import json
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.bench.clients import Jmap
from tests.bench.mail import message
from tests.bench.meters import measure
from tests.bench.servers import PASSWORD, Ours

Row = dict[str, Any]
PUSH: Final = "LMTP delivery to the StateChange in EventSource"
CHANGES: Final = 50
# A change that is not told within this time is not told.
TOLD_S: Final = 5.0


class EventSource(Jmap):
    """A client that listens on a connection of its own."""

    def listen(self) -> None:
        """Ask for all types, for ever; what has happened before is over."""
        path = "/jmap/eventsource/?types=*&closeafter=no&ping=0"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())
        assert b" 200 " in self.line()
        self.socket.settimeout(TOLD_S)
        while self.line() != b"\r\n":
            pass

    def told(self) -> dict[str, Any]:
        """The next StateChange."""
        while not (line := self.line()).startswith(b"data: "):
            pass
        change: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        return change


def state_changes(ours: Ours) -> Row:
    """From the first octet of a delivery to the StateChange that names its account; of more nodes
    than one, at another."""
    nodes = ours.cluster.nodes
    client = EventSource(nodes[0].address("http"), ours.recipient(0), PASSWORD)
    line = ours.lmtp(1 % len(nodes))
    client.listen()
    took: list[float] = []

    def hear() -> float:
        while "Email" not in client.told()["changed"].get(client.account, {}):
            pass
        return time.perf_counter()

    with ThreadPoolExecutor(1) as pool:

        def deliver(_: int, number: int) -> None:
            heard = pool.submit(hear)
            sent = time.perf_counter()
            assert line.deliver(message(number, seed=3), ours.recipient(0)).startswith(b"250")
            took.append(heard.result() - sent)

        rate = measure(ours.pids(), 1, CHANGES, deliver)
    client.socket.shutdown(socket.SHUT_RDWR)
    client.close()
    line.close()
    return {
        "what": PUSH,
        "rate": 1000 * statistics.median(took),
        "unit": "ms",
        "cpu_ms": rate.cpu_ms,
    }
