"""Every sample and every odd message through a real node: in by LMTP, out by JMAP and IMAP.

What comes out is what went in, octet for octet, behind the trace headers that LMTP adds; every
property of JMAP's Email and every item of IMAP's FETCH can be asked for without an error.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imapclient  # type: ignore[import-untyped]
import pytest

from protocols.jmap.email_bodies import BODY_PROPERTIES
from tests.bench.clients import Jmap, Lmtp
from tests.e2e.cluster import RealCluster, running
from tests.protocols.mime.odd_messages import ODD_MESSAGES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"
SAMPLES: Final = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "eml"
PAGE: Final = 50
EMAIL_PROPERTIES: Final = (
    "id blobId threadId mailboxIds keywords size receivedAt messageId inReplyTo references sender "
    "from to cc bcc replyTo subject sentAt bodyStructure bodyValues textBody htmlBody attachments "
    "hasAttachment preview headers header:To:asAddresses:all header:Subject:asText "
    "header:Received:asRaw:all header:List-Post:asURLs header:Date:asDate "
    "header:From:asGroupedAddresses header:Message-ID:asMessageIds"
).split()
TRACE: Final = re.compile(
    rb"Return-Path: <[^\r\n]*>\r\nReceived: from [^\r\n]*\r\n\tby [^\r\n]*"
    rb"(?:\r\n\tfor [^\r\n]*)?;\r\n"
    rb"\t[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\r\n"
)
FETCHED: Final = ["ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY.PEEK[]", "RFC822.SIZE", "FLAGS", "UID"]


@dataclass(frozen=True)
class Sent:
    """A message as it was delivered."""

    name: str
    data: bytes


def as_a_client_must_send_it(message: bytes) -> bytes:
    """RFC 5321 4.1.1.4: what DATA carries ends with CRLF; nothing else is changed."""
    return message if not message or message.endswith(b"\r\n") else message + b"\r\n"


def stuffed(message: bytes) -> bytes:
    """RFC 5321 4.5.2: a dot at the start of a line, after CRLF alone, is doubled."""
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", message)


def everything() -> list[Sent]:
    """Sample mail, where it is there, and all hand-made messages."""
    samples = [
        Sent(path.relative_to(SAMPLES).as_posix(), path.read_bytes())
        for path in sorted(SAMPLES.rglob("*.eml"))
    ]
    odd = [Sent(name, data) for name, data in ODD_MESSAGES]
    return [Sent(one.name, as_a_client_must_send_it(one.data)) for one in samples + odd]


def deliver_all(cluster: RealCluster, messages: list[Sent]) -> None:
    line = Lmtp(cluster.node("n1").address("lmtp"))
    for one in messages:
        line.socket.sendall(
            b"MAIL FROM:<s@example.net> BODY=8BITMIME\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
        )
        assert [line.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"], one.name
        line.socket.sendall(stuffed(one.data) + b".\r\n")
        assert line.reply().startswith(b"250"), one.name
    line.close()


@pytest.fixture(scope="module")
def messages() -> list[Sent]:
    return everything()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Sent]
) -> Iterator[RealCluster]:
    with running(tmp_path_factory.mktemp("corpus"), 1) as cluster:
        deliver_all(cluster, messages)
        yield cluster
        log = (cluster.directory / "n1.log").read_text()
        assert "Traceback" not in log and "connection failed" not in log, log


@pytest.fixture(scope="module")
def jmap(cluster: RealCluster) -> Jmap:
    return Jmap(cluster.node("n1").address("http"), USER, PASSWORD)


@pytest.fixture(scope="module")
def uids(cluster: RealCluster) -> dict[int, bytes]:
    """What IMAP gives as BODY[], by UID; imapclient parses all the rest on the way."""
    with imapclient.IMAPClient(*cluster.node("n1").address("imap"), ssl=False) as client:
        client.login(USER, PASSWORD)
        client.select_folder("INBOX")
        found: dict[int, bytes] = {}
        for uid, items in client.fetch(client.search(), FETCHED).items():
            assert items[b"ENVELOPE"] is not None and items[b"BODYSTRUCTURE"] is not None
            assert items[b"RFC822.SIZE"] == len(items[b"BODY[]"])
            found[uid] = items[b"BODY[]"]
    return found


def calls(client: Jmap, *methods: list[Any]) -> list[Any]:
    responses: list[Any] = json.loads(client.send(client.prepare(*methods)))["methodResponses"]
    return responses


@pytest.fixture(scope="module")
def emails(jmap: Jmap, messages: list[Sent]) -> list[dict[str, Any]]:
    """Every email with every property, oldest first."""
    found: list[dict[str, Any]] = []
    asked = {
        "accountId": jmap.account,
        "properties": EMAIL_PROPERTIES,
        "bodyProperties": [*BODY_PROPERTIES, "headers"],
        "fetchAllBodyValues": True,
        "maxBodyValueBytes": 100_000,
    }
    query = {"accountId": jmap.account, "limit": PAGE}
    sort = [{"property": "receivedAt", "isAscending": True}]
    ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    for position in range(0, len(messages), PAGE):
        answers = calls(
            jmap,
            ["Email/query", {**query, "sort": sort, "position": position}, "q"],
            ["Email/get", {**asked, "#ids": ids}, "g"],
        )
        assert [answer[0] for answer in answers] == ["Email/query", "Email/get"], answers
        assert answers[1][1]["notFound"] == []
        found += answers[1][1]["list"]
    return found


def test_the_samples_are_there() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"no sample mail at {SAMPLES}: only the odd messages are delivered")
    assert len(list(SAMPLES.rglob("*.eml"))) >= 50


def test_every_email_has_every_property(emails: list[dict[str, Any]], messages: list[Sent]) -> None:
    assert len(emails) == len(messages) >= 250
    for email in emails:
        assert set(email) == set(EMAIL_PROPERTIES), email["id"]
        for part in email["textBody"] + email["htmlBody"]:
            if part["type"].startswith("text/"):
                assert part["partId"] in email["bodyValues"], email["id"]


def test_the_blobs_end_with_the_octets_delivered(
    jmap: Jmap, emails: list[dict[str, Any]], messages: list[Sent]
) -> None:
    wanted = sorted(one.data for one in messages)
    got: list[bytes] = []
    for email in emails:
        blob = jmap.get(f"/jmap/download/{jmap.account}/{email['blobId']}/m.eml")
        assert email["size"] == len(blob)
        got.append(without_trace(blob))
    assert sorted(got) == wanted


def without_trace(blob: bytes) -> bytes:
    """The message behind the Return-Path and Received that LMTP put before it."""
    # Its last line is the date; a message may well begin with a folded line of its own.
    trace = TRACE.match(blob)
    assert trace is not None, blob[:400]
    return blob[trace.end() :]


def test_imap_parses_all_and_gives_the_same_octets(
    uids: dict[int, bytes], messages: list[Sent]
) -> None:
    assert sorted(uids) == list(range(1, len(messages) + 1))
    for (uid, body), one in zip(sorted(uids.items()), messages, strict=True):
        # RFC 9051 4.3.1: a literal has no NUL in it
        assert without_trace(body) == one.data.replace(b"\0", b"\x80"), (uid, one.name)


def test_every_part_that_imap_tells_of_can_be_had(cluster: RealCluster, uids: Any) -> None:
    with imapclient.IMAPClient(*cluster.node("n1").address("imap"), ssl=False) as client:
        client.login(USER, PASSWORD)
        client.select_folder("INBOX")
        asked = ["BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"]
        for uid, items in client.fetch(client.search(), asked).items():
            assert items[b"BODY[HEADER]"] + items[b"BODY[TEXT]"] == uids[uid]


def test_a_message_without_its_last_line_end_comes_by_bdat_as_it_is(
    cluster: RealCluster, jmap: Jmap
) -> None:
    """CHUNKING carries octets: nothing is stuffed and nothing need end with CRLF (RFC 3030)."""
    message = b"Subject: by chunks\r\n\r\n.\r\n..\r\n\n.lone\rno end"
    line = Lmtp(cluster.node("n1").address("lmtp"))
    line.socket.sendall(b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\n")
    half = len(message) // 2
    line.socket.sendall(b"BDAT %d\r\n" % half + message[:half])
    line.socket.sendall(b"BDAT %d LAST\r\n" % (len(message) - half) + message[half:])
    assert [line.reply()[:3] for _ in range(4)] == [b"250"] * 4
    with imapclient.IMAPClient(*cluster.node("n1").address("imap"), ssl=False) as client:
        client.login("bob@example.org", "bob-demo")
        client.select_folder("INBOX")
        (items,) = client.fetch(client.search(), ["BODY.PEEK[]"]).values()
    assert without_trace(items[b"BODY[]"]) == message
