"""Quotas: what they say, how they change, and that every way in keeps to them."""

from typing import Any

import pytest

from protocols.jmap.capabilities import CORE, QUOTA
from storage.mail.quota import Limits, plan_limit, plan_limits, plan_messages_limit
from storage.mail.tree import MAILBOXES_MAX
from tests.protocols.jmap.desk import PLAIN, Desk, message


def limit(desk: Desk, octets: int) -> None:
    """Limit Alice's mail."""
    desk.house.run(lambda plan: plan_limit(plan, desk.number, octets))


async def test_they_say_what_is_used_and_what_may_be() -> None:
    desk = Desk()
    limit(desk, 5_000)
    desk.deliver()
    told = await desk.call("Quota/get", ids=None)
    octets, mailboxes = told["list"]
    assert octets == {
        "id": "q1",
        "resourceType": "octets",
        "used": len(PLAIN),
        "hardLimit": 5_000,
        "scope": "account",
        "name": "Mail storage",
        "types": ["Email"],
        "warnLimit": None,
        "softLimit": None,
        "description": "All messages of the account together",
    }
    assert (mailboxes["resourceType"], mailboxes["used"]) == ("count", 6)
    assert mailboxes["hardLimit"] == MAILBOXES_MAX
    limit(desk, 0)
    told = await desk.call("Quota/get", ids=["q1", "q2", "q3"], properties=["used"])
    assert told["list"] == [{"id": "q2", "used": 6}] and told["notFound"] == ["q1", "q3"]


async def test_what_an_administrator_sets_by_imap_is_told_here() -> None:
    desk = Desk()
    state = (await desk.call("Quota/get", ids=[]))["state"]
    nothing = Limits(octets=0, messages=0, mailboxes=3)
    desk.house.run(lambda plan: plan_limits(plan, desk.number, nothing))
    told = await desk.call("Quota/get", ids=None, properties=["used", "hardLimit"])
    assert told["list"] == [
        {"id": "q1", "used": 0, "hardLimit": 0},
        {"id": "q2", "used": 6, "hardLimit": 3},
        {"id": "q3", "used": 0, "hardLimit": 0},
    ]
    told = await desk.call("Quota/changes", sinceState=state)
    assert (told["created"], told["updated"]) == (["q1", "q3"], ["q2"])
    assert told["updatedProperties"] is None
    refused = await desk.call("Mailbox/set", create={"a": {"name": "One more"}})
    assert refused["notCreated"]["a"]["type"] == "overQuota"


async def test_changes_of_use_are_told_apart() -> None:
    desk = Desk()
    limit(desk, 5_000)
    state = (await desk.call("Quota/get", ids=[]))["state"]
    desk.deliver()
    told = await desk.call("Quota/changes", sinceState=state)
    assert (told["updated"], told["updatedProperties"]) == (["q1"], ["used"])
    limit(desk, 6_000)
    told = await desk.call("Quota/changes", sinceState=state)
    assert (told["updated"], told["updatedProperties"]) == (["q1"], None)
    limit(desk, 0)
    told = await desk.call("Quota/changes", sinceState=state)
    assert (told["updated"], told["destroyed"]) == ([], ["q1"])


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["q1", "q2"]),
        ({"name": "BOX"}, ["q2"]),
        ({"scope": "account"}, ["q1", "q2"]),
        ({"scope": "global"}, []),
        ({"resourceType": "octets"}, ["q1"]),
        ({"type": "Mailbox"}, ["q2"]),
        ({"type": "Email", "resourceType": "count"}, []),
        ({"operator": "NOT", "conditions": [{"type": "Email"}]}, ["q2"]),
        ({"operator": "OR", "conditions": [{"type": "Email"}, {"type": "Mailbox"}]}, ["q1", "q2"]),
        ({"operator": "AND", "conditions": [{"type": "Email"}, {"name": "x"}]}, []),
    ],
)
async def test_filters(wanted: dict[str, Any], ids: list[str]) -> None:
    desk = Desk()
    limit(desk, 5_000)
    told = await desk.call("Quota/query", filter=wanted, calculateTotal=True)
    assert (told["ids"], told["total"]) == (ids, len(ids))
    assert told["canCalculateChanges"] is True


