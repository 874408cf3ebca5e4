"""Mail that is expunged gives its room back on every node, and what is kept stays as it was."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.bench.clients import Imap
from tests.e2e.cluster import RealCluster, running
from tests.e2e.waiting import until
from tests.e2e.wellness import PASSWORD, USER, deliver

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

SETTINGS: Final = "[storage]\ncollect-interval-ms = 500\ncollect-grace-ms = 200\n"
MESSAGES: Final = 12
CHANCE: Final = random.Random(7)
COLLECTED_S: Final = 60.0


def message(octets: int) -> bytes:
    body = CHANCE.randbytes(octets // 2).hex().encode()
    lines = b"\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
    return b"From: a@example.net\r\nSubject: large\r\n\r\n" + lines + b"\r\n"


def blob_octets(cluster: RealCluster, name: str) -> int:
    """What the blob segments of a node take on its disk."""
    place: Path = cluster.directory / "var" / name / "state" / "blobs"
    return sum(path.stat().st_size for path in place.glob("*.blobs"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with running(tmp_path_factory.mktemp("collecting"), 3, SETTINGS) as made:
        yield made


def test_what_is_expunged_comes_back_to_every_disk(cluster: RealCluster) -> None:
    names = [node.name for node in cluster.nodes]
    for number in range(MESSAGES):
        octets = 3_000 if number % 4 == 0 else 600_000
        assert deliver(cluster.nodes[number % 3], message(octets)).startswith(b"250")
    client = Imap(cluster.nodes[0].address("imap"), USER, PASSWORD)
    client.command("SELECT INBOX")
    before = client.command("FETCH 1,5,9 (BODY.PEEK[])")
    assert until(lambda: all(blob_octets(cluster, name) > 5_000_000 for name in names), 10)
    client.command("STORE 2:4,6:8,10:12 +FLAGS (\\Deleted)")
    client.command("EXPUNGE")
    assert until(lambda: all(blob_octets(cluster, name) < 50_000 for name in names), COLLECTED_S)
    assert client.command("FETCH 1:* (BODY.PEEK[])") >= before - 10
    client.close()
    ended = cluster.trireme("verify", "--json")
    answer = json.loads(ended.stdout)
    assert ended.returncode == 0 and answer["clean"], answer
    assert all(node["blobs"] == MESSAGES // 4 for node in answer["nodes"])
    assert all(0 < row["blob_bytes"] < 10_000_000 for row in cluster.status())
    cluster.kill("n2")  # where the segments are few and young
    cluster.start("n2")
    cluster.wait_ready("n2")
    assert json.loads(cluster.trireme("verify", "--json").stdout)["clean"]
