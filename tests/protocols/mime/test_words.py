"""Encoded words: bounds of reading, and writing that reading undoes."""

import pytest

from protocols.mime import words


@pytest.mark.parametrize(
    "text",
    ["a", "é", "日本語" * 30, "a b  c", "=?x?=", "🎉" * 50, "x" * 300, "é" + "y" * 200, "_?="],
)
def test_what_is_encoded_is_decoded(text: str) -> None:
    encoded = words.encode(text)
    assert all(len(word) <= words.WORD_CHARS_MAX and word.isascii() for word in encoded)
    assert words.decode(" ".join(encoded)) == text
    assert words.decode("\r\n ".join(encoded)) == text


def test_mostly_plain_text_stays_readable() -> None:
    assert words.encode("Grüße an alle") == ["=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?="]
    assert words.encode("") == []
    assert words.encode("日本") == ["=?utf-8?b?5pel5pys?="]


def test_words_beyond_the_bound_stay_as_written() -> None:
    text = words.decode("=?utf-8?q?a?= " * (words.ENCODED_WORDS_MAX + 2))
    assert text.startswith("a" * words.ENCODED_WORDS_MAX + " =?utf-8?q?a?=")


def test_file_names_are_read_leniently_and_text_is_not() -> None:
    written = "x=?utf-8?q?a b?=y"
    assert words.decode(written) == written
    assert words.decode(written, lenient=True) == "xa by"
