"""The body of a flush on its way to the disk: joined where it is small, as it is where it is large.

A large payload is neither copied nor summed a second time. Its record's checksum has been through
all of its bytes, and CRC-32 is linear: what it would have become with another beginning follows
from where it began and how long it was.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

from msgspec import Struct

# From so many bytes on a payload stays by itself. Below, summing it takes hardly longer than the
# arithmetic for a length that was never met before.
LARGE_BYTES: Final = 512 * 1024

_POLYNOMIAL: Final = 0xEDB88320  # of CRC-32, the lowest power in the highest bit
_ONE: Final = 1 << 31
_X8: Final = _ONE >> 8


class Piece(Struct, frozen=True, gc=False):
    """Bytes; of a large payload, a checksum over it too, and what that began with."""

    data: bytes
    crc: int | None = None
    begun: int = 0


class Body:
    """Pieces one after another."""

    __slots__ = ("_pieces", "_size")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._size = sum([len(piece.data) for piece in pieces])

    def __len__(self) -> int:
        return self._size

    @property
    def parts(self) -> list[bytes]:
        """For a write of many."""
        return [piece.data for piece in self._pieces]

    def joined(self) -> bytes:
        """All of it in one."""
        return b"".join(self.parts)

    def crc(self, previous: int) -> int:
        """crc32 of all of it, continuing `previous`."""
        for piece in self._pieces:
            if piece.crc is None:
                previous = crc32(piece.data, previous)
            else:
                previous = carried(piece.crc, piece.begun, previous, len(piece.data))
        return previous


def carried(crc: int, begun: int, previous: int, length: int) -> int:
    """crc32(data, previous), of data so long whose crc32(data, begun) is `crc`."""
    return crc ^ _product(_power(length), begun ^ previous)


@lru_cache(maxsize=64)
def _power(length: int) -> int:
    """x ** (8 * length): what so many bytes do to the checksum before them."""
    power, square = _ONE, _X8
    while length:
        if length & 1:
            power = _product(power, square)
        square = _product(square, square)
        length >>= 1
    return power


def _product(a: int, b: int) -> int:
    """Of two polynomials, modulo CRC-32's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product
