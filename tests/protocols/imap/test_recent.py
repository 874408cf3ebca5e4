"""What is \\Recent in one session (RFC 3501 2.3.2)."""

from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40))), st.sets(st.integers(1, 45)))
def test_places_are_where_those_stand_that_are_recent(
    decisions: list[tuple[int, int]], named: set[int]
) -> None:
    recents = Recents()
    for first, upto in decisions:
        recents.decide(first, upto)
    uids = sorted(named)
    places = [at for first, end in recents.places(uids) for at in range(first, end)]
    assert places == [at for at, uid in enumerate(uids) if uid in recents]
