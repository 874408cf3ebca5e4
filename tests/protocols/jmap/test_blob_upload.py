"""Blobs put together from text, base64 and ranges of others."""

from typing import Any

import pytest

from protocols.jmap.capabilities import Limits
from protocols.jmap.methods.blob_upload import CALL_BLOBS_MAX
from storage.ids import blob_id
from storage.mail.quota import plan_limit
from tests.protocols.jmap.desk import PLAIN, Desk


def name(data: bytes) -> str:
    """The id of these octets."""
    return "b" + blob_id(data).hex()


async def make(desk: Desk, *sources: Any, **more: Any) -> dict[str, Any]:
    """What becomes of one upload."""
    told = await desk.call("Blob/upload", create={"k": {"data": list(sources), **more}})
    made: dict[str, Any] = (told["created"] or told["notCreated"])["k"]
    return made


async def test_sources_are_joined_in_order() -> None:
    desk = Desk()
    whole = name(b"0123456789")
    sources = [
        {"data:asText": "é,"},
        {"data:asBase64": "AP8="},
        {"blobId": whole},
        {"blobId": whole, "offset": 8},
        {"blobId": whole, "offset": 2, "length": 3},
        {"blobId": whole, "offset": 10, "length": 0},
        {"blobId": whole, "offset": None, "length": None},
    ]
    await make(desk, {"data:asText": "0123456789"})
    data = "é,".encode() + b"\x00\xff" + b"0123456789" + b"89" + b"234" + b"0123456789"
    made = await make(desk, *sources, type="text/x")
    assert made == {"id": name(data), "type": "text/x", "size": len(data)}
    answer = await desk.http("GET", f"/jmap/download/{desk.account}/{made['id']}/x")
    assert answer.body == data
    assert (await make(desk))["size"] == 0
    assert (await make(desk, type=None))["type"] == "application/octet-stream"


async def test_uploads_of_one_call_may_refer_to_each_other() -> None:
    desk = Desk()
    create = {
        "all": {"data": [{"blobId": "#two"}, {"data:asText": "!"}]},
        "two": {"data": [{"blobId": "#one"}, {"blobId": "#one"}]},
        "one": {"data": [{"data:asText": "x"}]},
        "circle": {"data": [{"blobId": "#circle"}]},
    }
    told = await desk.call("Blob/upload", create=create)
    assert told["created"]["all"]["id"] == name(b"xx!")
    assert told["notCreated"]["circle"]["type"] == "blobNotFound"


async def test_later_calls_may_refer_to_them() -> None:
    desk = Desk()
    upload = {
        "accountId": desk.account,
        "create": {"m": {"data": [{"data:asText": PLAIN.decode()}]}},
    }
    email = {"blobId": "#m", "mailboxIds": {desk.mailbox("inbox"): True}}
    told = await desk.request(
        ["Blob/upload", upload],
        ["Email/import", {"accountId": desk.account, "emails": {"e": email}}],
        ["Blob/get", {"accountId": desk.account, "ids": ["#m"], "properties": ["size"]}],
    )
    assert told[1][1]["created"]["e"]["blobId"] == name(PLAIN)
    assert told[2][1]["list"] == [{"id": name(PLAIN), "size": len(PLAIN)}]


@pytest.mark.parametrize(
    ("source", "type_"),
    [
        ({}, "invalidProperties"),
        (1, "invalidProperties"),
        ({"data:asText": 1}, "invalidProperties"),
        ({"data:asText": "x", "data:asBase64": ""}, "invalidProperties"),
        ({"data:asText": "x", "offset": 0}, "invalidProperties"),
        ({"data:asBase64": "AP8"}, "invalidProperties"),
        ({"data:asBase64": "A*8="}, "invalidProperties"),
        ({"data:asBase64": "AP8=\n"}, "invalidProperties"),
        ({"data:asBase64": "é"}, "invalidProperties"),
        ({"blobId": "b" + "0" * 64}, "blobNotFound"),
        ({"blobId": "junk"}, "blobNotFound"),
        ({"blobId": "#nope"}, "blobNotFound"),
        ({"blobId": name(b"abc"), "offset": 4}, "invalidProperties"),
        ({"blobId": name(b"abc"), "offset": 1, "length": 3}, "invalidProperties"),
        ({"blobId": name(b"abc"), "offset": -1}, "invalidProperties"),
        ({"blobId": name(b"abc"), "length": 1.5}, "invalidProperties"),
    ],
)
async def test_what_cannot_be_made(source: Any, type_: str) -> None:
    desk = Desk()
    await make(desk, {"data:asText": "abc"})
    assert (await make(desk, {"data:asText": "x"}, source))["type"] == type_


