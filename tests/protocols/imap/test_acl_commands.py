"""The grammar of RFC 4314, and how rights are told."""

import pytest

from protocols.errors import LimitExceeded, RemoteProtocolError
from protocols.imap.acl_commands import (
    IDENTIFIER_BYTES_MAX,
    Change,
    DeleteAcl,
    GetAcl,
    ListRights,
    MyRights,
    SetAcl,
    render_rights,
)
from protocols.imap.parse import parse_command
from protocols.imap.tokens import Tokens
from storage.mail.sharing import ALL


def parse(text: bytes) -> object:
    return parse_command(Tokens(text))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b"SETACL INBOX fred lrs", SetAcl("INBOX", "fred", Change.REPLACE, "lrs")),
        (b"setacl inbox fred +cda", SetAcl("INBOX", "fred", Change.ADD, "kxtea")),
        (b'SETACL A/B "fred" -d', SetAcl("A/B", "fred", Change.REMOVE, "te")),
        (b'SETACL A fred ""', SetAcl("A", "fred", Change.REPLACE, "")),
        (b"SETACL A fred +", SetAcl("A", "fred", Change.ADD, "")),
        (b"SETACL A fred srsl", SetAcl("A", "fred", Change.REPLACE, "lrs")),
        (b"DELETEACL A fred", DeleteAcl("A", "fred")),
        (b"GETACL A", GetAcl("A")),
        (b"LISTRIGHTS A fred", ListRights("A", "fred")),
        (b"MYRIGHTS A", MyRights("A")),
    ],
)
def test_commands(text: bytes, command: object) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    [
        b"SETACL A fred",
        b"SETACL A fred l r",
        b"SETACL A fred L",
        b"SETACL A fred l+r",
        b"SETACL A fred q",
        b'SETACL A "" l',
        b'SETACL A "fr\ted" l',
        b"DELETEACL A",
        b"GETACL",
        b"LISTRIGHTS A",
        b"MYRIGHTS A B",
    ],
)
def test_what_is_no_command(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(text)


def test_an_identifier_is_bounded() -> None:
    assert parse(b"DELETEACL A " + b"x" * IDENTIFIER_BYTES_MAX)
    with pytest.raises(LimitExceeded):
        parse(b"DELETEACL A " + b"x" * (IDENTIFIER_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("rights", "told"),
    [("lrs", b"lrs"), ("lk", b"lkc"), ("xe", b"xecd"), (ALL, b"lrswipkxteacd"), ("", b'""')],
)
def test_virtual_rights_are_told_where_any_member_is(rights: str, told: bytes) -> None:
    assert render_rights(rights) == told
