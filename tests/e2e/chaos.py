"""`trireme fuzz chaos`: numbered messages at a steady pace while nodes are killed and started.

Afterwards every message that got its 250 is on every node exactly once, whatever else is there is
there at most once, UIDs ascend and are equal on all nodes, and accepted writes never paused for
longer than the bound. Prints one JSON line per round and a summary; exit status 1 on a violation.
"""

import argparse
import json
import random
import re
import tempfile
import threading
import time
from math import inf
from pathlib import Path
from typing import Any

from tests.bench.clients import Imap, Lmtp
from tests.e2e.cluster import RealCluster, running

PACE_S = 0.05
USER, PASSWORD = "alice@example.org", "alice-demo"
NUMBER = re.compile(rb"X-Number: (\d+)")
UID = re.compile(rb"UID (\d+)")


def numbered(number: int) -> bytes:
    """The message with this number."""
    return (
        f"From: chaos@example.net\r\nTo: {USER}\r\nSubject: number {number}\r\n"
        f"Message-ID: <chaos-{number}@example.net>\r\nX-Number: {number}\r\n\r\n"
        f"This is message {number}.\r\n"
    ).encode()


class Deliverer(threading.Thread):
    """Delivers one numbered message every PACE_S to any live node; remembers what got 250."""

    def __init__(self, cluster: RealCluster, seed: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.chance = cluster, random.Random(seed)
        self.acknowledged: dict[int, float] = {}
        self.tried = 0
        self.ended = threading.Event()

    def run(self) -> None:
        lines: dict[str, Lmtp] = {}
        due = time.monotonic()
        while not self.ended.is_set():
            due += PACE_S
            live = [node for node in self.cluster.nodes if node.alive]
            node = self.chance.choice(live or self.cluster.nodes)
            number, self.tried = self.tried, self.tried + 1
            try:
                if node.name not in lines:
                    lines[node.name] = Lmtp(node.address("lmtp"))
                    lines[node.name].socket.settimeout(15)
                if lines[node.name].deliver(numbered(number)).startswith(b"250"):
                    self.acknowledged[number] = time.monotonic()
                else:
                    lines.pop(node.name).close()  # mid-transaction: begin afresh
            except OSError:
                lines.pop(node.name, None)
            self.ended.wait(max(0.0, due - time.monotonic()))

    def wait_for_more(self, count: int, timeout_s: float) -> bool:
        """Whether `count` further messages were accepted in time."""
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + timeout_s
        while len(self.acknowledged) < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(self.acknowledged) >= wanted


def first_acknowledged_after(deliverer: Deliverer, moment: float) -> float | None:
    """Seconds from `moment` to the next message accepted."""
    later = [at for at in list(deliverer.acknowledged.values()) if at > moment]
    return min(later) - moment if later else None


def listing(cluster: RealCluster, name: str) -> list[tuple[int, int]]:
    """(UID, number) of every numbered message as one node's IMAP shows them, in its order."""
    client = Imap(cluster.node(name).address("imap"), USER, PASSWORD)
    client.command("SELECT INBOX")
    client.socket.sendall(b"z UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-NUMBER)])\r\n")
    received = client.held
    while not re.search(rb"(^|\r\n)z (OK|NO|BAD)[^\r\n]*\r\n\Z", received):
        chunk = client.socket.recv(1 << 20)
        assert chunk, "closed in a FETCH"
        received += chunk
    client.close()
    rows = []
    for part in re.split(rb"(?m)^\* \d+ FETCH ", received)[1:]:
        uid, number = UID.search(part), NUMBER.search(part)
        assert uid is not None, part
        if number is not None:
            rows.append((int(uid[1]), int(number[1])))
    return rows


def violations(cluster: RealCluster, acknowledged: set[int]) -> list[str]:
    """What is wrong with what the nodes hold; empty when all is well."""
    wrong: list[str] = []
    listings = {node.name: listing(cluster, node.name) for node in cluster.nodes}
    for name, rows in listings.items():
        uids = [uid for uid, _ in rows]
        numbers = [number for _, number in rows]
        if uids != sorted(set(uids)):
            wrong.append(f"{name}: UIDs do not ascend")
        lost = acknowledged - set(numbers)
        if lost:
            wrong.append(f"{name}: lost {sorted(lost)[:10]} ({len(lost)} in all)")
        twice = {number for number in numbers if numbers.count(number) > 1}
        if twice:
            wrong.append(f"{name}: twice {sorted(twice)[:10]}")
    if len({json.dumps(rows) for rows in listings.values()}) != 1:
        wrong.append("the nodes list different messages or UIDs")
    return wrong


def one_round(
    cluster: RealCluster, deliverer: Deliverer, chance: random.Random, number: int
) -> dict[str, Any]:
    """Kill the leader (even rounds) or any node (odd), see writes go on, start it again."""
    leader = cluster.leader()
    live = [node.name for node in cluster.nodes]
    victim = leader if number % 2 == 0 and leader is not None else chance.choice(live)
    moment = time.monotonic()
    cluster.kill(victim)
    deliverer.wait_for_more(5, 30)
    pause = first_acknowledged_after(deliverer, moment)
    time.sleep(chance.uniform(0.2, 1.0))
    cluster.start(victim)
    cluster.wait_ready(victim)
    return {
        "round": number,
        "killed": victim,
        "was_leader": victim == leader,
        "resumed_s": None if pause is None else round(pause, 3),
        "acknowledged": len(deliverer.acknowledged),
    }


def chaos(
    cluster: RealCluster, rounds: int, seed: int, resume_s_max: float, seconds: float = inf
) -> list[str]:
    """Run all rounds that begin within so many seconds; what went wrong."""
    ends = time.monotonic() + seconds
    chance, wrong = random.Random(seed), []
    deliverer = Deliverer(cluster, seed)
    deliverer.start()
    for number in range(rounds):
        if time.monotonic() > ends:
            break
        said = one_round(cluster, deliverer, chance, number)
        print(json.dumps(said), flush=True)
        if said["resumed_s"] is None or said["resumed_s"] > resume_s_max:
            wrong.append(f"round {number}: writes resumed after {said['resumed_s']} s")
    # Once more with all nodes at the same instant, under load.
    for node in cluster.nodes:
        assert node.process is not None
        node.process.kill()
    for node in cluster.nodes:
        assert node.process is not None
        node.process.wait()
    cluster.start()
    cluster.wait_ready()
    deliverer.wait_for_more(5, 30)
    deliverer.ended.set()
    deliverer.join()
    wrong += violations(cluster, set(deliverer.acknowledged))
    print(
        json.dumps(
            {
                "tried": deliverer.tried,
                "acknowledged": len(deliverer.acknowledged),
                "violations": wrong,
            }
        )
    )
    return wrong


def main(words: list[str] | None = None) -> int:
    """Exit status 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="trireme fuzz chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=inf, help="begin no round after so many")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--resume-s-max", type=float, default=2.0)
    options = parser.parse_args(words)
    with (
        tempfile.TemporaryDirectory(prefix="trireme-chaos-") as directory,
        running(Path(directory), options.nodes) as cluster,
    ):
        wrong = chaos(cluster, options.rounds, options.seed, options.resume_s_max, options.seconds)
        return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
