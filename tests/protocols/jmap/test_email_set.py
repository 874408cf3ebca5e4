"""Email/set: keywords, mailboxes, destruction, drafts; each object for itself."""

from typing import Any

import pytest

from protocols.jmap.capabilities import Limits
from tests.protocols.jmap.desk import Desk, message


async def shown(desk: Desk, email: str, *properties: str, **options: Any) -> dict[str, Any]:
    """One email."""
    told = await desk.call("Email/get", ids=[email], properties=list(properties), **options)
    (found,) = told["list"]
    assert isinstance(found, dict)
    return found


async def test_keywords_are_patched_and_replaced() -> None:
    desk = Desk()
    email = desk.deliver(keywords=["$flagged"])
    for patch, keywords in (
        ({"keywords/$seen": True}, {"$flagged", "$seen"}),
        ({"keywords/$flagged": None, "keywords/A~1B": True}, {"$seen", "a/b"}),
        ({"keywords": {"$Draft": True}}, {"$draft"}),
        ({"keywords/never": None}, {"$draft"}),
        ({"keywords": None}, set()),
    ):
        told = await desk.call("Email/set", update={email: patch})
        assert told["updated"] == {email: None} and told["notUpdated"] is None, patch
        assert set((await shown(desk, email, "keywords"))["keywords"]) == keywords


async def test_mailboxes_are_patched_and_replaced() -> None:
    desk = Desk()
    email = desk.deliver()
    inbox, trash, sent = (desk.mailbox(role) for role in ("inbox", "trash", "sent"))
    for patch, mailboxes in (
        ({f"mailboxIds/{trash}": True}, {inbox, trash}),
        ({f"mailboxIds/{inbox}": None}, {trash}),
        ({"mailboxIds": {sent: True, inbox: True}}, {sent, inbox}),
        ({f"mailboxIds/{sent}": None, f"mailboxIds/{trash}": True}, {inbox, trash}),
    ):
        told = await desk.call("Email/set", update={email: patch})
        assert told["notUpdated"] is None
        assert set((await shown(desk, email, "mailboxIds"))["mailboxIds"]) == mailboxes
        assert (await desk.call("Email/query", filter={"inMailbox": sent}))["ids"] == (
            [email] if sent in mailboxes else []
        )


@pytest.mark.parametrize(
    ("patch", "type_"),
    [
        ({"keywords/$seen": False}, "invalidProperties"),
        ({"keywords": ["$seen"]}, "invalidProperties"),
        ({"keywords": {"$seen": 1}}, "invalidProperties"),
        ({"keywords": {"bad keyword": True}}, "invalidProperties"),
        ({"keywords/$deleted": True}, "invalidProperties"),
        ({"keywords": {"$Deleted": True}}, "invalidProperties"),
        ({"keywords": {}, "keywords/a": True}, "invalidPatch"),
        ({"keywords/a/b": True}, "invalidPatch"),
        ({"mailboxIds": {}}, "invalidProperties"),
        ({"mailboxIds": None}, "invalidProperties"),
        ({"mailboxIds/m1": None}, "invalidProperties"),
        ({"mailboxIds": {"m99": True}}, "invalidProperties"),
        ({"mailboxIds": {"nonsense": True}}, "invalidProperties"),
        ({"subject": "new"}, "invalidProperties"),
        ({"id": "e2"}, "invalidProperties"),
        ({"size": 1}, "invalidProperties"),
        ({"unheard": 1}, "invalidProperties"),
        ({"from/0": 1}, "invalidPatch"),
        ({"unheard/x": 1}, "invalidPatch"),
        ({"bodyValues": {}}, "invalidProperties"),
        ({f"keywords/k{n}": True for n in range(65)}, "tooManyKeywords"),
        ({f"mailboxIds/m{n}": True for n in range(2, 70)}, "tooManyMailboxes"),
    ],
)
async def test_updates_that_cannot_be(patch: dict[str, Any], type_: str) -> None:
    desk = Desk()
    email, other = desk.deliver(), desk.deliver(message(number=2))
    told = await desk.call("Email/set", update={email: patch, other: {"keywords/$seen": True}})
    assert told["notUpdated"][email]["type"] == type_
    assert told["updated"] == {other: None}
    assert await shown(desk, email, "keywords", "mailboxIds") == {
        "id": email,
        "keywords": {},
        "mailboxIds": {desk.mailbox("inbox"): True},
    }


