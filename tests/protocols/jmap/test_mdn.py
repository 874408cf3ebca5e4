"""Receipts: sent to who asks for them, once, and read again."""

from typing import Any

import pytest

from protocols.jmap.capabilities import Limits
from protocols.jmap.receipts import parse_receipt
from tests.protocols.jmap.desk import ALICE, BOB
from tests.protocols.jmap.sending import ELSEWHERE, SendingDesk

SEEN = {"actionMode": "manual-action", "sendingMode": "mdn-sent-manually", "type": "displayed"}
MARK = {"keywords/$mdnsent": True}


def asking(whom: str = f"Bob <{BOB}>", *more: str) -> bytes:
    """A message that asks for a receipt."""
    fields = (f"Disposition-Notification-To: {whom}", *more) if whom else more
    head = "\r\n".join(("From: bob@example.org", "Subject: Dominion", *fields))
    return f"{head}\r\nMessage-ID: <ask@example.org>\r\n\r\nRead me.\r\n".encode()


async def send(desk: SendingDesk, email: str, **more: Any) -> dict[str, Any]:
    """What becomes of one receipt."""
    patch = more.pop("patch", MARK)
    told = await desk.request(
        [
            "MDN/send",
            {
                "accountId": desk.account,
                "identityId": await desk.identity(),
                "send": {"k": {"forEmailId": email, "disposition": SEEN, **more}},
                "onSuccessUpdateEmail": {"#k": patch},
            },
        ]
    )
    became: dict[str, Any] = (told[0][1]["sent"] or told[0][1]["notSent"])["k"]
    return became


async def test_a_receipt_is_sent_marked_and_read() -> None:
    desk = SendingDesk()
    email = desk.deliver(asking(f"Bob <{BOB}>", "Original-Recipient: rfc822; al@example.org"))
    told = await desk.request(
        [
            "MDN/send",
            {
                "accountId": desk.account,
                "identityId": await desk.identity(),
                "send": {
                    "k": {
                        "forEmailId": email,
                        "subject": "Read: Dominion",
                        "textBody": "Seen.\r\n",
                        "reportingUA": "pc; Foomail 1\r\nInjected: yes",
                        "disposition": SEEN,
                        "includeOriginalMessage": True,
                        "extension": {"X-More": "1"},
                    }
                },
                "onSuccessUpdateEmail": {"#k": MARK},
            },
        ]
    )
    assert [name for name, _, _ in told] == ["MDN/send", "Email/set"]
    assert told[0][1]["sent"]["k"] == {
        "mdnGateway": None,
        "originalRecipient": "rfc822; al@example.org",
        "finalRecipient": f"rfc822; {ALICE}",
        "originalMessageId": "<ask@example.org>",
        "error": None,
        "extensionFields": None,
    }
    assert told[1][1]["updated"] == {email: None}
    (receipt,) = await desk.bobs()
    assert receipt["from"][0]["email"] == ALICE and receipt["references"] == ["ask@example.org"]
    read = parse_receipt(
        bytes(desk.house.blobs.read(bytes.fromhex(receipt["blobId"][1:]), 0, 99_999))
    )
    assert read == {
        "forEmailId": None,
        "subject": "Read: Dominion",
        "textBody": "Seen.\n",
        "includeOriginalMessage": True,
        "reportingUA": "pc; Foomail 1 Injected: yes",
        "mdnGateway": None,
        "originalRecipient": "rfc822; al@example.org",
        "finalRecipient": f"rfc822; {ALICE}",
        "originalMessageId": "<ask@example.org>",
        "disposition": SEEN,
        "error": None,
        "extensionFields": {"X-More": "1"},
    }
    assert (await send(desk, email))["type"] == "mdnAlreadySent"
    assert len(await desk.bobs()) == 1


async def test_two_receipts_of_one_call_for_one_email() -> None:
    desk = SendingDesk()
    email = desk.deliver(asking())
    one = {"forEmailId": email, "disposition": SEEN}
    told = await desk.call_first(
        "MDN/send",
        identityId=await desk.identity(),
        send={"a": one, "b": one},
        onSuccessUpdateEmail={"#a": {"keywords": {"$MDNSent": True}}, "#b": MARK},
    )
    assert list(told["sent"]) == ["a"] and told["notSent"]["b"]["type"] == "mdnAlreadySent"


