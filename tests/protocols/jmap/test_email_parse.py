"""Email/parse: attached messages are read where they lie."""

import base64
import quopri
from typing import Any

import pytest

from protocols.jmap.capabilities import Limits
from storage.ids import SECTIONS_MAX
from tests.protocols.jmap.desk import BOB, Desk

INNER = (
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.net>\r\nSubject: Inside\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="in"\r\n\r\n--in\r\n\r\nInner text.\r\n'
    b"--in\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=a.png\r\n\r\naGVsbG8=\r\n--in--\r\n"
)
OUTER = (
    b"From: ann@example.net\r\nSubject: Outside\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="out"\r\n\r\n--out\r\n\r\nSee this.\r\n'
    b"--out\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n--out--\r\n"
)


async def attachment(desk: Desk, data: bytes) -> str:
    """The blob of the only attachment of a message."""
    email = desk.deliver(data)
    told = await desk.call("Email/get", ids=[email], properties=["attachments"])
    blob: str = told["list"][0]["attachments"][0]["blobId"]
    return blob


async def test_an_attached_message_is_parsed_and_its_parts_are_blobs() -> None:
    desk = Desk()
    blob = await attachment(desk, OUTER)
    told = await desk.call("Email/parse", blobIds=[blob, blob], fetchTextBodyValues=True)
    assert (told["notParsable"], told["notFound"]) == (None, None)
    (parsed,) = told["parsed"].values()
    assert parsed["from"] == [{"name": "Zoë", "email": "zoe@example.net"}]
    assert parsed["subject"] == "Inside" and parsed["hasAttachment"] is True
    text = parsed["textBody"][0]["partId"]
    assert parsed["bodyValues"][text]["value"].strip() == "Inner text."
    assert not parsed.keys() & {"id", "blobId", "threadId", "mailboxIds", "keywords", "receivedAt"}
    (picture,) = parsed["attachments"]
    path = f"/jmap/download/{desk.account}/{picture['blobId']}/a.png?type=image/png"
    assert (await desk.http("GET", path)).body == b"hello"
    nested = await desk.call("Email/parse", blobIds=[blob], properties=["bodyStructure"])
    assert nested["parsed"][blob]["bodyStructure"]["blobId"] is None


async def test_what_an_email_has_and_a_message_has_not_is_null() -> None:
    desk = Desk()
    blob = await attachment(desk, OUTER)
    names = ["id", "blobId", "threadId", "mailboxIds", "keywords", "receivedAt", "size"]
    names += ["header:SUBJECT:asText", "headers", "preview"]
    told = (await desk.call("Email/parse", blobIds=[blob], properties=names))["parsed"][blob]
    assert told["blobId"] == blob and told["size"] == len(INNER)
    assert told["header:SUBJECT:asText"] == "Inside" and told["headers"][1]["name"] == "Subject"
    assert all(told[name] is None for name in names if name not in {*names[-3:], "blobId", "size"})


def enclosed(message: bytes, encoding: bytes = b"base64") -> bytes:
    """A message whose only attachment is this one, encoded as a whole."""
    lines = base64.encodebytes if encoding == b"base64" else quopri.encodestring
    return (
        b"From: ann@example.net\r\nSubject: Outside\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n\r\nSee this.\r\n'
        b"--o\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: "
        + encoding
        + b"\r\n\r\n"
        + lines(message).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        + b"\r\n--o--\r\n"
    )


@pytest.mark.parametrize("encoding", [b"base64", b"quoted-printable"])
async def test_parts_of_a_message_that_was_encoded_as_a_whole_are_blobs(encoding: bytes) -> None:
    desk = Desk()
    blob = await attachment(desk, enclosed(INNER, encoding))
    told = await desk.call("Email/parse", blobIds=[blob], fetchTextBodyValues=True)
    parsed = told["parsed"][blob]
    assert parsed["subject"] == "Inside"
    (picture,) = parsed["attachments"]
    path = f"/jmap/download/{desk.account}/{picture['blobId']}/a.png"
    assert (await desk.http("GET", path)).body == b"hello"
    part = await desk.http("GET", path, headers={"range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"el")
    (got,) = (await desk.call("Blob/get", ids=[picture["blobId"]]))["list"]
    assert (got["data:asText"], got["size"]) == ("hello", 5)
    assert (await desk.http("GET", path, auth=(BOB, "other"))).status == 404


async def test_encoded_messages_in_encoded_messages_as_deep_as_an_id_can_name() -> None:
    desk = Desk()
    data = INNER
    for _ in range(SECTIONS_MAX):
        data = enclosed(data)
    blob: str | None = await attachment(desk, data)
    for level in range(SECTIONS_MAX):
        assert blob is not None
        told = await desk.call("Email/parse", blobIds=[blob], properties=["subject", "attachments"])
        parsed = told["parsed"][blob]
        assert parsed["subject"] == ("Inside" if level == SECTIONS_MAX - 1 else "Outside")
        blob = parsed["attachments"][0]["blobId"]
    assert blob is None


async def test_sections_outside_of_what_they_are_in_are_no_blobs() -> None:
    desk = Desk()
    blob = await attachment(desk, enclosed(INNER))
    far = [f"{blob}-0-{len(INNER) + 1}-0", f"{blob}-{len(INNER)}-1-0", f"{blob}-0-4-9"]
    told = await desk.call("Email/parse", blobIds=far)
    assert sorted(told["notFound"]) == sorted(far)
    for each in far:
        path = f"/jmap/download/{desk.account}/{each}/x"
        assert (await desk.http("GET", path)).status == 404


async def test_what_is_no_message_and_what_is_no_blob() -> None:
    desk = Desk(limits=Limits(get_objects_max=3))
    email = desk.deliver()
    told = await desk.call("Email/get", ids=[email], properties=["textBody", "blobId"])
    text, blob = told["list"][0]["textBody"][0]["blobId"], told["list"][0]["blobId"]
    other = "b" + "0" * 64
    told = await desk.call("Email/parse", blobIds=[text, other, blob], properties=["subject"])
    assert told["parsed"] == {blob: {"subject": "Hello"}}
    assert (told["notParsable"], told["notFound"]) == ([text], [other])
    refusals: list[tuple[dict[str, Any], str]] = [
        ({}, "invalidArguments"),
        ({"blobIds": [blob] * 4}, "requestTooLarge"),
        ({"blobIds": [blob], "properties": ["colour"]}, "invalidArguments"),
        ({"blobIds": [blob], "properties": ["header:From:asDate"]}, "invalidArguments"),
        ({"blobIds": [blob], "ids": []}, "invalidArguments"),
    ]
    for arguments, type_ in refusals:
        assert await desk.refusal("Email/parse", **arguments) == type_
