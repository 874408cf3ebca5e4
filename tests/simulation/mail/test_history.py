"""The judge of clients' histories: each thing a mail store must not do, and what is no fault."""

from collections.abc import Sequence

import pytest

from tests.simulation.mail.clients import Row
from tests.simulation.mail.history import Census, Claim, History, Life, Listing, Move, Span

ALICE = "alice"


class Story:
    """A history told by one client at times that follow each other."""

    def __init__(self) -> None:
        self.history, self.now = History(), 0.0

    def span(self) -> Span:
        self.now += 2
        return Span(self.now - 1, self.now)

    def sent(self, token: str, mailbox: str = "INBOX") -> Life:
        life = self.history.lives[token] = Life(ALICE, self.span(), mailbox)
        return life

    def lists(self, *tokens: str, mailbox: str = "INBOX", uids: Sequence[int] = ()) -> None:
        rows = tuple(
            Row(uid, token, ()) for uid, token in zip(uids or range(1, 99), tokens, strict=False)
        )
        self.history.listings.append(Listing((ALICE, mailbox), "n1", self.span(), 7, rows))

    def counts(self, *tokens: str, state: str = "") -> None:
        self.history.censuses.append(Census(ALICE, "n1", self.span(), state, tokens))

    @property
    def wrong(self) -> list[str]:
        return [text.partition(":")[0] for text in self.history.wrong()]


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_message_that_is_there_is_well(story: Story) -> None:
    story.sent("a")
    story.lists("a")
    story.counts("a")
    assert story.wrong == []


def test_a_lost_message_is_seen_by_both_views(story: Story) -> None:
    story.sent("a")
    story.lists()
    story.counts()
    assert story.wrong == ["17", "17"]


def test_a_message_whose_answer_was_not_heard_may_be_there_or_not(story: Story) -> None:
    story.history.lives["a"] = Life(ALICE, Span(0.5))
    story.lists()
    story.lists("a")
    assert story.wrong == []
    assert story.history.unheard == 1


def test_a_doubled_message_and_one_that_nobody_sent_are_seen(story: Story) -> None:
    story.sent("a")
    story.lists("a", "a", "b")
    assert sorted(story.wrong) == ["18", "phantom"]


def test_what_was_removed_does_not_come_back(story: Story) -> None:
    story.sent("a").removals.append(story.span())
    story.lists()
    story.counts()
    assert story.wrong == []
    story.counts("a")
    assert story.wrong == ["19"]


def test_nothing_is_there_before_it_was_sent(story: Story) -> None:
    story.lists("a")
    story.sent("a")
    assert story.wrong == ["19"]


def test_a_moved_message_is_in_one_place(story: Story) -> None:
    story.sent("a").moves.append(Move(story.span(), "Archive"))
    story.lists("a", mailbox="Archive")
    story.lists()
    assert story.wrong == []
    story.lists("a")  # the move was acknowledged, and is undone
    story.lists(mailbox="Archive")
    assert story.wrong == ["13", "17"]


def test_two_moves_at_once_leave_it_anywhere(story: Story) -> None:
    one, other = Span(3, 6), Span(4, 7)
    story.sent("a").moves.extend([Move(one, "Archive"), Move(other, "INBOX")])
    story.now = 8
    story.lists("a", mailbox="Archive")
    story.counts("a")
    assert story.wrong == []


def test_copies_are_counted(story: Story) -> None:
    story.sent("a").copies.append(story.span())
    story.counts("a", "a")
    assert story.wrong == []
    story.counts("a")
    assert story.wrong == ["17"]
    story.counts("a", "a", "a")
    assert story.wrong == ["17", "18"]


def test_each_removal_takes_one_copy(story: Story) -> None:
    life = story.sent("a")
    life.copies.append(story.span())
    life.removals.append(story.span())
    story.counts("a")
    assert story.wrong == []
    life.removals.append(story.span())
    story.counts("a")
    assert story.wrong == ["19"]


def test_uids_ascend_and_name_one_message(story: Story) -> None:
    story.sent("a")
    story.sent("b")
    story.lists("a", "b", uids=[2, 1])
    story.lists("b", "a", uids=[1, 1])
    assert set(story.wrong) == {"20"}


def test_uids_follow_the_order_of_arrival(story: Story) -> None:
    story.sent("a")
    story.sent("b")
    story.lists("b", "a")
    assert story.wrong == ["20"]


def test_a_promised_uid_is_kept(story: Story) -> None:
    story.sent("a")
    story.history.claims.append(Claim((ALICE, "INBOX"), 7, 3, "a"))
    story.lists("a", uids=[3])
    assert story.wrong == []
    story.lists("a", uids=[4])
    story.sent("b")
    story.lists("b", "a", uids=[3, 4])
    assert "20" in story.wrong


def test_states_do_not_go_back(story: Story) -> None:
    story.counts(state="5")
    story.counts(state="4")
    assert story.wrong == ["22"]
