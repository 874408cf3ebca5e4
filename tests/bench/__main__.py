"""`make bench`: what one node and three nodes do, as a table and as bench-results.json; beside
them what Cyrus does, where it is installed (tests/bench/cyrus.py).

Ratios matter, not seconds: beside every run stands what the same disk and machine did for a bare
fdatasync, and three nodes are compared with one. `--messages` and `--big` change how much.
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import cyrus
from tests.bench.clients import Imap, Jmap, Lmtp
from tests.bench.jmap import Desk, every_row
from tests.bench.mail import message
from tests.bench.meters import fdatasyncs_per_s, measure, rss_mib
from tests.e2e.cluster import RealCluster, running

USER, PASSWORD = "alice@example.org", "alice-demo"
Row = dict[str, Any]
# Where rows tell of how many nodes they are: rows of Cyrus.
CYRUS = 0
# After a mass of deliveries LevelDB merges its tables behind us: that is not a delivery's cost.
SETTLE_S = 10.0


def pids(cluster: RealCluster) -> list[int]:
    return [node.process.pid for node in cluster.nodes if node.process is not None]


# Whoever gets mail where every connection has a mailbox of its own.
CROWD = [f"user{number}@example.org" for number in range(8)]
# A blob of 100 MB goes through.
LIMITS = f"[limits]\nmessage-bytes = {128 << 20}\n"
BOOTSTRAP = LIMITS + "".join(
    f'[[bootstrap.account]]\naddress = "{address}"\npassword = "{PASSWORD}"\n' for address in CROWD
)


def ingest(
    cluster: RealCluster, first: int, count: int, connections: int, *, to_crowd: bool = False
) -> Row:
    """LMTP deliveries, spread over the nodes: into one mailbox, or a mailbox for a connection."""
    addresses = CROWD if to_crowd else [USER]
    lines = [
        Lmtp(cluster.nodes[number % len(cluster.nodes)].address("lmtp"))
        for number in range(connections)
    ]
    mails = [message(first + number) for number in range(count)]

    def deliver(connection: int, number: int) -> None:
        address = addresses[connection % len(addresses)]
        reply = lines[connection].deliver(mails[number], address)
        assert reply.startswith(b"250"), reply

    rate = measure(pids(cluster), connections, count, deliver)
    for line in lines:
        line.close()
    octets = sum(map(len, mails)) // count
    return {
        "what": f"LMTP ingest, {octets // 1000} KB, {connections} connections, "
        f"{'a mailbox each' if to_crowd else 'one mailbox'}",
        "rate": rate.per_s,
        "unit": "messages/s",
        "cpu_ms": rate.cpu_ms,
    }


def jmap(cluster: RealCluster, messages: int) -> list[Row]:
    """JMAP at the first node, of which CPU and memory of all nodes are told."""
    address = cluster.nodes[0].address("http")

    def connect(user: str, connections: int) -> Desk:
        clients = [Jmap(address, user, PASSWORD) for _ in range(connections)]
        return Desk(clients, pids(cluster))

    return every_row(partial(connect, USER), connect(CROWD[0], 1), messages, requests=1000)


def jmap_of_cyrus(messages: int) -> list[Row]:
    """The same of Cyrus with as many messages; nothing where it is not installed."""
    if not cyrus.is_here():
        Console().print("no Cyrus beside: it needs cyrus-imapd, cyrus-caldav, sasl2-bin, and root")
        return []
    with (
        tempfile.TemporaryDirectory(prefix="trireme-bench-") as directory,
        cyrus.running(Path(directory)) as peer,
    ):
        peer.deliver(message(number) for number in range(messages))

        def connect(connections: int) -> Desk:
            clients = [peer.jmap() for _ in range(connections)]
            return Desk(clients, peer.pids())

        return every_row(connect, connect(1), messages, requests=100)


def imap(cluster: RealCluster, messages: int) -> list[Row]:
    """FETCH of what a client asks for at first sight, then of all bodies."""
    client = Imap(cluster.nodes[0].address("imap"), USER, PASSWORD)
    select = measure(pids(cluster), 1, 20, lambda c, n: _ignore(client.command("SELECT INBOX")))
    rows = [
        {
            "what": f"IMAP SELECT of {messages}",
            "rate": select.per_s,
            "unit": "selects/s",
            "cpu_ms": select.cpu_ms,
        }
    ]
    envelopes = "FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
    received: list[int] = []
    for what, command in (("envelopes", envelopes), ("bodies", "FETCH 1:* (UID BODY.PEEK[])")):
        received.clear()

        def fetch(connection: int, number: int, command: str = command) -> None:
            received.append(client.command(command))

        rate = measure(pids(cluster), 1, 1, fetch)
        bodies = what == "bodies"
        rows.append(
            {
                "what": f"IMAP FETCH of {messages} {what}",
                "rate": received[0] / 1e6 / rate.seconds if bodies else messages / rate.seconds,
                "unit": "MB/s" if bodies else "messages/s",
                "cpu_ms": rate.cpu_ms / messages,
            }
        )
    client.close()
    return rows


def _ignore(value: object) -> None:
    """A measured operation gives nothing back."""


def idle(cluster: RealCluster, connections: int) -> Row:
    """What many clients in IDLE add to a node's memory."""
    node = cluster.nodes[0]
    assert node.process is not None
    before = rss_mib(node.process.pid)
    clients = []
    for _ in range(connections):
        client = Imap(node.address("imap"), USER, PASSWORD)
        client.command("SELECT INBOX")
        client.socket.sendall(b"i IDLE\r\n")
        assert client.line().startswith(b"+")
        clients.append(client)
    after = rss_mib(node.process.pid)
    for client in clients:
        client.close()
    return {
        "what": f"{connections} IDLE connections",
        "rate": (after - before) * 1024 / connections,
        "unit": "KiB each",
        "cpu_ms": None,
    }


