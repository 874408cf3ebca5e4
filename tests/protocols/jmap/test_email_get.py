"""Email/get: every property of RFC 8621 section 4, from rows and from the message."""

import base64
from typing import Any

import pytest

from protocols.jmap.email_bodies import truncate
from protocols.jmap.methods.email_get import EMAIL_DEFAULTS
from storage.blobs import BlobStore
from storage.ids import BlobId
from tests.protocols.jmap.desk import PLAIN, Desk, message

RICH = (
    b"Received: from a by b; Sun, 1 Nov 2026 09:00:00 +0000\r\n"
    b"Received: from c by d; Sun, 1 Nov 2026 08:00:00 +0000\r\n"
    b'From: =?utf-8?q?J=C3=B6rg?= <joerg@example.net>, Friends: a@x, "B. C" <b@x>;\r\n'
    b"To: alice@example.org\r\nCc: c@x\r\nReply-To: r@x\r\nSender: s@x\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <rich@example.net>\r\n"
    b"In-Reply-To: <one@example.net>\r\nReferences: <zero@x> <one@example.net>\r\n"
    b"List-Post: <mailto:list@x>, <https://x/post>\r\nX-Custom: =?utf-8?q?=C3=A9?= tail\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="M"\r\n\r\n'
    b'--M\r\nContent-Type: multipart/alternative; boundary="A"\r\n\r\n'
    b"--A\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe, Text\r\n"
    b"--A\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Language: de, en\r\n"
    b"Content-Location: http://x/y\r\n\r\n<p>Gr\xfc\xdfe</p>\r\n--A--\r\n"
    b'--M\r\nContent-Type: image/png; name="old.png"\r\nContent-ID: <pic@x>\r\n'
    b"Content-Disposition: attachment; filename*=utf-8''bild%20%C3%A4.png\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n"
    b"--M--\r\n"
)


async def got(desk: Desk, email: str, *properties: str, **options: Any) -> dict[str, Any]:
    """One email with these properties."""
    told = await desk.call("Email/get", ids=[email], properties=list(properties), **options)
    (found,) = told["list"]
    assert isinstance(found, dict)
    return found


async def test_the_defaults_are_those_of_the_rfc() -> None:
    desk = Desk()
    email = desk.deliver(keywords=["$seen", "Custom"])
    ((_, told, _),) = await desk.request(
        ["Email/get", {"accountId": desk.account, "ids": [email, "e9", "junk", email]}]
    )
    (found,) = told["list"]
    assert set(found) == set(EMAIL_DEFAULTS)
    assert told["notFound"] == ["e9", "junk"]
    assert found["keywords"] == {"$seen": True, "custom": True}
    assert found["mailboxIds"] == {desk.mailbox("inbox"): True}
    assert found["receivedAt"] == "2026-11-01T12:00:00Z"
    assert (found["size"], found["bodyValues"]) == (len(PLAIN), {})


async def test_list_properties() -> None:
    desk = Desk()
    found = await got(desk, desk.deliver(RICH), *EMAIL_DEFAULTS)
    assert found["subject"] == "Grüße"
    assert found["from"] == [
        {"name": "Jörg", "email": "joerg@example.net"},
        {"name": None, "email": "a@x"},
        {"name": "B. C", "email": "b@x"},
    ]
    assert found["references"] == ["zero@x", "one@example.net"]
    assert found["sentAt"] == "2026-11-01T10:00:00+01:00"
    assert found["hasAttachment"] is True and found["preview"].startswith("Grüße, Text")
    assert found["bcc"] is None


async def test_ids_may_be_all_none_or_too_many() -> None:
    desk = Desk()
    emails = {desk.deliver(message(number=n)) for n in range(3)}
    assert {e["id"] for e in (await desk.call("Email/get", ids=None))["list"]} == emails
    assert (await desk.call("Email/get", ids=[]))["list"] == []
    most = [f"e{n}" for n in range(1, 1001)]
    assert len((await desk.call("Email/get", ids=most))["notFound"]) == 997
    assert await desk.refusal("Email/get", ids=[*most, "e1001"]) == "requestTooLarge"


@pytest.mark.parametrize(
    "properties",
    [
        ["nope"],
        ["header:"],
        ["header:a b"],
        ["header:From:asDate"],
        ["header:Subject:asAddresses"],
        ["header:Date:asText"],
        ["header:X:asNothing"],
        ["header:X:all:asText"],
        ["header:X:"],
        [1],
        "id",
    ],
)
async def test_properties_that_are_none(properties: Any) -> None:
    assert await Desk().refusal("Email/get", ids=[], properties=properties) == "invalidArguments"


