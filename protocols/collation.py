"""The collations of RFC 4790, as keys: what a /query may sort by, and what IMAP compares by."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

# Keys are made of so much of a string: what differs only after that keeps its order.
KEY_CHARS_MAX: Final = 255

_UPPER: Final = {ord(letter): ord(letter) - 32 for letter in "abcdefghijklmnopqrstuvwxyz"}
# Letters whose upper case is not the title case that UnicodeData.txt has of them: it has none of
# sharp s and ligatures, digraphs keep a small letter, Georgian has no title case. A test looks
# whether these are all.
_IRREGULAR: Final = re.compile(
    "([\xdf\u0149\u01c4-\u01cc\u01f0-\u01f3\u0390\u03b0\u0587\u10d0-\u10fa\u10fd-\u10ff\u1e96-\u1e9a"
    "\u1f50\u1f52\u1f54\u1f56\u1f80-\u1faf\u1fb2-\u1fb4\u1fb6-\u1fb7\u1fbc\u1fc2-\u1fc4\u1fc6-\u1fc7\u1fcc"
    "\u1fd2-\u1fd3\u1fd6-\u1fd7\u1fe2-\u1fe4\u1fe6-\u1fe7\u1ff2-\u1ff4\u1ff6-\u1ff7\u1ffc\ufb00-\ufb06"
    "\ufb13-\ufb17])"
)


def ascii_casemap(text: str) -> str:
    """RFC 4790 9.2: letters of ASCII are upper case."""
    return text[:KEY_CHARS_MAX].translate(_UPPER)


def fold(text: str) -> str:
    """RFC 5051 2: each character in the title case of UnicodeData.txt, which maps it to one, then
    decomposed. Equal texts are equal so, and a part of a text is a part of it."""
    if text.isascii():
        return text.upper()
    if _IRREGULAR.search(text) is None:
        return unicodedata.normalize("NFKD", text.upper())
    pieces = _IRREGULAR.split(text)
    pieces[::2] = [piece.upper() for piece in pieces[::2]]
    pieces[1::2] = map(_title, pieces[1::2])
    return unicodedata.normalize("NFKD", "".join(pieces))


def _title(letter: str) -> str:
    titled = letter.title()
    return titled if len(titled) == 1 else letter  # more than one are of SpecialCasing.txt


def unicode_casemap(text: str) -> str:
    """RFC 5051 as a key to sort by."""
    return fold(text[:KEY_CHARS_MAX])


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
