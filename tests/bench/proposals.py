"""`python -m tests.bench.proposals`: small replicated writes, beside etcd's in the same run.

Three processes, every one with its own log and fdatasync, doors open; the writers stand in the
leader's process and wait until their write is on a majority's disks and applied. etcd's clients
put through its HTTP gateway, the one way in that needs no client library. Ratios count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench import etcd
from tests.bench.meters import cpu_s, fdatasyncs_per_s
from tests.e2e.cluster import ROOT, RealCluster

OCTETS: Final = 256
PROPOSERS: Final = (1, 16, 64, 256)
Row = dict[str, Any]


def start(cluster: RealCluster) -> None:
    """The cluster's nodes as processes that take orders."""
    for node in cluster.nodes:
        with (cluster.directory / f"{node.name}.log").open("ab") as log:
            node.process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.proposing_node", node.name],
                cwd=cluster.directory,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )


def ours(directory: Path, proposers: tuple[int, ...], seconds: float) -> list[Row]:
    """Writes a second and CPU of all three nodes, for each number of writers."""
    cluster = RealCluster.make(directory, 3)
    rows = []
    try:
        start(cluster)
        cluster.wait_ready()
        name = cluster.leader()
        assert name is not None, cluster.status()
        process = cluster.node(name).process
        assert process is not None and process.stdin is not None and process.stdout is not None
        pids = [node.process.pid for node in cluster.nodes if node.process is not None]
        for count in proposers:
            cpu = cpu_s(pids)
            process.stdin.write(f"{count} {seconds} {OCTETS}\n".encode())
            process.stdin.flush()
            done = json.loads(process.stdout.readline())
            rate = done["writes"] / done["seconds"]
            cost_us = 1e6 * (cpu_s(pids) - cpu) / done["writes"]
            rows.append({"proposers": count, "rate": rate, "cpu_us": cost_us})
    finally:
        cluster.stop()
    return rows


def theirs(directory: Path, proposers: tuple[int, ...], seconds: float) -> list[Row]:
    """The same of etcd."""
    rows = []
    with etcd.running(directory) as (pids, address):
        etcd.puts(address, 8, 1.0, OCTETS)  # connections and caches warm up
        for count in proposers:
            cpu = cpu_s(pids)
            rate = etcd.puts(address, count, seconds, OCTETS)
            cost_us = 1e6 * (cpu_s(pids) - cpu) / (rate * seconds)
            rows.append({"proposers": count, "rate": rate, "cpu_us": cost_us})
    return rows


def main() -> int:
    """Measure and print; 0 always: figures are for people to judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.proposals", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row")
    parser.add_argument("--proposers", type=int, nargs="*", default=list(PROPOSERS))
    options = parser.parse_args()
    proposers = tuple(options.proposers)
    with tempfile.TemporaryDirectory(prefix="trireme-bench-") as place:
        for name in ("ours", "theirs"):
            (Path(place) / name).mkdir()
        disk = fdatasyncs_per_s(Path(place))
        rows = ours(Path(place) / "ours", proposers, options.seconds)
        peers: list[Row] = []
        if etcd.is_here():
            peers = theirs(Path(place) / "theirs", proposers, options.seconds)
    table = Table(title=f"replicated writes of {OCTETS} octets, three nodes", box=None)
    for column in ("proposers", "Trireme/s", "CPU us (all)", "etcd/s", "CPU us (all) ", "ratio"):
        table.add_column(column, justify="right")
    for place_, row in enumerate(rows):
        cells = [str(row["proposers"]), f"{row['rate']:,.0f}", f"{row['cpu_us']:.0f}"]
        if peers:
            peer = peers[place_]
            ratio = row["rate"] / peer["rate"]
            cells += [f"{peer['rate']:,.0f}", f"{peer['cpu_us']:.0f}", f"{ratio:.2f}"]
        table.add_row(*cells)
    console = Console(width=100)
    console.print(table)
    console.print(f"bare fdatasync of 16 KiB on this disk: {disk:,.0f}/s")
    if not peers:
        console.print("etcd is not installed: apt-get install etcd-server to compare with it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