async def test_half_an_update_is_none() -> None:
    desk = Desk()
    email = desk.deliver()
    patch = {f"mailboxIds/{desk.mailbox('trash')}": True, "keywords/bad keyword": True}
    told = await desk.call("Email/set", update={email: patch})
    assert told["notUpdated"][email]["type"] == "invalidProperties"
    assert told["oldState"] == told["newState"]
    assert list((await shown(desk, email, "mailboxIds"))["mailboxIds"]) == [desk.mailbox("inbox")]


async def test_what_is_immutable_may_be_sent_as_it_is() -> None:
    desk = Desk()
    email = desk.deliver()
    held = await shown(desk, email, "subject", "size", "blobId", "receivedAt", "from", "keywords")
    told = await desk.call("Email/set", update={email: {**held, "keywords": {"$seen": True}}})
    assert told["updated"] == {email: None}


async def test_destroying() -> None:
    desk = Desk()
    first, second = desk.deliver(), desk.deliver(message(number=2))
    told = await desk.call(
        "Email/set",
        destroy=[first, first, "e99", "junk"],
        update={first: {"keywords/$seen": True}, second: {"keywords/$seen": True}},
    )
    assert told["destroyed"] == [first] and told["updated"] == {second: None}
    assert told["notUpdated"][first]["type"] == "willDestroy"
    assert {text: error["type"] for text, error in told["notDestroyed"].items()} == {
        "e99": "notFound",
        "junk": "notFound",
    }
    assert (await desk.call("Email/get", ids=[first]))["notFound"] == [first]


async def test_states() -> None:
    desk = Desk()
    email = desk.deliver()
    state = (await desk.call("Email/get", ids=[]))["state"]
    told = await desk.call("Email/set", ifInState=state, update={email: {"keywords/a": True}})
    assert told["oldState"] == state != told["newState"]
    assert await desk.refusal("Email/set", ifInState=state, destroy=[email]) == "stateMismatch"
    for never in ("x", "", "0", "99", f"{told['newState']}-1"):
        assert await desk.refusal("Email/set", ifInState=never) == "stateMismatch"
    # What changed another type is no change to this one (RFC 8620 5.3).
    await desk.call("Mailbox/set", create={"k": {"name": "New"}})
    told = await desk.call("Email/set", ifInState=told["newState"], destroy=[])
    assert await desk.refusal("Mailbox/set", ifInState=state) == "stateMismatch"
    told = await desk.call("Email/set", update={email: {"keywords/a": True}})
    assert told["oldState"] == told["newState"]


async def test_a_conflict_is_planned_again() -> None:
    desk = Desk()
    email = desk.deliver()
    desk.house.conflicts = 2
    told = await desk.call("Email/set", update={email: {"keywords/a": True}})
    assert told["updated"] == {email: None}
    assert (await shown(desk, email, "keywords"))["keywords"] == {"a": True}


async def test_so_many_objects_and_no_more() -> None:
    desk = Desk(limits=Limits(set_objects_max=2))
    assert (await desk.call("Email/set", destroy=["e1", "e2"]))["notDestroyed"]
    wanted = {"destroy": ["e1", "e2"], "update": {"e3": {}}}
    assert await desk.refusal("Email/set", **wanted) == "requestTooLarge"


# Drafts.


def draft(desk: Desk, **values: Any) -> dict[str, Any]:
    """The object of a create, in the drafts."""
    return {"mailboxIds": {desk.mailbox("drafts"): True}, **values}


async def made(desk: Desk, **values: Any) -> dict[str, Any]:
    """What is told of a draft that was made."""
    told = await desk.call("Email/set", create={"k": draft(desk, **values)})
    assert told["notCreated"] is None, told
    found = told["created"]["k"]
    assert isinstance(found, dict)
    return found


async def refused(desk: Desk, **values: Any) -> dict[str, Any]:
    """The SetError of a draft."""
    told = await desk.call("Email/set", create={"k": draft(desk, **values)})
    assert told["created"] is None, told
    found = told["notCreated"]["k"]
    assert isinstance(found, dict)
    return found


