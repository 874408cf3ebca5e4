"""JMAP's rows of `make bench`: what each usual request costs, and how large blobs stream.

Costs are CPU of all nodes for one request, so that a busy machine blurs them least.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from tests.bench.clients import Jmap
from tests.bench.meters import anonymous_mib, is_there, measure

Row = dict[str, Any]
Send = Callable[[int, int], None]

LIST_PROPERTIES: Final = [
    "id", "threadId", "mailboxIds", "keywords", "from", "to", "subject",
    "receivedAt", "size", "preview", "hasAttachment",
]  # fmt: skip
# Mailboxes of whoever has many, with the six that everybody has.
MAILBOXES: Final = 500
FLAGGED_AT_ONCE: Final = 500
LARGE_OCTETS: Final = 100_000_000
# How often memory is looked at while a large blob goes by.
LOOK_S: Final = 0.005


class Desk:
    """Some connections of one user, what they know of their account, and the nodes' pids."""

    def __init__(self, clients: list[Jmap], pids: list[int]) -> None:
        self.clients = clients
        self.pids = pids
        self.account = clients[0].account
        boxes = self.call("Mailbox/get", ids=None)["list"]
        self.inbox = next(box["id"] for box in boxes if box["role"] == "inbox")

    def call(self, name: str, **arguments: Any) -> Any:
        """One call, not measured; its answer."""
        request = self.clients[0].prepare([name, {"accountId": self.account, **arguments}, "c"])
        told, answer, _ = json.loads(self.clients[0].send(request))["methodResponses"][0]
        assert told == name, answer
        return answer

    def repeated(self, what: str, requests: int, *calls: list[Any]) -> Row:
        """The same request again and again, on all connections."""
        ready = [client.prepare(*calls) for client in self.clients]

        def send(connection: int, _: int) -> None:
            self.clients[connection].send(ready[connection])

        assert b'"error"' not in self.clients[0].send(ready[0])
        return self.measured(what, requests, send)

    def measured(self, what: str, requests: int, send: Send) -> Row:
        """`send` over all connections, as a row."""
        rate = measure(self.pids, len(self.clients), requests, send)
        many = len(self.clients)
        return {
            "what": f"JMAP {what}, {many} connection{'s' if many > 1 else ''}",
            "rate": rate.per_s,
            "unit": "requests/s",
            "cpu_ms": rate.cpu_ms,
        }


