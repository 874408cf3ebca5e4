"""Email/parse: attached messages are read where they lie."""

from typing import Any

from protocols.jmap.capabilities import Limits
from tests.protocols.jmap.desk import PLAIN, Desk

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


async def test_a_message_that_was_encoded_as_a_whole_is_parsed_without_blobs() -> None:
    desk = Desk()
    head, _, _ = OUTER.partition(b"\r\n\r\n" + INNER)
    encoded = head.replace(b"--out\r\nContent-Type: message/rfc822", b"--out")
    data = (
        encoded[: encoded.rindex(b"--out")]
        + b"--out\r\nContent-Type: application/octet-stream\r\n"
        + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        + PLAIN.replace(b"=", b"=3D")
        + b"\r\n--out--\r\n"
    )
    blob = await attachment(desk, data)
    told = await desk.call("Email/parse", blobIds=[blob], properties=["subject", "textBody"])
    assert told["parsed"][blob]["subject"] == "Hello"
    assert told["parsed"][blob]["textBody"][0]["blobId"] is None


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
