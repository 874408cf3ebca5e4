"""Bodies: what decoding gives for whole and for torn transfers."""

import base64

import pytest

from protocols.mime import bodies, structure


@pytest.mark.parametrize("length", range(12))
def test_base64_cut_anywhere_gives_the_bytes_it_holds(length: int) -> None:
    whole = b"any bytes"
    decoded = bodies.decode_transfer(base64.b64encode(whole)[:length], "base64")
    assert whole.startswith(decoded)
    assert len(decoded) == length * 6 // 8


def test_known_encodings_are_known() -> None:
    known = ("7bit", "8BIT", "binary", None, "", "base64", " Quoted-Printable ", "x-uuencode")
    assert all(bodies.is_known_encoding(name) for name in known)
    assert not bodies.is_known_encoding("x-yenc")


def test_an_unknown_encoding_is_none() -> None:
    assert bodies.decode_transfer(b"=41", "x-yenc") == b"=41"


def test_uuencoded_lines_with_wrong_lengths_give_what_they_can() -> None:
    data = b"text before\nbegin 644 name of file\n%2&5L;&\\\n%2&5L;&\\  \n`\nend\nafter\n"
    assert bodies.decode_transfer(data, "uuencode") == b"HelloHello"


def test_size_is_of_the_decoded_body() -> None:
    data = b"Content-Transfer-Encoding: base64\r\n\r\nSGVs\r\nbG8=\r\n"
    part = structure.parse(data)
    assert (part.size, bodies.decoded_size(data, part)) == (12, 5)
    assert bodies.body_text(data, part) == ("Hello", False)


def test_line_ends_of_text_are_line_feeds() -> None:
    data = b"\r\na\r\nb\nc\rd"
    assert bodies.body_text(data, structure.parse(data)) == ("a\nb\nc\rd", False)


def test_an_unknown_encoding_or_charset_is_a_problem() -> None:
    for field in (b"Content-Transfer-Encoding: x", b"Content-Type: text/plain; charset=x"):
        data = field + b"\r\n\r\nplain"
        assert bodies.body_text(data, structure.parse(data)) == ("plain", True)
