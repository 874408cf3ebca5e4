"""Blobs by JMAP: got in ranges, looked up, copied; only by who may see what holds them."""

import base64
import hashlib
from typing import Any

import pytest

from protocols.jmap.capabilities import BLOB, CORE, Limits
from storage.due import list_due
from storage.ids import blob_id
from storage.mail.quota import plan_limit
from storage.uploads import UPLOAD_KEPT_MS, plan_expire
from tests.protocols.jmap.desk import BOB, PLAIN, Desk

TEXT = "The quick brown fox jumped over the lazy dog."


async def put(desk: Desk, data: bytes, **more: Any) -> str:
    """Upload something; its blobId."""
    told = await desk.http("POST", f"/jmap/upload/{desk.account}/", data, **more)
    name: str = told.json["blobId"]
    return name


async def get(desk: Desk, blob: str, *properties: str, **range_: int) -> dict[str, Any]:
    """What Blob/get tells of one blob, without its id."""
    names = list(properties) or None
    told = await desk.call("Blob/get", ids=[blob], properties=names, **range_)
    (found,) = told["list"]
    assert found.pop("id") == blob and told["notFound"] == []
    return dict(found)


async def test_text_and_size_unless_asked_otherwise() -> None:
    desk = Desk()
    blob = await put(desk, TEXT.encode())
    assert await get(desk, blob) == {"data:asText": TEXT, "size": 45}
    encoded = base64.b64encode(TEXT.encode()).decode()
    assert await get(desk, blob, "data:asBase64") == {"data:asBase64": encoded}
    assert await get(desk, blob, "size") == {"size": 45}
    sha = base64.b64encode(hashlib.sha256(TEXT.encode()).digest()).decode()
    assert await get(desk, blob, "digest:sha-256") == {"digest:sha-256": sha}
    for name, known in (("sha", "sha1"), ("md5", "md5"), ("sha-512", "sha512")):
        digest = base64.b64encode(hashlib.new(known, TEXT.encode()).digest()).decode()
        assert await get(desk, blob, f"digest:{name}") == {f"digest:{name}": digest}


@pytest.mark.parametrize(
    ("offset", "length", "text", "is_cut"),
    [
        (4, 9, "quick brown"[:9], False),
        (0, 45, TEXT, False),
        (40, 6, " dog.", True),
        (45, 0, "", False),
        (46, 0, "", True),
        (0, 0, "", False),
    ],
)
async def test_ranges(offset: int, length: int, text: str, is_cut: bool) -> None:
    desk = Desk()
    blob = await put(desk, TEXT.encode())
    told = await get(desk, blob, "data", "digest:sha", "size", offset=offset, length=length)
    digest = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
    wanted = {"data:asText": text, "digest:sha": digest, "size": 45}
    assert told == (wanted | {"isTruncated": True} if is_cut else wanted)


async def test_without_a_length_only_an_offset_outside_is_cut() -> None:
    desk = Desk()
    blob = await put(desk, b"abc")
    assert await get(desk, blob, "data", offset=2) == {"data:asText": "c"}
    assert await get(desk, blob, "data", offset=3) == {"data:asText": ""}
    told = await get(desk, blob, "data", offset=4)
    assert told == {"data:asText": "", "isTruncated": True}


async def test_what_is_no_utf8_is_said() -> None:
    desk = Desk()
    blob = await put(desk, "é".encode())
    half = base64.b64encode(b"\xc3").decode()
    told = await get(desk, blob, "data", length=1)
    assert told == {"isEncodingProblem": True, "data:asBase64": half}
    told = await get(desk, blob, "data:asText", length=1)
    assert told == {"isEncodingProblem": True, "data:asText": None}
    assert await get(desk, blob, "data:asBase64", length=1) == {"data:asBase64": half}


async def test_parts_are_decoded() -> None:
    desk = Desk()
    email = desk.deliver(
        b"From: a@x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(b"0123456789" * 20).replace(b"\n", b"\r\n")
    )
    told = await desk.call("Email/get", ids=[email], properties=["textBody"])
    blob = told["list"][0]["textBody"][0]["blobId"]
    told = await get(desk, blob, offset=195)
    assert told == {"data:asText": "56789", "size": 200}


async def test_others_have_none() -> None:
    desk = Desk()
    blob = await put(desk, b"secret")
    bobs = f"b{blob_id(PLAIN).hex()}"
    told = await desk.call("Blob/get", ids=[bobs, "junk", "#nope"])
    assert told["list"] == [] and told["notFound"] == [bobs, "junk", "#nope"]
    call = ["Blob/get", {"accountId": desk.bob, "ids": [blob]}, "c"]
    told = (
        await desk.post({"using": [CORE, BLOB], "methodCalls": [call]}, auth=(BOB, "other"))
    ).json
    assert told["methodResponses"][0][1]["notFound"] == [blob]