async def test_orders_and_windows() -> None:
    desk = Desk()
    limit(desk, 5_000)
    desk.deliver()  # its octets are more than there are mailboxes
    for sort, ids in (
        ([{"property": "used"}], ["q2", "q1"]),
        ([{"property": "used", "isAscending": False}], ["q1", "q2"]),
        ([{"property": "name"}], ["q1", "q2"]),
    ):
        assert (await desk.call("Quota/query", sort=sort))["ids"] == ids
    assert (await desk.call("Quota/query", position=-1))["ids"] == ["q2"]
    assert (await desk.call("Quota/query", anchor="q2", limit=1))["ids"] == ["q2"]
    assert await desk.refusal("Quota/query", sort=[{"property": "id"}]) == "unsupportedSort"
    assert await desk.refusal("Quota/query", filter={"x": 1}) == "unsupportedFilter"
    assert await desk.refusal("Quota/query", filter={"name": 1}) == "invalidArguments"
    assert await desk.refusal("Quota/query", anchor="q9") == "anchorNotFound"
    for broken in ({"operator": "XOR", "conditions": []}, {"operator": "OR", "conditions": [1]}):
        assert await desk.refusal("Quota/query", filter=broken) == "invalidArguments"


async def test_changes_of_a_query_lead_to_what_it_is_now() -> None:
    desk = Desk()
    limit(desk, 5_000)
    sort = [{"property": "used", "isAscending": False}]
    told = await desk.call("Quota/query", sort=sort)
    held, state = told["ids"], told["queryState"]
    assert held == ["q2", "q1"]
    desk.deliver()
    changed = await desk.call(
        "Quota/queryChanges", sort=sort, sinceQueryState=state, calculateTotal=True
    )
    held = [each for each in held if each not in changed["removed"]]
    for item in changed["added"]:
        held.insert(item["index"], item["id"])
    assert held == (await desk.call("Quota/query", sort=sort))["ids"] == ["q1", "q2"]
    assert changed["total"] == 2 and changed["oldQueryState"] == state
    call: dict[str, Any] = {"sinceQueryState": state, "maxChanges": 1}
    assert await desk.refusal("Quota/queryChanges", **call) == "tooManyChanges"
    for state in ("99999", "junk", "1-1"):
        refused = await desk.refusal("Quota/queryChanges", sinceQueryState=state)
        assert refused == "cannotCalculateChanges"
    assert await desk.refusal("Quota/queryChanges") == "invalidArguments"


async def test_only_for_who_knows_the_types() -> None:
    desk = Desk()
    call = ["Quota/get", {"accountId": desk.account}]
    ((_, told, _),) = await desk.request(call, using=[CORE, QUOTA])
    assert told["list"] == []


async def test_emails_are_refused_over_it() -> None:
    desk = Desk()
    blob = (await desk.http("POST", f"/jmap/upload/{desk.account}/", message())).json["blobId"]
    limit(desk, 100)
    inbox = desk.mailbox("inbox")
    wanted = {"blobId": blob, "mailboxIds": {inbox: True}}
    told = await desk.call("Email/import", emails={"k": wanted})
    assert told["notCreated"]["k"]["type"] == "overQuota"
    told = await desk.call("Email/set", create={"k": {"mailboxIds": {inbox: True}}})
    assert told["notCreated"]["k"]["type"] == "overQuota"


async def test_messages_are_limited_by_number_too() -> None:
    desk = Desk()
    desk.house.run(lambda plan: plan_messages_limit(plan, desk.number, 1))
    desk.deliver()
    told = await desk.call("Quota/get", ids=["q3"])
    (messages,) = told["list"]
    assert (messages["resourceType"], messages["types"]) == ("count", ["Email"])
    assert (messages["used"], messages["hardLimit"]) == (1, 1)
    inbox = (await desk.call("Mailbox/query", filter={"role": "inbox"}))["ids"][0]
    told = await desk.call("Email/set", create={"k": {"mailboxIds": {inbox: True}}})
    assert told["notCreated"]["k"]["type"] == "overQuota"
