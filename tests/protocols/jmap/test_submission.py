"""Sending by JMAP: what was made, sent, held, canceled, asked for, and what follows from it."""

from typing import Any

from node.jobs import Jobs
from storage.submissions import GRACE_MS
from tests.protocols.jmap.desk import ALICE, BOB
from tests.protocols.jmap.sending import ELSEWHERE, SendingDesk, envelope


async def test_it_is_sent_at_once_and_says_so() -> None:
    desk = SendingDesk()
    email = await desk.draft(bcc=[{"email": "Bob+hidden@example.org"}])
    told = await desk.submit(email)
    assert told["undoStatus"] == "final" and told["sendAt"] == "2026-11-01T12:00:00Z"
    delivered = {
        "smtpReply": "250 2.1.5 delivered",
        "delivered": "yes",
        "displayed": "unknown",
    }
    assert told["deliveryStatus"] == {BOB: delivered, "Bob+hidden@example.org": delivered}
    assert told["envelope"]["mailFrom"] == {"email": ALICE, "parameters": None}
    assert (told["dsnBlobIds"], told["mdnBlobIds"]) == ([], [])
    (held,) = (await desk.call("EmailSubmission/get", ids=None))["list"]
    assert held == {**told, "emailId": email, "identityId": await desk.identity()}
    (message,) = await desk.bobs()
    assert (message["subject"], message["bcc"]) == ("Hello", None)
    assert message["bodyValues"] == {} and message["preview"] == "Hi Bob."


async def test_states_lead_to_what_happened() -> None:
    desk = SendingDesk()
    email, identity = await desk.draft(), await desk.identity()
    before = (await desk.call("EmailSubmission/get", ids=[]))["state"]
    create = {"k": {"identityId": identity, "emailId": email}}
    told = await desk.call("EmailSubmission/set", ifInState=before, create=create)
    assert told["oldState"] == before
    assert (await desk.call("EmailSubmission/get", ids=[]))["state"] == told["newState"]
    changed = await desk.call("EmailSubmission/changes", sinceState=before)
    assert changed["created"] == [told["created"]["k"]["id"]] and changed["updated"] == []
    destroyed = await desk.call("EmailSubmission/set", destroy=changed["created"])
    assert destroyed["destroyed"] == changed["created"]
    assert len(await desk.bobs()) == 1


async def test_a_draft_made_sent_and_moved_in_one_request() -> None:
    desk = SendingDesk()
    drafts, sent = desk.mailbox("drafts"), desk.mailbox("sent")
    email = {
        "mailboxIds": {drafts: True},
        "keywords": {"$draft": True},
        "from": [{"email": ALICE}],
        "to": [{"email": BOB}],
        "subject": "All at once",
    }
    patch = {f"mailboxIds/{drafts}": None, f"mailboxIds/{sent}": True, "keywords/$draft": None}
    submission = {"identityId": await desk.identity(), "emailId": "#draft"}
    account = {"accountId": desk.account}
    told = await desk.request(
        ["Email/set", {**account, "create": {"draft": email}}, "0"],
        [
            "EmailSubmission/set",
            {
                **account,
                "create": {"k": submission, "broken": {"emailId": "#draft"}},
                "onSuccessUpdateEmail": {"#k": patch, "#broken": {"keywords/$junk": True}},
            },
            "1",
        ],
    )
    assert [(name, call) for name, _, call in told] == [
        ("Email/set", "0"),
        ("EmailSubmission/set", "1"),
        ("Email/set", "1"),
    ]
    made = told[0][1]["created"]["draft"]["id"]
    assert told[2][1]["updated"] == {made: None}
    (held,) = (await desk.call("Email/get", ids=[made]))["list"]
    assert held["mailboxIds"] == {sent: True} and held["keywords"] == {}


