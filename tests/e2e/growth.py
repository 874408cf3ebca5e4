"""`make growth`: a cluster grows, shrinks and mends itself under a constant load, by its commands.

    1 -> 3 -> 5     nodes join with --join and are promoted up to the number wanted
    handing over    leadership passes from voter to voter; to one that is far behind it does not
    5 -> 3          the leader is removed, then a node that is dead
    a sixth         joins when the logs are cut, from a snapshot
    a replica       serves linearizable reads at its own doors, and passes writes on
    a wiped disk    is refused as what it was, and comes back as a new replica

All the while deliveries, appends and Email/set go to members drawn at random. At the end whatever
was acknowledged is on every member exactly once. One JSON line a step, with what the load counted
in it; exit status 1 when anything is wrong.
"""

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from node import admin
from node.identity import REPLICA_NAME
from tests.bench.clients import Lmtp
from tests.e2e.chaos import numbered
from tests.e2e.cluster import RealCluster, running
from tests.e2e.load import Load, holdings, violations
from tests.e2e.waiting import until

PATIENCE_S: Final = 60.0
ROLES_S: Final = 5.0
# Five voters are wanted, the file founds one; logs are short, so that they can be cut.
WANTED: Final = "[raft]\nvoters = 5\nsegment-bytes = 4194304\ntrailing-bytes = 65536\n"
# Numbers of writes whose reading back is watched, above any worker's.
WATCHED_NUMBERS: Final = 900_000_000


def _role(row: dict[str, Any]) -> str:
    """A replica tells the role of a learner, and in its standing that it stays one."""
    return "replica" if row["standing"] == "replica" else str(row["role"])


class Wrong(Exception):
    """A step did not come out as it must."""


def check(holds: bool, what: object) -> None:
    """Raise Wrong unless it holds."""
    if not holds:
        raise Wrong(str(what))


class Operator:
    """Somebody at the command line of a live cluster."""

    def __init__(self, cluster: RealCluster, load: Load) -> None:
        self.cluster, self.load = cluster, load

    def command(self, *words: str) -> Any:
        """What a command of `trireme cluster` answers; Wrong when it refuses."""
        ended = self.cluster.trireme("cluster", *words, "--json")
        check(ended.returncode == 0, (words, ended.stderr))
        return json.loads(ended.stdout)

    def refusal(self, *words: str) -> str:
        """The sentence with which a command refuses."""
        ended = self.cluster.trireme("cluster", *words)
        check(ended.returncode == 1 and ended.stderr.count("\n") == 1, (words, ended.stderr))
        return ended.stderr

    def roles(self) -> dict[str, str]:
        """Who is what, of those that are up, as the first node sees it that answers.

        Asked over its socket and not by a command: this is looked at often.
        """
        for node in self.cluster.nodes:
            home = self.cluster.directory / "var" / node.name
            try:
                rows = admin.ask(home, "status", {}, timeout_s=ROLES_S)["nodes"]
            except OSError:
                continue
            return {row["name"]: _role(row) for row in rows if row["up"]}
        return {}

    def until_role(self, name: str, *roles: str) -> None:
        """Wait until a node is one of these."""
        said = until(lambda: self.roles().get(name) in roles, PATIENCE_S)
        check(said, f"{name} is {self.roles().get(name)}, not {roles}\n{self.cluster.logs()}")

    def leader(self) -> str:
        """Who leads, once that is settled."""
        found: list[str] = []

        def is_settled() -> bool:
            found[:] = [name for name, role in self.roles().items() if role == "leader"]
            return len(found) == 1

        check(until(is_settled, PATIENCE_S), f"these lead: {found}")
        return found[0]

    # --- the steps

    def join(self, name: str, *, role: str = "voter") -> None:
        """A new node joins and is what it may be."""
        node = self.cluster.lend(name, role=role)
        self.cluster.start(name)
        self.cluster.wait_ready(name)
        self.until_role(name, *(("replica",) if role == "replica" else ("follower", "leader")))
        self.load.admit(node)

    def voters(self) -> list[str]:
        """As the leader has them."""
        roles = self.roles()
        return sorted(name for name, role in roles.items() if role in ("leader", "follower"))

    def hand_over(self) -> None:
        """Leadership goes round, but not to a voter that is away."""
        for name in self.voters()[:3]:
            self.command("transfer-leader", name)
            self.until_role(name, "leader")
        leader = self.leader()
        sleeper = next(name for name in self.voters() if name != leader)
        self.load.leave(self.cluster.node(sleeper))
        self.cluster.kill(sleeper, signal.SIGSTOP)
        time.sleep(2)
        said = self.refusal("transfer-leader", sleeper)
        self.cluster.kill(sleeper, signal.SIGCONT)
        check("too far behind or silent" in said, said)
        self.until_role(sleeper, "follower")
        self.load.admit(self.cluster.node(sleeper))

    def remove_leader(self) -> str:
        """It is told, makes way and ends with a sentence."""
        name = self.leader()
        self.remove(name)
        gone = self.cluster.node(name)
        check(gone.process is not None and gone.process.wait(PATIENCE_S) == 1, "it still runs")
        self._said(name, "removed from the cluster")
        self.cluster.nodes.remove(gone)
        return name

    def remove(self, name: str) -> None:
        """Out of the members, and out of what the load uses."""
        self.load.spare(self.cluster.node(name))
        members = self.command("remove-node", name)["members"]
        check(name not in [member["name"] for member in members], members)

    def remove_dead(self) -> str:
        """A member that died is removed without it."""
        leader = self.leader()
        name = next(name for name in reversed(self.voters()) if name != leader)
        self.load.leave(self.cluster.node(name))
        self.cluster.kill(name)
        self.remove(name)
        self.cluster.nodes.remove(self.cluster.node(name))
        return name

    def join_from_snapshot(self, name: str) -> None:
        """The logs are cut first, so that what the new node lacks is nowhere but in a state."""
        rows = self.command("snapshot")["nodes"].values()
        check(all(row["log_starts_behind"] > 100 for row in rows), rows)
        self.join(name)
        self._said(name, "snapshot installed")

    def read_at_replica(self, name: str, count: int) -> dict[str, Any]:
        """What a voter has just acknowledged is shown by the replica, and the other way round."""
        replica, voter = self.cluster.node(name), self.cluster.node(self.leader())
        slowest_s = 0.0
        for number in range(WATCHED_NUMBERS, WATCHED_NUMBERS + count):
            writer, reader = (voter, replica) if number % 2 == 0 else (replica, voter)
            line = Lmtp(writer.address("lmtp"))
            reply = line.deliver(numbered(number))
            line.close()
            check(reply.startswith(b"250"), reply)
            began = time.monotonic()
            numbers = [seen for _, seen, _ in holdings(reader, newest=50)]
            slowest_s = max(slowest_s, time.monotonic() - began)
            check(number in numbers, f"{reader.name} does not show {number}, acknowledged before")
        check("never votes" in self.refusal("promote", name), "a replica may not vote")
        return {"reads": count, "slowest_s": round(slowest_s, 2)}

    def wipe(self, name: str) -> dict[str, Any]:
        """A disk is lost: the node is refused as what it was, and joins as somebody new."""
        node = self.cluster.node(name)
        before = self._replica_of(name)
        self.load.leave(node)
        self.cluster.kill(name)
        home = self.cluster.directory / "var" / name
        home.rename(self.cluster.directory / f"{name}.lost")
        self.cluster.start(name)
        self._said(name, "is a member with another disk")
        self._said(name, f"trireme cluster remove-node {name}")
        self.command("remove-node", name)  # and the one that waits is taken in
        self.cluster.wait_ready(name)
        self.until_role(name, "follower", "leader")
        after = self._replica_of(name)
        check(before != after, "the same replica id on another disk")
        self.load.admit(node)
        return {"was": before, "is": after}

    def _said(self, name: str, words: str) -> None:
        log = self.cluster.directory / f"{name}.log"
        check(until(lambda: words in log.read_text(), PATIENCE_S), log.read_text()[-1000:])

    def _replica_of(self, name: str) -> str:
        return (self.cluster.directory / "var" / name / REPLICA_NAME).read_text()


