"""Command lines cut out of octets, and what becomes of one that is too long."""

import pytest

from protocols.buffer import ReceiveBuffer
from protocols.errors import LimitExceeded
from protocols.lmtp.lines import LINE_BYTES_MAX, LINE_SKIPPED_BYTES_MAX, Lines


def test_lines_come_one_by_one() -> None:
    buffer = ReceiveBuffer(1024)
    lines = Lines(buffer)
    assert lines.next() is None and not lines.begun
    buffer.feed(b"NOOP\r\nQU")
    assert lines.next() == b"NOOP"
    assert lines.next() is None and lines.begun and not lines.is_waste
    buffer.feed(b"IT\r\n")
    assert lines.next() == b"QUIT"


def test_a_line_too_long_is_told_once_and_stepped_over() -> None:
    buffer = ReceiveBuffer(2 * LINE_BYTES_MAX)
    lines = Lines(buffer)
    buffer.feed(b"x" * (LINE_BYTES_MAX + 2))
    with pytest.raises(LimitExceeded):
        lines.next()
    assert lines.next() is None and lines.begun
    buffer.feed(b"more\r\nNOOP\r\n")
    assert lines.next() == b"NOOP"
    assert lines.next() is None and not lines.begun


def test_a_line_without_end_is_waste() -> None:
    piece = b"x" * 64 * 1024
    buffer = ReceiveBuffer(len(piece))
    lines = Lines(buffer)
    buffer.feed(piece)
    with pytest.raises(LimitExceeded):
        lines.next()
    skipped = 0
    while not lines.is_waste:
        assert skipped <= LINE_SKIPPED_BYTES_MAX
        assert lines.next() is None
        skipped += len(piece)
        buffer.feed(piece)
    assert skipped > LINE_SKIPPED_BYTES_MAX
