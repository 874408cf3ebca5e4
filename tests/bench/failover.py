"""`python -m tests.bench.failover`: from kill -9 of the leader to the next write that is accepted.

In every round one small message is begun at each survivor in the instant of the kill; the first
250 ends the round. Default timeouts, nodes on loopback. Then the dead one is started again.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.bench.clients import Lmtp
from tests.e2e.cluster import RealCluster, RealNode, running

GIVE_UP_S: Final = 30.0
SMALL: Final = (
    b"From: a@example.net\r\nTo: alice@example.org\r\nSubject: failover\r\n\r\nStill there.\r\n"
)


def accepted(node: RealNode, stop: threading.Event) -> float:
    """When this node has accepted one message, tried again whenever it is refused."""
    deadline = time.monotonic() + GIVE_UP_S
    line = Lmtp(node.address("lmtp"))
    try:
        while not stop.is_set() and time.monotonic() < deadline:
            if line.deliver(SMALL).startswith(b"250"):
                return time.monotonic()
            line.close()
            line = Lmtp(node.address("lmtp"))
    finally:
        line.close()
    return float("inf")


def one_round(cluster: RealCluster) -> tuple[str, float]:
    """Kill the leader: its name, and the seconds until a survivor has accepted a write."""
    leader = cluster.leader()
    assert leader is not None, cluster.logs()
    process, stop = cluster.node(leader).process, threading.Event()
    assert process is not None
    survivors = [node for node in cluster.nodes if node.name != leader and node.alive]
    with ThreadPoolExecutor(len(survivors)) as pool:
        killed = time.monotonic()
        process.kill()
        trials = [pool.submit(accepted, node, stop) for node in survivors]
        first = min(trial.result() for trial in trials)
    process.wait()
    return leader, first - killed


def quantile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def failovers(rounds: int, *, size: int = 3, verbose: bool = True) -> dict[str, Any]:
    """The distribution over so many rounds, in milliseconds."""
    took: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="trireme-failover-") as directory,
        running(Path(directory), size) as cluster,
    ):
        for number in range(rounds):
            name, seconds = one_round(cluster)
            took.append(1000 * seconds)
            if verbose:
                print(json.dumps({"round": number, "killed": name, "ms": round(took[-1])}))
            cluster.start(name)
            cluster.wait_ready()
    return {
        "rounds": rounds,
        "p50_ms": round(statistics.median(took)),
        "p90_ms": round(quantile(took, 0.90)),
        "p99_ms": round(quantile(took, 0.99)),
        "max_ms": round(max(took)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(failovers(options.rounds, size=options.nodes)))


if __name__ == "__main__":
    main()
