"""The collations of RFC 4790 that a /query may ask for, as keys that strings are sorted by."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

# Keys are made of so much of a string: what differs only after that keeps its order.
KEY_CHARS_MAX: Final = 255

_UPPER: Final = {ord(letter): ord(letter) - 32 for letter in "abcdefghijklmnopqrstuvwxyz"}


def ascii_casemap(text: str) -> str:
    """RFC 4790 9.2: letters of ASCII are upper case."""
    return text[:KEY_CHARS_MAX].translate(_UPPER)


def unicode_casemap(text: str) -> str:
    """RFC 5051 2: title case, then decomposed."""
    text = text[:KEY_CHARS_MAX]
    if text.isascii():
        return text.translate(_UPPER)
    return unicodedata.normalize("NFKD", "".join([sign.title() for sign in text]))


def ascii_numeric(text: str) -> tuple[float, str]:
    """RFC 4790 9.1: the number a string begins with; those that begin with none are last."""
    text = text[:KEY_CHARS_MAX]
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    if not digits:
        return float("inf"), ""
    digits = digits.lstrip("0")
    return len(digits), digits


COLLATIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "i;ascii-numeric": ascii_numeric,
    "i;ascii-casemap": ascii_casemap,
    "i;unicode-casemap": unicode_casemap,
}
"""By the name that `collationAlgorithms` and comparators use."""

# RFC 8620 5.5: what is used when a comparator names none is the server's choice.
DEFAULT_COLLATION: Final = "i;unicode-casemap"
