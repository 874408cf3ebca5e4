"""Three real processes: mail in by LMTP on one, out by JMAP and IMAP on the others.

The slow story of kills and restarts at length is `make chaos`; this is the short form of it.
"""

import json
import re
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.bench.clients import Imap, Jmap, Lmtp
from tests.e2e import chaos
from tests.e2e.cluster import RealCluster, running

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with running(tmp_path_factory.mktemp("spine"), 3) as cluster:
        yield cluster


def deliver(cluster: RealCluster, name: str, message: bytes, to: str = USER) -> bytes:
    line = Lmtp(cluster.node(name).address("lmtp"))
    try:
        return line.deliver(message, to)
    finally:
        line.close()


def jmap_calls(client: Jmap, *calls: list[Any]) -> list[Any]:
    responses: list[Any] = json.loads(client.send(client.prepare(*calls)))["methodResponses"]
    return responses


def newest(client: Jmap, properties: list[str]) -> dict[str, Any]:
    """The newest email of the account."""
    sort = [{"property": "receivedAt", "isAscending": False}]
    ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    answers = jmap_calls(
        client,
        ["Email/query", {"accountId": client.account, "sort": sort, "limit": 1}, "q"],
        ["Email/get", {"accountId": client.account, "#ids": ids, "properties": properties}, "g"],
    )
    email: dict[str, Any] = answers[1][1]["list"][0]
    return email


def test_the_status_shows_three_nodes_and_one_leader(cluster: RealCluster) -> None:
    rows = json.loads(cluster.trireme("status", "--json").stdout)["nodes"]
    assert [row["name"] for row in rows] == ["n1", "n2", "n3"]
    assert all(row["up"] and row["pid"] for row in rows)
    assert sorted(row["role"] for row in rows) == ["follower", "follower", "leader"]
    assert len({row["term"] for row in rows}) == 1


def test_mail_goes_in_on_one_node_and_out_on_the_others_byte_for_byte(
    cluster: RealCluster,
) -> None:
    message = chaos.numbered(700_001) + b"\r\n\xff\x00 odd bytes\r\n.leading dot\r\n"
    assert deliver(cluster, "n1", message).startswith(b"250")

    jmap = Jmap(cluster.node("n2").address("http"), USER, PASSWORD)
    email = newest(jmap, ["subject", "blobId", "mailboxIds", "keywords"])
    assert email["subject"] == "number 700001" and email["keywords"] == {}
    name = urllib.parse.quote("m.eml")
    downloaded = jmap.get(
        f"/jmap/download/{jmap.account}/{email['blobId']}/{name}?type=message/rfc822"
    )
    assert downloaded.endswith(message)

    imap = Imap(cluster.node("n3").address("imap"), USER, PASSWORD)
    imap.command("SELECT INBOX")
    imap.socket.sendall(b"f FETCH * BODY.PEEK[]\r\n")
    size = re.search(rb"\{(\d+)\}", imap.line())
    # RFC 9051 4.3.1: a literal has no NUL in it
    shown = downloaded.replace(b"\0", b"\x80")
    assert size is not None and imap.exactly(int(size[1])) == shown
    while not imap.line().startswith(b"f OK"):
        pass

    imap.command(r"STORE * +FLAGS (\Seen \Flagged)")
    there = Jmap(cluster.node("n1").address("http"), USER, PASSWORD)
    assert newest(there, ["keywords"])["keywords"] == {"$seen": True, "$flagged": True}


def test_an_unknown_recipient_is_told_so_on_every_node(cluster: RealCluster) -> None:
    for node in cluster.nodes:
        reply = deliver(cluster, node.name, b"Subject: x\r\n\r\n", "nobody@example.org")
        assert reply.startswith(b"550 5.1.1"), reply


def test_an_account_made_on_the_command_line_has_mail_at_once(cluster: RealCluster) -> None:
    made = cluster.trireme(
        "account", "add", "carol@new.example", "--password-stdin", stdin="carol-pw\n"
    )
    assert made.returncode == 0, made.stderr
    assert deliver(cluster, "n3", chaos.numbered(1), "carol@new.example").startswith(b"250")
    Imap(cluster.node("n2").address("imap"), "carol@new.example", "carol-pw").close()
    again = cluster.trireme(
        "account", "add", "carol@new.example", "--password-stdin", stdin="carol-pw\n"
    )
    assert again.returncode == 1 and "carol@new.example" in again.stderr
    listed = json.loads(cluster.trireme("account", "list", "--json").stdout)["accounts"]
    assert {row["address"] for row in listed} >= {USER, "carol@new.example"}


def test_the_tree_shows_the_doors(cluster: RealCluster) -> None:
    shown = cluster.trireme("tree").stdout
    for task in ("raft", "gossip", "imap", "lmtp", "http"):
        assert task in shown


def test_kills_and_restarts_lose_and_double_nothing(tmp_path: Path) -> None:
    with running(tmp_path, 3) as fresh:
        assert chaos.chaos(fresh, rounds=2, seed=7, resume_s_max=10.0) == []


def test_without_a_majority_every_door_says_so_and_heals(tmp_path: Path) -> None:
    with running(tmp_path, 3) as fresh:
        assert deliver(fresh, "n1", chaos.numbered(1)).startswith(b"250")
        imap = Imap(fresh.node("n1").address("imap"), USER, PASSWORD)
        jmap = Jmap(fresh.node("n1").address("http"), USER, PASSWORD)
        for name in ("n2", "n3"):
            fresh.kill(name)
        query = ["Email/query", {"accountId": jmap.account}, "q"]
        with ThreadPoolExecutor() as doors:  # each takes its time to give up
            delivered = doors.submit(deliver, fresh, "n1", chaos.numbered(2))
            selected = doors.submit(imap.command, "SELECT INBOX")
            asked = doors.submit(jmap_calls, jmap, query)
        assert delivered.result().startswith(b"451")
        with pytest.raises(ConnectionError, match=r"NO \[UNAVAILABLE\]"):
            selected.result()
        answer = asked.result()[0]
        assert answer[0] == "error" and answer[1]["type"] == "serverUnavailable"
        fresh.start("n2", "n3")
        fresh.wait_ready()
        assert deliver(fresh, "n1", chaos.numbered(3)).startswith(b"250")
        assert jmap_calls(jmap, query)[0][0] == "Email/query"
