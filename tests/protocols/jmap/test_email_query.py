"""Email/query: order, windows, threads, totals; and what is honestly not supported."""

from typing import Any

import pytest

from protocols.jmap import standard_query
from tests.protocols.jmap.desk import Desk, message


def filled(count: int = 5) -> tuple[Desk, list[str]]:
    """A desk and the ids of its inbox, newest first."""
    desk = Desk()
    emails = [desk.deliver(message(number=n), received_ms=n * 1000) for n in range(1, count + 1)]
    return desk, emails[::-1]


async def test_newest_first_unless_asked_otherwise() -> None:
    desk, emails = filled()
    assert (await desk.call("Email/query"))["ids"] == emails
    for ascending, ids in ((True, emails[::-1]), (False, emails)):
        sort = [{"property": "receivedAt", "isAscending": ascending}]
        assert (await desk.call("Email/query", sort=sort))["ids"] == ids


async def test_windows_misplaced_into_comparators_change_no_order() -> None:
    # As the client jmapc writes them.
    desk, emails = filled()
    misplaced = {
        "anchorOffset": 0,
        "calculateTotal": False,
        "position": 0,
        "anchor": None,
        "limit": 1,
    }
    sort = [{"property": "receivedAt", "isAscending": True, **misplaced}]
    assert (await desk.call("Email/query", sort=sort))["ids"] == emails[::-1]


async def test_a_mailbox_of_ones_own_or_none() -> None:
    desk, emails = filled()
    in_inbox = {"filter": {"inMailbox": desk.mailbox("inbox")}}
    assert (await desk.call("Email/query", **in_inbox))["ids"] == emails
    for other in (desk.mailbox("trash"), "m99", "nonsense"):
        told = await desk.call("Email/query", filter={"inMailbox": other}, calculateTotal=True)
        assert (told["ids"], told["total"], told["position"]) == ([], 0, 0)
    assert (await desk.call("Email/query", filter={}))["ids"] == emails
    assert (await desk.call("Email/query", filter=None))["ids"] == emails


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ({"limit": 2}, 0, 2),
        ({"position": 1, "limit": 2}, 1, 3),
        ({"position": -2}, 3, 5),
        ({"position": -99, "limit": 1}, 0, 1),
        ({"position": 99}, 99, 99),
        ({"limit": 0}, 0, 0),
        ({"anchor": 2}, 2, 5),
        ({"anchor": 2, "anchorOffset": -1, "limit": 2}, 1, 3),
        ({"anchor": 2, "anchorOffset": 2}, 4, 5),
        ({"anchor": 0, "anchorOffset": -5, "limit": 1}, 0, 1),
        ({"anchor": 2, "position": 4, "limit": 1}, 2, 3),
    ],
)
async def test_windows(window: dict[str, Any], start: int, end: int) -> None:
    desk, emails = filled()
    if "anchor" in window:
        window = {**window, "anchor": emails[window["anchor"]]}
    told = await desk.call("Email/query", **window, calculateTotal=True)
    assert (told["ids"], told["total"]) == (emails[start:end], 5)
    if told["ids"]:
        assert told["position"] == start
    assert "total" not in await desk.call("Email/query", **window)


async def test_an_anchor_that_is_not_there() -> None:
    desk, _ = filled()
    for anchor in ("e99", "nonsense"):
        assert await desk.refusal("Email/query", anchor=anchor) == "anchorNotFound"


async def test_threads_are_collapsed_to_their_newest() -> None:
    desk = Desk()
    reply = message(number=2).replace(b"\r\n\r\n", b"\r\nReferences: <1@example.net>\r\n\r\n", 1)
    first = desk.deliver(message(number=1), received_ms=1000)
    other = desk.deliver(message("Other", number=3), received_ms=2000)
    last = desk.deliver(reply.replace(b"Subject: ", b"Subject: Re: "), received_ms=3000)
    told = await desk.call("Email/query", collapseThreads=True, calculateTotal=True)
    assert (told["ids"], told["total"]) == ([last, other], 2)
    told = await desk.call("Email/query", calculateTotal=True)
    assert (told["ids"], told["total"]) == ([last, other, first], 3)
    (thread,) = {e["threadId"] for e in (await desk.call("Email/get", ids=[first, last]))["list"]}
    told = await desk.call("Thread/get", ids=[thread, "t99", "x"])
    assert told["list"] == [{"id": thread, "emailIds": [first, last]}]
    assert told["notFound"] == ["t99", "x"]


async def test_totals_agree_with_the_mailbox() -> None:
    desk, emails = filled()
    await desk.call("Email/set", update={emails[0]: {"keywords/$seen": True}})
    (inbox,) = (await desk.call("Mailbox/get", ids=[desk.mailbox("inbox")]))["list"]
    told = await desk.call(
        "Email/query", filter={"inMailbox": inbox["id"]}, calculateTotal=True, limit=0
    )
    assert told["total"] == inbox["totalEmails"] == 5 and inbox["unreadEmails"] == 4