async def test_a_draft_of_text_and_html_with_an_attachment() -> None:
    desk = Desk()
    upload = await desk.http("POST", f"/jmap/upload/{desk.account}/", b"\x89PNG")
    told = await made(
        desk,
        **{"from": [{"name": "Älice", "email": "alice@example.org"}]},
        to=[{"email": "bob@example.org"}],
        subject="Grüße und viele lange Wörter, die in eine Zeile nicht passen werden, fürchte ich",
        keywords={"$draft": True},
        receivedAt="2025-01-02T03:04:05Z",
        inReplyTo=["one@example.net"],
        textBody=[{"partId": "t"}],
        htmlBody=[{"partId": "h", "type": "text/html"}],
        attachments=[
            {"blobId": upload.json["blobId"], "type": "image/png", "name": "bild ä.png"},
        ],
        bodyValues={"t": {"value": "Hällo\nzwei"}, "h": {"value": "<p>Hällo"}},
        **{"header:X-Mark:asText": "ünder", "header:X-Many:all": ["a", "b"]},
    )
    assert set(told) == {"id", "blobId", "threadId", "size", "messageId", "sentAt"}
    names = ["subject", "from", "to", "inReplyTo", "receivedAt", "keywords", "bodyStructure"]
    names += ["bodyValues", "messageId", "sentAt", "header:X-Mark:asText", "header:X-Many:all"]
    found = await shown(desk, told["id"], *names, "attachments", fetchAllBodyValues=True)
    assert found["subject"].startswith("Grüße und") and found["subject"].endswith("fürchte ich")
    assert found["from"] == [{"name": "Älice", "email": "alice@example.org"}]
    assert found["receivedAt"] == "2025-01-02T03:04:05Z" and found["keywords"] == {"$draft": True}
    assert found["messageId"][0].endswith("@mail.example.org")
    assert found["sentAt"] == "2026-11-01T12:00:00Z"
    assert found["header:X-Mark:asText"] == "ünder" and len(found["header:X-Many:all"]) == 2
    assert found["bodyStructure"]["type"] == "multipart/mixed"
    assert [value["value"] for value in found["bodyValues"].values()] == ["Hällo\nzwei", "<p>Hällo"]
    (attached,) = found["attachments"]
    assert (attached["name"], attached["size"]) == ("bild ä.png", 4)
    data = await desk.http("GET", f"/jmap/download/{desk.account}/{told['blobId']}/m.eml")
    assert len(data.body) == told["size"]
    assert max(len(line) for line in data.body.split(b"\r\n")) < 100, data.body


async def test_what_is_attached_is_an_attachment_whatever_it_is() -> None:
    desk = Desk()
    upload = await desk.http("POST", f"/jmap/upload/{desk.account}/", b"\x89PNG")
    blob = {"blobId": upload.json["blobId"]}
    attached = [
        {**blob, "type": "image/png"},
        {**blob, "type": "text/plain", "disposition": None},
        {**blob, "type": "image/png", "disposition": "inline", "cid": "a@x"},
        {**blob, "type": "image/png", "header:Content-Disposition": "inline"},
    ]
    text = {"textBody": [{"partId": "1"}], "bodyValues": {"1": {"value": "x"}}}
    told = await made(desk, **text, attachments=attached)
    found = await shown(desk, told["id"], "attachments", "textBody", "hasAttachment")
    assert [part["disposition"] for part in found["attachments"]] == ["attachment"] * 2
    assert [part["disposition"] for part in found["textBody"]] == [None, "inline", "inline"]
    assert found["hasAttachment"] is True


async def test_a_file_of_text_comes_back_to_the_octet() -> None:
    desk = Desk()
    table = "Käse,1\nBrot,2\n".encode()
    upload = await desk.http("POST", f"/jmap/upload/{desk.account}/", table)
    attached = [{"blobId": upload.json["blobId"], "type": "text/csv", "charset": "utf-8"}]
    told = await made(desk, attachments=attached)
    (part,) = (await shown(desk, told["id"], "attachments"))["attachments"]
    data = await desk.http("GET", f"/jmap/download/{desk.account}/{part['blobId']}/table.csv")
    assert (data.body, part["size"], part["charset"]) == (table, len(table), "utf-8")


