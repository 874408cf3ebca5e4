"""Much of one thing, made to hurt: every one of these once was quadratic in somebody's parser.

There is no clock here. Work is counted where it can be; the rest simply has to end, which a
quadratic parser would not within the test's time limit.
"""

import re

import pytest

from protocols.mime import grammar, headers
from protocols.mime.envelope import summarise
from protocols.mime.html_text import html_to_text
from protocols.mime.parts import walk
from protocols.mime.structure import PARTS_MAX

_MEGABYTE = 1_000_000
_FIELD_BYTES = 400_000
_FIELDS = ("To", "Subject", "References", "Content-Type", "Date", "Content-ID", "List-Help")


def _fill(pattern: bytes, size: int = _MEGABYTE) -> bytes:
    return pattern * (size // len(pattern))


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize(
    "pattern",
    [
        b"(", b")", b"<", b">", b'"', b"\\", b"[", b"]", b",", b";", b":", b"@", b".", b"=", b" ",
        b"?", b"'", b"*", b"%", b"\0", b"\xff", b"\r", b"()", b"<>", b'""', b"[]", b"(a", b'\\"',
        b"=?", b"?=", b"=?x?q?a", b"=?utf-8?q?a?= ", b"=?utf-8?q?a?=\r\n ", b"=?utf-8?b?", b"a@b,",
        b"<a@b ", b"a:b;", b'"a ', b"[a", b"; a=b", b"; a*0*=b", b"a\r\n b", b"1 Jul ", b"a(b)c",
    ],
)  # fmt: skip
def test_a_field_of_one_pattern(field: str, pattern: bytes) -> None:
    data = field.encode() + b": " + _fill(pattern, _FIELD_BYTES) + b"\r\n\r\nbody"
    summary = summarise(data)
    raw = summary.headers[0].raw
    headers.as_urls(raw)
    headers.as_text(raw)


@pytest.mark.parametrize(
    "pattern",
    ["<div>", "<", "<!--", "<!", '<a "', "<a b='", "<a b=", "<script>", "<style><", "</", "&",
     "&#1", "&amp;", " \n", "<p>a", "<a =\t", "<title>", "\xa0"],
)  # fmt: skip
def test_html_of_one_pattern(pattern: str) -> None:
    source = pattern * (_MEGABYTE // len(pattern))
    assert html_to_text(source) is not None
    summarise(b"Content-Type: text/html\r\n\r\n" + source.encode())


_MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        _MULTIPART + _fill(b"--b\r\n"),
        _MULTIPART + _fill(b"--b\n"),
        _MULTIPART + _fill(b"--bx\r\n"),
        _MULTIPART + _fill(b"--b"),
        _MULTIPART + _fill(b"--b " + b" " * 1000),
        _fill(_MULTIPART + b"--b\r\n"),
        _fill(b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n"),
        _fill(b"Content-Type: message/rfc822\r\n\r\n"),
        _fill(b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\n"),
        _fill(b"A: b\r\n"),
        _fill(b"A: b\r\njunk\r\n"),
        b"A: b\r\n" + _fill(b"junk\r\n"),
        b"A: b" + _fill(b"\r\n "),
        _fill(b"\n"),
        _fill(b"\r"),
        _fill(b"\0"),
        _fill(b"a"),
        _fill(b":"),
        _fill(b"From "),
        b"\r\n" + _fill(b"> "),
        b"\r\n" + _fill(b">\n\n\n"),
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + _fill(b"=20 \t "),
        b"Content-Transfer-Encoding: uuencode\r\n\r\n" + _fill(b"begin 644 x\n"),
    ],
    ids=lambda data: re.sub(rb"\W+", b" ", data[:60]).decode().strip() or repr(data[:1]),
)
def test_a_message_of_one_pattern(data: bytes) -> None:
    summary = summarise(data)
    # Every multipart that could not be cut has one child of its own.
    assert sum(1 for _ in walk(summary.root)) <= 2 * PARTS_MAX + 1


def test_comments_are_scanned_once_however_many_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = 0
    scan = grammar.comment_end

    def count(text: str, start: int) -> int:
        nonlocal scanned
        scanned += 1
        return scan(text, start)

    monkeypatch.setattr(grammar, "comment_end", count)
    assert headers.as_addresses(b"(a" * 50_000 + b" <a@b.c>")[0].email == "a@b.c"
    assert grammar.strip_comments("(a" * 50_000).count("a") == 50_000
    assert scanned == 2
