"""Encoded words: bounds of reading, and writing that reading undoes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.one_of(
        st.binary(max_size=200).map(base64.encodebytes),
        st.lists(
            st.sampled_from([b"QUJD", b"QQ==", b"QUI=", b"=", b"==", b"\r\n", b" ", b"Q"])
        ).map(b"".join),
        st.binary(max_size=20),
    )
)
def test_base64_that_is_counted_comes_to_as_many_octets(data: bytes) -> None:
    counted = words.count_base64(data)
    assert counted is None or counted == len(words.decode_base64(data))


def test_regular_base64_is_counted_with_either_line_end() -> None:
    for size in range(200):
        encoded = base64.encodebytes(bytes(size))
        assert words.count_base64(encoded) == size
        assert words.count_base64(encoded.replace(b"\n", b"\r\n") + b"\r\n") == size
    for odd in (b"QQ==QQ==", b"QQ=\r\n=QQ", b"QQ", b"Q QI=", b"====", b"QUJD-"):
        assert words.count_base64(odd) is None