@contextmanager
def step(load: Load, what: str, said: dict[str, Any]) -> Iterator[None]:
    """Print one line on what happened, and what the load went through meanwhile."""
    before = {kind: dict(row) for kind, row in load.rows().items()}
    for worker in load.workers:
        worker.counts.slowest_s = 0.0
    began = time.monotonic()
    yield
    grown = {
        kind: {key: row[key] - (0 if key == "slowest_s" else before[kind][key]) for key in row}
        for kind, row in load.rows().items()
    }
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"step": what, "seconds": seconds, **said, "load": grown}), flush=True)


def growth(cluster: RealCluster, *, seed: int, pace_s: float, settle: int) -> list[str]:
    """All steps; what was wrong. After each the load must go on: `settle` more of each kind."""
    load = Load(cluster.nodes, seed=seed, pace_s=pace_s)
    operator = Operator(cluster, load)
    load.start()
    wrong: list[str] = []
    try:
        for what, work in _steps(operator):
            said: dict[str, Any] = {}
            with step(load, what, said):
                given = work()
                said.update(given if isinstance(given, dict) else {})
                check(load.wait_for_more(settle, PATIENCE_S), f"{what}: the load stands still")
    except (Wrong, TimeoutError) as error:
        wrong.append(str(error))
    load.stop()
    wrong += violations(load)
    refusals = [text for worker in load.workers for text in worker.counts.refusals]
    broken = [text for worker in load.workers for text in worker.counts.broken]
    print(
        json.dumps(
            {
                "acknowledged": len(load.acknowledged) + len(load.flagged),
                "refused": len(refusals),
                "broken": len(broken),
                "samples": sorted({*refusals, *broken})[:10],
                "violations": wrong,
            }
        ),
        flush=True,
    )
    return wrong


def _steps(operator: Operator) -> Iterator[tuple[str, Any]]:
    yield "one node", lambda: None
    for name in ("n2", "n3"):
        yield f"{name} joins and votes", lambda name=name: operator.join(name)
    for name in ("n4", "n5"):
        yield f"{name} joins and votes", lambda name=name: operator.join(name)
    yield "leadership goes round", operator.hand_over
    yield "the leader is removed", lambda: {"removed": operator.remove_leader()}
    yield "a dead node is removed", lambda: {"removed": operator.remove_dead()}
    yield "n6 joins from a snapshot", lambda: operator.join_from_snapshot("n6")
    yield "r1 joins as a replica", lambda: operator.join("r1", role="replica")
    yield "reads and writes at the replica", lambda: operator.read_at_replica("r1", 20)
    yield "a disk is lost", lambda: operator.wipe("n6")


def main() -> int:
    """Exit status 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="make growth", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace-s", type=float, default=0.1, help="between operations of a kind")
    parser.add_argument("--settle", type=int, default=50, help="operations of a kind after a step")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="trireme-growth-") as directory,
        running(Path(directory), 1, WANTED) as cluster,
    ):
        wrong = growth(cluster, seed=options.seed, pace_s=options.pace_s, settle=options.settle)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