async def test_header_forms() -> None:
    desk = Desk()
    email = desk.deliver(RICH)
    wanted = {
        "header:subject": " =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "header:Subject:asText": "Grüße",
        "header:SUBJECT:asRaw": " =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "header:X-Custom:asText": "é tail",
        "header:From:asGroupedAddresses": [
            {"name": None, "addresses": [{"name": "Jörg", "email": "joerg@example.net"}]},
            {
                "name": "Friends",
                "addresses": [{"name": None, "email": "a@x"}, {"name": "B. C", "email": "b@x"}],
            },
        ],
        "header:Cc:asAddresses:all": [[{"name": None, "email": "c@x"}]],
        "header:References:asMessageIds": ["zero@x", "one@example.net"],
        "header:Date:asDate": "2026-11-01T10:00:00+01:00",
        "header:List-Post:asURLs": ["mailto:list@x", "https://x/post"],
        "header:Received:all": [
            " from a by b; Sun, 1 Nov 2026 09:00:00 +0000",
            " from c by d; Sun, 1 Nov 2026 08:00:00 +0000",
        ],
        "header:Received": " from c by d; Sun, 1 Nov 2026 08:00:00 +0000",
        "header:None": None,
        "header:None:all": [],
        "header:None:asAddresses": None,
    }
    found = await got(desk, email, *wanted)
    assert found == {"id": email, **wanted}


async def test_headers_come_as_they_were() -> None:
    desk = Desk()
    found = await got(desk, desk.deliver(RICH), "headers")
    names = [header["name"] for header in found["headers"]]
    assert names[:4] == ["Received", "Received", "From", "To"] and len(names) == 16
    assert found["headers"][3] == {"name": "To", "value": " alice@example.org"}


async def test_the_body_structure() -> None:
    desk = Desk()
    found = await got(desk, desk.deliver(RICH), "bodyStructure")
    root = found["bodyStructure"]
    assert (root["type"], root["partId"], root["blobId"]) == ("multipart/mixed", None, None)
    alternative, picture = root["subParts"]
    text, html = alternative["subParts"]
    assert (text["partId"], text["type"], text["charset"]) == ("1", "text/plain", "utf-8")
    assert (text["size"], "subParts" in text) == (len("Grüße, Text".encode()), False)
    assert html["language"] == ["de", "en"] and html["location"] == "http://x/y"
    assert picture["name"] == "bild ä.png" and picture["cid"] == "pic@x"
    assert (picture["disposition"], picture["size"]) == ("attachment", 8)
    assert picture["charset"] is None


async def test_body_lists_and_their_properties() -> None:
    desk = Desk()
    wanted = ["partId", "subParts", "headers", "header:Content-Type", "header:content-id:asText"]
    found = await got(
        desk,
        desk.deliver(RICH),
        *("textBody", "htmlBody", "attachments"),
        bodyProperties=wanted,
    )
    (text,), (html,), (picture,) = found["textBody"], found["htmlBody"], found["attachments"]
    assert (text["partId"], html["partId"], picture["partId"]) == ("1", "2", "3")
    assert text["subParts"] is None and len(text["headers"]) == 2
    assert picture["header:Content-Type"] == ' image/png; name="old.png"'
    assert picture["header:content-id:asText"] == "<pic@x>"
    refused = await desk.refusal("Email/get", ids=[], bodyProperties=["id"])
    assert refused == "invalidArguments"


async def test_body_values_are_those_asked_for() -> None:
    desk = Desk()
    email = desk.deliver(RICH)
    for options, parts in (
        ({}, set()),
        ({"fetchTextBodyValues": True}, {"1"}),
        ({"fetchHTMLBodyValues": True}, {"2"}),
        ({"fetchAllBodyValues": True}, {"1", "2"}),
    ):
        values = (await got(desk, email, "bodyValues", **options))["bodyValues"]
        assert set(values) == parts
    assert values["1"] == {
        "value": "Grüße, Text",
        "isEncodingProblem": False,
        "isTruncated": False,
    }
    assert values["2"]["value"] == "<p>Grüße</p>"


async def test_the_size_of_a_large_attachment_is_told_without_reading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    attached = base64.encodebytes(bytes(1_000_000)).replace(b"\n", b"\r\n")
    email = desk.deliver(
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nsmall\r\n--x\r\n"
        b"Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"%b--x--\r\n" % attached
    )
    octets_read: list[int] = []
    read = BlobStore.read

    def counting(blobs: BlobStore, blob: BlobId, start: int, length: int) -> bytes:
        octets_read.append(length)
        return read(blobs, blob, start, length)

    monkeypatch.setattr(BlobStore, "read", counting)
    found = await got(desk, email, "attachments", "bodyValues", fetchTextBodyValues=True)
    assert [part["size"] for part in found["attachments"]] == [1_000_000]
    assert found["bodyValues"]["1"]["value"] == "small"
    assert sum(octets_read) < 1000


