"""Who may send what to whom: envelopes given and made, and every refusal."""

from typing import Any

import pytest

from protocols.jmap.capabilities import Limits
from storage import lists
from storage.identities import plan_set_aliases
from tests.protocols.jmap.desk import ALICE, BOB, message
from tests.protocols.jmap.sending import ELSEWHERE, SendingDesk, envelope

AL = "al@example.org"


def people(*emails: str) -> list[dict[str, str]]:
    """Addresses as an Email property."""
    return [{"email": email} for email in emails]


async def made(desk: SendingDesk, **draft: Any) -> dict[str, Any]:
    """The envelope made for a draft."""
    told = await desk.submit(await desk.draft(**draft))
    assert "envelope" in told, told
    envelope_: dict[str, Any] = told["envelope"]
    return envelope_


async def test_an_envelope_is_made_of_the_header() -> None:
    desk = SendingDesk()
    told = await made(
        desk, to=people(BOB), cc=people("BOB@example.org", ALICE), bcc=people(ELSEWHERE)
    )
    assert [each["email"] for each in told["rcptTo"]] == [BOB, ALICE, ELSEWHERE]
    assert told["mailFrom"]["email"] == ALICE


async def test_who_sends_is_the_sender_if_the_identity_allows_it() -> None:
    desk = SendingDesk()
    desk.house.run(lambda plan: plan_set_aliases(plan, desk.number, [AL]))
    told = await made(desk, **{"from": people(AL, ALICE), "sender": people(ALICE)})
    assert told["mailFrom"]["email"] == ALICE
    told = await made(desk, **{"from": people(AL)})
    assert told["mailFrom"]["email"] == ALICE  # the identity's, for that one is Alice's
    email = await desk.draft(**{"from": people(AL)})
    told = await desk.submit(email, identityId=await desk.identity(AL))
    assert told["envelope"]["mailFrom"]["email"] == AL


async def test_what_the_envelope_says_counts_and_is_kept() -> None:
    desk = SendingDesk()
    for mail_from in ("alice+bounces@example.org", ""):
        given = envelope(BOB, BOB, mail_from=mail_from, size="100", BODY="8BITMIME", SMTPUTF8=None)
        told = await desk.submit(await desk.draft(to=people(ELSEWHERE)), envelope=given)
        assert list(told["deliveryStatus"]) == [BOB]
        (held,) = (await desk.call("EmailSubmission/get", ids=[told["id"]]))["list"]
        assert held["envelope"]["mailFrom"] == given["mailFrom"]
        assert held["envelope"]["rcptTo"] == [{"email": BOB, "parameters": None}]


@pytest.mark.parametrize(
    ("draft", "type_", "properties"),
    [
        ({"from": people(BOB)}, "forbiddenFrom", None),
        ({"from": people(ALICE, BOB), "sender": people(ALICE)}, "forbiddenFrom", None),
        ({"from": people(ALICE, "alice+x@example.org")}, "invalidEmail", ["from"]),
        ({"from": None}, "invalidEmail", ["from"]),
        ({"from": None, "sender": people(ALICE, BOB)}, "invalidEmail", ["from", "sender"]),
        ({"to": None}, "noRecipients", None),
        ({"to": people("nobody@example.org")}, "invalidRecipients", None),
        ({"to": people("junk")}, "invalidRecipients", None),
    ],
)
async def test_emails_that_are_not_sent(
    draft: dict[str, Any], type_: str, properties: list[str] | None
) -> None:
    desk = SendingDesk()
    told = await desk.submit(await desk.draft(**draft))
    assert (told["type"], told.get("properties")) == (type_, properties), told
    if type_ == "invalidRecipients":
        assert told["invalidRecipients"] == [draft["to"][0]["email"]]
    assert await desk.bobs() == []


