"""The cluster's key is changed under a steady stream of mail, with one node down on the way."""

import json
import os
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from gossip import Keyring
from gossip.messages import Ping
from gossip.wire import pack
from node import config
from node.keyring import Ring, read_ring
from node.network import TrioNetwork
from node.rpc import Credentials, HandshakeFailed, Hello, Peers, Secrets
from node.secret import read_first_ring
from raft import OsDisk
from tests.e2e import chaos
from tests.e2e.cluster import RealCluster, RealNode, running

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

PATIENCE_S = 60


def rotate(cluster: RealCluster, *words: str, status: int = 0) -> dict[str, Any]:
    ended = cluster.trireme("cluster", "rotate-key", "--json", *words)
    assert ended.returncode == status, (ended.stderr, cluster.logs())
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def ring_of(cluster: RealCluster, name: str) -> Ring:
    ring = read_ring(OsDisk(), cluster.directory / "var" / name)
    assert ring is not None
    return ring


def knock(node: RealNode, cluster_id: bytes, secret: bytes) -> int | None:
    """Who answers over a link opened with this secret; None when it opens none."""
    stranger = Peers(
        Credentials(cluster_id, Secrets(secret), 99, "stranger"),
        TrioNetwork(),
        locate=lambda replica: None,
        on_link=lambda replica, up: None,
        chance=random.Random(1),
        draw=os.urandom,
    )

    async def ask() -> int | None:
        try:
            remote, _ = await stranger.call_at(node.address("peer"), Hello(), timeout_s=20)
        except HandshakeFailed:
            return None
        return remote.replica

    return trio.run(ask)


def acks(
    node: RealNode, cluster_id: bytes, secret: bytes, replica: int, *, wait_s: float = 1.0
) -> bool:
    """Whether one of three pings sealed with this secret is answered."""
    seals = Keyring(cluster_id, secret, draw_nonce=os.urandom)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(wait_s)
        for number in range(3):
            plain = pack([Ping(number, 99, replica)])
            sock.sendto(seals.seal(plain, int(time.time() * 1000)), node.address("peer"))
            try:
                sock.recv(65_535)
            except TimeoutError:
                continue
            return True
    return False


def test_the_key_changes_under_load_while_a_node_is_away(tmp_path: Path) -> None:
    with running(tmp_path, 3) as cluster:
        old = read_first_ring(config.load(tmp_path / "cluster.toml"))
        deliverer = chaos.Deliverer(cluster, seed=1)
        deliverer.start()
        assert deliverer.wait_for_more(20, PATIENCE_S)

        cluster.kill("n3")
        begun = rotate(cluster, "--wait", "2", status=1)
        assert list(begun["waiting"]) == ["n3"] and not begun["done"]
        refused = cluster.trireme("cluster", "rotate-key", "--check", "--wait", "0")
        assert refused.returncode == 1 and "start what is down" in refused.stderr
        assert deliverer.wait_for_more(20, PATIENCE_S)
        cluster.start("n3")
        cluster.wait_ready("n3")
        report = rotate(cluster, "--check", "--wait", str(PATIENCE_S))
        assert (report["key"], report["done"]) == (begun["key"], True)
        assert (report["members"], report["key_files"]) == (["n1", "n2", "n3"], {})
        assert deliverer.wait_for_more(20, PATIENCE_S)
        deliverer.ended.set()
        deliverer.join(PATIENCE_S)
        assert chaos.violations(cluster, set(deliverer.acknowledged)) == []

        new = ring_of(cluster, "n1")
        assert new == ring_of(cluster, "n2") == ring_of(cluster, "n3")
        assert len(new.keys) == 1 and new.cluster == old.cluster
        for node in cluster.nodes:
            replica = knock(node, new.cluster, new.in_use.secret)
            assert replica is not None
            assert knock(node, old.cluster, old.in_use.secret) is None
            assert acks(node, new.cluster, new.in_use.secret, replica)
            # It has just answered others at once.
            assert not acks(node, old.cluster, old.in_use.secret, replica, wait_s=0.2)

        cluster.lend("n4")  # with the key file as the rotation left it
        for name in ("n1", "n2", "n3"):
            cluster.kill(name)
        cluster.start()
        cluster.wait_ready()
        said = cluster.trireme("cluster", "rotate-key")
        assert said.returncode == 0 and "n1, n2, n3, n4" in said.stdout
        assert str(tmp_path / "var" / "cluster.key") in said.stdout
        assert chaos.violations(cluster, set(deliverer.acknowledged)) == []
