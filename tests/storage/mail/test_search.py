"""Queries by date: pages, places, anchors, threads, totals; and what they cost."""

from collections.abc import Sequence

import pytest

from storage.engine import Row
from storage.ids import EmailId, MailboxId
from storage.mail.errors import AnchorNotFound, MailboxNotFound
from storage.mail.keywords import plan_keywords
from storage.mail.records import EmailMeta
from storage.mail.search import Condition, matches, metas_by_date, query
from tests.storage.mail.story import ALICE, House


@pytest.fixture
def ten(house: House) -> House:
    """Emails 1 to 10 in the inbox, in order of receipt; 1 and 6, 2 and 7 ... are threads."""
    for n in range(10):
        house.deliver(ids=[f"{n % 5}"], subject="s", keywords=["odd"] if n % 2 == 0 else [])
    return house


def test_newest_first_and_oldest_first(ten: House) -> None:
    assert query(ten.engine, ALICE, limit=3).emails == [10, 9, 8]
    assert query(ten.engine, ALICE, limit=3, newest_first=False).emails == [1, 2, 3]
    assert query(ten.engine, ALICE).emails == list(range(10, 0, -1))


def test_a_page_may_begin_anywhere(ten: House) -> None:
    page = query(ten.engine, ALICE, position=8, limit=5, want_total=True)
    assert (page.position, page.emails, page.total) == (8, [2, 1], 10)
    assert query(ten.engine, ALICE, position=10).emails == []
    page = query(ten.engine, ALICE, position=-3, limit=2)
    assert (page.position, page.emails, page.total) == (7, [3, 2], None)
    page = query(ten.engine, ALICE, position=-30, limit=1)
    assert (page.position, page.emails) == (0, [10])
    assert query(ten.engine, ALICE, limit=0, want_total=True).total == 10


@pytest.mark.parametrize(
    ("offset", "limit", "position", "emails"),
    [
        (0, 2, 4, [6, 5]),
        (-2, 4, 2, [8, 7, 6, 5]),
        (-2, 1, 2, [8]),
        (-9, 2, 0, [10, 9]),
        (2, 2, 6, [4, 3]),
        (9, 2, 13, []),
        (0, 0, 4, []),
        (3, None, 7, [3, 2, 1]),
    ],
)
def test_a_page_may_begin_at_an_anchor(
    ten: House, offset: int, limit: int | None, position: int, emails: list[int]
) -> None:
    page = query(ten.engine, ALICE, anchor=EmailId(6), anchor_offset=offset, limit=limit)
    assert (page.position, page.emails) == (position, emails)


def test_an_anchor_must_be_among_the_results(ten: House) -> None:
    with pytest.raises(AnchorNotFound):
        query(ten.engine, ALICE, anchor=EmailId(11))
    with pytest.raises(AnchorNotFound):
        query(ten.engine, ALICE, anchor=EmailId(1), collapse_threads=True)


def test_of_each_thread_the_first_in_order(ten: House) -> None:
    page = query(ten.engine, ALICE, collapse_threads=True, want_total=True)
    assert (page.emails, page.total) == ([10, 9, 8, 7, 6], 5)
    page = query(ten.engine, ALICE, collapse_threads=True, newest_first=False, position=3)
    assert page.emails == [4, 5]


def test_one_mailbox_and_its_totals(ten: House) -> None:
    archive = ten.role("archive")
    ten.deliver(archive, ids=["0"], subject="s")
    page = query(ten.engine, ALICE, mailbox=archive, want_total=True)
    assert (page.emails, page.total) == ([11], 1)
    page = query(ten.engine, ALICE, mailbox=ten.role("sent"), want_total=True)
    assert (page.emails, page.total) == ([], 0)
    with pytest.raises(MailboxNotFound):
        query(ten.engine, ALICE, mailbox=MailboxId(99))


def test_hidden_emails_are_in_no_answer(ten: House) -> None:
    with ten.command() as plan:
        plan_keywords(plan, ALICE, EmailId(10), add=["$deleted"])
    page = query(ten.engine, ALICE, limit=2, want_total=True)
    assert (page.emails, page.total) == ([9, 8], 9)


def test_a_condition_on_the_emails_themselves(ten: House) -> None:
    def odd(meta: EmailMeta) -> bool:
        return matches(meta, Condition(has_keyword="odd"))

    page = query(ten.engine, ALICE, where=odd, limit=2, want_total=True)
    assert (page.emails, page.total) == ([9, 7], 5)
    assert query(ten.engine, ALICE, where=odd, position=-1).emails == [1]
    page = query(ten.engine, ALICE, where=odd, anchor=EmailId(5), limit=2, want_total=True)
    assert (page.position, page.emails, page.total) == (2, [5, 3], 5)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (Condition(), True),
        (Condition(in_mailbox=MailboxId(1)), True),
        (Condition(in_mailbox=MailboxId(2)), False),
        (Condition(in_mailbox_other_than=frozenset({MailboxId(1)})), True),
        (Condition(in_mailbox_other_than=frozenset({MailboxId(1), MailboxId(6)})), False),
        (Condition(before_ms=1_000), False),
        (Condition(before_ms=1_001), True),
        (Condition(after_ms=1_000), True),
        (Condition(after_ms=1_001), False),
        (Condition(min_size=500), True),
        (Condition(min_size=501), False),
        (Condition(max_size=500), False),
        (Condition(max_size=501), True),
        (Condition(has_keyword="$seen"), True),
        (Condition(has_keyword="$flagged"), False),
        (Condition(not_keyword="$seen"), False),
        (Condition(not_keyword="$flagged"), True),
        (Condition(has_keyword="$seen", min_size=501), False),
    ],
)
def test_conditions_of_rfc_8621(house: House, condition: Condition, met: bool) -> None:
    house.deliver(
        house.role("inbox"), house.role("archive"), keywords=["$seen"], size=500, received_ms=1_000
    )
    (found,), _ = metas_by_date(house.engine, ALICE)
    assert matches(found, condition) is met


def test_a_long_mailbox_is_filtered_in_pages(ten: House) -> None:
    seen: list[int] = []
    after = None
    while True:
        metas, after = metas_by_date(ten.engine, ALICE, ten.role("inbox"), after=after, limit=4)
        seen += [meta.id for meta in metas]
        if after is None:
            break
    assert seen == list(range(10, 0, -1))


class Counted:
    """Rows that count how many are read."""

    def __init__(self, house: House) -> None:
        self.engine, self.read = house.engine, 0

    def get(self, key: bytes) -> bytes | None:
        self.read += 1
        return self.engine.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Sequence[Row]:
        found = self.engine.scan(start, end, reverse=reverse, limit=limit)
        self.read += len(found)
        return found

    def scan_keys(self, start: bytes, end: bytes, *, limit: int | None = None) -> Sequence[bytes]:
        found = self.engine.scan_keys(start, end, limit=limit)
        self.read += len(found)
        return found


def test_a_page_costs_the_page() -> None:
    house = House(checked=False).open()
    for n in range(1_000):
        house.deliver(ids=[f"{n // 2}"], subject="s")
    for collapse_threads in (False, True):
        for mailbox in (None, house.role("inbox")):
            rows = Counted(house)
            page = query(
                rows,
                ALICE,
                mailbox=mailbox,
                limit=50,
                collapse_threads=collapse_threads,
                want_total=True,
            )
            assert len(page.emails) == 50
            assert page.total == (500 if collapse_threads else 1_000)
            assert rows.read <= 200