@pytest.mark.parametrize(
    ("more", "type_"),
    [
        ({"forEmailId": "e99"}, "notFound"),
        ({"forEmailId": None}, "invalidProperties"),
        ({"patch": {}}, "invalidProperties"),
        ({"patch": {"keywords/$seen": True}}, "invalidProperties"),
        ({"patch": {"keywords/$mdnsent": None}}, "invalidProperties"),
        ({"disposition": None}, "invalidProperties"),
        ({"disposition": {**SEEN, "type": "Displayed"}}, "invalidProperties"),
        ({"disposition": {"type": "displayed"}}, "invalidProperties"),
        ({"mdnGateway": "x"}, "invalidProperties"),
        ({"originalMessageId": "x"}, "invalidProperties"),
        ({"extensionFields": {"a b": "x"}}, "invalidProperties"),
        ({"extensionFields": {"Disposition": "x"}}, "invalidProperties"),
        ({"extensionFields": {"X-A": 1}}, "invalidProperties"),
        ({"finalRecipient": f"rfc822; {BOB}"}, "forbiddenFrom"),
        ({"finalRecipient": f"x400; {ALICE}"}, "forbiddenFrom"),
        ({"textBody": "x" * 5_000}, "tooLarge"),
    ],
)
async def test_receipts_that_are_refused(more: dict[str, Any], type_: str) -> None:
    desk = SendingDesk(limits=Limits(submission_bytes_max=5_000))
    told = await send(desk, desk.deliver(asking()), **more)
    assert told["type"] == type_, told
    assert await desk.bobs() == []


async def test_a_recipient_of_ones_own_may_be_named() -> None:
    desk = SendingDesk()
    told = await send(desk, desk.deliver(asking()), finalRecipient="Alice+x@example.org")
    assert "finalRecipient" not in told and told["subject"] == "Displayed: Dominion"


async def test_who_does_not_ask_or_is_elsewhere_gets_none() -> None:
    desk = SendingDesk()
    for whom, type_ in (("", "notFound"), ("junk", "notFound"), (ELSEWHERE, "forbidden")):
        assert (await send(desk, desk.deliver(asking(whom))))["type"] == type_
    told = await send(desk, desk.deliver(asking(f"{ELSEWHERE}, {BOB}")))
    assert "originalMessageId" in told and len(await desk.bobs()) == 1


async def test_calls_that_are_refused() -> None:
    desk = SendingDesk(limits=Limits(set_objects_max=1, get_objects_max=1))
    identity = await desk.identity()
    one = {"forEmailId": "e1", "disposition": SEEN}
    assert await desk.refusal("MDN/send", identityId="i9", send={}) == "invalidArguments"
    assert await desk.refusal("MDN/send", send={}) == "invalidArguments"
    assert await desk.refusal("MDN/send", accountId="a99", send={}) == "invalidArguments"
    send_ = {"a": one, "b": one}
    assert await desk.refusal("MDN/send", identityId=identity, send=send_) == "requestTooLarge"
    assert await desk.refusal("MDN/parse") == "invalidArguments"
    assert await desk.refusal("MDN/parse", accountId="a99", blobIds=[]) == "invalidArguments"
    assert await desk.refusal("MDN/parse", blobIds=["x", "y"]) == "requestTooLarge"


async def test_blobs_are_parsed() -> None:
    desk = SendingDesk()
    email = desk.deliver(asking(ALICE))
    await send(desk, email)
    told = await desk.call("Email/get", ids=None, properties=["blobId", "subject"])
    blobs = {held["subject"]: held["blobId"] for held in told["list"]}
    receipt, plain = blobs["Displayed: Dominion"], blobs["Dominion"]
    told = await desk.call("MDN/parse", blobIds=[receipt, plain, "junk"])
    assert told["parsed"][receipt]["disposition"] == SEEN
    assert (told["notParsable"], told["notFound"]) == ([plain], ["junk"])


@pytest.mark.parametrize(
    ("disposition", "read"),
    [
        ("Manual-Action/MDN-sent-manually; Displayed", "displayed"),
        (" automatic-action / mdn-sent-automatically ; deleted/error,warning", "deleted"),
        ("manual-action/mdn-sent-manually; denied", None),
        ("manual-action; displayed", None),
        ("", None),
    ],
)
def test_dispositions(disposition: str, read: str | None) -> None:
    message = (
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        f"Final-Recipient: rfc822;a@x\r\nDisposition: {disposition}\r\nError: one\r\nError: two\r\n"
        "--b--\r\n"
    )
    told = parse_receipt(message.encode())
    if read is None:
        assert told is None
    else:
        assert told is not None and told["disposition"]["type"] == read
        assert told["error"] == ["one", "two"] and told["textBody"] is None
