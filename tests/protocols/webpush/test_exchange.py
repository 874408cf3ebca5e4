"""One POST over HTTP/1.1, as octets."""

import pytest

from protocols.webpush.exchange import (
    HEAD_OCTETS_MAX,
    RETRY_AFTER_S_MAX,
    Exchange,
    ExchangeFailed,
)


def exchange() -> Exchange:
    return Exchange("push.example", "/a?b=c", [("TTL", "60")], b"body")


def answered(data: bytes) -> tuple[int | None, int]:
    made = exchange()
    made.feed(data)
    return made.status, made.retry_after_s


def test_the_request() -> None:
    head, _, body = exchange().request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /a?b=c HTTP/1.1" and body == b"body"
    assert {b"Host: push.example", b"TTL: 60", b"Content-Length: 4", b"Connection: close"} == set(
        lines[1:]
    )


def test_an_answer_is_its_status() -> None:
    assert answered(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n") == (201, 0)
    assert answered(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 410 Gone\r\n\r\n") == (410, 0)
    assert answered(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n") == (302, 0)


def test_an_answer_may_come_in_any_pieces() -> None:
    made = exchange()
    for octet in b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r":
        made.feed(bytes([octet]))
        assert made.status is None
    made.feed(b"\n")
    assert (made.status, made.retry_after_s) == (429, 7)


def test_how_long_to_wait_is_bounded_and_dates_are_none() -> None:
    for value, seconds in ((b"999999999", RETRY_AFTER_S_MAX), (b"9" * 5000, 0), (b"-1", 0)):
        told = answered(b"HTTP/1.1 503 x\r\nRetry-After: " + value + b"\r\n\r\n")
        assert told == (503, seconds)
    date = b"HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
    assert answered(date) == (503, 0)


def test_what_is_no_answer() -> None:
    for data in (b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * HEAD_OCTETS_MAX):
        with pytest.raises(ExchangeFailed):
            exchange().feed(data)
    with pytest.raises(ExchangeFailed):
        Exchange("x", "/ b", [], b"")