async def test_body_values_are_cut_between_characters() -> None:
    desk = Desk()
    email = desk.deliver(RICH)
    for octets, value in (
        (3, "Gr"),
        (4, "Grü"),
        (5, "Grü"),
        (12, "Grüße, Tex"),
        (13, "Grüße, Text"),
    ):
        options = {"fetchTextBodyValues": True, "maxBodyValueBytes": octets}
        told = (await got(desk, email, "bodyValues", **options))["bodyValues"]["1"]
        assert (told["value"], told["isTruncated"]) == (value, octets < 13)
    assert await desk.refusal("Email/get", ids=[], maxBodyValueBytes=-1) == "invalidArguments"


def test_html_is_not_cut_inside_a_tag() -> None:
    assert truncate("ab<p class='x'>c", 8, html=True) == "ab"
    assert truncate("ab<p class='x'>c", 8, html=False) == "ab<p cla"
    assert truncate("ab<p>cd", 6, html=True) == "ab<p>c"
    assert truncate("äö", 4, html=True) == "äö"


async def test_what_cannot_be_decoded_is_said() -> None:
    desk = Desk()
    head = (
        b"From: a@x\r\nContent-Type: text/plain; charset=%s\r\n"
        b"Content-Transfer-Encoding: %s\r\n\r\n"
    )
    for charset, encoding, problem in (
        (b"utf-8", b"8bit", True),
        (b"x-unheard-of", b"8bit", True),
        (b"iso-8859-1", b"8bit", False),
        (b"iso-8859-1", b"x-strange", True),
    ):
        email = desk.deliver(head % (charset, encoding) + b"a\xffb\r\n")
        told = await got(desk, email, "bodyValues", fetchAllBodyValues=True)
        assert told["bodyValues"]["1"]["isEncodingProblem"] is problem, (charset, encoding)
        assert "\r" not in told["bodyValues"]["1"]["value"]


async def test_what_imap_marked_deleted_is_not_there() -> None:
    desk = Desk()
    email = desk.deliver(keywords=["$deleted"])
    assert (await desk.call("Email/get", ids=[email]))["notFound"] == [email]
    assert (await desk.call("Email/query"))["ids"] == []
    refused = await desk.call("Email/set", update={email: {"keywords/$seen": True}})
    assert refused["notUpdated"][email]["type"] == "notFound"
    refused = await desk.call("Email/set", destroy=[email])
    assert refused["notDestroyed"][email]["type"] == "notFound"


async def test_a_large_message_is_read_in_pieces() -> None:
    desk = Desk()
    lines = b"0123456789\r\n" * 60_000
    email = desk.deliver(b"Subject: big\r\nX-Last: y\r\n\r\n" + lines)
    found = await got(
        desk, email, "bodyValues", "header:X-Last", "bodyStructure", fetchAllBodyValues=True
    )
    assert found["bodyValues"]["1"]["value"] == lines.decode().replace("\r\n", "\n")
    assert found["header:X-Last"] == " y"
    assert found["bodyStructure"]["size"] == len(lines)


async def test_changes_lead_from_state_to_state() -> None:
    desk = Desk()
    start = (await desk.call("Email/get", ids=[]))["state"]
    first = desk.deliver()
    middle = (await desk.call("Email/get", ids=[]))["state"]
    second = desk.deliver(message(number=2))
    await desk.call("Email/set", update={first: {"keywords/$seen": True}})
    told = await desk.call("Email/changes", sinceState=middle)
    assert (told["created"], told["updated"], told["destroyed"]) == ([second], [first], [])
    assert told["newState"] == (await desk.call("Email/get", ids=[]))["state"]
    await desk.call("Email/set", destroy=[first, second])
    told = await desk.call("Email/changes", sinceState=middle)
    assert (told["created"], told["updated"], told["destroyed"]) == ([], [], [first])
    told = await desk.call("Email/changes", sinceState=start)
    assert told["created"] == told["updated"] == told["destroyed"] == []


async def test_changes_come_in_portions_that_meet() -> None:
    desk = Desk()
    state = (await desk.call("Email/get", ids=[]))["state"]
    emails = [desk.deliver(message(number=n)) for n in range(5)]
    await desk.call("Email/set", update={email: {"keywords/$seen": True} for email in emails})
    seen: list[str] = []
    for _ in range(10):
        told = await desk.call("Email/changes", sinceState=state, maxChanges=2)
        assert len(told["created"] + told["updated"] + told["destroyed"]) <= 2
        seen += told["created"] + told["updated"]
        state = told["newState"]
        if not told["hasMoreChanges"]:
            break
    assert set(seen) == set(emails)
    assert state == (await desk.call("Email/get", ids=[]))["state"]


@pytest.mark.parametrize("state", ["x", "", "999", "1-1-1"])
async def test_changes_since_a_state_we_never_gave(state: str) -> None:
    assert await Desk().refusal("Email/changes", sinceState=state) == "cannotCalculateChanges"


async def test_changes_need_sensible_arguments() -> None:
    desk = Desk()
    for arguments in ({}, {"sinceState": 1}, {"sinceState": "0", "maxChanges": 0}):
        assert await desk.refusal("Email/changes", **arguments) == "invalidArguments"
