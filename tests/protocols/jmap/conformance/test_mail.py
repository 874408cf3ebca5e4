"""RFC 8621, what no other story tells: each test is named by a row of rfc8621.txt."""

from typing import Any

import pytest

from protocols.jmap.capabilities import MAIL, SUBMISSION
from storage.changes import since
from storage.ids import Version
from storage.keys import TypeCode
from tests.protocols.jmap.desk import Desk, message


def mail(*fields: str, body: str = "Hi.", kind: str = "text/plain; charset=utf-8") -> bytes:
    """A message with these header fields."""
    head = [*fields, f"Content-Type: {kind}", "MIME-Version: 1.0"]
    return "\r\n".join([*head, "", body, ""]).encode()


async def upload(desk: Desk, data: bytes) -> str:
    """The id of what was uploaded."""
    answer = await desk.http("POST", f"/jmap/upload/{desk.account}/", data)
    blob: str = answer.json["blobId"]
    return blob


async def shown(desk: Desk, email: str, *properties: str, **more: Any) -> dict[str, Any]:
    """One email."""
    told = await desk.call("Email/get", ids=[email], properties=list(properties), **more)
    (found,) = told["list"]
    assert isinstance(found, dict)
    return found


async def found(desk: Desk, **condition: Any) -> list[str]:
    """The emails that a filter finds."""
    ids: list[str] = (await desk.call("Email/query", filter=condition))["ids"]
    return ids


async def test_the_capabilities_are_as_clients_expect_them() -> None:
    desk = Desk()
    session = (await desk.http("GET", "/.well-known/jmap")).json
    told = session["accounts"][desk.account]["accountCapabilities"]
    assert told[MAIL]["maxMailboxesPerEmail"] >= 1 and told[MAIL]["maxSizeMailboxName"] >= 100
    assert {"maxMailboxDepth", "maxSizeAttachmentsPerEmail", "emailQuerySortOptions"} <= set(
        told[MAIL]
    )
    assert told[MAIL]["mayCreateTopLevelMailbox"] is True
    extensions = told[SUBMISSION]["submissionExtensions"]
    assert told[SUBMISSION]["maxDelayedSend"] > 0
    assert all(isinstance(arguments, list) for arguments in extensions.values())
    assert session["capabilities"][MAIL] == session["capabilities"][SUBMISSION] == {}


async def test_only_new_mail_is_a_delivery() -> None:
    desk = Desk()
    email = desk.deliver()
    came = since(desk.house.engine, desk.number, TypeCode.EMAIL_DELIVERY, Version(0))
    assert came.created or came.updated
    await desk.call("Email/set", update={email: {"keywords/$seen": True}})
    await desk.call("Email/set", destroy=[email])
    after = since(desk.house.engine, desk.number, TypeCode.EMAIL_DELIVERY, came.new_version)
    assert not after.created and not after.updated and not after.destroyed


async def test_sort_orders_have_an_end() -> None:
    desk = Desk()
    for order, fits in ((0, True), (2**31 - 1, True), (2**31, False), (-1, False), (1.5, False)):
        create = {"k": {"name": f"Of {order}", "sortOrder": order}}
        told = await desk.call("Mailbox/set", create=create)
        assert bool(told["created"]) is fits
        if not fits:
            assert told["notCreated"]["k"]["properties"] == ["sortOrder"]


async def test_every_email_has_a_thread() -> None:
    desk = Desk()
    emails = [desk.deliver(message(number=1)), desk.deliver(mail("Subject: alone"))]
    for email in emails:
        thread = (await shown(desk, email, "threadId"))["threadId"]
        (held,) = (await desk.call("Thread/get", ids=[thread]))["list"]
        assert held["emailIds"] == [email]


