"""`trireme verify` on live nodes, and nodes that mend what a disk has done to them, unasked.

A byte is flipped where nobody looks: in a table of LevelDB, in a blob segment. After the start the
node finds it, rebuilds or fetches what it lost, and is clean within a minute; in between nobody is
given a byte that was not written.
"""

import json
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bench.clients import Imap
from tests.e2e.chaos import PASSWORD, USER
from tests.e2e.cluster import RealCluster, RealNode, running
from tests.e2e.waiting import until
from tests.e2e.wellness import deliver

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

MENDED_S_MAX: Final = 60.0
FLIPS: Final = 100
MESSAGES: Final = 60
CHANCE: Final = random.Random(21)


def message(number: int) -> bytes:
    """A message that is not like another: nothing of it is compressed away or shared."""
    body = CHANCE.randbytes(3000 + 400 * number).hex().encode()
    lines = b"\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
    return b"From: a@example.net\r\nSubject: number %d\r\n\r\n%b\r\n" % (number, lines)


def flip(paths: list[Path], count: int = FLIPS) -> None:
    """Flip one bit in so many random bytes of these files together."""
    sizes = [path.stat().st_size for path in paths]
    assert sum(sizes) > 0, paths
    for _ in range(count):
        path = CHANCE.choices(paths, weights=sizes)[0]
        with path.open("r+b") as file:
            at = CHANCE.randrange(path.stat().st_size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes((byte ^ 1 << CHANCE.randrange(8),)))


def verified(cluster: RealCluster, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of a verification."""
    ended = cluster.trireme("verify", "--json", *words)
    assert ended.stdout, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, answer


def is_clean(cluster: RealCluster) -> bool:
    ended = cluster.trireme("verify", "--json")
    return ended.returncode == 0 and json.loads(ended.stdout)["clean"]


def bodies(node: RealNode) -> dict[bytes, bytes]:
    """Every message of the inbox by UID, as IMAP gives it; without those that it cannot."""
    client = Imap(node.address("imap"), USER, PASSWORD)
    client.socket.settimeout(10)
    client.command("SELECT INBOX")
    found: dict[bytes, bytes] = {}
    for uid in range(1, MESSAGES + 1):
        client.socket.sendall(b"z UID FETCH %d BODY.PEEK[]\r\n" % uid)
        received = client.held
        client.held = b""
        while not re.search(rb"(^|\r\n)z (OK|NO|BAD)[^\r\n]*\r\n\Z", received):
            chunk = client.socket.recv(1 << 20)
            if not chunk:
                break
            received += chunk
        literal = re.search(rb"\{(\d+)\}\r\n", received)
        if literal is not None and b"z OK" in received:
            found[b"%d" % uid] = received[literal.end() :][: int(literal[1])]
        elif not received.rstrip().startswith(b"z"):
            client = Imap(node.address("imap"), USER, PASSWORD)  # it hung up rather than lie
            client.command("SELECT INBOX")
    client.close()
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with running(tmp_path_factory.mktemp("verify"), 3) as made:
        for number in range(MESSAGES):
            node = made.nodes[number % 3]
            assert deliver(node, message(number)).startswith(b"250")
        for _ in range(2):  # an orderly stop and a start leave the rows in tables
            made.stop()
            made.start()
            made.wait_ready()
        yield made


def data(cluster: RealCluster, name: str) -> Path:
    return cluster.directory / "var" / name


def state(cluster: RealCluster, name: str) -> Path:
    current = data(cluster, name) / "state.current"
    return data(cluster, name) / (current.read_text() if current.exists() else "state")


def mended_within(cluster: RealCluster, name: str) -> float:
    """Seconds from the start of a node until a verification of all is clean."""
    began = time.monotonic()
    cluster.start(name)
    assert until(lambda: is_clean(cluster), MENDED_S_MAX), cluster.logs()
    return time.monotonic() - began


def test_a_healthy_cluster_is_clean_and_says_what_it_has_seen(cluster: RealCluster) -> None:
    status, answer = verified(cluster)
    assert status == 0 and answer["differences"] == []
    assert [node["name"] for node in answer["nodes"]] == ["n1", "n2", "n3"]
    assert len({(n["digest"], n["chain"], n["index"]) for n in answer["nodes"]}) == 1
    assert all(n["blobs"] == MESSAGES and n["accounts"] == 3 for n in answer["nodes"])
    told = cluster.trireme("verify")
    assert told.returncode == 0 and "All is as it should be" in told.stdout


def test_status_tells_of_links_disks_and_the_search_for_damage(cluster: RealCluster) -> None:
    def links_timed() -> bool:
        return all(len(row["rtt_ms"]) == 2 for row in cluster.status())

    assert until(links_timed, MENDED_S_MAX), cluster.status()
    rows = cluster.status()
    assert {row["role"] for row in rows} == {"leader", "follower"}
    for row in rows:
        assert row["standing"] == "voter" and row["agrees"] == "agree"
        assert set(row["rtt_ms"]) == {"n1", "n2", "n3"} - {row["name"]}
        assert row["free_bytes"] > 0


def test_flipped_bytes_in_rows_are_found_and_the_rows_rebuilt(cluster: RealCluster) -> None:
    before = bodies(cluster.node("n1"))
    assert len(before) == MESSAGES
    cluster.kill("n2", signal.SIGTERM)
    files = [path for path in (state(cluster, "n2") / "rows").iterdir() if path.stat().st_size]
    flip([path for path in files if path.name not in ("LOG", "LOG.old", "LOCK")])
    took = mended_within(cluster, "n2")
    print(f"rows mended in {took:.1f} s")
    cluster.wait_ready("n2")
    assert bodies(cluster.node("n2")) == before


def test_a_table_flipped_under_a_running_node_is_rebuilt_in_the_same_process(
    cluster: RealCluster,
) -> None:
    """Only a read finds it: by the scrubber, after a start that saw nothing wrong."""
    cluster.kill("n3", signal.SIGTERM)
    tables = sorted((state(cluster, "n3") / "rows").glob("*.ldb"), key=lambda p: p.stat().st_size)
    flip([tables[-1]], 20)
    took = mended_within(cluster, "n3")
    process = cluster.node("n3").process
    assert process is not None and process.poll() is None, "it should not need to be started"
    print(f"a table mended in {took:.1f} s")
    log = (cluster.directory / "n3.log").read_text()
    assert "beginning anew to rebuild them" in log or "rows moved aside" in log


def test_flipped_bytes_in_blobs_are_fetched_from_the_others(cluster: RealCluster) -> None:
    before = bodies(cluster.node("n1"))
    cluster.kill("n2", signal.SIGTERM)
    flip(sorted((state(cluster, "n2") / "blobs").glob("*.blobs")))
    cluster.start("n2")
    cluster.wait_ready("n2")
    given = bodies(cluster.node("n2"))  # while it mends: right, or not at all
    assert given.items() <= before.items()
    assert until(lambda: is_clean(cluster), MENDED_S_MAX), cluster.logs()
    assert bodies(cluster.node("n2")) == before
    assert "a blob was mended" in (cluster.directory / "n2.log").read_text()


def test_a_node_that_is_down_is_named_and_the_answer_is_no(cluster: RealCluster) -> None:
    cluster.kill("n3", signal.SIGTERM)
    status, answer = verified(cluster)
    assert status == 1 and not answer["clean"]
    assert [difference["node"] for difference in answer["differences"]] == ["n3"]
    cluster.start("n3")
    cluster.wait_ready("n3")
