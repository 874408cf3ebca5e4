"""Positions: the log's index in memory, cut at both ends."""

import pytest

from raft.positions import Positions


def filled(count: int, *, per_segment: int = 10) -> Positions:
    positions = Positions()
    for index in range(1, count + 1):
        positions.put(index, 1 + (index - 1) // per_segment, index * 8)
    return positions


def test_entries_have_places() -> None:
    positions = filled(25)
    assert (positions.start, positions.last) == (0, 25)
    assert positions.place(1) == (1, 8) and positions.place(25) == (3, 200)


def test_entries_of_one_flush_are_noted_together() -> None:
    positions, one_by_one = filled(10), filled(10)
    positions.extend(11, 2, [88, 96])
    one_by_one.put(11, 2, 88)
    one_by_one.put(12, 2, 96)
    assert [positions.place(i) for i in range(1, 13)] == [one_by_one.place(i) for i in range(1, 13)]
    with pytest.raises(AssertionError):
        positions.extend(14, 2, [112])  # 13 is missing


def test_the_front_is_forgotten_and_the_rest_keeps_its_place() -> None:
    positions = filled(25)
    positions.forget(12)
    positions.forget(7)  # older news
    assert (positions.start, positions.last) == (12, 25)
    assert positions.place(13) == (2, 104)
    with pytest.raises(AssertionError):
        positions.place(12)
    positions.put(12, 9, 9)  # a copy of what is forgotten
    positions.put(26, 3, 208)
    assert positions.last == 26 and positions.place(26) == (3, 208)


def test_forgetting_beyond_the_end_begins_anew_there() -> None:
    positions = filled(5)
    positions.forget(90)
    assert (positions.start, positions.last) == (90, 90)
    positions.put(91, 4, 8)
    assert positions.place(91) == (4, 8)


def test_the_end_is_taken_back() -> None:
    positions = filled(25)
    positions.forget(12)
    positions.truncate(20)
    assert positions.last == 19
    positions.truncate(5)  # a segment that continues one that is gone
    assert (positions.start, positions.last) == (4, 4)


def test_the_first_entry_of_a_segment_is_found() -> None:
    positions = filled(25)
    assert [positions.first_in(segment) for segment in (1, 2, 3, 4)] == [1, 11, 21, 26]
    positions.forget(12)
    assert [positions.first_in(segment) for segment in (1, 2, 3, 4)] == [13, 13, 21, 26]
