"""What is like what, and how much (RFC 6203)."""

import random

import pytest

from protocols.collation import fold
from protocols.errors import LimitExceeded
from protocols.imap import fuzzy
from protocols.imap.fuzzy import Text, Wanted, is_near, likeness, nearness, score_of
from protocols.imap.search_keys import parse_search_keys


def alike(wanted: str, text: str, *, fades: bool = False) -> float:
    return likeness(Wanted(fold(wanted)), [Text(fold(text), fades=fades)])


@pytest.mark.parametrize(
    ("wanted", "text", "worth"),
    [
        ("imap break", "Why IMAP break?", fuzzy.PHRASE),
        ("imap break", "break  IMAP", fuzzy.WHOLE),
        ("break", "the broken thing", 0.0),  # English does not tell by the stem alone
        ("connect", "connected", fuzzy.PHRASE),  # which exact searches find too
        ("connected", "some connections", fuzzy.FORM),
        ("Häuser", "haus", fuzzy.FORM),
        ("maisons", "la maison", fuzzy.FORM),
        ("книги", "моя книга", fuzzy.FORM),
        ("resume", "Résumé", fuzzy.PHRASE),
        ("strasse", "Straße", fuzzy.PHRASE),
        ("helo", "oh help", fuzzy.NEAR),
        ("hello", "helo", fuzzy.NEAR),
        ("hello", "ehllo", fuzzy.NEAR),
        ("abc", "abd", 0.0),  # too short for an error
        ("2024", "2025", 0.0),  # nobody mistypes a year
        ("alpha beta", "alpha only", 0.0),  # all words must be there
        ("fuss ball", "Fussballer", fuzzy.PART),
        ("...", "wait ... what", fuzzy.PHRASE),
        ("...", "nothing", 0.0),
        ("日本", "東京は日本です", fuzzy.PHRASE),
    ],
)
def test_words_are_alike(wanted: str, text: str, worth: float) -> None:
    assert alike(wanted, text) == pytest.approx(worth)


def test_one_letter_may_be_wrong_missing_too_many_or_in_its_neighbours_place() -> None:
    chance = random.Random(6203)
    for _ in range(2000):
        word = "".join(chance.choices("abc", k=chance.randint(4, 8)))
        at = chance.randrange(len(word))
        letter = chance.choice("abcd")
        swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
        for other in (
            word,
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + letter + word[at + 1 :],
            swapped,
        ):
            assert is_near(word, other) and is_near(other, word), (word, other)
            assert alike(word, other) and (len(other) < 4 or alike(other, word)), (word, other)
    assert not is_near("abcd", "abef")
    assert not is_near("abcd", "badc")
    assert not is_near("abcd", "ab")
    assert not is_near("abcdef", "bcdefgh")


def test_in_the_body_the_later_the_less() -> None:
    early, late = "needle" + " hay" * 99, "hay " * 99 + "needle"
    assert alike("needle", early, fades=True) == pytest.approx(fuzzy.BODY_FIRST)
    assert fuzzy.BODY_LAST < alike("needle", late, fades=True) < fuzzy.BODY_LAST + 0.05
    assert alike("needle", late) == fuzzy.PHRASE


def test_words_may_stand_in_different_texts() -> None:
    texts = [Text(fold("alpha")), Text(fold("beta"))]
    assert likeness(Wanted(fold("beta alpha")), texts) == fuzzy.WHOLE
    assert likeness(Wanted(fold("beta gamma")), texts) == 0.0


def test_what_is_looked_at_is_bounded() -> None:
    hay = "x " * (fuzzy.TEXT_CHARS_MAX // 2)
    assert alike("needle", hay[:-7] + "needle")
    assert not alike("needle", hay + "needle")
    long = "a" * (fuzzy.WORD_CHARS_MAX + 1)
    assert not alike(long, long[:-1] + "b")
    assert alike(long, long) and alike(long[:-1], long[:-2] + "b")


def test_a_search_looks_for_so_many_words() -> None:
    words = " ".join(f"w{n}" for n in range(fuzzy.WORDS_MAX))
    parse_search_keys(f'FUZZY SUBJECT "{words}" SUBJECT "and others"'.encode())
    with pytest.raises(LimitExceeded):
        parse_search_keys(f'FUZZY (OR SUBJECT "{words}" NOT BODY more)'.encode())


def test_dates_and_sizes_are_like_those_in_a_range_while_they_are_near_it() -> None:
    assert nearness(5, 5, 8, 7) == nearness(7, 5, 8, 7) == 1
    assert nearness(4, 5, 8, 7) == nearness(8, 5, 8, 7) == 1 - 1 / 8
    assert nearness(-2, 5, None, 7) == pytest.approx(1 / 8)
    assert nearness(-3, 5, None, 7) == 0
    assert nearness(1e9, 5, None, 7) == 1


def test_scores_go_from_1_to_100() -> None:
    assert score_of(None) == 100
    assert score_of({1: 1.0}) == 100
    assert score_of({1: 0.001}) == 1
    assert score_of({1: 0.9, 2: 0.5}) == 70
