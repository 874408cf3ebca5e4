"""PARTIAL's ranges: what they name of how many results, and what is none (RFC 9394 3.1, 4)."""

import pytest

from protocols.errors import RemoteProtocolError
from protocols.imap.partial import parse_partial_range
from protocols.imap.tokens import Tokens


@pytest.mark.parametrize(
    ("text", "of", "told"),
    [
        (b"1:3", "abcde", "abc"),
        (b"3:1", "abcde", "abc"),
        (b"4:9", "abcde", "de"),
        (b"6:9", "abcde", ""),
        (b"1:1", "", ""),
        (b"-1:-1", "abcde", "e"),
        (b"-1:-3", "abcde", "cde"),
        (b"-3:-1", "abcde", "cde"),
        (b"-4:-9", "abcde", "ab"),
        (b"-6:-9", "abcde", ""),
        (b"-1:-4294967295", "abcde", "abcde"),
    ],
)
def test_what_a_range_names(text: bytes, of: str, told: str) -> None:
    asked = parse_partial_range(Tokens(text))
    start, end = asked.within(len(of))
    assert (asked.shown, of[start:end]) == (text, told)


@pytest.mark.parametrize("text", [b"", b"1", b"1:", b"0:1", b"1:*", b"-1:2", b"1:-2", b"--1:-2"])
def test_what_is_no_range(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        tokens = Tokens(text)
        parse_partial_range(tokens)
        tokens.end()