@pytest.mark.parametrize(
    ("given", "type_"),
    [
        (envelope(BOB, mail_from=BOB), "forbiddenMailFrom"),
        (envelope(BOB, mail_from="junk"), "forbiddenMailFrom"),
        (envelope(), "noRecipients"),
        (envelope("x y@example.net"), "invalidRecipients"),
        (envelope(BOB, HOLDFOR="x"), "invalidProperties"),
        (envelope(BOB, HOLDFOR=None), "invalidProperties"),
        (envelope(BOB, HOLDFOR="2592001"), "invalidProperties"),
        (envelope(BOB, HOLDUNTIL="tomorrow"), "invalidProperties"),
        (envelope(BOB, HOLDUNTIL="2026-12-24T00:00:00"), "invalidProperties"),
        (envelope(BOB, HOLDUNTIL="2027-01-01T00:00:00Z"), "invalidProperties"),
        (envelope(BOB, HOLDFOR="1", HOLDUNTIL="2026-11-02T00:00:00Z"), "invalidProperties"),
        (envelope(BOB, RET="FULL"), "invalidProperties"),
        (envelope(BOB, BODY="9BIT"), "invalidProperties"),
        (envelope(BOB, BODY=None), "invalidProperties"),
        (envelope(BOB, SIZE="large"), "invalidProperties"),
        (envelope(BOB, SMTPUTF8="yes"), "invalidProperties"),
        ({"mailFrom": {"email": ALICE}}, "invalidProperties"),
        ({"mailFrom": ALICE, "rcptTo": []}, "invalidProperties"),
        ({**envelope(BOB), "more": 1}, "invalidProperties"),
        ({**envelope(BOB), "rcptTo": [{"email": 1}]}, "invalidProperties"),
        (
            {**envelope(BOB), "rcptTo": [{"email": BOB, "parameters": {"X": 1}}]},
            "invalidProperties",
        ),
        (
            {**envelope(BOB), "rcptTo": [{"email": BOB, "parameters": {"NOTIFY": "NEVER"}}]},
            "invalidProperties",
        ),
    ],
)
async def test_envelopes_that_are_refused(given: Any, type_: str) -> None:
    desk = SendingDesk()
    assert (await desk.submit(await desk.draft(), envelope=given))["type"] == type_
    assert await desk.bobs() == []


async def test_objects_that_are_refused() -> None:
    desk = SendingDesk()
    email, identity = await desk.draft(), await desk.identity()
    hidden = desk.deliver(keywords=["$deleted"])
    good = {"identityId": identity, "emailId": email}
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"emailId": email}, ["identityId"]),
        ({"identityId": identity}, ["emailId"]),
        ({**good, "identityId": "i99"}, ["identityId"]),
        ({**good, "emailId": "e99"}, ["emailId"]),
        ({**good, "emailId": hidden}, ["emailId"]),
        ({**good, "emailId": "#nope"}, ["emailId"]),
        ({**good, "emailId": 1}, ["emailId"]),
        ({**good, "sendAt": "2026-11-01T13:00:00Z"}, ["sendAt"]),
        ({**good, "undoStatus": "final"}, ["undoStatus"]),
        ({**good, "threadId": "t1"}, ["threadId"]),
    ]
    for values, properties in cases:
        told = await desk.call("EmailSubmission/set", create={"k": values})
        error = told["notCreated"]["k"]
        assert (error["type"], error["properties"]) == ("invalidProperties", properties), values


async def test_limits() -> None:
    desk = SendingDesk(limits=Limits(recipients_max=2, submission_bytes_max=1_000))
    told = await desk.submit(await desk.draft(), envelope=envelope(BOB, ALICE, BOB))
    assert told["undoStatus"] == "final"
    told = await desk.submit(await desk.draft(), envelope=envelope(BOB, ALICE, ELSEWHERE))
    assert (told["type"], told["maxRecipients"]) == ("tooManyRecipients", 2)
    large = desk.deliver(message(body="x" * 1_000))
    told = await desk.submit(large)
    assert (told["type"], told["maxSize"]) == ("tooLarge", 1_000)


async def test_a_moment_that_has_passed_is_now() -> None:
    desk = SendingDesk()
    given = envelope(BOB, holduntil="2026-11-01T11:00:00Z")
    told = await desk.submit(await desk.draft(), envelope=given)
    assert told["undoStatus"] == "final" and len(await desk.bobs()) == 1


async def test_a_mailing_list_is_somebody() -> None:
    desk = SendingDesk()
    crew = "crew@example.org"
    desk.house.run(lambda plan: lists.plan_create(plan, crew, [ALICE, BOB]))
    told = await desk.submit(await desk.draft(to=people(crew)))
    assert told["deliveryStatus"][crew]["delivered"] == "yes"
    assert [mail["to"][0]["email"] for mail in await desk.bobs()] == [crew]
