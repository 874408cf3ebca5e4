"""Clients that others wrote, on each of three nodes of a real cluster.

    python -m tests.clients [--only NAME ...] [--messages N] [--packages DIRECTORY]

Programs are Debian's, libraries come from PyPI and npm into a temporary directory (or, with
--packages, into one that stays). Each client takes its steps on each node; what it did is looked
up by another protocol at another node. Ends with a table, and with 1 when a step has failed or a
node has logged an error of its own.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.clients.jmap import Jmapc, JmapClientTs, JmapJam
from tests.clients.mbsync import Mbsync, MbsyncLarge
from tests.clients.neomutt import Neomutt
from tests.clients.packages import Packages
from tests.clients.reading import Curl, Imapclient, Imapflow
from tests.clients.report import Report
from tests.clients.stage import Stage, address, staged
from tests.clients.swaks import Swaks
from tests.clients.syncing import Fetchmail, Offlineimap
from tests.clients.thunderbird import Thunderbird
from tests.clients.visit import Place, Visit

CLIENTS: tuple[type[Visit], ...] = (
    *(Jmapc, JmapClientTs, JmapJam),
    *(Imapclient, Imapflow, Curl, Neomutt, Thunderbird),
    *(Fetchmail, Offlineimap, Mbsync, MbsyncLarge),
    Swaks,
)
MESSAGES = 2_000


def visit(client: type[Visit], place: Place, report: Report) -> None:
    """All steps of a client at a node."""
    begun: list[Visit] = []
    report.take(client.name, place.node, "start", lambda: begun.append(client(place)))
    for one in begun:
        try:
            for step in one.steps():
                report.take(client.name, place.node, step.__name__, step)
        finally:
            one.close()


def visit_all(
    clients: list[type[Visit]], stage: Stage, packages: Packages, messages: int, report: Report
) -> None:
    """Each client at each node, each in a directory of its own."""
    for client in clients:
        if reason := client.missing(packages):
            report.lacks(client.name, reason)
            continue
        for node in client.nodes:
            home = stage.authority.parent / f"{client.name}-{node}"
            home.mkdir()
            user = address(client.name, node)
            visit(client, Place(stage, node, user, home, packages, messages), report)


def main() -> int:
    """Run it; the exit status."""
    names = [client.name for client in CLIENTS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=names, help="this client (repeatable)")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in mbsync's large mailbox")
    parser.add_argument("--packages", type=Path, help="where packages stay for the next time")
    words = parser.parse_args()
    clients = [client for client in CLIENTS if not words.only or client.name in words.only]
    report = Report()
    with tempfile.TemporaryDirectory(prefix="trireme-clients-") as temporary:
        directory = Path(temporary)
        packages = Packages(words.packages or directory / "packages")
        with staged(directory, [client.name for client in clients]) as stage:
            visit_all(clients, stage, packages, words.messages, report)
            errors = stage.errors()
            if report.failures or errors:
                print(stage.cluster.logs())
    print(f"\n{report.table()}\n")
    for one in report.failures:
        print(f"failed: {one.client} at {one.node}: {one.step}: {one.failure.splitlines()[0]}")
    for line in errors:
        print(f"logged by a node: {line}")
    if report.absent:
        print(f"not tried, as this machine has them not: {', '.join(report.absent)}")
    tried = len(report.taken)
    print(f"{tried - len(report.failures)} of {tried} steps went well")
    return 1 if report.failures or errors or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