async def test_uploads_of_the_wrong_form() -> None:
    desk = Desk()
    for values in (
        {},
        {"data": None},
        {"data": "x"},
        {"data": [], "type": 1},
        {"data": [], "x": 1},
    ):
        told = await desk.call("Blob/upload", create={"k": values})
        assert told["notCreated"]["k"]["type"] == "invalidProperties", values
    assert await desk.refusal("Blob/upload") == "invalidArguments"
    assert await desk.refusal("Blob/upload", create={"k": 1}) == "invalidArguments"


async def test_limits() -> None:
    limits = Limits(upload_bytes_max=10, blob_sources_max=3, set_objects_max=CALL_BLOBS_MAX + 1)
    desk = Desk(limits=limits)
    assert (await make(desk, *[{"data:asText": "abc"}] * 3))["size"] == 9
    assert (await make(desk, *[{"data:asText": "a"}] * 4))["type"] == "tooLarge"
    assert (await make(desk, *[{"data:asText": "abcdef"}] * 2))["type"] == "tooLarge"
    create = {f"k{n}": {"data": [{"data:asText": f"{n:010}"}]} for n in range(CALL_BLOBS_MAX + 1)}
    told = await desk.call("Blob/upload", create=create)
    assert [error["type"] for error in told["notCreated"].values()] == ["tooLarge"]
    assert len(told["created"]) == CALL_BLOBS_MAX
    create["more"] = {"data": []}
    assert await desk.refusal("Blob/upload", create=create) == "requestTooLarge"


async def test_over_quota() -> None:
    desk = Desk()
    desk.house.run(lambda plan: plan_limit(plan, desk.number, 3))
    assert (await make(desk, {"data:asText": "abc"}))["size"] == 3
    assert (await make(desk, {"data:asText": "abcd"}))["type"] == "overQuota"


async def test_a_blob_made_here_is_attached_parsed_and_imported_by_reference() -> None:
    """RFC 9404 4.1: subsequent method calls may use the blobId by its creation id."""
    desk = Desk()
    here = {"accountId": desk.account}
    places = {"mailboxIds": {desk.mailbox("drafts"): True}}
    mail = {"data": [{"data:asText": "Subject: made here\r\n\r\ntext"}]}
    attached = {**places, "attachments": [{"blobId": "#made", "type": "message/rfc822"}]}
    answers = await desk.request(
        ["Blob/upload", {**here, "create": {"made": mail}}, "0"],
        ["Email/set", {**here, "create": {"draft": attached}}, "1"],
        ["Email/import", {**here, "emails": {"in": {**places, "blobId": "#made"}}}, "2"],
        ["Email/parse", {**here, "blobIds": ["#made"], "properties": ["subject"]}, "3"],
        ["MDN/parse", {**here, "blobIds": ["#made", "#other"]}, "4"],
    )
    made, draft, imported, parsed, receipts = (told for _, told, _ in answers)
    blob = made["created"]["made"]["id"]
    assert draft["created"] and imported["created"]
    assert parsed["parsed"] == {blob: {"subject": "made here"}}
    assert receipts["notParsable"] == [blob] and receipts["notFound"] == ["#other"]
    unknown = {**places, "attachments": [{"blobId": "#other", "type": "text/x"}]}
    told = await desk.call("Email/set", create={"k": unknown})
    assert told["notCreated"]["k"]["type"] == "blobNotFound"
