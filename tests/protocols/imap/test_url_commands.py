"""The grammar of RFC 4467 and 5524."""

import pytest

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.append_commands import URL_BYTES_MAX
from protocols.imap.parse import parse_command
from protocols.imap.tokens import Tokens
from protocols.imap.url_commands import (
    MECHANISMS_MAX,
    URLS_MAX,
    GenUrlAuth,
    ResetKey,
    UrlFetch,
    UrlItem,
    WantedUrl,
)


def parse(text: bytes) -> object:
    return parse_command(Tokens(text))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b"RESETKEY", ResetKey(None)),
        (b"resetkey inbox", ResetKey("INBOX")),
        (b"RESETKEY INBOX XSAMPLE internal", ResetKey("INBOX", (b"XSAMPLE", b"INTERNAL"))),
        (b'GENURLAUTH "a" INTERNAL', GenUrlAuth(((b"a", b"INTERNAL"),))),
        (b"GENURLAUTH a x-b.1 b internal", GenUrlAuth(((b"a", b"X-B.1"), (b"b", b"INTERNAL")))),
        (b'URLFETCH "a" b', UrlFetch((WantedUrl(b"a"), WantedUrl(b"b")))),
        (b"URLFETCH (a)", UrlFetch((WantedUrl(b"a"),))),
        (
            b'URLFETCH ("a" binary BODYPARTSTRUCTURE) b (c BODY)',
            UrlFetch(
                (
                    WantedUrl(b"a", frozenset({UrlItem.BINARY, UrlItem.STRUCTURE})),
                    WantedUrl(b"b"),
                    WantedUrl(b"c", frozenset({UrlItem.BODY})),
                )
            ),
        ),
    ],
)
def test_commands(text: bytes, command: object) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    [
        b"RESETKEY ", b"RESETKEY INBOX ", b"RESETKEY INBOX (X)", b"GENURLAUTH", b"GENURLAUTH a",
        b"GENURLAUTH a ", b'GENURLAUTH "" INTERNAL', b"GENURLAUTH a INTERNAL b", b"URLFETCH",
        b"URLFETCH ", b"URLFETCH (a BINARY BODY)", b"URLFETCH (a BODY BODY)", b"URLFETCH (a X)",
        b"URLFETCH (a", b"URLFETCH (a ) b",
    ],
)  # fmt: skip
def test_what_is_none(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(text)


@pytest.mark.parametrize(
    ("most", "more"),
    [
        (b"URLFETCH" + b" x" * URLS_MAX, b" x"),
        (b"URLFETCH" + b" (x)" * URLS_MAX, b" x"),
        (b"GENURLAUTH" + b" x Y" * URLS_MAX, b" x Y"),
        (b"RESETKEY x" + b" Y" * MECHANISMS_MAX, b" Y"),
        (b"URLFETCH " + b"x" * URL_BYTES_MAX, b"x"),
    ],
)
def test_there_is_a_bound_to_everything(most: bytes, more: bytes) -> None:
    parse(most)
    with pytest.raises(LimitExceeded):
        parse(most + more)
