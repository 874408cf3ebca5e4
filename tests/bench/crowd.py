"""JMAP's rows of a mailbox of 100,000 in `make bench`: what may grow with it, and what must not.

They are small messages, brought by MULTIAPPEND, with flags, dates and sizes to ask for. Costs are
CPU, for one request.
"""

import json
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Final

from tests.bench import jmap
from tests.bench.clients import Imap
from tests.bench.imap import SETTLE_S

Row = dict[str, Any]

MAILBOX: Final = "Crowd"
# What the list view of the whole is compared with, turn and turn about: the machine's speed moves.
FEW_MAILBOX: Final = "Few"
FEW: Final = 10_000
TURNS: Final = 4
# As many literals as a command may have, less a few.
APPENDED: Final = 240
LISTS: Final = 100
QUERIES: Final = 10
CHANGES: Final = 400
LIST, LIST_FEW, LIST_TIMES = (
    "JMAP list view in a crowd",
    "JMAP list view among a tenth of it",
    "JMAP list view in a crowd, to that among a tenth",
)
FILTER_COLD, FILTER, FILTER_NOT = (
    "JMAP Email/query in a crowd, the first after it came",
    "JMAP Email/query in a crowd, the slowest of 15 filters",
    "JMAP Email/query in a crowd, the slowest of their negations",
)
CHANGED = "JMAP Email/changes in a crowd, after one change"
# One in ten is flagged, one in two is of the second half of a month, and so on.
CONDITIONS: Final[dict[str, dict[str, Any]]] = {
    "mailbox": {},
    "keyword": {"hasKeyword": "$flagged"},
    "date": {"after": "2026-03-10T00:00:00Z", "before": "2026-03-20T00:00:00Z"},
    "size": {"minSize": 600, "maxSize": 1_000},
}


def small(number: int) -> tuple[bytes, bytes]:
    """What APPEND says of a message, and the message: of 250 to 1,200 octets."""
    flags = b"\\Flagged" if number % 10 == 0 else b""
    date = b"%02d-Mar-2026 %02d:%02d:00 +0000" % (1 + number % 28, number % 24, number % 60)
    body = b"0123456789abcdef\r\n" * (number % 53)
    head = (
        b"From: Sender %d <sender%d@example.net>\r\nTo: Alice <alice@example.org>\r\n"
        b"Subject: Number %d\r\nDate: Sun, 01 Mar 2026 10:00:00 +0000\r\n"
        b"Message-ID: <crowd-%d@example.net>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    ) % (number % 50, number % 50, number, number)
    return b' (%b) "%b"' % (flags, date), head + body


def stock(client: Imap, mailbox: str, first: int, end: int) -> None:
    """These messages into a mailbox."""
    for start in range(first, end, APPENDED):
        told, mails = zip(*map(small, range(start, min(start + APPENDED, end))), strict=True)
        client.append(list(mails), mailbox=mailbox, told=list(told))


def every_row(connect: Callable[[], jmap.Desk], client: Imap, crowd: int) -> list[Row]:
    """All that is here, of a user who has nothing in that mailbox yet.

    Connections are made anew: nobody keeps one for as long as the crowd takes to come.
    """
    few = min(FEW, crowd // 10)
    for mailbox, count in ((FEW_MAILBOX, few), (MAILBOX, crowd)):
        client.command(f"CREATE {mailbox}")
        stock(client, mailbox, 0, count)
    time.sleep(SETTLE_S)
    desk = connect()
    named = {box["name"]: box["id"] for box in desk.call("Mailbox/get", ids=None)["list"]}
    rows = list_views(desk, named[FEW_MAILBOX], named[MAILBOX])
    rows += filters(desk, named[MAILBOX])
    rows.append(changes(desk))
    return rows


def list_views(desk: jmap.Desk, few: str, crowd: str) -> list[Row]:
    """Email/query of the 50 newest, each of another thread, with Email/get of their rows; of both
    mailboxes the quickest of several turns."""
    told: dict[str, list[Row]] = {LIST_FEW: [], LIST: []}
    for _ in range(TURNS):
        for what, mailbox in ((LIST_FEW, few), (LIST, crowd)):
            row = desk.repeated("", LISTS, *jmap.list_calls(desk, mailbox))
            told[what].append(row | {"what": what})
    rows = [min(each, key=lambda row: float(row["cpu_ms"])) for each in told.values()]
    times = rows[1]["cpu_ms"] / rows[0]["cpu_ms"]
    return [*rows, {"what": LIST_TIMES, "rate": times, "unit": "times", "cpu_ms": None}]


def filters(desk: jmap.Desk, mailbox: str) -> list[Row]:
    """Email/query by any of mailbox, keyword, dates and sizes together, and by what is not so."""
    held = CONDITIONS | {"mailbox": {"inMailbox": mailbox}}
    wanted: list[dict[str, Any]] = []
    for many in range(1, len(held) + 1):
        for names in combinations(held, many):
            wanted.append({name: value for each in names for name, value in held[each].items()})
    everything = wanted[-1]
    cold = query(desk, everything, 1, FILTER_COLD)
    told = [query(desk, condition, QUERIES, FILTER) for condition in wanted]
    negations = [
        query(desk, {"operator": "NOT", "conditions": [condition]}, QUERIES, FILTER_NOT)
        for condition in wanted
    ]
    return [cold, slowest(told), slowest(negations)]


def query(desk: jmap.Desk, condition: dict[str, Any], requests: int, what: str) -> Row:
    """The 50 newest of what meets a condition, and how many do."""
    order = [{"property": "receivedAt", "isAscending": False}]
    asked = {"accountId": desk.account, "filter": condition, "sort": order}
    call = ["Email/query", asked | {"limit": 50, "calculateTotal": True}, "q"]
    request = desk.clients[0].prepare(call)

    def send(_: int, __: int) -> None:
        desk.clients[0].send(request)

    return desk.measured("", requests, send) | {"what": what}


def slowest(rows: Sequence[Row]) -> Row:
    """The one that costs most."""
    return max(rows, key=lambda row: float(row["cpu_ms"]))


def changes(desk: jmap.Desk) -> Row:
    """Email/changes after one change."""
    state = desk.call("Email/get", ids=[])["state"]
    (email,) = desk.call("Email/query", limit=1)["ids"]
    told = desk.call("Email/set", update={email: {"keywords/$answered": True}})
    assert email in told["updated"], json.dumps(told)
    call = ["Email/changes", {"accountId": desk.account, "sinceState": state}, "c"]
    return desk.repeated("", CHANGES, call) | {"what": CHANGED}