async def test_threads_that_meet_change_no_email() -> None:
    desk = Desk()
    subject = "Subject: same"
    ones = [
        desk.deliver(mail(f"Message-ID: <{name}@x>", subject, "From: a@x.example")) for name in "ab"
    ]
    before = [await shown(desk, email, "threadId") for email in ones]
    assert before[0]["threadId"] != before[1]["threadId"]
    last = desk.deliver(mail("Message-ID: <c@x>", subject, "References: <a@x> <b@x>"))
    for email, held in zip(ones, before, strict=True):
        now = (await desk.call("Email/get", ids=[email], properties=["threadId"]))["list"]
        # RFC 8621 3: threadId is immutable; an email may only come back under another id.
        assert now in ([], [held])
    assert (await shown(desk, last, "threadId"))["threadId"]


@pytest.mark.parametrize("keyword", ["", "a b", "ä", "x" * 256, *(f"a{c}b" for c in '(){]%*"\\')])
async def test_keywords_that_are_none(keyword: str) -> None:
    desk = Desk()
    email = desk.deliver()
    told = await desk.call("Email/set", update={email: {"keywords": {keyword: True}}})
    error = told["notUpdated"][email]
    assert (error["type"], error["properties"]) == ("invalidProperties", ["keywords"])
    told = await desk.call("Email/set", update={email: {"keywords": {"x" * 255: True}}})
    assert told["updated"] == {email: None}


async def test_addresses_are_read_as_best_they_can() -> None:
    desk = Desk()
    email = desk.deliver(
        mail(
            'From: "Joe Q." <joe@x.example> (a comment)',
            "To: mary@x.example (Mary), =?utf-8?q?J=C3=BCrgen?= <j@x.example>, not an address",
            "Cc: Friends: a@x.example, Bee <b@x.example>;, c@x.example, Nobody:;",
        )
    )
    forms = [f"header:{name}:asGroupedAddresses" for name in ("Cc", "From")]
    got = await shown(desk, email, "from", "to", "cc", *forms)
    assert got["from"] == [{"name": "Joe Q.", "email": "joe@x.example"}]
    assert got["to"][:2] == [
        {"name": "Mary", "email": "mary@x.example"},
        {"name": "Jürgen", "email": "j@x.example"},
    ]
    assert [person["email"][0] for person in got["cc"]] == ["a", "b", "c"]
    assert [group["name"] for group in got[forms[0]]] == ["Friends", None, "Nobody"]
    assert got[forms[1]] == [{"name": None, "addresses": got["from"]}]


async def test_a_preview_is_short_and_never_a_change() -> None:
    desk = Desk()
    email = desk.deliver(mail("Subject: long", body="wörter " * 200))
    state = (await desk.call("Email/get", ids=[]))["state"]
    preview = (await shown(desk, email, "preview"))["preview"]
    assert 0 < len(preview) <= 256
    assert (await desk.call("Email/changes", sinceState=state))["newState"] == state


async def test_header_properties_keep_their_case() -> None:
    desk = Desk()
    data = mail("SUBJECT: Hello", "X-Mark: one", "x-mark: two")
    email, blob = desk.deliver(data), await upload(desk, data)
    wanted = {
        "header:sUBJECT:asText": "Hello",
        "header:Subject": " Hello",
        "header:X-MARK:all": [" one", " two"],
        "header:x-Mark": " two",
    }
    got = await shown(desk, email, *wanted)
    assert got == {"id": email, **wanted}
    told = await desk.call("Email/parse", blobIds=[blob], properties=list(wanted))
    assert told["parsed"][blob] == wanted


async def test_no_condition_is_true() -> None:
    desk = Desk()
    email = desk.deliver()
    for wanted in (None, {}, {"operator": "AND", "conditions": []}):
        assert (await desk.call("Email/query", filter=wanted))["ids"] == [email]
    assert await found(desk, operator="OR", conditions=[{}, {"text": "nowhere"}]) == [email]
    assert await found(desk, operator="NOT", conditions=[{}]) == []


async def test_texts_are_searched_as_people_read_them() -> None:
    desk = Desk()
    email = desk.deliver(
        mail(
            "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
            "X-Note: =?utf-8?b?w6RyZ2Vy?=",
            kind="text/html; charset=utf-8",
            body="<html><head><title>hidden</title><style>p { color: teal }</style></head>"
            '<p class="invisible">Good <b>mor</b>ning</p><script>var cipher</script>'
            '<img src="x" alt="a sunrise" title="over hills">',
        )
    )
    for words in ("grüße", "GRÜSSE", "morning", '"good morning"', "sunrise", "hills"):
        assert await found(desk, text=words) == [email], words
    for words in ("hidden", "teal", "invisible", "cipher", "src"):
        assert await found(desk, text=words) == [], words
    assert await found(desk, header=["x-note", "ÄRGER"]) == [email]


