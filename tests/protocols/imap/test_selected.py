"""One session's numbering, without a session: what it notices and what it tells."""

from array import array

import pytest

from protocols.delivery import prepare
from protocols.errors import RemoteProtocolError
from protocols.imap.flag_lists import FLAG_LISTS_MAX, KEYWORDS_LISTED_MAX
from protocols.imap.flags import KEYWORDS_KNOWN
from protocols.imap.selected import Selected, newest
from protocols.imap.sets import parse_set
from storage.changes import plan_trim
from storage.ids import AccountId, MailboxId, Version
from storage.mail import mailboxes
from storage.mail.ingest import plan_ingest
from storage.mail.keywords import plan_store
from storage.mail.moves import plan_expunge
from storage.mail.state import version
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.stage import ALICE, SECRET, mail


class Inbox:
    """A house with one inbox, and someone who has it selected."""

    def __init__(self, count: int) -> None:
        self.house: FakeHouse = make_house({ALICE: SECRET})
        self.account = self.house.accounts[ALICE]
        found = mailboxes.by_role(self.house.view(), self.account, "inbox")
        assert found is not None
        self.id = found.id
        self.deliver(count)
        counts = mailboxes.counts(self.house.view(), self.account, self.id)
        uids = array("I", range(1, count + 1))
        self.selected = Selected(
            self.account, self.id, "INBOX", uids, counts.modseq, read_only=False
        )

    def deliver(self, count: int = 1) -> None:
        for number in range(count):
            message = mail(f"number {number}")
            email = prepare(message, received_ms=self.house.clock.now_ms())
            self.house.run(
                lambda plan, email=email: plan_ingest(
                    plan, self.account, email, mailboxes=[self.id]
                ),
                blobs=[message],
            )

    def expunge(self, *uids: int) -> None:
        self.house.run(lambda plan: plan_expunge(plan, self.account, self.id, uids))

    def flag(self, uid: int, *keywords: str) -> Version:
        stored, _ = self.house.run(
            lambda plan: plan_store(plan, self.account, self.id, [uid], add=keywords)
        )
        return stored[0][1].modseq

    def forget(self) -> None:
        """The change log is trimmed up to now."""
        now = version(self.house.view(), self.account)
        self.house.run(lambda plan: plan_trim(plan, self.account, now))

    def news(self, *, expunges: bool = True) -> list[bytes]:
        self.selected.notice(self.house.view())
        out: list[bytes] = []
        self.selected.tell(out, expunges=expunges)
        return out


def test_nothing_new_is_nothing_told() -> None:
    assert Inbox(3).news() == []


def test_expunges_come_first_and_count_down_as_they_go() -> None:
    inbox = Inbox(4)
    inbox.expunge(1, 3)
    inbox.deliver()
    assert inbox.news() == [b"* 1 EXPUNGE\r\n", b"* 2 EXPUNGE\r\n", b"* 3 EXISTS\r\n"]
    assert list(inbox.selected.uids) == [2, 4, 5]


def test_a_deferred_expunge_keeps_its_number() -> None:
    inbox = Inbox(3)
    inbox.expunge(2)
    assert inbox.news(expunges=False) == []
    assert inbox.selected.hides_expunges
    assert inbox.selected.uids_at(inbox.selected.positions(parse_set(b"2:3"), uid=False)) == [2, 3]
    inbox.deliver()
    assert inbox.news(expunges=False) == [b"* 4 EXISTS\r\n"]
    assert inbox.news() == [b"* 2 EXPUNGE\r\n"]


def test_what_came_and_went_unheard_is_never_mentioned() -> None:
    inbox = Inbox(1)
    inbox.deliver(2)
    inbox.selected.notice(inbox.house.view())
    inbox.expunge(2)
    assert inbox.news(expunges=False) == [b"* 2 EXISTS\r\n"]
    assert list(inbox.selected.uids) == [1, 3]