async def test_a_draft_by_its_structure() -> None:
    desk = Desk()
    told = await made(
        desk,
        bodyStructure={
            "type": "multipart/mixed",
            "header:X-Part": "root",
            "subParts": [
                {"partId": "1", "type": "text/plain", "language": ["de"], "cid": "one@x"},
                {
                    "type": "multipart/alternative",
                    "subParts": [{"partId": "2", "type": "text/html"}],
                },
            ],
        },
        bodyValues={"1": {"value": "eins"}, "2": {"value": "<b>zwei"}},
    )
    found = await shown(desk, told["id"], "bodyStructure", "header:X-Part")
    root = found["bodyStructure"]
    assert [part["type"] for part in root["subParts"]] == ["text/plain", "multipart/alternative"]
    assert (root["subParts"][0]["language"], root["subParts"][0]["cid"]) == (["de"], "one@x")
    assert found["header:X-Part"] == " root"


async def test_an_empty_draft_is_a_draft() -> None:
    desk = Desk()
    told = await made(desk)
    found = await shown(desk, told["id"], "textBody", "subject", *told)
    assert found.pop("subject") is None and len(found.pop("textBody")) == 1
    # RFC 8620 5.3: what was left to the server is told, as it is.
    assert found == told and {"keywords", "receivedAt", "messageId", "sentAt"} <= told.keys()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text/plain", "header:Content-Type": "text/plain"},
        {"name": "x", "header:content-disposition": "inline"},
        {"disposition": "inline", "header:Content-Disposition:asText": "inline"},
        {"cid": "a@x", "header:Content-ID": "<b@x>"},
        {"language": ["de"], "header:Content-Language:asText": "de"},
        {"location": "http://x/", "header:Content-Location": "http://x/"},
        {"header:Content-Type": "nonsense"},
        {"header:X-A": "1", "header:x-a:asText": "2"},
    ],
)
async def test_a_part_has_no_field_twice(part: dict[str, Any]) -> None:
    text = {"bodyValues": {"1": {"value": "x"}}}
    error = await refused(Desk(), bodyStructure={"partId": "1", **part}, **text)
    assert (error["type"], error["properties"]) == ("invalidProperties", ["bodyStructure"])


async def test_a_part_may_give_its_fields_by_themselves() -> None:
    desk = Desk()
    part = {
        "partId": "1",
        "header:Content-Type": "text/plain; format=flowed; charset=x; boundary=y",
        "header:Content-Disposition:asText": "inline",
    }
    told = await made(desk, bodyStructure=part, bodyValues={"1": {"value": "ä"}}, to=[])
    wanted = ("bodyStructure", "header:Content-Type:all", "header:To:all")
    found = await shown(desk, told["id"], *wanted)
    assert found["bodyStructure"]["charset"] == "utf-8"
    assert found["bodyStructure"]["disposition"] == "inline"
    assert found["header:Content-Type:all"] == [" text/plain; format=flowed; charset=utf-8"]
    assert found["header:To:all"] == []


