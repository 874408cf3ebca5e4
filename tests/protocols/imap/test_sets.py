"""Sequence sets are ranges, whatever is written in them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.sets import (
    NUMBER_MAX,
    RANGES_MAX,
    STAR,
    merge,
    parse_set,
    render_listed,
    render_ranges,
    render_set,
    runs,
)

small = st.integers(1, 60)
ranges = st.lists(st.tuples(small, small), min_size=1, max_size=12)


def spelled(found: list[tuple[int, int]]) -> set[int]:
    return {number for low, high in found for number in range(low, high + 1)}


def test_a_set_resolves_against_the_largest_number() -> None:
    # RFC 9051 9: "2,4:7,9,12:* for a mailbox with 15 messages"
    assert parse_set(b"2,4:7,9,12:*").resolve(15) == [(2, 2), (4, 7), (9, 9), (12, 15)]
    assert parse_set(b"*:4,5:7").resolve(10) == [(4, 10)]
    assert parse_set(b"4:2").resolve(10) == [(2, 4)]


def test_a_star_range_holds_the_star_even_below_its_start() -> None:
    assert parse_set(b"3291:*").resolve(7) == [(7, 3291)]


def test_a_huge_range_costs_nothing() -> None:
    assert parse_set(b"1:4294967295").ranges == ((1, NUMBER_MAX),)
    assert parse_set(b"*").ranges == ((STAR, STAR),)
    assert parse_set(b"$").saved


@pytest.mark.parametrize(
    "text", [b"", b"0", b"01", b"1,", b",1", b"1:2:3", b"4294967296", b"1;2", b"a", b"$,1", b"1:"]
)
def test_what_is_no_set_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_set(text)


def test_a_set_names_so_many_ranges_and_no_more() -> None:
    parse_set(b",".join([b"7"] * RANGES_MAX))
    with pytest.raises(LimitExceeded):
        parse_set(b",".join([b"7"] * (RANGES_MAX + 1)))


@given(ranges)
def test_merging_keeps_the_numbers(found: list[tuple[int, int]]) -> None:
    straight = [(min(pair), max(pair)) for pair in found]
    merged = merge(found)
    assert spelled(merged) == spelled(straight)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(merged))


@given(st.sets(small, min_size=1))
def test_rendering_and_parsing_agree(numbers: set[int]) -> None:
    assert spelled(parse_set(render_set(sorted(numbers))).resolve(1)) == numbers


def test_listed_numbers_keep_their_order() -> None:
    assert render_listed([3, 4, 5, 1, 2, 9]) == b"3:5,1:2,9"
    assert render_ranges(runs([])) == b""
