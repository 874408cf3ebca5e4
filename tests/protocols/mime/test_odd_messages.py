"""Every odd message parses, and says what it was made to say."""

import pytest

from protocols.mime import bodies, headers, structure
from protocols.mime.addresses import EmailAddress
from protocols.mime.dates import rfc3339
from protocols.mime.envelope import Summary, summarise
from protocols.mime.parts import Part
from tests.protocols.mime.odd import Odd
from tests.protocols.mime.odd_messages import ODD, ODD_MESSAGES
from tests.protocols.mime.tree import check_tree


def test_there_are_over_two_hundred_and_none_twice() -> None:
    names = [name for name, _ in ODD_MESSAGES]
    assert len(names) == len(set(names)) > 250
    assert len({data for _, data in ODD_MESSAGES}) > 250


@pytest.mark.parametrize("one", ODD, ids=lambda one: one.name)
def test_odd_message(one: Odd) -> None:
    summary = summarise(one.data)
    for name, expected in one.expected.items():
        assert ASKED[name](one.data, summary) == expected, name


_TRACE = b"Return-Path: <a@b.c>\r\nReceived: from x by y with LMTP;\r\n Mon, 2 Mar 2026 1:2 Z\r\n"


@pytest.mark.parametrize("one", ODD, ids=lambda one: one.name)
def test_trace_lines_before_a_header_change_nothing_behind_it(one: Odd) -> None:
    alone, traced = summarise(one.data), summarise(_TRACE + one.data)
    check_tree(_TRACE + one.data, traced.root)
    if alone.headers and alone.headers[0].start < 80:
        assert traced.subject == alone.subject
        assert traced.from_ == alone.from_


def _pairs(people: tuple[EmailAddress, ...] | None) -> list[tuple[str | None, str]] | None:
    return None if people is None else [(one.name, one.email) for one in people]


def _texts(data: bytes, summary: Summary) -> list[str]:
    leaves = [part for part in structure.walk(summary.root) if part.type == "text"]
    return [bodies.body_text(data, part)[0] for part in leaves]


def _shown(part: Part) -> str:
    return f"{part.part_id} {part.content_type}"


def _embedded(data: bytes, summary: Summary) -> list[str | None]:
    inner = [part.message for part in structure.walk(summary.root) if part.message is not None]
    subjects = [headers.last(structure.headers_of(data, one), "subject") for one in inner]
    return [None if one is None else headers.as_text(one.raw) for one in subjects]


def _groups(data: bytes, summary: Summary) -> list[object]:
    field = headers.last(list(summary.headers), "to")
    assert field is not None
    return [(name, _pairs(people)) for name, people in headers.as_grouped_addresses(field.raw)]


def _inner_parts(data: bytes, summary: Summary) -> list[str]:
    assert summary.root.message is not None
    return [_shown(part) for part in structure.walk(summary.root.message)]


def _list(ids: tuple[str, ...] | None) -> list[str] | None:
    return None if ids is None else list(ids)


ASKED = {
    "subject": lambda d, s: s.subject,
    "from_": lambda d, s: _pairs(s.from_),
    "to": lambda d, s: _pairs(s.to),
    "cc": lambda d, s: _pairs(s.cc),
    "bcc": lambda d, s: _pairs(s.bcc),
    "reply_to": lambda d, s: _pairs(s.reply_to),
    "groups": _groups,
    "message_id": lambda d, s: _list(s.message_id),
    "references": lambda d, s: _list(s.references),
    "in_reply_to": lambda d, s: _list(s.in_reply_to),
    "sent_at": lambda d, s: None if s.sent_at is None else rfc3339(s.sent_at),
    "headers": lambda d, s: len(s.headers),
    "parts": lambda d, s: [_shown(part) for part in structure.walk(s.root)],
    "inner_parts": _inner_parts,
    "embedded": _embedded,
    "texts": _texts,
    "problem": lambda d, s: bodies.body_text(d, s.root)[1],
    "attached": lambda d, s: s.has_attachment,
    "filenames": lambda d, s: (
        [p.filename for p in structure.walk(s.root) if p.type == "application"]
        or [p.filename for p in s.lists.attachments]
    ),
    "preview": lambda d, s: s.preview,
}
