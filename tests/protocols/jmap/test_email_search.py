"""Email/query against a model: every condition and sort, judged again by what Email/get tells.

A client that follows by Email/queryChanges alone must hold what Email/query answers.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import pytest

from protocols.collation import unicode_casemap
from protocols.mime.envelope import base_subject
from storage.mail import columns
from tests.protocols.jmap.desk import Desk

WORDS: Final = ("alpha", "Beta", "gamma", "Über", "delta")
KEYWORDS: Final = ("$seen", "$flagged", "work")
Email = dict[str, Any]


def written(chance: random.Random, number: int, earlier: list[int]) -> bytes:
    """A random message; some answer an earlier one."""
    subject = f"{chance.choice(WORDS)} {chance.choice(WORDS)}"
    answers = ""
    if earlier and chance.random() < 0.5:
        parent = chance.choice(earlier)
        answers = f"In-Reply-To: <{parent}@x>\r\n"
        subject = "shared"
    attached = chance.random() < 0.3
    body = f"{chance.choice(WORDS)} text\r\n" + "x" * chance.randrange(300)
    content = f"\r\n{body}\r\n"
    if attached:
        content = (
            'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n'
            f"{body}\r\n--b\r\nContent-Type: application/pdf\r\n"
            "Content-Disposition: attachment\r\n\r\nabc\r\n--b--\r\n"
        )
    date = (
        "" if chance.random() < 0.2 else f"Date: {chance.randrange(1, 29)} Nov 2026 10:00 +0000\r\n"
    )
    head = (
        f"From: {chance.choice(['Ann', 'bob', 'Zoë', ''])} <p{chance.randrange(3)}@x.org>\r\n"
        f"To: q{chance.randrange(3)}@y.org\r\nSubject: {subject}\r\n{date}"
        f"X-Mark: {chance.choice(WORDS)}\r\nMessage-ID: <{number}@x>\r\nMIME-Version: 1.0\r\n"
    )
    return (head + answers + content).encode()


class Story:
    """A desk with random mail, changed at random."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.in_order = seed % 2 == 1
        """Mail comes in order of receivedAt, as it mostly does."""
        self.desk = Desk()
        self.numbers: list[int] = []
        for _ in range(25):
            self.arrive()

    def arrive(self) -> None:
        chance, number = self.chance, len(self.numbers)
        data = written(chance, number, self.numbers)
        self.numbers.append(number)
        self.desk.deliver(
            data,
            role=chance.choice(["inbox", "archive", "trash"]),
            received_ms=(number // 4 if self.in_order else chance.randrange(12)) * 1000 + 1,
            keywords=chance.sample(KEYWORDS, chance.randrange(3)),
        )

    async def change(self) -> None:
        """Something happens to some email."""
        chance = self.chance
        emails = [email["id"] for email in await self.all()]
        if not emails or chance.random() < 0.3:
            self.arrive()
            return
        email, keyword = chance.choice(emails), chance.choice(KEYWORDS)
        box = self.desk.mailbox(chance.choice(["inbox", "archive", "trash"]))
        await self.desk.call(
            "Email/set",
            **chance.choice(
                [
                    {"update": {email: {f"keywords/{keyword}": chance.choice([True, None])}}},
                    {"update": {email: {"mailboxIds": {box: True}}}},
                    {"destroy": [email]},
                ]
            ),
        )

    async def all(self) -> list[Email]:
        properties = [
            *("id", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "sentAt"),
            *("from", "to", "subject", "hasAttachment", "textBody", "bodyValues", "header:X-Mark"),
        ]
        told = await self.desk.call(
            "Email/get", ids=None, properties=properties, fetchTextBodyValues=True
        )
        found: list[Email] = told["list"]
        return found

    def condition(self) -> dict[str, Any]:
        chance = self.chance
        box = [self.desk.mailbox(role) for role in ("inbox", "archive", "trash")]
        moment = f"1970-01-01T00:00:{chance.randrange(12):02}Z"
        word, keyword = chance.choice(WORDS), chance.choice(KEYWORDS)
        return chance.choice(
            [
                {"inMailbox": chance.choice([*box, "m99"])},
                {"inMailboxOtherThan": chance.sample(box, chance.randrange(3))},
                {"before": moment},
                {"after": moment},
                {"minSize": chance.randrange(200, 600)},
                {"maxSize": chance.randrange(200, 600)},
                {"hasKeyword": keyword.upper()},
                {"notKeyword": keyword},
                {"allInThreadHaveKeyword": keyword},
                {"someInThreadHaveKeyword": keyword},
                {"noneInThreadHaveKeyword": keyword},
                {"hasAttachment": chance.choice([True, False])},
                {"from": chance.choice(["ANN", "p1@", "zoë"])},
                {"to": "q1@y.org"},
                {"subject": word},
                {"body": word},
                {"text": word},
                {"header": ["x-mark", word]},
                {},
                {"hasKeyword": keyword, "minSize": 300, "body": word},
            ]
        )

    def filter(self, depth: int = 2) -> dict[str, Any]:
        if depth == 0 or self.chance.random() < 0.4:
            return self.condition()
        inner = [self.filter(depth - 1) for _ in range(self.chance.randrange(3))]
        return {"operator": self.chance.choice(["AND", "OR", "NOT"]), "conditions": inner}

    def sort(self) -> list[dict[str, Any]]:
        names = [
            *("receivedAt", "size", "from", "to", "subject", "sentAt"),
            *("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"),
        ]
        sort: list[dict[str, Any]] = []
        for name in self.chance.sample(names, self.chance.randrange(1, 4)):
            comparator = {"property": name, "isAscending": self.chance.choice([True, False])}
            if name.endswith("Keyword"):
                comparator["keyword"] = self.chance.choice(KEYWORDS)
            sort.append(comparator)
        return sort


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def folded(value: object) -> str:
    return str(value).casefold()


def judge(wanted: dict[str, Any], email: Email, every: list[Email]) -> bool:
    """Whether an email matches a filter, from the RFC's words."""
    if "operator" in wanted:
        each = [judge(one, email, every) for one in wanted["conditions"]]
        match wanted["operator"]:
            case "AND":
                return all(each)
            case "OR":
                return any(each)
            case _:
                return not any(each)
    thread = [set(one["keywords"]) for one in every if one["threadId"] == email["threadId"]]
    bodies = folded([value["value"] for value in email["bodyValues"].values()])
    heads = {name: folded(email[name]) for name in ("from", "to", "subject")}
    tests: dict[str, Callable[[Any], bool]] = {
        "inMailbox": lambda box: box in email["mailboxIds"],
        "inMailboxOtherThan": lambda boxes: not set(email["mailboxIds"]) <= set(boxes),
        "before": lambda date: moment(email["receivedAt"]) < moment(date),
        "after": lambda date: moment(email["receivedAt"]) >= moment(date),
        "minSize": lambda size: email["size"] >= size,
        "maxSize": lambda size: email["size"] < size,
        "hasKeyword": lambda keyword: keyword.lower() in email["keywords"],
        "notKeyword": lambda keyword: keyword not in email["keywords"],
        "allInThreadHaveKeyword": lambda keyword: all(keyword in one for one in thread),
        "someInThreadHaveKeyword": lambda keyword: any(keyword in one for one in thread),
        "noneInThreadHaveKeyword": lambda keyword: not any(keyword in one for one in thread),
        "hasAttachment": lambda has: email["hasAttachment"] is has,
        "from": lambda word: folded(word) in heads["from"],
        "to": lambda word: folded(word) in heads["to"],
        "subject": lambda word: folded(word) in heads["subject"],
        "body": lambda word: folded(word) in bodies,
        "text": lambda word: any(folded(word) in place for place in (*heads.values(), bodies)),
        "header": lambda pair: folded(pair[1]) in folded(email["header:X-Mark"]),
    }
    return all(tests[name](value) for name, value in wanted.items())


def person(people: list[dict[str, str]]) -> str:
    return people[0]["name"] or people[0]["email"] if people else ""


def place(comparator: dict[str, Any], email: Email, every: list[Email]) -> Any:
    """What a comparator sorts an email by."""
    thread = [one["keywords"] for one in every if one["threadId"] == email["threadId"]]
    keyword = comparator.get("keyword")
    match comparator["property"]:
        case "receivedAt" | "size" as name:
            return email[name]
        case "sentAt":
            return email["sentAt"] or ""
        case "from" | "to" as name:
            return unicode_casemap(person(email[name]))
        case "subject":
            return unicode_casemap(base_subject(email["subject"]))
        case "hasKeyword":
            return keyword in email["keywords"]
        case "allInThreadHaveKeyword":
            return all(keyword in one for one in thread)
        case _:
            return any(keyword in one for one in thread)


def check_order(sort: list[dict[str, Any]], emails: list[Email], every: list[Email]) -> None:
    for first, second in pairwise(emails):
        for comparator in sort:
            left, right = (place(comparator, one, every) for one in (first, second))
            if left != right:
                assert (left < right) is comparator["isAscending"], (comparator, first, second)
                break


@pytest.mark.parametrize("seed", range(4))
async def test_every_query_finds_what_its_filter_says_in_order(seed: int) -> None:
    story = Story(seed)
    for turn in range(40):
        if turn % 5 == 4:
            await story.change()
        every = {email["id"]: email for email in await story.all()}
        wanted, sort = story.filter(), story.sort()
        told = await story.desk.call("Email/query", filter=wanted, sort=sort, calculateTotal=True)
        expected = {id_ for id_, one in every.items() if judge(wanted, one, list(every.values()))}
        assert set(told["ids"]) == expected, wanted
        assert told["total"] == len(told["ids"]) == len(expected)
        check_order(sort, [every[id_] for id_ in told["ids"]], list(every.values()))
        again = await story.desk.call("Email/query", filter=wanted, sort=sort, position=1, limit=3)
        assert again["ids"] == told["ids"][1:4]
        seen: dict[str, str] = {}
        for id_ in told["ids"]:
            seen.setdefault(every[id_]["threadId"], id_)
        collapsed = await story.desk.call(
            "Email/query", filter=wanted, sort=sort, collapseThreads=True, calculateTotal=True
        )
        assert collapsed["ids"] == list(seen.values())
        assert collapsed["total"] == len(seen)
        for all_of, collapse in ((told["ids"], False), (collapsed["ids"], True)):
            window = {"position": 1, "limit": 2, "collapseThreads": collapse}
            page = await story.desk.call(
                "Email/query", filter=wanted, sort=sort, calculateTotal=True, **window
            )
            assert page["ids"] == all_of[1:3], "however few are looked at, all are counted"
            assert (page["total"], page["position"]) == (len(all_of), min(1, len(all_of)))


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_follows_the_changes_of_a_query_holds_its_results(seed: int) -> None:
    story = Story(seed)
    for _ in range(12):
        query = {
            "filter": story.filter(),
            "sort": story.sort(),
            "collapseThreads": story.chance.choice([True, False]),
        }
        told = await story.desk.call("Email/query", **query)
        held, state = list(told["ids"]), told["queryState"]
        for _ in range(story.chance.randrange(1, 6)):
            await story.change()
        changes = await story.desk.call(
            "Email/queryChanges", sinceQueryState=state, calculateTotal=True, **query
        )
        held = [id_ for id_ in held if id_ not in changes["removed"]]
        for added in changes["added"]:
            assert added["id"] not in held
            held.insert(added["index"], added["id"])
        now = await story.desk.call("Email/query", calculateTotal=True, **query)
        assert held == now["ids"], query
        assert changes["total"] == now["total"] and changes["newQueryState"] == now["queryState"]


async def test_columns_are_read_in_pages_and_anew_when_they_are_mostly_waste(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "PAGE_ROWS", 4)
    monkeypatch.setattr(columns, "WASTE_MAX", 2)
    story = Story(11)
    for _ in range(25):
        await story.change()
        every = await story.all()
        wanted = {"hasKeyword": "$seen"}
        told = await story.desk.call("Email/query", filter=wanted, calculateTotal=True)
        assert set(told["ids"]) == {one["id"] for one in every if judge(wanted, one, every)}
