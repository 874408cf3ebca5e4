"""Real processes with short logs: who was away too long, or lost its rows, gets a snapshot."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.bench.clients import Imap, Lmtp
from tests.e2e.cluster import RealCluster, running
from tests.e2e.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"
MIB = 1024 * 1024
# Logs of a few files of 4 MiB; a message below takes about 100 KiB of one.
SHORT_LOGS = "[raft]\nsegment-bytes = 4194304\ntrailing-bytes = 4194304\n"
MESSAGES = 300


def message(number: int) -> bytes:
    body = b"\r\n".join([b"%06d " % number + b"x" * 60] * 1_150)
    return b"Subject: number %d\r\nFrom: a@b.example\r\n\r\n" % number + body + b"\r\n"


def deliver(cluster: RealCluster, name: str, numbers: range) -> None:
    line = Lmtp(cluster.node(name).address("lmtp"))
    try:
        for number in numbers:
            assert line.deliver(message(number), USER).startswith(b"250")
    finally:
        line.close()


def first_mail(cluster: RealCluster) -> bool:
    """Message 0, as soon as the accounts are made."""
    line = Lmtp(cluster.node("n1").address("lmtp"))
    try:
        return line.deliver(message(0), USER).startswith(b"250")
    finally:
        line.close()


def mail(cluster: RealCluster, name: str) -> list[bytes]:
    """Every message's UID, size, flags and subject, as one node lists them."""
    imap = Imap(cluster.node(name).address("imap"), USER, PASSWORD)
    imap.command("ENABLE IMAP4rev2")  # which has no \\Recent: that is of one session alone
    imap.command("SELECT INBOX")
    imap.socket.sendall(b"f FETCH 1:* (UID RFC822.SIZE FLAGS ENVELOPE)\r\n")
    lines = []
    while not (line := imap.line()).startswith(b"f "):
        lines.append(line)
    imap.close()
    return lines


def body(cluster: RealCluster, name: str, number: int) -> bytes:
    imap = Imap(cluster.node(name).address("imap"), USER, PASSWORD)
    imap.command("SELECT INBOX")
    imap.socket.sendall(b"f FETCH %d BODY.PEEK[TEXT]\r\n" % number)
    size = re.search(rb"\{(\d+)\}", imap.line())
    assert size is not None
    data: bytes = imap.exactly(int(size[1]))
    imap.close()
    return data


def log_bytes(cluster: RealCluster, name: str) -> int:
    return sum(p.stat().st_size for p in (cluster.directory / "var" / name / "raft").glob("*.wal"))


def said(cluster: RealCluster, name: str, words: str) -> int:
    return (cluster.directory / f"{name}.log").read_text(errors="replace").count(words)


def chains(cluster: RealCluster) -> set[tuple[int, str]]:
    return {(row["applied"], row["chain"]) for row in cluster.status() if row["up"]}


def agree(cluster: RealCluster) -> bool:
    return len(chains(cluster)) == 1 and all(row["up"] for row in cluster.status())


def test_a_node_that_was_away_too_long_becomes_like_the_others(tmp_path: Path) -> None:
    with running(tmp_path, 3, SHORT_LOGS) as cluster:
        assert until(lambda: first_mail(cluster), 20)
        deliver(cluster, "n1", range(1, 10))
        cluster.kill("n3")
        deliver(cluster, "n1", range(10, MESSAGES))
        assert until(lambda: log_bytes(cluster, "n1") < 16 * MIB, 30)

        cluster.start("n3")
        cluster.wait_ready("n3")
        assert until(lambda: said(cluster, "n3", "snapshot installed") == 1, 30)
        assert until(lambda: agree(cluster), 20), cluster.status()
        assert len(mail(cluster, "n3")) == MESSAGES
        assert mail(cluster, "n3") == mail(cluster, "n1")
        for number in (1, 140, MESSAGES):
            assert body(cluster, "n3", number) == body(cluster, "n1", number)
        # It takes part again: with it and one other there is a majority.
        cluster.kill("n2")
        cluster.wait_ready("n1", "n3")
        deliver(cluster, "n3", range(MESSAGES, MESSAGES + 5))
        assert len(mail(cluster, "n3")) == MESSAGES + 5
        # And it starts from what it has installed.
        cluster.kill("n3", signal.SIGKILL)
        cluster.start("n2", "n3")
        cluster.wait_ready()
        assert len(mail(cluster, "n3")) == MESSAGES + 5
        assert said(cluster, "n3", "snapshot installed") == 1


def test_lost_rows_come_back_from_another_node(tmp_path: Path) -> None:
    with running(tmp_path, 3, SHORT_LOGS) as cluster:
        assert until(lambda: first_mail(cluster), 20)
        deliver(cluster, "n1", range(1, 80))
        # An operator cuts the logs: now they alone cannot rebuild a state.
        rows = json.loads(cluster.trireme("cluster", "snapshot", "--json").stdout)["nodes"]
        assert all(row["was_cut"] for row in rows.values()), rows
        cluster.kill("n2")
        rows_of_n2 = cluster.directory / "var" / "n2" / "state" / "rows"
        for path in rows_of_n2.glob("MANIFEST-*"):
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 1
            path.write_bytes(content)
        cluster.start("n2")
        cluster.wait_ready("n2")
        assert said(cluster, "n2", "rows moved aside") == 1
        assert until(lambda: said(cluster, "n2", "snapshot installed") == 1, 30)
        assert until(lambda: agree(cluster), 20), cluster.status()
        assert mail(cluster, "n2") == mail(cluster, "n1")
