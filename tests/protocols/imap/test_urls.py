"""IMAP URLs of messages: what they mean, and that nothing else comes of any octets."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.errors import RemoteProtocolError
from protocols.imap.fetch_commands import SectionText
from protocols.imap.urls import (
    Access,
    Verifier,
    is_absolute,
    parse_authorized,
    parse_rfc3339,
    parse_url,
    show_url,
)

RUMP = b"imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred"
TOKEN = b"91354a473744909de610943775f92038"


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


# --- URLs with an authorization


@pytest.mark.parametrize(
    "text",
    [
        b"imap://joe%40example.com@mail.example.com/INBOX/;UID=1;URLAUTH=user+joe%40example.com",
        b"imap://joe@example.com/INBOX/;UID=1;URLAUTH=user+joe@example.com",
        b"imap://joe@example.com:143/INBOX/;UID=1;URLAUTH=user+joe@example.com:INTERNAL:" + TOKEN,
    ],
)
def test_a_user_is_an_address_however_it_is_written(text: bytes) -> None:
    url = parse_authorized(text)
    assert (url.user, url.access) == ("joe@example.com", Access("user", "joe@example.com"))


def test_the_example_of_rfc_5092() -> None:
    url = parse_authorized(RUMP + b":internal:" + TOKEN)
    assert (url.user, url.message.mailbox, url.message.uid) == ("joe@example.com", "INBOX", 20)
    assert url.message.section.path == (1, 2)
    assert (url.access, url.expires_ms) == (Access("submit", "fred"), None)
    assert (url.rump, url.verifier) == (RUMP, Verifier(b"INTERNAL", TOKEN))
    assert parse_authorized(RUMP).verifier is None


def test_all_that_may_stand_in_one() -> None:
    url = parse_authorized(
        b"IMAP://a%40b.c%C3%BC;AUTH=*@[2001:db8::1]:143/x/%2Fy;UIDVALIDITY=3/;UID=4/;SECTION=TEXT"
        b"/;PARTIAL=1.2;EXPIRE=1970-01-01T00:00:01Z;URLAUTH=user+d%40e:X-Mech.1:" + b"0aF" * 20
    )
    assert (url.user, url.message.mailbox, url.message.uidvalidity) == ("a@b.cü", "x//y", 3)
    assert url.message.section.partial == (1, 2)
    assert (url.expires_ms, url.access) == (1000, Access("user", "d@e"))
    assert url.verifier == Verifier(b"X-MECH.1", b"0aF" * 20)


@pytest.mark.parametrize(
    ("access", "means"),
    [
        (b"AnonYmous", Access("anonymous", None)),
        (b"authuser", Access("authuser", None)),
        (b"stream", Access("stream", None)),
        (b"exampleapp3+testuser", Access("exampleapp3", "testuser")),
        (b"user+a+b", Access("user", "a+b")),
    ],
)
def test_access_identifiers(access: bytes, means: Access) -> None:
    assert parse_authorized(b"imap://a@h/x/;UID=1;URLAUTH=" + access).access == means


@pytest.mark.parametrize(
    "text",
    [
        b"", b"imap://", b"imap://joe@h", b"imap://joe@h/", b"imap://joe@h/x/;UID=1",
        b"imaps://joe@h/x/;UID=1;URLAUTH=anonymous", b"//joe@h/x/;UID=1;URLAUTH=anonymous",
        b"imap://h/x/;UID=1;URLAUTH=anonymous", b"imap://@h/x/;UID=1;URLAUTH=anonymous",
        b"imap://;AUTH=*@h/x/;UID=1;URLAUTH=anonymous", b"imap://joe@/x/;UID=1;URLAUTH=anonymous",
        b"imap://joe:pw@h/x/;UID=1;URLAUTH=anonymous", b"imap://joe@h:x/x/;UID=1;URLAUTH=anonymous",
        b"imap://joe@h/x;URLAUTH=anonymous", b"imap://joe@h/;UID=1;URLAUTH=anonymous",
        b"imap://joe@h//x/;UID=1;URLAUTH=anonymous", b"imap://joe@h/x/;UID=1;URLAUTH=",
        b"imap://joe@h/x/;UID=1;URLAUTH=user+", b"imap://joe@h/x/;UID=1;URLAUTH=submit",
        b"imap://joe@h/x/;UID=1;URLAUTH=authuser+joe", b"imap://joe@h/x/;UID=1;URLAUTH=a-b",
        RUMP + b":internal", RUMP + b":internal:", RUMP + b":internal:" + TOKEN[1:],
        RUMP + b":internal:" + TOKEN + b"g", RUMP + b":internal:" + TOKEN + b" ",
        RUMP + b"::" + TOKEN, RUMP + b":internal:" + TOKEN + b"/;PARTIAL=1",
        b"imap://joe@h/x/;UID=1/;URLAUTH=anonymous", b"imap://joe@h/x/;UID=1?y;URLAUTH=anonymous",
        b"imap://joe@h/x/;UID=1;URLAUTH=anonymous#f", RUMP + b"\n", b" " + RUMP,
    ],
)  # fmt: skip
def test_what_is_no_authorized_url(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_authorized(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        (b"1970-01-01T00:00:00Z", 0),
        (b"1985-04-12t23:20:50.52z", 482196050520),
        (b"1990-12-31T23:59:60Z", 662688000000),
        (b"1996-12-19T16:39:57-08:00", 851042397000),
        (b"1937-01-01T12:00:27.87+00:20", -1041337172130),
        (b"0001-01-01T00:00:00+23:59", -62135683140000),
        (b"9999-12-31T23:59:59.9999999-23:59", 253402387139999),
    ],
)
def test_times_of_rfc_3339(text: bytes, ms: int) -> None:
    assert parse_rfc3339(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        b"1970-01-01", b"1970-01-01T00:00Z", b"1970-01-01T00:00:00", b"1970-02-30T00:00:00Z",
        b"1970-13-01T00:00:00Z", b"0000-01-01T00:00:00Z", b"1970-01-01T24:00:00Z",
        b"1970-01-01T00:60:00Z", b"1970-01-01T00:00:61Z", b"1970-01-01T00:00:00.Z",
        b"1970-01-01T00:00:00+24:00", b"1970-01-01T00:00:00+01:60", b"1970-01-01 00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_rfc3339(text)


_PIECES = [
    b"imap://", b"joe", b"@", b"h", b"/", b"x", b"/;UID=1", b";URLAUTH=", b"anonymous", b"user+",
    b":internal:", TOKEN, b";EXPIRE=", b"1970-01-01T00:00:00Z", b"%41", b"%", b";", b"\xff", b"..",
]  # fmt: skip


@given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_PIECES)).map(b"".join)))
@example(b"imap://" + b"a" * 8000 + b"@h/x/;UID=1;URLAUTH=" + b"a+" * 4000)
@example(b"imap://j@h/" + b";URLAUTH=user+a:b:" * 900)
@example(b"imap://j@h/x/;UID=1" + b";EXPIRE=" * 2000)
def test_of_an_absolute_url_comes_a_rump_or_a_protocol_error(text: bytes) -> None:
    try:
        url = parse_authorized(text)
    except RemoteProtocolError:
        return
    assert is_absolute(text)
    assert text.startswith(url.rump)
    assert (url.rump == text) == (url.verifier is None)
