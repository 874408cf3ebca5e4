"""Real processes come and go under a steady stream of mail: nothing accepted is lost or doubled."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.clients import Lmtp
from tests.e2e import chaos
from tests.e2e.cluster import RealCluster, running

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

PATIENCE_S = 30.0
SHORT_LOGS = "[raft]\nsegment-bytes = 4194304\ntrailing-bytes = 65536\n"


def row(cluster: RealCluster, name: str) -> dict[str, Any] | None:
    return next((row for row in cluster.status() if row["name"] == name), None)


def _is_one(found: dict[str, Any], roles: tuple[str, ...]) -> bool:
    """A replica tells the role of a learner, and in its standing that it stays one."""
    return found["role"] in roles or found["standing"] in roles


def until_role(cluster: RealCluster, name: str, *roles: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := row(cluster, name)) is None or not _is_one(found, roles):
        assert time.monotonic() < deadline, (found, cluster.logs())
        time.sleep(0.2)


def command(cluster: RealCluster, *words: str) -> Any:
    ended = cluster.trireme("cluster", *words, "--json")
    assert ended.returncode == 0, (ended.stderr, cluster.logs())
    return json.loads(ended.stdout)


def refusal(cluster: RealCluster, *words: str) -> str:
    ended = cluster.trireme("cluster", *words)
    assert ended.returncode == 1 and not ended.stdout
    assert ended.stderr.startswith("trireme: ") and ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_fourth_node_takes_the_place_of_the_first_while_mail_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, 3) as cluster:
        deliverer = chaos.Deliverer(cluster, seed=1)
        deliverer.start()
        assert deliverer.wait_for_more(20, PATIENCE_S)

        cluster.lend("n4")
        cluster.start("n4")
        cluster.wait_ready("n4")
        until_role(cluster, "n4", "learner")
        assert "no learner" in refusal(cluster, "promote", "n2")
        members = command(cluster, "promote", "n4")["members"]
        assert [m["name"] for m in members if m["votes"]] == ["n1", "n2", "n3", "n4"]

        command(cluster, "transfer-leader", "n1")
        until_role(cluster, "n1", "leader")
        members = command(cluster, "remove-node", "n1")["members"]
        assert [m["name"] for m in members] == ["n2", "n3", "n4"]
        gone = cluster.node("n1")
        assert gone.process is not None and gone.process.wait(PATIENCE_S) == 1
        assert "removed from the cluster" in (tmp_path / "n1.log").read_text()
        assert "no member is named" in refusal(cluster, "remove-node", "n1")

        assert deliverer.wait_for_more(20, PATIENCE_S)
        deliverer.ended.set()
        deliverer.join(PATIENCE_S)
        cluster.nodes.remove(gone)
        assert row(cluster, "n1") is None
        assert chaos.violations(cluster, set(deliverer.acknowledged)) == []


def test_a_cluster_of_one_grows_to_the_three_it_wants(tmp_path: Path) -> None:
    with running(tmp_path, 1, "[raft]\nvoters = 3\n") as cluster:
        deliverer = chaos.Deliverer(cluster, seed=2)
        deliverer.start()
        for name in ("n2", "n3"):
            cluster.lend(name)
            cluster.start(name)
            cluster.wait_ready(name)
            until_role(cluster, name, "follower", "leader")
        cluster.kill("n1")  # the two that came later are a majority now
        assert deliverer.wait_for_more(20, PATIENCE_S)
        cluster.start("n1")
        cluster.wait_ready("n1")
        deliverer.ended.set()
        deliverer.join(PATIENCE_S)
        assert chaos.violations(cluster, set(deliverer.acknowledged)) == []


def test_a_wiped_disk_comes_back_as_somebody_new(tmp_path: Path) -> None:
    with running(tmp_path, 3) as cluster:
        cluster.kill("n3")
        (tmp_path / "var" / "n3").rename(tmp_path / "lost")
        cluster.start("n3")
        process = cluster.node("n3").process
        assert process is not None and process.wait(PATIENCE_S) == 1  # told to join instead
        before = {m["replica"] for m in command(cluster, "remove-node", "n3")["members"]}
        there = f"127.0.0.1:{cluster.node('n1').ports['peer']}"
        cluster.node("n3").arguments = ("--join", there)
        cluster.start("n3")
        cluster.wait_ready("n3")
        until_role(cluster, "n3", "follower", "leader")
        line = Lmtp(cluster.node("n3").address("lmtp"))
        assert line.deliver(chaos.numbered(1)).startswith(b"250")
        line.close()
        cluster.kill("n3")
        cluster.start("n3")  # with the same words: it is a member already
        cluster.wait_ready("n3")
        assert len(before) == 2
        assert chaos.violations(cluster, {1}) == []


def test_replicas_of_the_file_and_of_later_serve_and_never_vote(tmp_path: Path) -> None:
    with running(tmp_path, 2, SHORT_LOGS, replicas=("n2",)) as cluster:
        until_role(cluster, "n2", "replica")
        # Each is written to and read at by turns: a reader sees what was acknowledged before.
        for number in range(10):
            writer, reader = ("n1", "n2") if number % 2 else ("n2", "n1")
            line = Lmtp(cluster.node(writer).address("lmtp"))
            assert line.deliver(chaos.numbered(number)).startswith(b"250")
            line.close()
            assert number in [seen for _, seen in chaos.listing(cluster, reader)]
        assert "never votes" in refusal(cluster, "promote", "n2")
        assert "only a voter can lead" in refusal(cluster, "transfer-leader", "n2")
        # One that comes when the logs are cut, in whole files of 4 MiB, begins with a state.
        line = Lmtp(cluster.node("n1").address("lmtp"))
        large = b"Subject: large\r\n\r\n" + b"A line of a large mail.\r\n" * 120_000
        for _ in range(3):
            assert line.deliver(large).startswith(b"250")
        line.close()
        rows = command(cluster, "snapshot")["nodes"]
        assert all(row["log_starts_behind"] > 10 for row in rows.values()), rows
        cluster.lend("n3", role="replica")
        cluster.start("n3")
        cluster.wait_ready("n3")
        until_role(cluster, "n3", "replica")
        assert "snapshot installed" in (tmp_path / "n3.log").read_text()
        assert chaos.violations(cluster, set(range(10))) == []