@pytest.mark.parametrize(
    ("values", "property_"),
    [
        ({"id": "e1"}, "id"),
        ({"preview": "x"}, "preview"),
        ({"headers": []}, "headers"),
        ({"unheard": 1}, "unheard"),
        ({"subject": 1}, "subject"),
        ({"from": "a@x"}, "from"),
        ({"from": [{"email": 1}]}, "from"),
        ({"messageId": ["<a@x>"]}, "messageId"),
        ({"sentAt": "yesterday"}, "sentAt"),
        ({"receivedAt": "yesterday"}, "receivedAt"),
        ({"receivedAt": "1969-12-31T23:59:59Z"}, "receivedAt"),
        ({"keywords": {"a b": True}}, "keywords"),
        ({"keywords": {"a": False}}, "keywords"),
        ({"subject": "a", "header:Subject:asText": "b"}, "header:Subject:asText"),
        ({"subject": "a", "header:Subject:asText": "b"}, "subject"),
        ({"textBody": []}, "textBody"),
        ({"htmlBody": []}, "htmlBody"),
        ({"header:From:asDate": "x"}, "header:From:asDate"),
        ({"header:Content-Type": "x/y"}, "header:Content-Type"),
        ({"keywords": []}, "keywords"),
        ({"header:X:all": "x"}, "header:X:all"),
        ({"textBody": {}}, "textBody"),
        ({"textBody": [{}]}, "textBody"),
        ({"textBody": [{"partId": "1"}]}, "textBody"),
        ({"textBody": [{"partId": "1", "blobId": "b"}]}, "textBody"),
        (
            {
                "textBody": [{"partId": "1", "type": "text/html"}],
                "bodyValues": {"1": {"value": ""}},
            },
            "textBody",
        ),
        ({"textBody": [{"partId": "1"}] * 2, "bodyValues": {"1": {"value": ""}}}, "textBody"),
        (
            {"textBody": [{"partId": "1", "charset": "x"}], "bodyValues": {"1": {"value": ""}}},
            "textBody",
        ),
        (
            {"textBody": [{"partId": "1", "size": 1}], "bodyValues": {"1": {"value": ""}}},
            "textBody",
        ),
        (
            {"textBody": [{"partId": "1", "headers": []}], "bodyValues": {"1": {"value": ""}}},
            "textBody",
        ),
        (
            {
                "textBody": [{"partId": "1", "header:Content-Transfer-Encoding": "x"}],
                "bodyValues": {"1": {"value": ""}},
            },
            "textBody",
        ),
        (
            {
                "textBody": [{"partId": "1"}],
                "bodyValues": {"1": {"value": "", "isTruncated": True}},
            },
            "bodyValues",
        ),
        (
            {
                "textBody": [{"partId": "1"}],
                "bodyValues": {"1": {"value": "", "unheard": 1}},
            },
            "bodyValues",
        ),
        ({"bodyValues": []}, "bodyValues"),
        ({"bodyStructure": {"type": "multipart/mixed"}}, "bodyStructure"),
        ({"bodyStructure": {"type": "no type", "partId": "1"}}, "bodyStructure"),
        ({"bodyStructure": {"partId": "1"}, "textBody": [{"partId": "1"}]}, "textBody"),
        ({"bodyStructure": {"partId": "1"}, "attachments": []}, "attachments"),
        (
            {
                "subject": "a",
                "bodyStructure": {"partId": "1", "header:Subject": "b"},
                "bodyValues": {"1": {"value": ""}},
            },
            "bodyStructure",
        ),
    ],
)
async def test_drafts_that_cannot_be(values: dict[str, Any], property_: str) -> None:
    error = await refused(Desk(), **values)
    assert error["type"] == "invalidProperties" and property_ in error["properties"], error


async def test_a_draft_needs_mailboxes_that_are_there() -> None:
    desk = Desk()
    for mailboxes, type_ in (
        (None, "invalidProperties"),
        ({}, "invalidProperties"),
        ({"x": True}, "invalidProperties"),
        ({"m99": True}, "invalidProperties"),
    ):
        told = await desk.call("Email/set", create={"k": {"mailboxIds": mailboxes}})
        assert told["notCreated"]["k"]["type"] == type_


async def test_blobs_that_are_not_there_are_named() -> None:
    desk = Desk()
    blob = "b" + "0" * 64
    parts = [{"blobId": blob}, {"blobId": "nonsense"}, {"blobId": blob}]
    error = await refused(desk, attachments=parts)
    assert (error["type"], error["notFound"]) == ("blobNotFound", [blob, "nonsense"])


async def test_parts_may_be_so_large_together() -> None:
    desk = Desk(limits=Limits(upload_bytes_max=100))
    parts = {"textBody": [{"partId": "1"}]}
    assert await made(desk, **parts, bodyValues={"1": {"value": "x" * 100}})
    error = await refused(desk, **parts, bodyValues={"1": {"value": "x" * 101}})
    assert error["type"] == "tooLarge"


async def test_no_value_can_forge_a_header_field() -> None:
    desk = Desk()
    evil = "x\r\nX-Evil: yes\r\n\r\nbody"
    told = await made(
        desk,
        subject=evil,
        **{"from": [{"name": evil, "email": evil}], "header:X-Raw:asText": evil},
        textBody=[{"partId": "1", "name": evil, "cid": evil.replace(" ", ""), "location": evil}],
        bodyValues={"1": {"value": "text"}},
    )
    found = await shown(desk, told["id"], "headers", "header:X-Evil")
    assert found["header:X-Evil"] is None
    assert not any(header["name"].lower() == "x-evil" for header in found["headers"])
