"""Small fixed-width values that several rows share, packed beside their unpacking."""

import struct
from typing import Final

_U64: Final = struct.Struct(">Q")


def pack_u64(number: int) -> bytes:
    """Eight bytes, big-endian: bytes sort as numbers."""
    return _U64.pack(number)


def unpack_u64(value: bytes) -> int:
    """The number in eight bytes; raises struct.error for any other length."""
    number: int = _U64.unpack(value)[0]
    return number
