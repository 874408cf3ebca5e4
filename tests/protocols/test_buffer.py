"""The receive buffer: whole units only, bounded, each octet searched once."""

import time

import pytest

from protocols.buffer import CRLF, ReceiveBuffer
from protocols.errors import LimitExceeded


def buffer(*pieces: bytes, bytes_max: int = 1000) -> ReceiveBuffer:
    made = ReceiveBuffer(bytes_max)
    for piece in pieces:
        made.feed(piece)
    return made


def test_a_line_is_given_without_its_ending() -> None:
    held = buffer(b"one\r\ntwo\nthree")
    assert held.line(100) == b"one"
    assert held.line(100) == b"two"
    assert held.line(100) is None
    assert len(held) == 5


def test_a_line_may_come_octet_by_octet() -> None:
    held = buffer()
    for octet in b"a001 NOOP\r":
        held.feed(bytes([octet]))
        assert held.line(100) is None
    held.feed(b"\n")
    assert held.line(100) == b"a001 NOOP"


def test_only_the_cr_of_the_ending_is_dropped() -> None:
    assert buffer(b"a\rb\r\r\n").line(100) == b"a\rb\r"
    assert buffer(b"\r\n\n").line(100) == b""


def test_a_line_of_exactly_the_limit_passes_and_one_more_octet_does_not() -> None:
    assert buffer(b"x" * 10 + b"\r\n").line(10) == b"x" * 10
    with pytest.raises(LimitExceeded) as caught:
        buffer(b"x" * 11 + b"\r\n").line(10)
    assert caught.value.limit == "LINE"


def test_an_endless_line_is_refused_before_its_end() -> None:
    held = buffer(b"x" * 11)
    assert held.line(10) is None  # a CR may be the eleventh
    held.feed(b"x")
    with pytest.raises(LimitExceeded):
        held.line(10)


def test_a_long_line_can_be_stepped_over() -> None:
    held = buffer(b"x" * 50)
    assert not held.skip_line()
    assert len(held) == 0
    held.feed(b"xxx\r\nNOOP\r\n")
    assert held.skip_line()
    assert held.line(10) == b"NOOP"


def test_where_crlf_alone_ends_a_line_others_stand_in_it() -> None:
    held = ReceiveBuffer(100, line_end=CRLF)
    for octet in b"one\ntwo\rthree\r\n\r\nfour":
        held.feed(bytes([octet]))
    assert held.line(100) == b"one\ntwo\rthree"
    assert held.line(100) == b""
    assert held.line(100) is None
    assert not held.skip_line()
    held.feed(b"\r")
    assert not held.skip_line()
    held.feed(b"\nfive\r\n")
    assert held.skip_line()
    assert held.line(100) == b"five"


def test_counted_octets_come_whole_or_not_at_all() -> None:
    held = buffer(b"abc")
    assert held.take(4) is None
    assert held.take(2) == b"ab"
    assert held.take_up_to(10) == b"c"
    assert held.take_up_to(10) == b""


def test_a_line_after_counted_octets_is_found() -> None:
    held = buffer(b"12345")
    assert held.line(100) is None
    assert held.take(3) == b"123"
    held.feed(b"\r\n")
    assert held.line(100) == b"45"


def test_never_more_is_held_than_agreed() -> None:
    held = buffer(b"x" * 8, bytes_max=10)
    assert held.room == 2
    with pytest.raises(LimitExceeded) as caught:
        held.feed(b"xxx")
    assert caught.value.limit == "RECEIVE_BUFFER"
    assert len(held) == 8


def test_clear_forgets_what_came_before_tls() -> None:
    held = buffer(b"STARTTLS\r\nRCPT TO:<evil@example.org>\r\n")
    assert held.line(100) == b"STARTTLS"
    held.clear()
    assert held.line(100) is None
    assert held.room == 1000


def test_searching_is_linear_however_the_octets_arrive() -> None:
    """A megabyte in 64-octet pieces, asked after each: quadratic search would take minutes."""
    held = ReceiveBuffer(2_000_000)
    start = time.process_time()
    for _ in range(16_000):
        held.feed(b"x" * 64)
        assert held.line(2_000_000) is None
    held.feed(b"\n")
    assert len(held.line(2_000_000) or b"") == 16_000 * 64
    for _ in range(16_000):
        held.feed(b"ab\n")
    for _ in range(16_000):
        assert held.line(10) == b"ab"
    assert time.process_time() - start < 5
