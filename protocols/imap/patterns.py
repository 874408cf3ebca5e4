"""LIST patterns: `*` matches anything, `%` anything but the separator (RFC 9051 6.3.9.1).

A pattern is run as a set of places in it, held as the bits of one integer: time is length of name
times one step of integer arithmetic, whatever wildcards a client strings together.
"""

import re
from typing import Final

SEPARATOR: Final = "/"

# `*%`, `%*`, `**` mean `*`; `%%` means `%`. After that no two wildcards stand together, so one
# step past each is enough to have passed them all.
_STARS: Final = re.compile(r"[*%]*\*[*%]*")
_PERCENTS: Final = re.compile(r"%%+")


class Pattern:
    """One compiled pattern."""

    __slots__ = ("_end", "_places", "_stars", "_wild")

    def __init__(self, text: str) -> None:
        text = _PERCENTS.sub("%", _STARS.sub("*", text))
        self._places: dict[str, int] = {}
        self._stars = self._wild = 0
        for place, letter in enumerate(text):
            bit = 1 << place
            if letter in "*%":
                self._wild |= bit
                if letter == "*":
                    self._stars |= bit
            else:
                self._places[letter] = self._places.get(letter, 0) | bit
        self._end = 1 << len(text)

    def matches(self, name: str) -> bool:
        """The whole name matches the whole pattern."""
        at = 1 | (self._wild & 1) << 1
        for letter in name:
            stay = self._stars if letter == SEPARATOR else self._wild
            at = (at & self._places.get(letter, 0)) << 1 | at & stay
            if not at:
                return False
            at |= (at & self._wild) << 1
        return bool(at & self._end)


class Patterns:
    """The patterns of one LIST under its reference; INBOX matches in any case (RFC 9051 5.1)."""

    __slots__ = ("_folded", "_patterns")

    def __init__(self, reference: str, patterns: tuple[str, ...]) -> None:
        whole = [reference + pattern for pattern in patterns]
        self._patterns = [Pattern(text) for text in whole]
        self._folded = [Pattern(text.upper()) for text in whole]

    def match(self, name: str) -> bool:
        """One of them matches the name."""
        if any(pattern.matches(name) for pattern in self._patterns):
            return True
        if name != "INBOX" and not name.startswith("INBOX/"):
            return False
        return any(pattern.matches(name.upper()) for pattern in self._folded)
