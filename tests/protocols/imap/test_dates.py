"""IMAP's dates, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import RemoteProtocolError
from protocols.imap.dates import DAY_MS, parse_date, parse_date_time, render_date_time


def test_a_day_is_counted_from_1970() -> None:
    assert parse_date(b"1-Jan-1970") == 0
    assert parse_date(b"01-jan-1970") == 0
    assert parse_date(b"29-Feb-2024") * DAY_MS == 1_709_164_800_000


def test_an_instant_knows_its_zone() -> None:
    assert parse_date_time(b" 1-Jan-1970 01:00:00 +0100") == (0, 60)
    assert parse_date_time(b"31-Dec-1969 16:00:00 -0800") == (0, -480)
    assert parse_date_time(b"31-Dec-2016 23:59:60 +0000") == (1_483_228_800_000, 0)


@pytest.mark.parametrize(
    "text", [b"30-Feb-2024", b"1-Foo-2024", b"1-Jan-24", b"0-Jan-2024", b"1-Jan-0000", b"x"]
)
def test_no_such_day(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_date(text)


@pytest.mark.parametrize(
    "text",
    [
        b"1-Jan-2024 00:00:00 +0000",  # the day has two places
        b" 1-Jan-2024 24:00:00 +0000",
        b" 1-Jan-2024 00:60:00 +0000",
        b" 1-Jan-2024 00:00:00 +2400",
        b" 1-Jan-2024 00:00:00",
    ],
)
def test_no_such_time(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_date_time(text)


@given(st.integers(-2_000_000_000, 200_000_000_000), st.integers(-1439, 1439))
def test_what_is_shown_reads_back(second: int, east_minutes: int) -> None:
    shown = render_date_time(second * 1000, east_minutes)
    assert len(shown) == len('" 1-Jan-1970 00:00:00 +0000"')
    assert parse_date_time(shown[1:-1]) == (second * 1000, east_minutes)


def test_times_no_calendar_has_are_shown_as_the_nearest_it_has() -> None:
    assert render_date_time(10**18).startswith(b'"31-Dec-9999')
    assert render_date_time(-(10**18)).startswith(b'" 1-Jan-0001')
