"""DEFLATE under a connection: bounded both ways, and every octet arrives."""

import random
import zlib

import pytest

from protocols.deflate import Deflater, Inflater
from protocols.errors import RemoteProtocolError


def squeeze(data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(flush)


def test_what_is_deflated_can_be_read_to_its_last_octet_at_once() -> None:
    deflater, reader = Deflater(), zlib.decompressobj(-zlib.MAX_WBITS)
    for line in (b"* OK ready\r\n", b"", b"+ \r\n", b"x" * 100_000):
        assert reader.decompress(deflater.deflate(line)) == line


def test_responses_shrink() -> None:
    lines = b"".join(b"* %d FETCH (FLAGS (\\Seen) UID %d)\r\n" % (n, n + 7) for n in range(2_000))
    assert len(Deflater().deflate(lines)) < len(lines) / 3


def test_a_bomb_is_inflated_no_further_than_asked() -> None:
    bomb = squeeze(bytes(10_000_000))
    inflater = Inflater()
    inflater.feed(bomb)
    taken = 0
    while data := inflater.take(4096):
        assert len(data) <= 4096
        assert inflater.held <= len(bomb)
        taken += len(data)
    assert taken == 10_000_000
    assert inflater.spent


def test_octets_arrive_however_they_are_cut() -> None:
    chance = random.Random(7)
    data = bytes(chance.choices(b"abc\r\n", k=20_000))
    octets, inflater, taken = squeeze(data), Inflater(), b""
    while octets:
        cut = chance.randrange(1, 700)
        inflater.feed(octets[:cut])
        octets = octets[cut:]
        while piece := inflater.take(chance.randrange(1, 300)):
            taken += piece
    assert taken == data


def test_what_is_not_deflate_is_refused() -> None:
    inflater = Inflater()
    inflater.feed(b"a1 NOOP\r\n" * 10)
    with pytest.raises(RemoteProtocolError, match="not DEFLATE"):
        while inflater.take(4096):
            pass


def test_what_follows_the_end_of_the_stream_is_kept_apart() -> None:
    inflater = Inflater()
    inflater.feed(squeeze(b"a UNAUTHENTICATE\r\n", zlib.Z_FINISH) + b"b NOOP\r\n")
    assert inflater.take(4096) == b"a UNAUTHENTICATE\r\n"
    assert inflater.ended
    assert inflater.spent
    assert inflater.unused == b"b NOOP\r\n"