async def test_an_email_may_go_once_it_is_sent() -> None:
    desk = SendingDesk()
    first, second = await desk.draft(), await desk.draft(subject="Second")
    submission = {"identityId": await desk.identity(), "emailId": first}
    told = await desk.request(
        [
            "EmailSubmission/set",
            {
                "accountId": desk.account,
                "create": {"k": submission},
                "onSuccessDestroyEmail": ["#k", "s99", "#nope"],
            },
        ]
    )
    assert told[1][1]["destroyed"] == [first]
    made = told[0][1]["created"]["k"]["id"]
    (held,) = (await desk.call("EmailSubmission/get", ids=[made]))["list"]
    assert held["emailId"] == first
    # What an update or destroy succeeds in counts too, by the submission's id.
    later = await desk.submit(second, envelope=envelope(BOB, HOLDFOR="60"))
    cancel = {
        "accountId": desk.account,
        "update": {later["id"]: {"undoStatus": "canceled"}},
        "onSuccessUpdateEmail": {later["id"]: {"keywords/$flagged": True}, made: {"x": 1}},
    }
    told = await desk.request(["EmailSubmission/set", cancel])
    assert told[1][1]["updated"] == {second: None} and told[1][1]["notUpdated"] is None


async def test_what_is_held_may_be_canceled_and_is_sent_when_it_is_due() -> None:
    desk = SendingDesk()
    email = await desk.draft()
    kept = await desk.submit(email, envelope=envelope(BOB, HOLDFOR="3600"))
    gone = await desk.submit(email, envelope=envelope(BOB, HOLDUNTIL="2026-11-01T13:00:00+00:00"))
    assert kept["sendAt"] == gone["sendAt"] == "2026-11-01T13:00:00Z"
    assert kept["undoStatus"] == "pending" and "envelope" not in kept
    assert kept["deliveryStatus"][BOB]["delivered"] == "queued"
    told = await desk.call("EmailSubmission/set", update={gone["id"]: {"undoStatus": "canceled"}})
    assert told["updated"] == {gone["id"]: {"deliveryStatus": None}}
    await desk.call("Email/set", destroy=[email])  # RFC 8621 7.5: it is sent all the same
    desk.house.clock.pass_s(3599)
    await Jobs(desk.house.ports).look()
    assert await desk.bobs() == []
    desk.house.clock.pass_s(1)
    await Jobs(desk.house.ports).look()
    assert len(await desk.bobs()) == 1
    held = (await desk.call("EmailSubmission/get", ids=[kept["id"], gone["id"]]))["list"]
    assert [each["undoStatus"] for each in held] == ["final", "canceled"]
    update = {kept["id"]: {"undoStatus": "canceled"}}
    told = await desk.call("EmailSubmission/set", update=update)
    assert told["notUpdated"][kept["id"]]["type"] == "cannotUnsend"


async def test_what_is_destroyed_is_sent_all_the_same() -> None:
    desk = SendingDesk()
    held = await desk.submit(await desk.draft(), envelope=envelope(BOB, HOLDFOR="60"))
    told = await desk.call("EmailSubmission/set", destroy=[held["id"]])
    assert told["destroyed"] == [held["id"]]
    assert (await desk.call("EmailSubmission/get", ids=[held["id"]]))["notFound"] == [held["id"]]
    assert (await desk.call("EmailSubmission/query"))["ids"] == []
    desk.house.clock.pass_s(60)
    await Jobs(desk.house.ports).look()
    assert len(await desk.bobs()) == 1
    create = {"k": {"identityId": await desk.identity(), "emailId": await desk.draft()}}
    told = await desk.call("EmailSubmission/set", create=create, destroy=["#k"])
    made = told["created"]["k"]
    assert made["undoStatus"] == "pending" and told["destroyed"] == [made["id"]]
    assert len(await desk.bobs()) == 2