def test_flags_of_others_are_told_and_ours_are_not() -> None:
    inbox = Inbox(2)
    inbox.selected.answered(1, inbox.flag(1, "$seen"))
    inbox.flag(2, "$flagged")
    assert inbox.news() == [b"* 2 FETCH (UID 2 FLAGS (\\Flagged))\r\n"]
    inbox.selected.answered(1, inbox.flag(1, "$draft"))
    inbox.flag(1, "$answered")  # and then somebody else
    assert inbox.news() == [b"* 1 FETCH (UID 1 FLAGS (\\Answered \\Draft \\Seen))\r\n"]


def test_when_the_log_is_gone_the_mailbox_itself_tells() -> None:
    inbox = Inbox(5)
    inbox.expunge(2)
    inbox.flag(4, "$seen")
    inbox.deliver()
    inbox.expunge(5)
    inbox.forget()
    assert inbox.news() == [
        b"* 2 EXPUNGE\r\n",
        b"* 4 EXPUNGE\r\n",
        b"* 4 EXISTS\r\n",
        b"* 3 FETCH (UID 4 FLAGS (\\Seen))\r\n",
    ]


def test_a_deleted_mailbox_has_lost_all() -> None:
    inbox = Inbox(2)
    gone = Selected(
        AccountId(inbox.account),
        MailboxId(99),
        "gone",
        array("I", [1, 2]),
        Version(0),
        read_only=False,
    )
    out: list[bytes] = []
    gone.notice(inbox.house.view())
    gone.tell(out, expunges=True)
    assert out == [b"* 1 EXPUNGE\r\n", b"* 1 EXPUNGE\r\n"]
    assert gone.deleted


def test_numbers_that_name_nothing() -> None:
    selected = Inbox(3).selected
    with pytest.raises(RemoteProtocolError):
        selected.positions(parse_set(b"4"), uid=False)
    assert selected.positions(parse_set(b"2:9"), uid=False, strict=False) == [(1, 3)]
    assert selected.positions(parse_set(b"9"), uid=False, strict=False) == []
    assert selected.positions(parse_set(b"7:9"), uid=True) == []
    assert selected.positions(parse_set(b"1,3,2"), uid=True) == [(0, 3)]
    assert selected.positions(parse_set(b"9:*"), uid=True) == [(2, 3)]


def test_an_empty_mailbox_has_no_star() -> None:
    selected = Inbox(0).selected
    for text in (b"*", b"1:*", b"1"):
        with pytest.raises(RemoteProtocolError):
            selected.positions(parse_set(text), uid=False)
        assert selected.positions(parse_set(text), uid=True) == []
        assert selected.positions(parse_set(text), uid=False, strict=False) == []


def test_a_huge_set_is_as_cheap_as_the_mailbox() -> None:
    selected = Inbox(2).selected
    assert selected.positions(parse_set(b"1:4294967295"), uid=True) == [(0, 2)]


def test_a_keyword_is_listed_once_before_it_is_shown() -> None:
    selected, out = Inbox(1).selected, []
    assert selected.flags(1, ("$seen", "work"), out) == b"\\Seen work"
    assert len(out) == 1 and out[0].endswith(b" work)\r\n")
    selected.flags(1, ("work",), out)
    assert len(out) == 1


def test_flag_lists_and_keywords_are_remembered_within_bounds() -> None:
    selected, out = Inbox(1).selected, []
    for number in range(2 * FLAG_LISTS_MAX + KEYWORDS_LISTED_MAX):
        selected.flags(1, (f"k{number}",), out)
    assert len(out) == KEYWORDS_LISTED_MAX - len(KEYWORDS_KNOWN)
    assert len(selected.lists._rendered) <= FLAG_LISTS_MAX


def test_the_newest_of_a_set_are_its_last_messages() -> None:
    positions = [(0, 3), (5, 6), (8, 10)]
    assert newest(positions, 0) == newest(positions, 6) == newest(positions, 9) == (positions, None)
    assert newest(positions, 5) == ([(1, 3), (5, 6), (8, 10)], 1)
    assert newest(positions, 3) == ([(5, 6), (8, 10)], 5)
    assert newest(positions, 2) == ([(8, 10)], 8)
    assert newest(positions, 1) == ([(9, 10)], 9)
    assert newest([], 1) == ([], None)
    assert newest([(2, 4)], 2) == ([(2, 4)], None)