def every_row(
    connect: Callable[[int], Desk], collector: Desk, messages: int, *, requests: int
) -> list[Row]:
    """All that is here, by desks of one connection and of eight; `collector`: of somebody who
    may get many mailboxes."""
    rows = []
    for connections in (1, 8):
        desk = connect(connections)
        rows += echo_and_list(desk, requests)
        rows += flags_and_changes(desk, requests // 2)
    alone = connect(1)
    rows += filters(alone, messages, requests // 20)
    rows.append(many_mailboxes(collector, requests // 20))
    return rows + large_blobs(alone)


def list_calls(desk: Desk, mailbox: str) -> tuple[list[Any], list[Any]]:
    """Email/query of a mailbox's 50 newest, each of another thread, with Email/get of their rows:
    what a client shows first."""
    query = {
        "accountId": desk.account,
        "filter": {"inMailbox": mailbox},
        "sort": [{"property": "receivedAt", "isAscending": False}],
        "collapseThreads": True,
        "limit": 50,
    }
    ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    get = {"accountId": desk.account, "#ids": ids, "properties": LIST_PROPERTIES}
    return ["Email/query", query, "q"], ["Email/get", get, "g"]


def echo_and_list(desk: Desk, requests: int) -> list[Row]:
    """Core/echo, and the list view."""
    calls = list_calls(desk, desk.inbox)
    return [
        desk.repeated("Core/echo", requests, ["Core/echo", {"a": 1}, "e"]),
        desk.repeated("list view (query 50 + get)", requests, *calls),
    ]


def flags_and_changes(desk: Desk, requests: int) -> list[Row]:
    """Email/set of one keyword, of one on many emails, and Email/changes after one change."""
    found = desk.call("Email/query", filter={"inMailbox": desk.inbox}, limit=FLAGGED_AT_ONCE)
    emails, number = found["ids"], count()

    def flag(connection: int, at: int) -> None:
        client = desk.clients[connection]
        patch = {emails[at % len(emails)]: {"keywords/$flagged": next(number) % 2 == 0 or None}}
        client.send(client.prepare(_set(desk, patch)))

    rows = [desk.measured("Email/set of one keyword", requests, flag)]
    state = desk.call("Email/get", ids=[])["state"]
    desk.call("Email/set", update={emails[0]: {"keywords/$answered": True}})
    since = {"accountId": desk.account, "sinceState": state}
    changes = ["Email/changes", since, "c"]
    rows.append(desk.repeated("Email/changes after one change", requests, changes))
    if len(desk.clients) > 1:
        return rows

    def flag_all(_: int, at: int) -> None:
        client = desk.clients[0]
        patch = {email: {"keywords/$answered": at % 2 == 0 or None} for email in emails}
        client.send(client.prepare(_set(desk, patch)))

    rows.append(desk.measured(f"Email/set of keywords on {len(emails)} emails", 10, flag_all))
    return rows


def _set(desk: Desk, patch: dict[str, Any]) -> list[Any]:
    return ["Email/set", {"accountId": desk.account, "update": patch}, "s"]


def filters(desk: Desk, messages: int, requests: int) -> list[Row]:
    """Email/query by conditions of every column."""
    all_of = {
        "inMailbox": desk.inbox,
        "hasKeyword": "$flagged",
        "after": "2000-01-01T00:00:00Z",
        "before": "2100-01-01T00:00:00Z",
        "minSize": 4_000,
        "maxSize": 20_000,
    }
    rows = []
    for what, condition in (
        ("mailbox, keyword, dates and sizes", all_of),
        ("none of these", {"operator": "NOT", "conditions": [all_of]}),
    ):
        query = {"accountId": desk.account, "filter": condition, "limit": 50}
        call = ["Email/query", query | {"calculateTotal": True}, "q"]
        rows.append(desk.repeated(f"Email/query of {messages}: {what}", requests, call))
    return rows


def many_mailboxes(desk: Desk, requests: int) -> Row:
    """Mailbox/get of all mailboxes of somebody who has many."""
    missing = MAILBOXES - len(desk.call("Mailbox/get", ids=None)["list"])
    if missing > 0:
        wanted = {f"k{number}": {"name": f"Box {number}"} for number in range(missing)}
        assert len(desk.call("Mailbox/set", create=wanted)["created"]) == missing
    call = ["Mailbox/get", {"accountId": desk.account, "ids": None}, "m"]
    return desk.repeated(f"Mailbox/get of {MAILBOXES}", requests, call)


def large_blobs(desk: Desk, *, rounds: int = 2) -> list[Row]:
    """An upload and a download of 100 MB: how fast, for what CPU of all nodes, and in how much
    memory beside what the busiest node had."""
    client, blobs = desk.clients[0], []

    def upload(_: int, at: int) -> None:
        # Another blob each time: what is there already would not be sent to the others.
        answer = client.upload(bytes([at + 1]) * LARGE_OCTETS)
        blobs.append(json.loads(answer)["blobId"])

    def download(_: int, at: int) -> None:
        assert client.download(blobs[at]) == LARGE_OCTETS

    rows = []
    for what, work in (("upload", upload), ("download", download)):
        with _peak_mib(desk.pids) as peak:
            rate = measure(desk.pids, 1, rounds, work)
        rows.append(
            {
                "what": f"JMAP {what} of 100 MB",
                "rate": LARGE_OCTETS / 1e6 * rate.per_s,
                "unit": "MB/s",
                "cpu_ms": rate.cpu_ms,
            }
        )
        rows.append(
            {
                "what": f"JMAP {what} of 100 MB, memory beside",
                "rate": max(peak),
                "unit": "MiB",
                "cpu_ms": None,
            }
        )
    return rows


@contextmanager
def _peak_mib(pids: list[int]) -> Iterator[list[float]]:
    """By node, the most memory it had while the block ran, beside what it had before."""
    pids = [pid for pid in pids if is_there(pid)]
    before = [anonymous_mib(pid) for pid in pids]
    peak, is_over = [0.0] * len(pids), threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            for at, pid in enumerate(pids):
                if is_there(pid):
                    peak[at] = max(peak[at], anonymous_mib(pid) - before[at])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        is_over.set()
        looking.join()
