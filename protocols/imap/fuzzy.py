"""What FUZZY finds (RFC 6203), and how like what was asked for it is: words that are alike.

A word is letters and digits; case and diacritics make no difference. A word of the search is in a
text as it stands, in another form (by its stem), as a part of a word, or with one letter wrong,
missing, too many or changed with its neighbour. All words of a key must be there, in any order.
Dates and sizes are alike when they are not far off; for other keys there is no likeness.

Nothing is remembered from search to search: the same search of the same messages finds the same.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

import snowballstemmer

from protocols.errors import LimitExceeded
from protocols.imap.search_commands import And, Fuzzy, InBody, InHeader, Not, Or, SearchKey

# Words in all FUZZY keys of one search: each is looked for among the words of each message.
WORDS_MAX: Final = 32
# How much of one text is looked at: some ten thousand words, a few milliseconds.
TEXT_CHARS_MAX: Final = 128 * 1024
# Longer words, which are no words, are found only as they stand or as a part.
WORD_CHARS_MAX: Final = 48
# In shorter ones a letter makes too much of a difference.
NEAR_CHARS_MIN: Final = 4
# Forms of a word begin alike, and are no more than so much longer or shorter.
FORM_CHARS_MIN: Final = 3
FORM_CHARS_APART_MAX: Final = 6
# Whose endings are known. What language a text is in nobody tells us, so all are tried.
LANGUAGES: Final = ("english", "french", "german", "italian", "portuguese", "russian", "spanish")

# How like each is.
PHRASE: Final = 1.0
WHOLE: Final = 0.9
FORM: Final = 0.75
PART: Final = 0.6
NEAR: Final = 0.45
# What stands in the body counts less than what stands in the header, and less the later it comes.
BODY_FIRST: Final = 0.8
BODY_LAST: Final = 0.05
# A date or a size so far out of the range that was asked for is not like it any more.
DAYS_OFF_MAX: Final = 7
SIZE_OFF_MAX: Final = 0.2

_MARKS: Final = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
_WORD: Final = re.compile(r"[^\W_]+")
_STEMMERS: Final = tuple(map(snowballstemmer.stemmer, LANGUAGES))


def plain(folded: str) -> str:
    """A folded text (collation.fold) without diacritics, and with single spaces."""
    bare = folded if folded.isascii() else _MARKS.sub("", folded)
    return " ".join(bare.casefold().split())


class _Word:
    """A word that is looked for, and its stem in each language."""

    __slots__ = ("has_forms", "is_alpha", "stems", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_alpha = text.isalpha() and len(text) <= WORD_CHARS_MAX
        self.has_forms = self.is_alpha and len(text) >= FORM_CHARS_MIN
        self.stems = [stemmer.stemWord(text) for stemmer in _STEMMERS] if self.has_forms else []

    def is_form(self, word: str) -> bool:
        """Whether some language has the two as forms of one word."""
        pairs = zip(_STEMMERS, self.stems, strict=True)
        return any(stemmer.stemWord(word) == stem for stemmer, stem in pairs)


class Wanted:
    """What a key looks for; `text` is folded."""

    __slots__ = ("phrase", "words")

    def __init__(self, text: str) -> None:
        self.phrase = plain(text)
        self.words = [_Word(word) for word in dict.fromkeys(_WORD.findall(self.phrase))]


class Text:
    """A text in which words are looked for; `fades`: the later the less they count."""

    __slots__ = ("_fades", "_lengths", "_sorted", "plain")

    def __init__(self, folded: str, *, fades: bool = False) -> None:
        self.plain = plain(folded[:TEXT_CHARS_MAX])
        self._fades = fades
        self._sorted: list[str] = sorted(set(_WORD.findall(self.plain)))
        self._lengths: dict[int, list[str]] = {}
        for word in self._sorted:
            self._lengths.setdefault(len(word), []).append(word)

    def phrase(self, wanted: str) -> float:
        """How much all of it is worth, if it is here."""
        return PHRASE * self._place(wanted) if wanted in self.plain else 0.0

    def word(self, wanted: _Word) -> float:
        """How much the likest word here is worth; 0: there is none."""
        text = wanted.text
        at = bisect_left(self._sorted, text)
        if at < len(self._sorted) and self._sorted[at] == text:
            return WHOLE * self._place(text)
        form = self._form(wanted)
        if form is not None:
            return FORM * self._place(form)
        if text in self.plain:
            return PART * self._place(text)
        near = self._near(wanted)
        return 0.0 if near is None else NEAR * self._place(near)

    def _place(self, word: str) -> float:
        if not self._fades:
            return 1.0
        passed = self.plain.find(word) / len(self.plain)
        return BODY_FIRST - (BODY_FIRST - BODY_LAST) * passed

    def _form(self, wanted: _Word) -> str | None:
        if not wanted.has_forms:
            return None
        start, length = wanted.text[:FORM_CHARS_MIN], len(wanted.text)
        for word in self._sorted[bisect_left(self._sorted, start) :]:
            if not word.startswith(start):
                break
            if abs(len(word) - length) <= FORM_CHARS_APART_MAX and wanted.is_form(word):
                return word
        return None

    def _near(self, wanted: _Word) -> str | None:
        length = len(wanted.text)
        if not wanted.is_alpha or length < NEAR_CHARS_MIN:
            return None
        # Whatever the one error is, what is before it or what is after it stays as it was.
        whole = (length - 1) // 2
        head, tail = wanted.text[:whole], wanted.text[-whole:]
        for chars in (length, length + 1, length - 1):
            for word in self._lengths.get(chars, ()):
                if (word.startswith(head) or word.endswith(tail)) and is_near(wanted.text, word):
                    return word
        return None


def is_near(one: str, other: str) -> bool:
    """One letter is another, is missing, is too many, or has changed places with the next."""
    if len(one) > len(other):
        one, other = other, one
    at = 0
    for at, (left, right) in enumerate(zip(one, other, strict=False)):  # noqa: B007
        if left != right:
            break
    else:
        return len(other) - len(one) <= 1
    if len(one) < len(other):
        return one[at:] == other[at + 1 :]
    if one[at + 1 :] == other[at + 1 :]:
        return True
    return one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]


def likeness(wanted: Wanted, texts: Sequence[Text]) -> float:
    """How like what is wanted these texts are together, up to 1; 0: a word is in none of them."""
    phrase = max((text.phrase(wanted.phrase) for text in texts), default=0.0)
    found = 0.0
    for word in wanted.words:
        best = max((text.word(word) for text in texts), default=0.0)
        if not best:
            return 0.0
        found += best
    return max(phrase, found / len(wanted.words)) if wanted.words else phrase


def nearness(value: float, first: float | None, end: float | None, off_max: float) -> float:
    """1 for `first` <= value < `end`, less the further out it is, 0 when more than `off_max`."""
    off = 0.0
    if first is not None and value < first:
        off = first - value
    elif end is not None and value >= end:
        off = value - end + 1
    return max(0.0, 1 - off / (off_max + 1))


def score_of(likenesses: Mapping[int, float] | None) -> int:
    """RFC 6203 4: from 1 to 100; of what was found by other keys alone, which it meets, 100."""
    if not likenesses:
        return 100
    return max(1, round(100 * sum(likenesses.values()) / len(likenesses)))


def check_words(key: SearchKey) -> None:
    """Raises LimitExceeded when all FUZZY keys together have more words than they may."""
    if _words(key, is_fuzzy=False) > WORDS_MAX:
        raise LimitExceeded("FUZZY_WORDS", f"FUZZY may look for {WORDS_MAX} words")


def _words(key: SearchKey, *, is_fuzzy: bool) -> int:
    match key:
        case InHeader() | InBody():
            return len(Wanted(key.text).words) if is_fuzzy else 0
        case Fuzzy():
            return _words(key.key, is_fuzzy=True)
        case Not():
            return _words(key.key, is_fuzzy=is_fuzzy)
        case Or():
            return sum(_words(one, is_fuzzy=is_fuzzy) for one in (key.left, key.right))
        case And():
            return sum(_words(one, is_fuzzy=is_fuzzy) for one in key.keys)
        case _:
            return 0
