"""Responses to bytes: names, texts, endings."""

import pytest

from protocols.imap.responses import (
    TEXT_CHARACTERS_MAX,
    bad,
    no,
    ok,
    render_ending,
    render_list,
    render_mailbox,
)


@pytest.mark.parametrize(
    ("name", "rev1", "rev2"),
    [
        ("INBOX", b"INBOX", b"INBOX"),
        ("a/b", b"a/b", b"a/b"),
        ("two words", b'"two words"', b'"two words"'),
        ("NIL", b'"NIL"', b'"NIL"'),
        ("A&B", b'"A&-B"', b'"A&B"'),
        ("Käse", b'"K&AOQ-se"', '"Käse"'.encode()),
        ('q"\\', b'"q\\"\\\\"', b'"q\\"\\\\"'),
        ("", b'""', b'""'),
        ("a[b]", b'"a[b]"', b'"a[b]"'),
    ],
)
def test_mailbox_names(name: str, rev1: bytes, rev2: bytes) -> None:
    assert render_mailbox(name, utf8=False) == rev1
    assert render_mailbox(name, utf8=True) == rev2


def test_endings() -> None:
    assert render_ending(b"a1", ok("Done")) == b"a1 OK Done\r\n"
    assert render_ending(b"a1", no("It is not", b"CANNOT")) == b"a1 NO [CANNOT] It is not\r\n"


def test_what_a_peer_made_us_say_cannot_break_the_line() -> None:
    line = render_ending(b"*", bad("a\r\nb OK ü" + "x" * 1000))
    assert line.count(b"\r\n") == 1 and line.isascii()
    assert len(line) <= TEXT_CHARACTERS_MAX + len(b"* BAD \r\n")


def test_list_with_extended_data() -> None:
    line = render_list(
        [b"\\A", b"\\B"], "x y", utf8=False, extended=b'("CHILDINFO" ("SUBSCRIBED"))'
    )
    assert line == b'* LIST (\\A \\B) "/" "x y" ("CHILDINFO" ("SUBSCRIBED"))\r\n'
