"""ENVELOPE (RFC 9051 7.5.2): quoting, NIL, defaults, groups, bounds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.mime.structure import parse
from protocols.mime.words import decode
from protocols.render.envelope import LIST_BYTES_MAX, TEXT_BYTES_MAX, render_envelope
from protocols.render.strings import render_nstring, render_string

CORPORA = sorted((Path(__file__).resolve().parents[4] / "shared" / "corpora").rglob("*.eml"))
EMPTY = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def envelope(header: bytes) -> bytes:
    data = header + b"\r\n\r\nbody\r\n"
    return render_envelope(parse(data), data)


def test_a_plain_message() -> None:
    found = envelope(
        b"Date: Mon, 2 Feb 2026 10:00:00 +0000\r\nSubject: Hi\r\nFrom: A B <a@x.org>\r\n"
        b"To: c@y.org\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>"
    )
    sender = b'(("A B" NIL "a" "x.org"))'
    assert found == (
        b'("Mon, 2 Feb 2026 10:00:00 +0000" "Hi" %b %b %b ((NIL NIL "c" "y.org")) NIL NIL '
        b'"<1@x>" "<2@x>")' % (sender, sender, sender)
    )


def test_nothing_is_nil() -> None:
    assert envelope(b"X: y") == EMPTY


def test_a_present_but_empty_field_is_an_empty_string_or_no_addresses() -> None:
    assert envelope(b"Subject:\r\nTo: ,") == b'(NIL "" NIL NIL NIL NIL NIL NIL NIL NIL)'


def test_sender_and_reply_to_are_from_unless_they_say_otherwise() -> None:
    found = envelope(b"From: a@x\r\nSender: s@x\r\nReply-To:")
    first, second = b'((NIL NIL "a" "x"))', b'((NIL NIL "s" "x"))'
    assert found == b"(NIL NIL %b %b %b NIL NIL NIL NIL NIL)" % (first, second, first)


def test_a_group_has_a_start_its_members_and_an_end() -> None:
    found = envelope(b"To: Friends: a@x, B <b@y>; , c@z\r\nCc: undisclosed-recipients:;")
    assert (
        b'((NIL NIL "Friends" NIL)(NIL NIL "a" "x")("B" NIL "b" "y")(NIL NIL NIL NIL)'
        b'(NIL NIL "c" "z")) ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))'
    ) in found


def test_quotes_are_taken_off_and_put_on() -> None:
    found = envelope(b'From: "A \\"Q\\" \\\\ B" <"john doe"@x.org>')
    assert b'(("A \\"Q\\" \\\\ B" NIL "john doe" "x.org"))' in found


def test_a_source_route_is_shown_where_there_is_one() -> None:
    """RFC 9051 7.5.2 addr-adl, RFC 5322 4.4 obs-route."""
    shown = envelope(b"From: Joe <@a.example,@b.example:joe@c.example>, ann@d.example\r\n")
    assert (
        b'(("Joe" "@a.example,@b.example" "joe" "c.example")(NIL NIL "ann" "d.example"))' in shown
    )


def test_no_host_is_an_empty_host_and_not_a_group() -> None:
    assert b'((NIL NIL "postmaster" ""))' in envelope(b"From: postmaster")


def test_eight_bit_text_becomes_encoded_words() -> None:
    found = envelope("Subject: Grüße\r\nFrom: Jörg <j@x>".encode())
    assert found.isascii()
    assert b"=?utf-8?" in found
    kept = envelope(b"Subject: =?iso-8859-1?q?Gr=FC=DFe?=")
    assert b'"=?iso-8859-1?q?Gr=FC=DFe?="' in kept


def test_a_name_keeps_its_encoded_words_as_they_were_written() -> None:
    found = envelope(b"From: =?ISO-8859-1?Q?J=F6rg?= <j@x>\r\nTo: =?utf-8?b?w4k=?=: a@x;")
    assert b'(("=?ISO-8859-1?Q?J=F6rg?=" NIL "j" "x"))' in found
    assert b'((NIL NIL "=?utf-8?b?w4k=?=" NIL)' in found


def test_eight_bit_text_beside_encoded_words_is_encoded_once() -> None:
    found = envelope(
        "Subject: =?utf-8?q?a=C3=A9?= \u00fc\r\nFrom: =?utf-8?q?=C3=A9?= \u00fc <j@x>".encode()
    )
    assert found.isascii()
    assert decode(found.decode().split('"')[1]) == "a\u00e9 \u00fc"
    assert b"=3D=3F" not in found


def test_an_address_that_is_not_ascii_is_a_literal() -> None:
    found = envelope("From: δοκιμή@παράδειγμα.example".encode())
    local = "δοκιμή".encode()
    assert b"{%d}\r\n%b " % (len(local), local) in found


def test_hostile_headers_give_bounded_envelopes() -> None:
    many = b", ".join(b"user%d@example.org" % n for n in range(20_000))
    header = b"\r\n".join(
        name + b": " + many for name in (b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc")
    )
    header += b"\r\nSubject: " + b"x" * 400_000
    assert len(envelope(header)) < 8 * LIST_BYTES_MAX + 4 * TEXT_BYTES_MAX


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"", b'""'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xff", b"{1}\r\n\xff"),
        (b"a\0b", b'"ab"'),
        (b"\0\xff", b"{1}\r\n\xff"),
    ],
)
def test_strings(octets: bytes, shown: bytes) -> None:
    assert render_string(octets) == shown


def test_nil_is_for_what_is_not_there() -> None:
    assert render_nstring(None) == b"NIL"
    assert render_nstring(b"NIL") == b'"NIL"'


@given(st.binary(max_size=300))
def test_any_header_gives_an_envelope_of_ten_fields(header: bytes) -> None:
    assert_balanced(envelope(header))


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.name)
def test_the_corpora(path: Path) -> None:
    data = path.read_bytes()
    assert_balanced(render_envelope(parse(data), data))


def assert_balanced(octets: bytes) -> None:
    """Parentheses close, outside strings."""
    depth, position = 0, 0
    while position < len(octets):
        match octets[position : position + 1]:
            case b'"':
                position += 1
                while octets[position : position + 1] != b'"':
                    position += 2 if octets[position : position + 1] == b"\\" else 1
            case b"{":
                end = octets.index(b"}", position)
                position = end + 2 + int(octets[position + 1 : end])
            case b"(":
                depth += 1
            case b")":
                depth -= 1
                assert depth > 0 or position == len(octets) - 1
        position += 1
    assert depth == 0
