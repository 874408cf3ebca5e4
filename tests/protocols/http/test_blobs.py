"""Upload and download: what goes up comes down, to its owner, within bounds."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
import trio

from protocols.http.blobs import NAME_OCTETS_MAX, disposition
from storage.ids import BlobId, blob_id
from tests.protocols.http.doors import open_door
from tests.protocols.jmap.desk import ALICE, BOB, PLAIN, SECRET, Answer, Desk


async def upload(desk: Desk, data: Any, **headers: str) -> Answer:
    """One upload to Alice's account."""
    return await desk.http("POST", f"/jmap/upload/{desk.account}/", data, headers=headers)


async def download(desk: Desk, blob: str, name: str = "x.bin", **more: Any) -> Answer:
    """One download from Alice's account."""
    query = more.pop("query", "")
    return await desk.http("GET", f"/jmap/download/{desk.account}/{blob}/{name}{query}", **more)


async def test_what_goes_up_comes_down() -> None:
    desk = Desk()
    for data in (b"", b"x", bytes(range(256)) * 5000):
        told = await upload(desk, data, **{"content-type": "text/x-any; a=b"})
        assert told.status == 201
        assert told.json == {
            "accountId": desk.account,
            "blobId": "b" + blob_id(data).hex(),
            "type": "text/x-any; a=b",
            "size": len(data),
        }
        answer = await download(desk, told.json["blobId"])
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-length"] == str(len(data))
    assert (await upload(desk, b"x")).json["type"] == "application/octet-stream"
    assert (await upload(desk, [b"a", b"b", b"c"])).json["size"] == 3


async def test_the_type_is_exactly_the_one_asked_for() -> None:
    desk = Desk()
    blob = (await upload(desk, b"<p>")).json["blobId"]
    for wanted in ("text/html", "application/ld+json", 'text/plain; charset="utf-8"'):
        answer = await download(desk, blob, query="?type=" + quote(wanted, safe=""))
        assert answer.headers["content-type"] == wanted
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
    assert (await download(desk, blob, query="?type=a%2Bb+c")).headers["content-type"] == "a+b+c"
    assert (await download(desk, blob)).headers["content-type"] == "application/octet-stream"
    for wanted in ("a%0d%0aX-Evil:1", "%C3%A9", "x" * 256):
        assert (await download(desk, blob, query="?type=" + wanted)).status == 400


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", b'attachment; filename="a.txt"'),
        ('a"b\\c', b"attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("ä/b", b"attachment; filename=\"_/b\"; filename*=UTF-8''%C3%A4%2Fb"),
        ("a\r\nb", b"attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
        ("", b"attachment; filename=\"download\"; filename*=UTF-8''"),
    ],
)
def test_any_file_name_is_a_safe_header(name: str, header: bytes) -> None:
    assert disposition(name) == header


async def test_a_name_may_hold_an_encoded_slash() -> None:
    desk = Desk()
    blob = (await upload(desk, b"x")).json["blobId"]
    answer = await download(desk, blob, "a%2Fb.txt")
    assert answer.headers["content-disposition"].startswith('attachment; filename="a/b.txt"')
    assert (await download(desk, blob, "a/b.txt")).status == 404
    assert (await download(desk, blob, "x" * (NAME_OCTETS_MAX + 1))).status == 404


