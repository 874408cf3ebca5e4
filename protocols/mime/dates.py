"""RFC 5322 3.3 dates with the obsolete forms of 4.3, and their RFC 3339 rendering.

Comments may stand between any two items, the day of the week is not checked, two-digit years and
letter zones mean what 4.3 says. What has no day, month name, year and time is no date.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from protocols.mime import grammar

DATE_CHARS_MAX: Final = 512

_MONTH_NAMES: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES.lower().split(), start=1)}
# RFC 5322 4.3; military letters and unknown names mean -0000, which is UTC of unknown origin.
_ZONES: Final = {
    "edt": -4,
    "est": -5,
    "cdt": -5,
    "cst": -6,
    "mdt": -6,
    "mst": -7,
    "pdt": -7,
    "pst": -8,
}
_TIME: Final = (
    r"(?P<hour>\d{1,2})\s*:\s*(?P<minute>\d{1,2})(?:\s*:\s*(?P<second>\d{1,2})(?:\.\d+)?)?"
)
_ZONE: Final = r"(?:\s*(?P<zone>[+-]\s?\d{1,4}|[A-Za-z]+))?"
_DATE: Final = re.compile(
    r"\s*(?:[A-Za-z]+\.?\s*,?)?\s*(?P<day>\d{1,2})[\s-]\s*(?P<month>[A-Za-z]{3,9})\.?,?[\s-]\s*"
    rf"(?P<year>\d{{2,6}}),?\s+{_TIME}{_ZONE}",
    re.ASCII,
)
# The C library's form, seen in mbox-minded senders.
_ASCTIME: Final = re.compile(
    r"\s*[A-Za-z]{3},?\s+(?P<month>[A-Za-z]{3})\s+(?P<day>\d{1,2})\s+"
    rf"{_TIME}(?:\s+(?P<named>[A-Za-z]+))?\s+(?P<year>\d{{4}})(?:\s+(?P<zone>[+-]\d{{4}}))?",
    re.ASCII,
)


def parse_date(text: str) -> datetime | None:
    """The moment a Date field names, with the offset it was written in, or None."""
    plain = grammar.strip_comments(grammar.unfold(text[:DATE_CHARS_MAX]))
    found = _DATE.match(plain) or _ASCTIME.match(plain)
    if found is None:
        return None
    month = _MONTHS.get(found["month"][:3].lower())
    if month is None:
        return None
    local = (_year(found["year"]), month, int(found["day"]), int(found["hour"]))
    minute, second = int(found["minute"]), int(found["second"] or 0)
    try:
        # RFC 5322 3.3 allows a leap second; datetime does not.
        moment = datetime(*local, minute, 59 if second == 60 else second, tzinfo=UTC)
        zone = found["zone"] or found.groupdict().get("named") or ""
        return _in_zone(moment, zone.lower())
    except (ValueError, OverflowError):
        return None


def rfc3339(moment: datetime) -> str:
    """The moment as RFC 8620 1.4's Date: offset kept, no fraction, Z for UTC."""
    text = moment.isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def render_date(moment: datetime) -> str:
    """The moment as an RFC 5322 3.3 date-time."""
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = _MONTH_NAMES.split()[moment.month - 1]
    offset_min = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    sign = "-" if offset_min < 0 else "+"
    zone = f"{sign}{abs(offset_min) // 60:02}{abs(offset_min) % 60:02}"
    return f"{day}, {moment.day} {month} {moment.year:04} {moment:%H:%M:%S} {zone}"


def _year(digits: str) -> int:
    """RFC 5322 4.3: 00-49 are 2000-2049, 50-99 and three digits are from 1900."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _in_zone(moment: datetime, zone: str) -> datetime:
    if not zone or zone[0] not in "+-":
        west = _ZONES.get(zone)
        return moment if west is None else moment.replace(tzinfo=timezone(timedelta(hours=west)))
    digits = zone[1:].strip()
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if zone[0] == "-":
        offset = -offset
    if abs(offset) >= timedelta(hours=24):
        return moment - offset  # RFC 5322 allows -9959; the instant is right, in UTC
    return moment.replace(tzinfo=timezone(offset) if offset else UTC)
