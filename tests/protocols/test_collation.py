"""Keys of texts: RFC 4790 9, RFC 5051."""

import sys
import unicodedata

import pytest

from protocols.collation import KEY_CHARS_MAX, ascii_casemap, ascii_numeric, fold, unicode_casemap


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Hello, World 1", "HELLO, WORLD 1"),
        ("\u00e9t\u00e9", "E\u0301TE\u0301"),
        ("\u01c4", "Dz\u030c"),  # RFC 5051's example: the title case of the digraph, taken apart
        ("\u01c6", "Dz\u030c"),
        ("stra\u00dfe", "STRA\u00dfE"),  # sharp s has no title case in UnicodeData.txt
        ("\ufb01n", "fiN"),  # a ligature has none either, but is taken apart
        ("\u10d0", "\u10d0"),  # Georgian: capitals, and no title case
        ("\u0432\u0410\u0441\u0438\u0301", "\u0412\u0410\u0421\u0418\u0301"),
        ("\uff21\uff42", "AB"),
        ("\u03c3\u03c2", "\u03a3\u03a3"),
        ("\u1fb3", "\u0391\u0345"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_case_goes_and_composed_letters_come_apart(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_every_character_has_the_title_case_of_unicode_data() -> None:
    for number in range(sys.maxunicode + 1):
        sign = chr(number)
        titled = sign.title()
        if titled != sign or sign.upper() != sign:
            mapped = titled if len(titled) == 1 else sign
            assert fold(sign) == unicodedata.normalize("NFKD", mapped), hex(number)


def test_a_part_of_a_text_is_a_part_of_it_folded() -> None:
    text = "Gr\u00fc\u00dfe aus K\u00f6ln, \u01c6 \ufb01 \u10d0"
    for end in range(len(text)):
        assert fold(text[:end]) + fold(text[end:]) == fold(text)


def test_keys_to_sort_by_are_bounded() -> None:
    assert unicode_casemap("\u00e9" * 1000) == "E\u0301" * KEY_CHARS_MAX
    assert len(ascii_casemap("a" * 1000)) == KEY_CHARS_MAX
    assert ascii_casemap("a\u00e9") == "A\u00e9"
    assert sorted(["10", "9", "x", "007"], key=ascii_numeric) == ["007", "9", "10", "x"]
