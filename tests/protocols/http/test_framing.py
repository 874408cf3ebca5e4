"""Octets to requests, and every way octets may be wrong (RFC 9112)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http.framing import HEAD_OCTETS_MAX, HEADERS_MAX, Framer

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\n"


def framed(*pieces: bytes) -> Framer:
    """A framer fed with these pieces until it takes no more."""
    framer = Framer()
    for piece in pieces:
        if framer.failure is None and framer.upgrade is None:
            framer.feed(piece)
    return framer


def status(data: bytes) -> int | None:
    """The status a connection that says this is ended with."""
    failure = framed(data).failure
    return None if failure is None else failure.status


def test_a_request_is_read_with_lower_case_names() -> None:
    (request,) = framed(b"GET /a?b HTTP/1.1\r\nHoSt: x\r\nX-One: 1\r\n\r\n").requests
    assert (request.method, request.target, request.version) == ("GET", b"/a?b", "1.1")
    assert request.headers == [(b"host", b"x"), (b"x-one", b"1")]
    assert request.complete and request.keep_alive


def test_octets_may_come_one_by_one() -> None:
    data = POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + GET
    framer = framed(*(data[at : at + 1] for at in range(len(data))))
    first, second = framer.requests
    assert b"".join(first.body) == b"abcde"
    assert second.target == b"/a?b"


def test_pipelined_requests_wait_in_order() -> None:
    assert [r.target for r in framed(GET * 3).requests] == [b"/a?b"] * 3


def test_a_body_may_be_announced_and_come_later() -> None:
    framer = framed(POST + b"Content-Length: 4\r\n\r\nab")
    (request,) = framer.requests
    before = request.complete
    framer.feed(b"cd")
    assert (before, request.complete) == (False, True)
    assert b"".join(request.body) == b"abcd"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"X: a\r\n folded\r\n",
        b"X : a\r\n",
        b" X: a\r\n",
        b"X: a\0b\r\n",
        b"Host: y\r\n",
        b"X: a\n",
    ],
)
def test_what_makes_smuggling_possible_is_refused(head: bytes) -> None:
    framer = framed(POST + head + b"\r\nabc" + GET)
    assert framer.failure is not None and framer.failure.status in (400, 501)
    assert not framer.requests or not framer.requests[-1].complete


def test_codings_but_chunked_are_refused() -> None:
    assert status(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n") == 501
    chunked = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert status(b"POST / HTTP/1.0\r\n" + chunked) == 400


def test_a_host_is_needed_in_1_1_alone() -> None:
    assert status(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert status(b"GET / HTTP/1.0\r\n\r\n") is None


def test_other_versions_are_refused() -> None:
    assert status(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n") == 505
    assert status(b"GET / HTTP/0.9\r\nHost: x\r\n\r\n") in (400, 505)
    assert status(b"GET /\r\n\r\n") == 505


def test_a_bad_chunk_ends_the_connection() -> None:
    framer = framed(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert framer.failure is not None and framer.failure.status == 400
    assert not framer.requests[0].complete


def test_the_head_may_be_as_large_as_its_limit_and_no_larger() -> None:
    room = HEAD_OCTETS_MAX - len(b"/") - len(b"hostx") - 4 - len(b"x") - 4
    assert status(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (room - 40) + b"\r\n\r\n") is None
    assert status(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (room + 1) + b"\r\n\r\n") == 431


def test_a_head_that_never_ends_is_cut_off_at_the_limit() -> None:
    framer = Framer()
    fed = 0
    while framer.failure is None:
        framer.feed(b"GET / HTTP/1.1\r\nX: " if not fed else b"a" * 1024)
        fed += 1024
    assert framer.failure.status == 431 and fed <= HEAD_OCTETS_MAX + 4096


def test_header_fields_and_trailers_are_counted() -> None:
    fields = b"".join(b"X-%d: 1\r\n" % n for n in range(HEADERS_MAX))
    assert status(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n") == 431
    trailers = POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + fields + b"X: 1\r\n\r\n"
    assert status(trailers) == 431
    (request,) = framed(
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\n\r\n"
    ).requests
    assert (b"host", b"evil") not in request.headers


def test_an_upgrade_is_handed_on_without_the_deflate_offer() -> None:
    framer = framed(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\nX: 1\r\n\r\nrest"
    )
    assert framer.upgrade == (
        b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"x: 1\r\n\r\nrest"
    )
    assert not framer.requests


def test_connect_is_refused() -> None:
    assert status(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n") == 400


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_octets_are_requests_or_a_failure(pieces: list[bytes]) -> None:
    framer = framed(*pieces)
    assert framer.failure is None or 400 <= framer.failure.status < 600


@given(st.integers(0, 200), st.integers(1, 50))
def test_where_octets_are_cut_does_not_matter(cut: int, width: int) -> None:
    data = (POST + b"Content-Length: 3\r\n\r\nabc" + GET)[: 40 + cut]
    whole = framed(data)
    pieces = framed(*(data[at : at + width] for at in range(0, len(data), width)))
    assert [r.target for r in whole.requests] == [r.target for r in pieces.requests]
    assert [b"".join(r.body) for r in whole.requests] == [b"".join(r.body) for r in pieces.requests]


def test_a_head_is_begun_with_its_first_octet() -> None:
    framer = framed(GET + b"G")
    assert framer.in_head
    assert not framed(GET).in_head
