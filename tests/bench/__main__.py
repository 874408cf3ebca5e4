"""`make bench`: what one node and three nodes do, as a table and as bench-results.json; beside
them what Dovecot and Cyrus do, where they are installed (tests/bench/dovecot.py, cyrus.py).

Ratios matter, not seconds: beside every run stands what the same disk and machine did for a bare
fdatasync and the same interpreter for bare steps, and peers are measured row by row with ours.
`--messages` and `--big` change how much, `--nodes`, `--only` and `--peers` what.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.bench import crowd, cyrus, dovecot, imap, jmap, push
from tests.bench.clients import Jmap
from tests.bench.meters import fdatasyncs_per_s, interpreter, rss_mib, steps_per_cpu_s
from tests.bench.servers import PASSWORD, Ours, Server, accounts
from tests.bench.table import CYRUS, DOVECOT, ONE, PEERS, THREE, markdown, show
from tests.e2e.cluster import running

Row = dict[str, Any]
Peers = list[dovecot.Dovecot | cyrus.Cyrus]
# A blob of 100 MB goes through.
BOOTSTRAP: Final = f"[limits]\nmessage-bytes = {128 << 20}\n{accounts()}"
NAMES: Final = {1: ONE, 3: THREE}
PARTS: Final = ("lmtp", "jmap", "imap", "big", "crowd")
# To whom nothing of the other parts goes but what all users get.
CROWDED: Final = 2
INSTALLED: Final = {DOVECOT: dovecot.is_here, CYRUS: cyrus.is_here}
MISSING: Final = {
    DOVECOT: "no Dovecot beside: it needs dovecot-core, dovecot-imapd, dovecot-lmtpd, and root",
    CYRUS: "no Cyrus beside: it needs cyrus-imapd, cyrus-caldav, sasl2-bin, and root",
}


def start_peers(stack: ExitStack, wanted: Sequence[str]) -> Peers:
    """Those of them that are installed, each in a directory of its own."""
    peers: Peers = []
    for name in PEERS:
        if name not in wanted:
            continue
        if not INSTALLED[name]():
            Console().print(MISSING[name])
            continue
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trireme-bench-")))
        start = dovecot.running if name == DOVECOT else cyrus.running
        peers.append(stack.enter_context(start(place)))
    return peers


def jmap_of_ours(ours: Ours, messages: int) -> list[Row]:
    """JMAP at the first node, of which CPU and memory of all nodes are told."""
    address = ours.cluster.nodes[0].address("http")

    def connect(number: int, connections: int) -> jmap.Desk:
        clients = [Jmap(address, ours.recipient(number), PASSWORD) for _ in range(connections)]
        return jmap.Desk(clients, ours.pids())

    return jmap.every_row(partial(connect, 0), connect(1, 1), messages, requests=1000)


def crowd_of_ours(ours: Ours, big: int) -> list[Row]:
    """JMAP of a mailbox of so many."""
    address = ours.cluster.nodes[0].address("http")

    def connect() -> jmap.Desk:
        return jmap.Desk([Jmap(address, ours.recipient(CROWDED), PASSWORD)], ours.pids())

    return crowd.every_row(connect, ours.imap(CROWDED), big)


def jmap_of_cyrus(peer: cyrus.Cyrus, messages: int) -> list[Row]:
    """The same of Cyrus with as many messages."""

    def connect(connections: int) -> jmap.Desk:
        clients = [peer.jmap() for _ in range(connections)]
        return jmap.Desk(clients, peer.pids())

    return jmap.every_row(connect, connect(1), messages, requests=100)


def bench(size: int, peers: Peers, parts: Sequence[str], messages: int, big: int) -> list[Row]:
    """All measurements on a cluster of `size` nodes, and the same of these peers."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trireme-bench-")))
        disk = fdatasyncs_per_s(directory)
        ours = Ours(stack.enter_context(running(directory, size, BOOTSTRAP)), NAMES[size])
        servers: list[Server] = [ours, *peers]
        rows = [
            of_ours(ours, "bare fdatasync of 16 KiB", disk, "/s"),
            of_ours(ours, f"bare steps of {interpreter()}", steps_per_cpu_s(), "/s of CPU"),
            memory(ours, "RSS idle"),
        ]
        delivered = imap.delivering(servers, messages)
        rows += delivered if "lmtp" in parts else []
        rows.append(memory(ours, "RSS loaded"))
        if "jmap" in parts:
            rows += jmap_of_ours(ours, messages)
            rows.append(push.state_changes(ours))
            for peer in peers:
                if isinstance(peer, cyrus.Cyrus):
                    told = jmap_of_cyrus(peer, messages)
                    rows += [row | {"who": CYRUS} for row in told]
        if "imap" in parts:
            rows += imap.reading(servers, messages)
        if "big" in parts and size == 1:
            rows += imap.crowding(servers, messages, big)
        if "crowd" in parts and size == 1:
            rows += crowd_of_ours(ours, big)
    return [{"who": ours.name} | row for row in rows]


def memory(ours: Ours, what: str) -> Row:
    """Of the first node."""
    return of_ours(ours, what, rss_mib(ours.pids()[0]), "MiB")


def of_ours(ours: Ours, what: str, rate: float, unit: str) -> Row:
    """A row that no peer has."""
    return {"what": what, "rate": rate, "unit": unit, "cpu_ms": None, "who": ours.name}


def main() -> None:
    """Measure, print, and write it down."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="in the inbox")
    parser.add_argument("--big", type=int, default=100_000, help="in a large mailbox")
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 3], choices=[1, 3])
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, metavar="PART")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    options = parser.parse_args()
    results: list[Row] = []
    for size in options.nodes:
        with ExitStack() as stack:
            # Three nodes are compared with one, and one with the peers.
            peers = start_peers(stack, options.peers) if size == 1 else []
            results += bench(size, peers, options.only, options.messages, options.big)
    absent = [name for name in PEERS if not INSTALLED[name]()]
    show(results, absent)
    Path("bench-results.json").write_text(json.dumps(results, indent=2) + "\n")
    Path("bench-results.md").write_text(markdown(results, absent))
    Console().print("written: bench-results.json, and bench-results.md with tables for README.md")


if __name__ == "__main__":
    main()
