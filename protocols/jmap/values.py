"""JMAP's data types (RFC 8620 1.2-1.4) read once at the edge, and the arguments of a call.

`Arguments` hands out each argument checked and remembers which were asked for, so that an unknown
one is refused and not ignored. Everything here raises MethodError("invalidArguments") or, for
values inside objects, SetError("invalidProperties"); nothing else.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar

from protocols.jmap.errors import invalid_arguments, invalid_properties
from storage.ids import AccountId, Version, parse_account

T = TypeVar("T")

# RFC 8620 1.3: integers that every JSON implementation carries exactly.
INT_MAX: Final = 2**53 - 1

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}\Z", re.ASCII)
_STATE: Final = re.compile(r"(0|[1-9][0-9]{0,18})(?:-([1-9][0-9]{0,18}))?\Z", re.ASCII)
_UTC_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z\Z", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def is_id(value: object) -> bool:
    """RFC 8620 1.2: 1 to 255 characters of the URL-safe base64 alphabet."""
    return isinstance(value, str) and _ID.match(value) is not None


def is_reference(value: object) -> bool:
    """A creation id with its `#` before it (RFC 8620 5.3)."""
    return isinstance(value, str) and value.startswith("#") and is_id(value[1:])


def is_unsigned(value: object) -> bool:
    """RFC 8620 1.3 UnsignedInt; a Boolean is none, though Python thinks otherwise."""
    return type(value) is int and 0 <= value <= INT_MAX


def render_state(version: Version, skip: int = 0) -> str:
    """The state string of a type: the version of the account that last changed it.

    A /changes answer may end inside a version that changed many ids: then `-` and how many of
    the next version's ids it has told.
    """
    return f"{version}-{skip}" if skip else str(version)


def parse_state(text: str) -> tuple[Version, int] | None:
    """Version and skip of a state string, or None: one we never gave."""
    found = _STATE.match(text)
    return None if found is None else (Version(int(found[1])), int(found[2] or 0))


@lru_cache(maxsize=4096)
def _render_day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def render_utc_date(milliseconds: int) -> str:
    """RFC 8620 1.4 UTCDate, in whole seconds as IMAP's INTERNALDATE shows them too."""
    day, seconds = divmod(milliseconds // 1000, 86_400)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_render_day(day)}T{hour:02}:{minute:02}:{second:02}Z"


def parse_utc_date(text: object) -> int | None:
    """Milliseconds since 1970 of a UTCDate, negative before; None when it is none."""
    found = _UTC_DATE.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    try:
        # A leap second is written 60 and is the last moment of its minute to us.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    if second > 60:
        return None
    fraction = int((found[7] or "0").ljust(3, "0")[:3])
    return (moment - _EPOCH) // _MILLISECOND + fraction


def unescape_pointer(token: str) -> str:
    """RFC 6901 4: one reference token without its escapes."""
    return token.replace("~1", "/").replace("~0", "~")


def boolean_set(value: object, name: str) -> frozenset[str]:
    """The keys of a `String[Boolean]` whose values must all be true (RFC 8621 4.1.1)."""
    if not isinstance(value, dict):
        raise invalid_properties(f"{name} is not an object", name)
    for key, held in value.items():
        if held is not True:
            raise invalid_properties(f"{name}/{key} is not true", name)
    return frozenset(value)


class Arguments:
    """The arguments of one method call, each taken once with its type checked."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._taken: set[str] = set()

    def done(self) -> None:
        """All known arguments were taken: any other is refused."""
        unknown = self._raw.keys() - self._taken
        if unknown:
            raise invalid_arguments(f"unknown argument {min(unknown)!r}")

    def raw(self, name: str) -> Any:
        """The argument as it is, None when it is missing."""
        self._taken.add(name)
        return self._raw.get(name)

    def _typed(self, name: str, fits: Callable[[object], bool], what: str) -> Any:
        value = self.raw(name)
        if value is not None and not fits(value):
            raise invalid_arguments(f"{name} is not {what}")
        return value

    def text_account(self, name: str = "accountId") -> AccountId | None:
        """An account, which has no default; None for an id we never gave."""
        value = self.string(name)
        if value is None:
            raise invalid_arguments(f"{name} is missing")
        return parse_account(value)

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """A Boolean; null and missing mean the default."""
        value = self._typed(name, lambda held: isinstance(held, bool), "a Boolean")
        return default if value is None else bool(value)

    def unsigned(self, name: str) -> int | None:
        """An UnsignedInt, or None."""
        value: int | None = self._typed(name, is_unsigned, "an UnsignedInt")
        return value

    def integer(self, name: str) -> int:
        """An Int; null and missing mean 0."""
        value = self._typed(name, lambda held: type(held) is int and abs(held) <= INT_MAX, "an Int")
        return value or 0

    def string(self, name: str) -> str | None:
        """A String, or None."""
        value: str | None = self._typed(name, lambda held: isinstance(held, str), "a String")
        return value

    def strings(self, name: str) -> list[str] | None:
        """A list of Strings, or None."""
        value: list[str] | None = self._typed(name, _all_strings, "an array of Strings")
        return value

    def ids(self, name: str) -> list[str] | None:
        """A list of Ids (or references to creations), or None.

        What cannot be an Id is nobody's: it is not found, like any that we never gave.
        """
        return self.strings(name)

    def identifier(self, name: str) -> str | None:
        """An Id, or what is nobody's; or None."""
        return self.string(name)

    def objects(self, name: str) -> dict[str, dict[str, Any]]:
        """An `Id[Object]` of creation ids; null and missing mean an empty one."""
        value: dict[str, dict[str, Any]] | None = self._typed(
            name, _ids_of_objects, "a map of Ids to objects"
        )
        return {} if value is None else value

    def patches(self, name: str) -> dict[str, dict[str, Any]]:
        """An `Id[PatchObject]`, by ids of objects, those that are nobody's too."""
        value: dict[str, dict[str, Any]] | None = self._typed(
            name, _all_objects, "a map of Ids to objects"
        )
        return {} if value is None else value

    def object(self, name: str) -> dict[str, Any] | None:
        """An object, or None."""
        value: dict[str, Any] | None = self._typed(
            name, lambda held: isinstance(held, dict), "an object"
        )
        return value

    def array(self, name: str) -> list[Any]:
        """An array; null and missing mean an empty one."""
        value: list[Any] | None = self._typed(name, lambda held: isinstance(held, list), "an array")
        return value or []


def _all_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _all_objects(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(held, dict) for held in value.values())


def _ids_of_objects(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_id, value)) and _all_objects(value)
