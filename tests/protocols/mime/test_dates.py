"""Dates beyond what the odd messages show: rendering and bounds."""

from datetime import UTC, datetime, timedelta, timezone

from protocols.mime import dates


def test_a_date_is_rendered_as_rfc_5322_and_rfc_3339_want_it() -> None:
    moment = datetime(2003, 7, 1, 10, 52, 37, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))
    assert dates.render_date(moment) == "Tue, 1 Jul 2003 10:52:37 -0330"
    assert dates.rfc3339(moment) == "2003-07-01T10:52:37-03:30"
    assert dates.rfc3339(moment.astimezone(UTC)) == "2003-07-01T14:22:37Z"


def test_every_month_is_known() -> None:
    for month in range(1, 13):
        moment = datetime(2024, month, 9, 1, 2, 3, tzinfo=UTC)
        assert dates.parse_date(dates.render_date(moment)) == moment


def test_a_date_after_too_much_comment_is_none() -> None:
    assert dates.parse_date("(x) 1 Jul 2003 10:52 GMT") is not None
    assert dates.parse_date("(" + "x" * dates.DATE_CHARS_MAX + ") 1 Jul 2003 10:52 GMT") is None


def test_zones_of_one_to_three_digits_are_taken_as_meant() -> None:
    offsets = {"+2": 120, "+02": 120, "+230": 150, "+0230": 150}
    for zone, minutes in offsets.items():
        moment = dates.parse_date(f"1 Jul 2003 10:52:37 {zone}")
        assert moment is not None and moment.utcoffset() == timedelta(minutes=minutes), zone