async def test_only_so_much_at_once() -> None:
    desk = Desk(limits=Limits(upload_bytes_max=10, get_objects_max=2, set_objects_max=2))
    first, second = await put(desk, b"012345"), await put(desk, b"56789")
    assert await desk.refusal("Blob/get", ids=[first, second]) == "requestTooLarge"
    assert len((await desk.call("Blob/get", ids=[first, second], length=5))["list"]) == 2
    sizes = await desk.call("Blob/get", ids=[first, second], properties=["size"])
    assert [found["size"] for found in sizes["list"]] == [6, 5]
    for name, more in (
        ("Blob/get", {"ids": ["x", "y", "z"]}),
        ("Blob/lookup", {"ids": ["x", "y", "z"], "typeNames": []}),
        ("Blob/copy", {"fromAccountId": desk.account, "blobIds": ["x", "y", "z"]}),
    ):
        assert await desk.refusal(name, **more) == "requestTooLarge"
    assert await desk.refusal("Blob/get", ids=[first], properties=["x"]) == "invalidArguments"
    assert await desk.refusal("Blob/get") == "invalidArguments"


async def test_what_holds_a_blob_is_found() -> None:
    desk = Desk()
    first, second = desk.deliver(), desk.deliver(role="archive")
    hidden = desk.deliver(keywords=["$deleted"])
    told = await desk.call("Email/get", ids=[first, second], properties=["blobId", "threadId"])
    blob, thread = told["list"][0]["blobId"], told["list"][0]["threadId"]
    names = ["Email", "Thread", "Mailbox"]
    nobodys = await put(desk, b"x")
    told = await desk.call("Blob/lookup", ids=[blob, nobodys, "junk"], typeNames=names)
    empty: dict[str, list[str]] = {name: [] for name in names}
    boxes = [desk.mailbox("inbox"), desk.mailbox("archive")]
    assert told["list"] == [
        {
            "id": blob,
            "matchedIds": {"Email": [first, second], "Thread": [thread], "Mailbox": boxes},
        },
        {"id": nobodys, "matchedIds": empty},
        {"id": "junk", "matchedIds": empty},
    ]
    assert told["notFound"] == ["junk"]
    assert hidden not in told["list"][0]["matchedIds"]["Email"]
    assert (await desk.call("Blob/lookup", ids=[blob], typeNames=["Email"]))["list"] == [
        {"id": blob, "matchedIds": {"Email": [first, second]}}
    ]
    assert await desk.refusal("Blob/lookup", ids=[], typeNames=["Quota"]) == "unknownDataType"
    assert await desk.refusal("Blob/lookup", ids=[]) == "invalidArguments"
    call = ["Blob/lookup", {"accountId": desk.account, "ids": [], "typeNames": ["Email"]}]
    ((_, told, _),) = await desk.request(call, using=[CORE, BLOB])
    assert told["type"] == "unknownDataType"  # its capability is not in use


async def test_a_copy_is_held_as_an_upload() -> None:
    desk = Desk()
    blob = await put(desk, b"x")
    desk.house.clock.pass_s(3600)
    copy = {"fromAccountId": desk.account, "blobIds": [blob, "b" + "0" * 64]}
    told = await desk.call("Blob/copy", **copy)
    assert told["copied"] == {blob: blob} and told["fromAccountId"] == desk.account
    assert told["notCopied"]["b" + "0" * 64]["type"] == "notFound"
    desk.house.clock.pass_s(UPLOAD_KEPT_MS / 1000 - 3600)
    assert list_due(desk.house.engine, desk.house.clock.now_ms(), limit=9) == []
    desk.house.clock.pass_s(3600)
    ((due, _),) = list_due(desk.house.engine, desk.house.clock.now_ms(), limit=9)
    desk.house.run(lambda plan: plan_expire(plan, due))
    assert (await desk.call("Blob/copy", **copy))["copied"] is None


async def test_copies_of_others_and_over_quota() -> None:
    desk = Desk()
    blob = await put(desk, b"0123456789")
    for account in (desk.bob, "a99", "x"):
        refused = await desk.refusal("Blob/copy", fromAccountId=account, blobIds=[blob])
        assert refused == "fromAccountNotFound"
    assert await desk.refusal("Blob/copy", blobIds=[blob]) == "invalidArguments"
    desk.house.run(lambda plan: plan_limit(plan, desk.number, 9))
    told = await desk.call("Blob/copy", fromAccountId=desk.account, blobIds=[blob])
    assert told["notCopied"][blob]["type"] == "overQuota"
