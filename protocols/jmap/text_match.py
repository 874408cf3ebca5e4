"""What a String of a filter looks for (RFC 8621 4.4.1), and where it is in a text.

Outside quotes white space divides tokens, each of which must be there, as part of a word or all of
it; what is in quotes is a phrase, which is looked for as whole words. Case, width and compatibility
forms make no difference, and any run of white space is one space.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Tokens of one condition; more are refused, for each is looked for in each email.
NEEDLES_MAX: Final = 64

_PIECE: Final = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"(?=\s|\Z)|'((?:[^'\\]|\\.)*)'(?=\s|\Z)|(\S+))""", re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(['\"\\])")


@dataclass(frozen=True, slots=True)
class Needle:
    """One token or phrase, folded."""

    text: str
    is_phrase: bool

    def is_in(self, folded: str) -> bool:
        """Whether a folded text holds it."""
        if not self.is_phrase:
            return self.text in folded
        at = folded.find(self.text)
        while at >= 0:
            end = at + len(self.text)
            before, after = folded[at - 1 : at] if at else "", folded[end : end + 1]
            if not (before.isalnum() or after.isalnum()):
                return True
            at = folded.find(self.text, at + 1)
        return False


def fold(text: str) -> str:
    """A text as needles are looked for in it."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
        text = unicodedata.normalize("NFKC", text)
    else:
        text = text.lower()
    return " ".join(text.split())


def read_needles(text: str) -> tuple[Needle, ...]:
    """What a filter's String looks for; nothing in particular when it is blank."""
    found: dict[Needle, None] = {}
    for piece in _PIECE.finditer(text):
        quoted = piece[1] if piece[1] is not None else piece[2]
        wanted = piece[3] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if folded := fold(wanted):
            found[Needle(folded, quoted is not None)] = None
    return tuple(found)


def missing(needles: Sequence[Needle], folded: str) -> tuple[Needle, ...]:
    """Those that a folded text does not hold."""
    return tuple([needle for needle in needles if not needle.is_in(folded)])


def marker(needles: Sequence[Needle]) -> "re.Pattern[str] | None":
    """A pattern for all places in a text that is not folded; None when nothing is looked for."""
    pieces = [
        _words(needle.text) if needle.is_phrase else re.escape(needle.text)
        for needle in sorted(needles, key=lambda needle: -len(needle.text))
    ]
    return re.compile("|".join(pieces), re.IGNORECASE) if pieces else None


def _words(phrase: str) -> str:
    inner = r"\s+".join(re.escape(word) for word in phrase.split(" "))
    return rf"(?<!\w){inner}(?!\w)"
