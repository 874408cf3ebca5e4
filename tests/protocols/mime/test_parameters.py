"""Parameters: RFC 2231 read and written, within bounds."""

import pytest

from protocols.mime import parameters


def test_a_field_is_a_value_and_parameters() -> None:
    text = 'Text/Plain (x); Charset="us-ascii" (y); format=flowed;'
    assert parameters.parse(text) == ("text/plain", {"charset": "us-ascii", "format": "flowed"})


def test_semicolons_and_signs_in_quotes_are_content() -> None:
    assert parameters.parse('a; b="c;d=e"; f=g')[1] == {"b": "c;d=e", "f": "g"}


def test_the_first_of_a_repeated_name_counts() -> None:
    assert parameters.parse("a; b=1; B=2")[1] == {"b": "1"}


@pytest.mark.parametrize(
    "value",
    ["plain", "two words", 'q"u\\ote', "ümläut.txt", "x" * 300, "日本語" * 40, "", "a'b%c*"],
)
@pytest.mark.parametrize("utf8", [False, True])
def test_what_is_rendered_is_parsed(value: str, utf8: bool) -> None:
    rendered = parameters.render("name", value, utf8=utf8)
    assert all(len(piece) <= parameters.LINE_CHARS_MAX for piece in rendered)
    assert all(piece.isascii() for piece in rendered) or utf8
    assert parameters.parse("; ".join(["x/y", *rendered]))[1] == {"name": value}


def test_parameters_beyond_the_bound_are_dropped() -> None:
    text = "a/b" + "".join(f"; p{i}=x" for i in range(parameters.PARAMETERS_MAX + 9))
    assert len(parameters.parse(text)[1]) == parameters.PARAMETERS_MAX


def test_a_field_is_cut_at_its_bound() -> None:
    value = parameters.parse("a/b; c=" + "d" * parameters.FIELD_CHARS_MAX)[1]["c"]
    assert len(value) == parameters.FIELD_CHARS_MAX - len("a/b; c=")


def test_what_is_remembered_of_a_field_is_nobody_s_to_change() -> None:
    _, params = parameters.parse("text/plain; charset=utf-8")
    params.clear()
    assert parameters.parse("text/plain; charset=utf-8") == ("text/plain", {"charset": "utf-8"})
