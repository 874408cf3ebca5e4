"""What a filter's String looks for: tokens, phrases, and how texts are folded."""

import pytest

from protocols.jmap.text_match import fold, marker, missing, read_needles


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        ("two words", "words, and TWO of them", True),
        ("two words", "two of them", False),
        ('"two words"', "two of the words", False),
        ('"two words"', "these TWO\n words here", True),
        ("'two words'", "two words", True),
        ('"two"', "twofold", False),
        ("two", "twofold", True),
        ("don't", "I don't", True),
        ("'tis", "'tis so", True),
        (r'"say \"yes\""', 'I say "yes" now', True),
        ("STRASSE", "Straße", True),
        ("ﬁne", "fine", True),
        ("", "anything", True),
        ('""', "anything", True),
    ],
)
def test_needles_are_found(wanted: str, text: str, found: bool) -> None:
    assert (not missing(read_needles(wanted), fold(text))) is found


def test_a_phrase_may_stand_behind_a_place_where_it_is_part_of_a_word() -> None:
    (needle,) = read_needles('"cat"')
    assert needle.is_in("concatenate the cat") and not needle.is_in("concatenate")


def test_nothing_is_marked_when_nothing_is_looked_for() -> None:
    assert marker(()) is None
