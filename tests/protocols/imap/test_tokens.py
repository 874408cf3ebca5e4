"""The words of IMAP, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import RemoteProtocolError
from protocols.imap.tokens import NUMBER64_MAX, Tokens
from protocols.render.strings import render_string


def test_an_astring_is_an_atom_a_quoted_string_or_a_literal() -> None:
    tokens = Tokens(rb'ab]~+ "q \"\\" {3} ~{2+} ~x', {18: b"l\0t", 24: b"l8"})
    assert tokens.astring() == b"ab]~+"
    tokens.space()
    assert tokens.astring() == b'q "\\'
    tokens.space()
    assert tokens.astring() == b"l\0t"
    tokens.space()
    assert tokens.astring() == b"l8"
    tokens.space()
    assert tokens.astring() == b"~x"
    tokens.end()


@pytest.mark.parametrize(
    "text",
    [
        b'"open',
        b'"a\\b"',
        b'"nul\0"',
        b'"\xff"',
        b"{3}",
        b"{x}",
        b"{99999999999999999999999}",
        b"(",
        b"",
    ],
)
def test_what_is_no_string(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Tokens(text).astring()


def test_nil_is_a_word_only_where_a_string_could_be() -> None:
    assert Tokens(b"nil").nstring() is None
    assert Tokens(b'"NIL"').nstring() == b"NIL"
    assert Tokens(b"NIL").astring() == b"NIL"
    with pytest.raises(RemoteProtocolError):
        Tokens(b"NILS").nstring()


def test_numbers_have_bounds() -> None:
    assert Tokens(b"9223372036854775807").number() == NUMBER64_MAX
    assert Tokens(b"4294967295").nz_number() == 2**32 - 1
    for text in (b"9223372036854775808", b"99999999999999999999", b"-1", b"x", "١".encode()):
        with pytest.raises(RemoteProtocolError):
            tokens = Tokens(text)
            tokens.number()
            tokens.end()
    for text in (b"0", b"4294967296"):
        with pytest.raises(RemoteProtocolError):
            Tokens(text).nz_number()


def test_a_literal_cannot_stand_in_the_middle_of_its_line() -> None:
    with pytest.raises(RemoteProtocolError, match="end its line"):
        Tokens(b"{3} abc").string()


def test_inbox_is_inbox_in_any_case() -> None:
    assert Tokens(b"iNbOx").mailbox() == "INBOX"
    assert Tokens(b'"inbox"').mailbox() == "INBOX"
    # what is not ASCII is no UTF-7: a client may quote UTF-8 before it enables it (RFC 6855 3)
    assert Tokens('"ü&-"'.encode()).mailbox() == "ü&-"
    assert Tokens(b'"&APw-&-"').mailbox() == "ü&"
    # a dotless i is another letter, though its upper case looks the same
    assert Tokens('"ınbox"'.encode(), utf8=True).mailbox() == "ınbox"


@given(st.binary(max_size=60).map(lambda octets: octets.replace(b"\0", b"")))
def test_what_we_write_as_a_string_we_read_as_the_same(octets: bytes) -> None:
    written = render_string(octets)
    literal = b"" if written.startswith(b'"') else written.partition(b"\r\n")[0]
    text = literal or written
    assert Tokens(text, {len(literal): octets} if literal else None).string() == octets
