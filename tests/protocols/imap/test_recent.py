"""What is \\Recent in one session (RFC 3501 2.3.2)."""

from protocols.imap.recent import Recents


def test_what_was_taken_is_recent_and_what_others_took_is_not() -> None:
    recents = Recents()
    recents.decide(3, 5)  # of 1 to 4 others had 1 and 2
    assert [uid for uid in range(1, 8) if uid in recents] == [3, 4]
    recents.decide(5, 5)  # all of that was decided before
    recents.decide(7, 9)
    assert [uid for uid in range(1, 12) if uid in recents] == [3, 4, 7, 8]


def test_what_was_decided_once_is_not_decided_again() -> None:
    recents = Recents()
    recents.decide(9, 5)  # somebody else has all of them, and more
    recents.decide(1, 7)
    assert [uid for uid in range(1, 12) if uid in recents] == [5, 6]


def test_runs_that_touch_are_one() -> None:
    recents = Recents()
    for upto in range(2, 2000):
        recents.decide(upto - 1, upto)
    assert recents._ranges == [(1, 1998)]


def test_the_number_is_told_when_it_is_another() -> None:
    recents = Recents()
    recents.decide(3, 6)
    assert recents.response() == b"* 0 RECENT\r\n"
    assert recents.news([1, 2, 3, 5], 4) == b"* 2 RECENT\r\n"
    assert recents.news([1, 2, 3, 5], 4) == b""
    assert recents.news([1, 2, 3, 5], 3) == b"* 1 RECENT\r\n"
    assert recents.news([1, 2], 2) == b"* 0 RECENT\r\n"
