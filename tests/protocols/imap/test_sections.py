"""Sections as spans: every octet of a message can be had, and only the right ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.imap.fetch_commands import Fetch, Section
from protocols.imap.parse import parse_command
from protocols.imap.sections import Span, chosen_fields, clip, locate
from protocols.imap.tokens import Tokens
from protocols.mime.structure import parse

LETTER = (
    b"From: a@x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    b"--b\r\nX: 1\r\n\r\none\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n"
    b"--b--\r\n"
)


def section(text: str) -> Section:
    command = parse_command(Tokens(f"FETCH 1 {text}".encode()))
    assert isinstance(command, Fetch)
    (found,) = command.sections
    assert isinstance(found, Section)
    return found


def read(text: str, data: bytes = LETTER) -> bytes | None:
    found = section(text)
    span = locate(found, parse(data), len(data))
    if span is None:
        return None
    if found.fields:
        return chosen_fields(data[span.start : span.end], found)
    span = clip(span, found.partial)
    return data[span.start : span.end]


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("BODY[]", LETTER),
        ("RFC822", LETTER),
        ("BODY[HEADER]", LETTER[: LETTER.index(b"preamble")]),
        ("RFC822.HEADER", LETTER[: LETTER.index(b"preamble")]),
        ("BODY[TEXT]", LETTER[LETTER.index(b"preamble") :]),
        ("BODY[1]", b"one"),
        ("BODY[1.MIME]", b"X: 1\r\n\r\n"),
        ("BODY[2]", b"Subject: in\r\n\r\nbody"),
        ("BODY[2.HEADER]", b"Subject: in\r\n\r\n"),
        ("BODY[2.TEXT]", b"body"),
        ("BODY[2.1]", b"body"),
        ("BODY[2.HEADER.FIELDS (subject)]", b"Subject: in\r\n\r\n"),
        ("BODY[HEADER.FIELDS.NOT (content-type)]", b"From: a@x\r\n\r\n"),
        ("BODY[HEADER.FIELDS (none)]", b"\r\n"),
        ("BODY[3]", None),
        ("BODY[1.1]", None),
        ("BODY[1.TEXT]", None),
        ("BODY[1]<1.9>", b"ne"),
        ("BODY[1]<3.1>", b""),
        ("BODY[1]<99.1>", b""),
    ],
)
def test_sections(text: str, octets: bytes | None) -> None:
    assert read(text) == octets


def test_a_message_without_parts_is_its_own_part_one() -> None:
    data = b"Subject: x\r\n\r\nbody\r\n"
    assert read("BODY[1]", data) == b"body\r\n"
    assert read("BODY[1.MIME]", data) == b"Subject: x\r\n\r\n"


def test_a_folded_field_stays_whole_and_a_cut_one_gets_its_end() -> None:
    data = b"A: 1\r\n 2\r\nB: 3"
    assert read("BODY[HEADER.FIELDS (a)]", data) == b"A: 1\r\n 2\r\n\r\n"
    assert read("BODY[HEADER.FIELDS (b)]", data) == b"B: 3\r\n\r\n"


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(1, 300))
def test_header_and_text_are_the_message_and_pieces_lie_inside(
    data: bytes, origin: int, count: int
) -> None:
    header, text = read("BODY[HEADER]", data), read("BODY[TEXT]", data)
    assert header is not None and text is not None and header + text == data
    piece = clip(Span(0, len(data)), (origin, count))
    assert data[piece.start : piece.end] == data[origin : origin + count]