@pytest.mark.parametrize(
    ("arguments", "type_"),
    [
        ({"filter": {"colour": "x"}}, "unsupportedFilter"),
        ({"filter": {"inMailbox": "m1", "taste": "a"}}, "unsupportedFilter"),
        ({"filter": {"text": "a b c " * 64}}, None),
        ({"filter": {"text": " ".join(map(str, range(65)))}}, "unsupportedFilter"),
        ({"filter": {"operator": "OR", "conditions": [{}] * 256}}, "unsupportedFilter"),
        ({"filter": {"operator": "XOR", "conditions": []}}, "invalidArguments"),
        ({"filter": {"operator": ["OR"], "conditions": []}}, "invalidArguments"),
        ({"filter": {"operator": "OR"}}, "invalidArguments"),
        ({"filter": {"operator": "OR", "conditions": [1]}}, "invalidArguments"),
        ({"filter": {"operator": "OR", "conditions": [], "text": "x"}}, "invalidArguments"),
        ({"filter": {"inMailboxOtherThan": "m1"}}, "invalidArguments"),
        ({"filter": {"hasKeyword": True}}, "invalidArguments"),
        ({"filter": {"hasAttachment": "true"}}, "invalidArguments"),
        ({"filter": {"before": "yesterday"}}, "invalidArguments"),
        ({"filter": {"minSize": -1}}, "invalidArguments"),
        ({"filter": {"text": 7}}, "invalidArguments"),
        ({"filter": {"header": []}}, "invalidArguments"),
        ({"filter": {"header": ["a", "b", "c"]}}, "invalidArguments"),
        ({"filter": {"inMailbox": 1}}, "invalidArguments"),
        ({"filter": []}, "invalidArguments"),
        ({"sort": [{"property": "colour"}]}, "unsupportedSort"),
        ({"sort": [{"property": "hasKeyword"}]}, "invalidArguments"),
        ({"sort": [{"property": "subject", "collation": 1}]}, "invalidArguments"),
        ({"sort": [{"property": "receivedAt", "collation": "i;octet"}]}, "unsupportedSort"),
        ({"sort": [{"property": "receivedAt", "keyword": "a"}]}, "unsupportedSort"),
        ({"sort": [{"property": "receivedAt"}] * 9}, "unsupportedSort"),
        ({"sort": [{}]}, "invalidArguments"),
        ({"sort": [{"property": "receivedAt", "isAscending": 1}]}, "invalidArguments"),
        ({"limit": -1}, "invalidArguments"),
        ({"position": "1"}, "invalidArguments"),
        ({"anchor": 1}, "invalidArguments"),
    ],
)
async def test_what_is_not_supported_is_said(arguments: dict[str, Any], type_: str | None) -> None:
    if type_ is None:
        await Desk().call("Email/query", **arguments)
    else:
        assert await Desk().refusal("Email/query", **arguments) == type_


async def test_new_mail_is_added_where_it_is() -> None:
    desk, emails = filled()
    told = await desk.call("Email/query")
    assert told["canCalculateChanges"] is True
    state = told["queryState"]
    new = desk.deliver(message(number=9), received_ms=2_500)
    await desk.call("Email/set", destroy=[emails[0]])
    told = await desk.call("Email/queryChanges", sinceQueryState=state, calculateTotal=True)
    assert (told["removed"], told["total"]) == ([emails[0]], 5)
    assert told["added"] == [{"id": new, "index": 2}]
    assert told["oldQueryState"] == state != told["newQueryState"]
    same = await desk.call("Email/queryChanges", sinceQueryState=told["newQueryState"])
    assert (same["removed"], same["added"]) == ([], []) and "total" not in same


async def test_changes_that_a_query_cannot_see_are_not_told() -> None:
    desk, emails = filled()
    state = (await desk.call("Email/query"))["queryState"]
    await desk.call("Email/set", update={emails[1]: {"keywords/$seen": True}})
    told = await desk.call("Email/queryChanges", sinceQueryState=state)
    assert (told["removed"], told["added"]) == ([], [])
    unseen = {"notKeyword": "$seen"}
    told = await desk.call("Email/queryChanges", sinceQueryState=state, filter=unseen)
    assert (told["removed"], told["added"]) == ([emails[1]], [])


async def test_query_changes_end_where_the_client_stops_looking() -> None:
    desk, emails = filled()
    state = (await desk.call("Email/query"))["queryState"]
    desk.deliver(message(number=8), received_ms=1)
    new = desk.deliver(message(number=9), received_ms=9_000)
    since = {"sinceQueryState": state}
    told = await desk.call("Email/queryChanges", **since, upToId=emails[2])
    assert told["added"] == [{"id": new, "index": 0}]
    told = await desk.call("Email/queryChanges", **since, upToId="e99")
    assert len(told["added"]) == 2
    assert await desk.refusal("Email/queryChanges", **since, maxChanges=1) == "tooManyChanges"
    assert len((await desk.call("Email/queryChanges", **since, maxChanges=2))["added"]) == 2


async def test_query_changes_that_cannot_be_told() -> None:
    desk, _ = filled()
    for state in ("nonsense", "99999", "3-1"):
        refused = await desk.refusal("Email/queryChanges", sinceQueryState=state)
        assert refused == "cannotCalculateChanges"
    assert await desk.refusal("Email/queryChanges") == "invalidArguments"
    refused = await desk.refusal("Email/queryChanges", sinceQueryState="1", limit=1)
    assert refused == "invalidArguments"


async def test_a_limit_of_the_servers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_query, "QUERY_IDS_MAX", 3)
    desk, emails = filled()
    for arguments in ({}, {"limit": 4}):
        told = await desk.call("Email/query", **arguments)
        assert (told["ids"], told["limit"]) == (emails[:3], 3)
    assert "limit" not in await desk.call("Email/query", limit=3)


async def test_dates_before_1970_are_dates() -> None:
    desk = Desk()
    old, new = desk.deliver(received_ms=-86_400_000), desk.deliver(message(number=2))
    for condition, found in (
        ({"after": "1900-01-01T00:00:00Z"}, [new, old]),
        ({"before": "1970-01-01T00:00:00Z"}, [old]),
        ({"after": "1969-12-31T00:00:01Z"}, [new]),
        ({"before": "0001-01-01T00:00:00Z"}, []),
    ):
        assert (await desk.call("Email/query", filter=condition))["ids"] == found
    told = await desk.call("Email/get", ids=[old], properties=["receivedAt"])
    assert told["list"][0]["receivedAt"] == "1969-12-31T00:00:00Z"
