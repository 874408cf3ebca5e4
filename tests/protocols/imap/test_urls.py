"""IMAP URLs of messages: what they mean, and that nothing else comes of any octets."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.errors import RemoteProtocolError
from protocols.imap.fetch_commands import SectionText
from protocols.imap.urls import parse_url, show_url


def test_a_part_of_a_message_in_a_mailbox() -> None:
    url = parse_url(b"/a%20b/%C3%BC;uidvalidity=7/;uid=20/;section=1.2.MIME/;partial=3.4")
    assert (url.mailbox, url.uidvalidity, url.uid) == ("a b/ü", 7, 20)
    assert (url.section.path, url.section.text) == ((1, 2), SectionText.MIME)
    assert url.section.partial == (3, 4)


def test_a_message_of_the_selected_mailbox() -> None:
    url = parse_url(b";UID=4294967295")
    assert (url.mailbox, url.uidvalidity, url.uid) == (None, None, 2**32 - 1)
    assert (url.section.text, url.section.partial) == (SectionText.WHOLE, None)


def test_fields_may_have_a_slash_and_their_list_is_encoded() -> None:
    section = parse_url(b"/x/;UID=1/;SECTION=HEADER.FIELDS%20(To%20X/Y)/;PARTIAL=0.9").section
    assert (section.fields, section.partial) == (frozenset({b"to", b"x/y"}), (0, 9))


def test_dots_between_slashes_are_steps_and_encoded_ones_are_names() -> None:
    assert parse_url(b"/../a/./b/../c/;UID=1").mailbox == "a/c"
    assert parse_url(b"/a/%2E%2E/c/;UID=1").mailbox == "a/../c"
    assert parse_url(b"/..;UIDVALIDITY=3/;UID=1").mailbox == ".."


def test_inbox_is_inbox_in_any_case() -> None:
    assert parse_url(b"/%69nBox/;UID=1").mailbox == "INBOX"


@pytest.mark.parametrize(
    "text",
    [
        b"/;UID=1", b"//x/;UID=1", b"/x", b"/x/", b"x/;UID=1", b"/x;UID=1", b"/x/;UID=1/",
        b"/x/;UID=0", b"/x/;UID=4294967296", b"/x;UIDVALIDITY=0/;UID=1", b"/x y/;UID=1",
        b"/x/;UID=1?y", b"/x/;UID=1#y", b"/%4/;UID=1", b"/%00/;UID=1", b"/x/;UID=1/;SECTION=",
        b"/x/;UID=1/;SECTION=MIME", b"/x/;UID=1/;PARTIAL=1.0", b"/x/;UID=1/..", b";UID=1/..",
        b"/x/;UID=1/;PARTIAL=0.1/;SECTION=1", b"/x/;UID=1;URLAUTH=anonymous", b"/x/;UID=1\n",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_message_here(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_url(text)


_WORDS = [
    b"/", b";UID=", b";UIDVALIDITY=", b";SECTION=", b";PARTIAL=", b"1", b"0.", b"%41", b"%", b"..",
    b"a", b"MIME", b"(", b"]", b"\xff",
]  # fmt: skip


@given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_WORDS)).map(b"".join)))
@example(b"/" + b"a/" * 5000 + b";UID=1/;SECTION=" + b"1." * 5000)
def test_nothing_but_a_protocol_error_comes_of_any_octets(text: bytes) -> None:
    try:
        parse_url(text)
    except RemoteProtocolError:
        pass
    shown = show_url(text)
    assert all(0x21 <= octet <= 0x7E and octet not in b"\\]" for octet in shown)