async def test_headers_in_utf_8_are_read() -> None:
    desk = Desk()
    data = mail("Subject: Grüße", "From: Jürgen <jürgen@bücher.example>")
    blob = await upload(desk, data)
    boxes = {desk.mailbox("inbox"): True}
    told = await desk.call("Email/import", emails={"k": {"blobId": blob, "mailboxIds": boxes}})
    got = await shown(desk, told["created"]["k"]["id"], "subject", "from")
    wanted = {
        "subject": "Grüße",
        "from": [{"name": "Jürgen", "email": "jürgen@bücher.example"}],
    }
    assert got == {"id": told["created"]["k"]["id"], **wanted}
    told = await desk.call("Email/parse", blobIds=[blob], properties=list(wanted))
    assert told["parsed"][blob] == wanted


async def test_imports_that_cannot_be() -> None:
    desk = Desk()
    good = {"blobId": await upload(desk, message()), "mailboxIds": {desk.mailbox("inbox"): True}}
    none = await upload(desk, b"\x00\x01 no message")
    cases: list[tuple[dict[str, Any], str, list[str] | None]] = [
        ({"blobId": None}, "invalidProperties", ["blobId"]),
        ({"blobId": 1}, "invalidProperties", ["blobId"]),
        ({"blobId": "b" + "0" * 64}, "invalidProperties", ["blobId"]),
        ({"mailboxIds": None}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": {}}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": {"m99": True}}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": {"m1": False}}, "invalidProperties", ["mailboxIds"]),
        ({"keywords": ["$seen"]}, "invalidProperties", ["keywords"]),
        ({"keywords": {"a b": True}}, "invalidProperties", ["keywords"]),
        ({"receivedAt": "now"}, "invalidProperties", ["receivedAt"]),
        ({"odd": 1}, "invalidProperties", ["odd"]),
        ({"blobId": none}, "invalidEmail", None),
    ]
    for values, type_, about in cases:
        emails = {"bad": {**good, **values}, "good": good}
        told = await desk.call("Email/import", emails=emails)
        error = told["notCreated"]["bad"]
        assert (error["type"], error.get("properties")) == (type_, about), values
        assert set(told["created"]["good"]) == {"id", "blobId", "threadId", "size"}


async def test_a_duplicate_is_an_email_of_its_own() -> None:
    desk = Desk()
    wish = {"blobId": await upload(desk, message()), "mailboxIds": {desk.mailbox("inbox"): True}}
    told = (await desk.call("Email/import", emails={"a": wish, "b": wish}))["created"]
    first, second = told["a"]["id"], told["b"]["id"]
    assert first != second and told["a"]["blobId"] == told["b"]["blobId"] == wish["blobId"]
    await desk.call("Email/set", update={first: {"keywords/$seen": True}})
    assert (await shown(desk, second, "keywords"))["keywords"] == {}


async def test_parsed_bodies_are_cut_alike() -> None:
    desk = Desk()
    data = mail(
        "Subject: x", kind="text/html; charset=utf-8", body='äöü <a href="https://x">link</a>'
    )
    email, blob = desk.deliver(data), await upload(desk, data)
    for octets, value in ((0, None), (1, ""), (2, "ä"), (3, "ä"), (7, "äöü "), (20, "äöü ")):
        how = {"fetchHTMLBodyValues": True, "maxBodyValueBytes": octets}
        got = (await shown(desk, email, "bodyValues", **how))["bodyValues"]
        told = await desk.call("Email/parse", blobIds=[blob], properties=["bodyValues"], **how)
        assert told["parsed"][blob]["bodyValues"] == got
        assert got["1"]["isTruncated"] is (value is not None)
        assert value is None or got["1"]["value"] == value
