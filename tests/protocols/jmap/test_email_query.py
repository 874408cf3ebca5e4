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
        ({"filter": {"text": "x"}}, "unsupportedFilter"),
        ({"filter": {"operator": "AND", "conditions": []}}, "unsupportedFilter"),
        ({"filter": {"inMailbox": "m1", "hasKeyword": "a"}}, "unsupportedFilter"),
        ({"filter": {"inMailbox": 1}}, "invalidArguments"),
        ({"filter": []}, "invalidArguments"),
        ({"sort": [{"property": "subject"}]}, "unsupportedSort"),
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
async def test_what_is_not_supported_is_said(arguments: dict[str, Any], type_: str) -> None:
    assert await Desk().refusal("Email/query", **arguments) == type_


async def test_query_changes_cannot_be_calculated_and_that_is_told_before() -> None:
    desk, _ = filled()
    told = await desk.call("Email/query")
    assert told["canCalculateChanges"] is False
    state = told["queryState"]
    refused = await desk.refusal("Email/queryChanges", sinceQueryState=state)
    assert refused == "cannotCalculateChanges"
    assert await desk.refusal("Email/queryChanges") == "invalidArguments"


async def test_a_limit_of_the_servers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard_query, "QUERY_IDS_MAX", 3)
    desk, emails = filled()
    for arguments in ({}, {"limit": 4}):
        told = await desk.call("Email/query", **arguments)
        assert (told["ids"], told["limit"]) == (emails[:3], 3)
    assert "limit" not in await desk.call("Email/query", limit=3)