@pytest.mark.parametrize(
    ("header", "status", "body", "span"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=3-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_ranges(header: str, status: int, body: bytes | None, span: str | None) -> None:
    desk = Desk()
    blob = (await upload(desk, b"0123456789")).json["blobId"]
    answer = await download(desk, blob, headers={"range": header})
    assert (answer.status, answer.headers.get("content-range")) == (status, span)
    if body is not None:
        assert answer.body == body


async def test_validators() -> None:
    desk = Desk()
    blob = (await upload(desk, b"0123456789")).json["blobId"]
    etag = (await download(desk, blob)).headers["etag"]
    answer = await download(desk, blob, headers={"if-none-match": f'"other", {etag}'})
    assert (answer.status, answer.body) == (304, b"")
    assert "content-length" not in answer.headers
    assert "immutable" in answer.headers["cache-control"]
    for condition, status in ((etag, 206), ('"other"', 200)):
        headers = {"range": "bytes=0-1", "if-range": condition}
        assert (await download(desk, blob, headers=headers)).status == status


async def test_a_part_comes_down_decoded() -> None:
    desk = Desk()
    data = bytes(range(256)) * 8
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    email = desk.deliver(
        b"From: a@x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
    )
    told = await desk.call("Email/get", ids=[email], properties=["textBody", "blobId"])
    (part,) = told["list"][0]["textBody"]  # RFC 8621 4.1.4: a lone picture is the body
    answer = await download(desk, part["blobId"])
    assert (answer.body, part["size"]) == (data, len(data))
    answer = await download(desk, part["blobId"], headers={"range": "bytes=256-511"})
    assert answer.body == data[256:512]
    whole = told["list"][0]["blobId"]
    for section in ("-0-99999999-0", "-5-99999999-1", "-0-1-7", "-01-1-0"):
        assert (await download(desk, whole + section)).status == 404


async def test_blobs_of_others_are_not_found() -> None:
    desk = Desk()
    blob = (await upload(desk, b"mine")).json["blobId"]
    bob = (BOB, "other")
    assert (await download(desk, blob, auth=bob)).status == 404
    own = f"/jmap/download/{desk.bob}/{blob}/x"
    assert (await desk.http("GET", own, auth=bob)).status == 404
    for path in ("b" + "0" * 64, "junk", "B" + blob[1:]):
        assert (await download(desk, path)).status == 404
    for account in (desk.bob, "a99", "x", ""):
        assert (await desk.http("POST", f"/jmap/upload/{account}/", b"x")).status == 404
    assert (await desk.http("POST", f"/jmap/upload/{desk.account}", b"x")).status == 404
    assert (await download(desk, blob, auth=None)).status == 401
    assert (await desk.http("POST", f"/jmap/upload/{desk.account}/", b"x", auth=None)).status == 401


async def test_a_blob_goes_with_the_last_that_holds_it() -> None:
    desk = Desk()
    emails = [desk.deliver(), desk.deliver()]
    told = await desk.call("Email/get", ids=emails, properties=["blobId", "textBody"])
    blob, part = told["list"][0]["blobId"], told["list"][0]["textBody"][0]["blobId"]
    for held, gone in enumerate([*emails, None]):
        statuses = {(await download(desk, each)).status for each in (blob, part)}
        assert statuses == ({200} if gone else {404}), held
        if gone:
            assert (await desk.call("Email/set", destroy=[gone]))["destroyed"] == [gone]


async def test_without_a_leader() -> None:
    desk = Desk()
    blob = (await upload(desk, b"x")).json["blobId"]
    desk.house.unavailable = True
    assert (await download(desk, blob)).status == 503
    assert (await upload(desk, b"y")).status == 503


async def test_what_was_uploaded_may_be_imported() -> None:
    desk = Desk()
    blob = (await upload(desk, PLAIN)).json["blobId"]
    box = {desk.mailbox("inbox"): True}
    nothing = (await upload(desk, b"no header at all")).json["blobId"]
    emails = {
        "good": {"blobId": blob, "mailboxIds": box, "keywords": {"$seen": True}},
        "dated": {"blobId": blob, "mailboxIds": box, "receivedAt": "2001-02-03T04:05:06Z"},
        "blob": {"blobId": "b" + "1" * 64, "mailboxIds": box},
        "nobox": {"blobId": blob, "mailboxIds": {}},
        "box": {"blobId": blob, "mailboxIds": {"m99": True}},
        "date": {"blobId": blob, "mailboxIds": box, "receivedAt": "x"},
        "odd": {"blobId": blob, "mailboxIds": box, "more": 1},
        "none": {"blobId": nothing, "mailboxIds": box},
    }
    state = (await desk.call("Email/get", ids=[]))["state"]
    told = await desk.call("Email/import", ifInState=state, emails=emails)
    assert set(told["created"]) == {"good", "dated"}
    types = {key: error["type"] for key, error in told["notCreated"].items()}
    assert types.pop("none") == "invalidEmail"
    assert set(types.values()) == {"invalidProperties"} and len(types) == 5
    ids = [told["created"][key]["id"] for key in ("good", "dated")]
    shown = (await desk.call("Email/get", ids=ids))["list"]
    assert [shown[0]["keywords"], shown[1]["receivedAt"]] == [
        {"$seen": True},
        "2001-02-03T04:05:06Z",
    ]
    assert await desk.refusal("Email/import", ifInState=state, emails=emails) == "stateMismatch"
    assert await desk.refusal("Email/import") == "invalidArguments"


async def test_only_the_head_is_told_when_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    blob = (await upload(desk, b"0123456789")).json["blobId"]
    monkeypatch.setattr(desk.house.blobs, "read", None)  # and nothing is read for it
    answer = await desk.http("HEAD", f"/jmap/download/{desk.account}/{blob}/x")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "10", b"")


async def test_a_download_that_breaks_off_ends_its_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    blob = (await upload(desk, b"x" * 600_000)).json["blobId"]
    whole = desk.house.blobs.read

    def broken(name: BlobId, start: int, length: int) -> bytes:
        if start > 500_000:
            raise KeyError(name)
        return whole(name, start, length)

    monkeypatch.setattr(desk.house.blobs, "read", broken)
    basic = base64.b64encode(f"{ALICE}:{SECRET}".encode()).decode()
    path = f"/jmap/download/{desk.account}/{blob}/x"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n\r\n".encode()
    async with open_door(desk.app) as door:
        told = await door.say(asked)
        assert told.startswith(b"HTTP/1.1 200 ") and 500_000 < len(told) < 600_000
        assert "broke off" in caplog.text
        health = await door.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert health.endswith(b"ok\n")


async def test_a_client_that_leaves_amid_a_download_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    blob = (await upload(desk, b"x" * 20_000_000)).json["blobId"]
    basic = base64.b64encode(f"{ALICE}:{SECRET}".encode()).decode()
    path = f"/jmap/download/{desk.account}/{blob}/x"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n\r\n".encode()
    async with open_door(desk.app) as door:
        stream = await door.dial()
        await stream.send_all(asked)
        await stream.receive_some(1000)
        await trio.aclose_forcefully(stream)
        await trio.sleep(0.05)
        assert door.door.connections == 0
    assert caplog.text == ""