async def test_what_cannot_be_sent_now_is_sent_by_the_leader(monkeypatch: Any) -> None:
    desk = SendingDesk()
    email = await desk.draft()
    view = desk.house.reader.view
    seen: list[int] = []

    async def once() -> Any:
        seen.append(1)
        desk.house.unavailable = len(seen) > 1
        return await view()

    identity = await desk.identity()
    monkeypatch.setattr(desk.house.reader, "view", once)
    create = {"k": {"identityId": identity, "emailId": email}}
    told = await desk.call("EmailSubmission/set", create=create)
    assert told["created"]["k"]["undoStatus"] == "pending"
    monkeypatch.undo()
    desk.house.unavailable = False
    desk.house.clock.pass_s(GRACE_MS / 1000)
    await Jobs(desk.house.ports).look()
    assert len(await desk.bobs()) == 1


async def test_only_what_may_be_changed() -> None:
    desk = SendingDesk()
    made = (await desk.submit(await desk.draft()))["id"]
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"undoStatus": "final"}, None),
        ({"identityId": await desk.identity()}, None),
        ({"undoStatus": "pending"}, "invalidProperties"),
        ({"undoStatus": "x"}, "invalidProperties"),
        ({"undoStatus": 1}, "invalidProperties"),
        ({"sendAt": "2026-11-01T13:00:00Z"}, "invalidProperties"),
        ({"emailId": "e99"}, "invalidProperties"),
        ({"envelope/mailFrom": None}, "invalidPatch"),
    ]
    for patch, type_ in cases:
        told = await desk.call("EmailSubmission/set", update={made: patch, "s9": {}})
        assert told["notUpdated"].pop("s9")["type"] == "notFound"
        assert [error["type"] for error in told["notUpdated"].values()] == [type_] * bool(type_)
    told = await desk.call("EmailSubmission/set", destroy=["s9"])
    assert told["notDestroyed"]["s9"]["type"] == "notFound"


async def test_queries() -> None:
    desk = SendingDesk()
    first = await desk.draft()
    second = await desk.draft(subject="Second")
    one = (await desk.submit(second))["id"]
    desk.house.clock.pass_s(60)
    two = (await desk.submit(first))["id"]
    three = (await desk.submit(first, envelope=envelope(BOB, HOLDFOR="60")))["id"]
    (held, *_) = (await desk.call("EmailSubmission/get", ids=[one]))["list"]
    filters: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [one, two, three]),
        ({"emailIds": [first]}, [two, three]),
        ({"emailIds": []}, []),
        ({"threadIds": [held["threadId"]]}, [one]),
        ({"identityIds": [held["identityId"]], "undoStatus": "pending"}, [three]),
        ({"before": "2026-11-01T12:01:00Z"}, [one]),
        ({"after": "2026-11-01T12:01:00Z"}, [two, three]),
        ({"operator": "NOT", "conditions": [{"undoStatus": "final"}]}, [three]),
    ]
    for wanted, ids in filters:
        told = await desk.call("EmailSubmission/query", filter=wanted)
        assert told["ids"] == ids, wanted
    for name, ids in (
        ("emailId", [two, three, one]),
        ("threadId", [two, three, one]),
        ("sentAt", [one, two, three]),
    ):
        told = await desk.call("EmailSubmission/query", sort=[{"property": name}])
        assert told["ids"] == ids, name
    for broken in ({"emailIds": "x"}, {"before": "x"}, {"undoStatus": 1}):
        assert await desk.refusal("EmailSubmission/query", filter=broken) == "invalidArguments"
    pending: dict[str, Any] = {"filter": {"undoStatus": "pending"}}
    state = (await desk.call("EmailSubmission/query", **pending))["queryState"]
    await desk.call("EmailSubmission/set", update={three: {"undoStatus": "canceled"}})
    told = await desk.call("EmailSubmission/queryChanges", sinceQueryState=state, **pending)
    assert (told["removed"], told["added"]) == ([three], [])


async def test_elsewhere_is_told_as_failed() -> None:
    desk = SendingDesk()
    told = await desk.submit(await desk.draft(), envelope=envelope(ELSEWHERE, BOB))
    assert told["undoStatus"] == "final"
    status = told["deliveryStatus"]
    assert status[ELSEWHERE]["delivered"] == "no"
    assert status[ELSEWHERE]["smtpReply"].startswith("550 5.4.4 ")
    assert status[BOB]["delivered"] == "yes"
