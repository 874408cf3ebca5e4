"""IMAP's dates: `1-Feb-2026` and `" 1-Feb-2026 10:00:00 +0100"` (RFC 9051 9 date, date-time).

Days are counted from 1970-01-01; instants are milliseconds since then, UTC. A zone is how many
minutes its clocks are east, that is ahead, of UTC.
"""

import re
from datetime import date
from typing import Final

from protocols.errors import RemoteProtocolError

MINUTE_MS: Final = 60_000
DAY_S: Final = 86_400
DAY_MS: Final = DAY_S * 1000
# How many rendered days are remembered: a FETCH of dates costs divisions and look-ups alone.
DAYS_KEPT_MAX: Final = 4096

MONTHS: Final = (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
    b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
)  # fmt: skip
_MONTH: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DATE: Final = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")
_DATE_TIME: Final = re.compile(
    rb"( [0-9]|[0-9]{2})-([A-Za-z]{3})-([0-9]{4}) "
    rb"([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})\Z"
)
_days: Final[dict[int, bytes]] = {}
# Every minute of a day and every second of a minute, as INTERNALDATE shows them.
_MINUTES: Final = tuple(b" %02d:%02d:" % divmod(minute, 60) for minute in range(24 * 60))
_SECONDS: Final = tuple(b"%02d " % second for second in range(60))
_UTC: Final = b'+0000"'


def parse_date(text: bytes) -> int:
    """RFC 9051 9 date-text as a day number."""
    found = _DATE.match(text)
    if found is None:
        raise RemoteProtocolError("expected a date like 1-Feb-2026")
    return _day(found[1], found[2], found[3])


def parse_date_time(text: bytes) -> tuple[int, int]:
    """RFC 9051 9 date-time, without its quotes: milliseconds, and the zone."""
    found = _DATE_TIME.match(text)
    if found is None:
        raise RemoteProtocolError('expected a date-time like " 1-Feb-2026 10:00:00 +0000"')
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    east_hours, east_minutes = int(found[8]), int(found[9])
    # 60 is a leap second; the instant is that of the next second.
    if hour > 23 or minute > 59 or second > 60 or east_hours > 23 or east_minutes > 59:
        raise RemoteProtocolError("no such time")
    seconds = _day(found[1], found[2], found[3]) * 86_400 + hour * 3600 + minute * 60 + second
    east = east_hours * 60 + east_minutes
    east = east if found[7] == b"+" else -east
    return (seconds - east * 60) * 1000, east


def _day(day: bytes, month: bytes, year: bytes) -> int:
    number = _MONTH.get(month.lower())
    if number is None:
        raise RemoteProtocolError("no such month")
    try:
        return date(int(year), number, int(day)).toordinal() - _EPOCH
    except ValueError as error:
        raise RemoteProtocolError("no such day") from error


def render_date_time(instant_ms: int, east_minutes: int = 0) -> bytes:
    """An instant as INTERNALDATE shows it in a zone, quotes included."""
    day, within = divmod(instant_ms // 1000 + east_minutes * 60, 86_400)
    text = _days.get(day)
    if text is None:
        text = _render_day(day)
    minute, second = divmod(within, 60)
    zone = _zone(east_minutes) if east_minutes else _UTC
    return text + _MINUTES[minute] + _SECONDS[second] + zone


def _zone(east_minutes: int) -> bytes:
    sign = b"+" if east_minutes > 0 else b"-"
    return b'%b%02d%02d"' % (sign, *divmod(abs(east_minutes), 60))


def _render_day(day: int) -> bytes:
    if len(_days) >= DAYS_KEPT_MAX:
        _days.clear()
    # Outside the years 1 to 9999 no date can be shown; the nearest can.
    shown = date.fromordinal(min(max(day + _EPOCH, 1), date.max.toordinal()))
    text = _days[day] = b'"%2d-%b-%04d' % (shown.day, MONTHS[shown.month - 1], shown.year)
    return text
