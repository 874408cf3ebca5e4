"""Parameters of requests, in a query or a body (RFC 6749 B: application/x-www-form-urlencoded).

One that comes twice makes the request invalid (RFC 6749 3.1, 3.2), but for `resource`, which may
(RFC 8707 2); one without a value is as good as not there.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

FORM_TYPE: Final = "application/x-www-form-urlencoded"
# A query or a body; the longest values in them have bounds of their own.
FORM_OCTETS_MAX: Final = 16 * 1024
PARAMETERS_MAX: Final = 64

_REPEATED: Final = frozenset(("resource",))
_ENCODED: Final = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*\Z", re.S)


class FormInvalid(ValueError):
    """It is no form, or says something twice."""


def parse_form(octets: bytes) -> Mapping[str, str]:
    """Names and values; raises FormInvalid."""
    if len(octets) > FORM_OCTETS_MAX:
        raise FormInvalid(f"more than {FORM_OCTETS_MAX} octets")
    if octets.count(b"&") >= PARAMETERS_MAX:
        raise FormInvalid(f"more than {PARAMETERS_MAX} parameters")
    found: dict[str, str] = {}
    seen: set[str] = set()
    for piece in octets.split(b"&"):
        name, _, value = piece.partition(b"=")
        key, text = _decode(name), _decode(value)
        if key in seen and key not in _REPEATED:
            raise FormInvalid(f"the parameter {_tame(key)} comes twice")
        if piece:
            seen.add(key)
        if text:
            found.setdefault(key, text)
    return found


def _decode(octets: bytes) -> str:
    if not _ENCODED.match(octets):
        raise FormInvalid("a % without two hexadecimal digits")
    try:
        return unquote_to_bytes(octets.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise FormInvalid("text that is not UTF-8") from error


def _tame(text: str) -> str:
    """What may stand in an error_description (RFC 6749 5.2)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "?", text[:40])


def is_form(content_type: str) -> bool:
    """Whether a body of this type is one."""
    return content_type.partition(";")[0].strip().lower() == FORM_TYPE
