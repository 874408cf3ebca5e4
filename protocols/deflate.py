"""DEFLATE under a connection's bytes (RFC 1951, as RFC 4978 has it): sans-IO.

A few octets may stand for megabytes, so nothing is inflated ahead of being asked for: what is held
is at most one piece of input as it came, and zlib's window. Each piece that is sent ends with a
flush, so that the peer can read it to its last octet.
"""

import zlib
from typing import Final

from protocols.errors import RemoteProtocolError

# Raw DEFLATE without header or checksum is what zlib knows by a negative number (RFC 4978 4). A
# window of 8 KiB holds the last screenful of envelopes, which is what responses repeat.
_WINDOW_BITS: Final = 13
# With it a compressor is 96 KiB, where zlib's defaults take 256: connections idle by the thousand.
_MEMORY_LEVEL: Final = 7
# Responses shrink to about a third at the cheapest levels already (RFC 4978 4).
_LEVEL: Final = 3


class Deflater:
    """What we send."""

    __slots__ = ("_compressor",)

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL)

    def deflate(self, data: bytes | bytearray | memoryview) -> bytes:
        """The octets to send for `data`, all of it."""
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)


class Inflater:
    """What the peer sends."""

    __slots__ = ("_decompressor", "_full", "_held")

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        self._held = b""
        self._full = False  # the last piece was as large as asked for: zlib may hold more of it

    @property
    def held(self) -> int:
        """Octets that have come and are not inflated yet."""
        return len(self._held)

    @property
    def ended(self) -> bool:
        """The peer has finished its stream: nothing it sends after that means anything."""
        return self._decompressor.eof

    def feed(self, data: bytes) -> None:
        """What came; only when `take` has given all there was."""
        assert self.spent, "the piece before it is not used up"
        self._held = data

    @property
    def spent(self) -> bool:
        """All that came has been taken."""
        return not self._held and not self._full

    @property
    def unused(self) -> bytes:
        """What came after the end of the peer's stream, and so is not DEFLATE."""
        return self._decompressor.unused_data

    def take(self, bytes_max: int) -> bytes:
        """At most so many octets; b"": more must come. Raises RemoteProtocolError."""
        assert bytes_max > 0, bytes_max  # to zlib, 0 is no limit at all
        if self.spent:
            return b""
        try:
            data = self._decompressor.decompress(self._held, bytes_max)
        except zlib.error as error:
            self._held, self._full = b"", False
            raise RemoteProtocolError("not DEFLATE") from error
        self._held = self._decompressor.unconsumed_tail
        self._full = len(data) == bytes_max
        return data
