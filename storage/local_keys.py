"""The keys of what a node knows for itself: never in a snapshot, never in a hash.

    local        0x00 | collection u8 | rest
    replicated   0x01 ...                      (see keys.py)

    a  applied                                      -> index, term, chain hash
    g  groups            last index u64             -> u64, the last index of the group before
    k  checkpoint                                   -> u64, applied index that is surely on disk
    i  installed                                    -> index u64 | the house's note: see snapshot.py
    s  segments                                     -> u64, blob segments below are on disk
    n  numbers                                      -> u64, no new segment takes one up to this
    p  blob part         blob 32 | offset u64       -> segment, position, length, checksum

Numbers here are on disk and never change meaning.
"""

import struct
from typing import Final

from storage.ids import BlobId
from storage.keys import KeyRange

LOCAL: Final = b"\x00"

_NUMBER: Final = struct.Struct(">2sQ")
_BLOB_U64: Final = struct.Struct(">2s32sQ")

APPLIED_KEY: Final = LOCAL + b"a"
CHECKPOINT_KEY: Final = LOCAL + b"k"
SEGMENTS_KEY: Final = LOCAL + b"s"
NUMBERS_KEY: Final = LOCAL + b"n"
INSTALLED_KEY: Final = LOCAL + b"i"
GROUPS_RANGE: Final[KeyRange] = (LOCAL + b"g", LOCAL + b"h")
PLACES_RANGE: Final[KeyRange] = (LOCAL + b"p", LOCAL + b"q")


def group_key(last_index: int) -> bytes:
    """That a group of entries ending at this index was applied."""
    return _NUMBER.pack(LOCAL + b"g", last_index)


def unpack_group_key(key: bytes) -> int:
    """The last index of a group."""
    number: int = _NUMBER.unpack(key)[1]
    return number


def place_key(blob: BlobId, offset: int) -> bytes:
    """Where on this node a part of a blob is."""
    return _BLOB_U64.pack(LOCAL + b"p", blob, offset)


def unpack_place_key(key: bytes) -> tuple[BlobId, int]:
    """Blob and offset of a part."""
    fields = _BLOB_U64.unpack(key)
    return BlobId(fields[1]), fields[2]