def delivery_cost(cluster: RealCluster, first: int, sizes: list[int]) -> list[Row]:
    """A delivery into a mailbox of this many messages."""
    rows, held = [], first
    for size in sizes:
        if size > held:
            ingest(cluster, held, size - held, 8)
            held = size
            time.sleep(SETTLE_S)
        row = ingest(cluster, held, 500, 1)
        held += 500
        rows.append(row | {"what": f"LMTP delivery into a mailbox of {size}"})
    return rows


def bench(size: int, count: int, big: int) -> list[Row]:
    """All measurements on a cluster of `size` nodes."""
    with tempfile.TemporaryDirectory(prefix="trireme-bench-") as directory:
        disk = fdatasyncs_per_s(Path(directory))
        with running(Path(directory), size, BOOTSTRAP) as cluster:
            process = cluster.nodes[0].process
            assert process is not None
            rows = [
                {"what": "bare fdatasync of 16 KiB", "rate": disk, "unit": "/s", "cpu_ms": None},
                {"what": "RSS idle", "rate": rss_mib(process.pid), "unit": "MiB", "cpu_ms": None},
            ]
            part = max(1, count // 4)
            rows.append(ingest(cluster, 0, part, 1))
            rows.append(ingest(cluster, part, count - part, 8))
            rows.append(ingest(cluster, count, part, 8, to_crowd=True))
            rows.append(
                {"what": "RSS loaded", "rate": rss_mib(process.pid), "unit": "MiB", "cpu_ms": None}
            )
            rows.extend(jmap(cluster, count))
            rows.extend(imap(cluster, count))
            if size == 1:
                rows.append(idle(cluster, 1000))
                rows.extend(delivery_cost(cluster, count, [count, big] if big else [count]))
    return [row | {"nodes": size} for row in rows]


def show(results: list[Row]) -> None:
    """The table, with three nodes beside one, and Cyrus beside both."""
    table = Table(title="Trireme on this machine", box=None, header_style="bold")
    for column in (
        *("what", "unit", "one node", "CPU ms", "three nodes", "CPU ms (all)", "ratio"),
        *("Cyrus", "CPU ms", "CPU ratio"),
    ):
        table.add_column(column, justify="left" if column in ("what", "unit") else "right")
    by_what: dict[tuple[str, str], dict[int, Row]] = {}
    for row in results:
        by_what.setdefault((row["what"], row["unit"]), {})[row["nodes"]] = row
    for (what, unit), rows in by_what.items():
        one, three, peer = (rows.get(nodes) for nodes in (1, 3, CYRUS))
        table.add_row(
            *(what, unit, *_cells(one), *_cells(three), _ratio(three, one, "rate")),
            *(*_cells(peer), _ratio(peer, one, "cpu_ms")),
        )
    Console(width=180).print(table)


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    cpu_ms = row["cpu_ms"]
    return f"{row['rate']:,.1f}", "" if cpu_ms is None else f"{cpu_ms:.3f}"


def _ratio(row: Row | None, other: Row | None, what: str) -> str:
    if row is None or other is None or not row[what] or not other[what]:
        return ""
    return f"{row[what] / other[what]:.2f}"


def main() -> None:
    """Measure, print, and write bench-results.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--big", type=int, default=0, help="also deliver into a mailbox this big")
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 3])
    options = parser.parse_args()
    results = [row for size in options.nodes for row in bench(size, options.messages, options.big)]
    results += [row | {"nodes": CYRUS} for row in jmap_of_cyrus(options.messages)]
    show(results)
    Path("bench-results.json").write_text(json.dumps(results, indent=2) + "\n")
    Console().print("written: bench-results.json")


if __name__ == "__main__":
    main()
