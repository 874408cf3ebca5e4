"""The bytes of one log segment; pack stands beside unpack, nothing here touches a disk.

    block 0      header, twice (at 0 and at 2048), each with its own crc
    block n...   a flush, starting on a 4 KiB boundary
                 flush header | record | record ... each padded to 8 bytes | zeros
    last block   a seal: a flush header of length 0, written after the fdatasync it tells of

    header   magic 8s | version u16 | 0 u16 | sequence u64 | salt u64 | cluster 16s | replica u64
             | first index u64 | previous end u64 | previous crc u32 | term u64 | vote u64 | crc u32
    flush    magic u32 | 0 u32 | number u64 | synced up to u64 | length u32 | previous crc u32
             | body crc u32 | header crc u32
    record   crc u32 | length u32 | type u8 | kind u8 | 0 u16 | group u32 | term u64 | index u64
             | payload

Checksums are zlib.crc32. A record's is seeded with the segment's salt, so a single record can be
verified when it is read back, and bytes of an older file in the same place never pass. A flush's
body crc is seeded with that of the flush before, over segments too, so a lost write shows.
`synced up to` is the proof that everything before it had been acknowledged: damage there is
corruption and never a torn tail.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final
from zlib import crc32

from msgspec import Struct

from raft.body import LARGE_BYTES, Body, Piece
from raft.configs import BadMembership, decode_membership, encode_membership
from raft.model import (
    KIB,
    KINDS_KNOWN,
    Entry,
    EntryKind,
    HardState,
    Index,
    Membership,
    Persist,
    SnapshotMeta,
    Term,
)

VERSION: Final = 1
BLOCK_BYTES: Final = 4 * KIB

_MAGIC: Final = b"TRIRWAL\n"
_FLUSH_MAGIC: Final = 0x54524657
_FLUSH_START: Final = _FLUSH_MAGIC.to_bytes(4)
_COPY_OFFSETS: Final = (0, BLOCK_BYTES // 2)
_HEADER: Final = struct.Struct(">8sHHQQ16sQQQIQQ")
_CRC: Final = struct.Struct(">I")
_FLUSH: Final = struct.Struct(">IIQQIII")
_WHOLE_FLUSH: Final = struct.Struct(">IIQQIIII")  # with its checksum behind it
FLUSH_HEADER_BYTES: Final = _FLUSH.size + _CRC.size
_RECORD: Final = struct.Struct(">IBBHIQQ")
RECORD_HEADER_BYTES: Final = _CRC.size + _RECORD.size
_WHOLE_RECORD: Final = struct.Struct(">IIBBHIQQ")  # with its checksum before it
_PADDING: Final = tuple(bytes(-length % 8) for length in range(8))


class RecordType(IntEnum):
    """Numbers on disk, never renumbered."""

    ENTRY = 1
    HARD_STATE = 2
    TRUNCATE = 3
    SNAPSHOT = 4  # the log begins behind (index, term); the payload is the membership there
    COPY = 5  # an entry that another replica gave back, in the place of one that was damaged
    CUT = 6  # what did not read back was given up: the log ends before index
    MEND = 7  # the copies that follow were brought back by repair number `index`


# Looked up for every record of a log that is opened; calling an enum takes ten times as long.
_TYPES: Final = {int(one): one for one in RecordType}
_ENTRIES: Final = (int(RecordType.ENTRY), int(RecordType.COPY))
_SNAPSHOT: Final = int(RecordType.SNAPSHOT)
_ENTRY_KINDS: Final = {int(kind): kind for kind in KINDS_KNOWN}
_CONFIG: Final = int(EntryKind.CONFIG)


class BadSegment(ValueError):
    """These bytes are not what this version writes."""


class Header(Struct, frozen=True, gc=False):
    """What a segment says of itself, and of the end of the one before it."""

    sequence: int
    salt: int
    cluster: bytes
    replica: int
    first_index: Index
    previous_end: int  # the segment before counts up to here, all of it synced
    previous_crc: int
    hard_state: HardState


class FlushHeader(Struct, frozen=True, gc=False):
    """One write and one fdatasync; length 0 is a seal."""

    number: int
    synced_up_to: int
    length: int
    previous_crc: int
    body_crc: int


class Record(Struct, frozen=True, gc=False):
    """One record as it was read; `offset` is where it stands in the segment."""

    type: RecordType
    group: int
    term: Term
    index: Index
    entry: Entry | None
    offset: int
    snapshot: SnapshotMeta | None = None


def pack_header(header: Header) -> bytes:
    """The first block of a segment."""
    body = _HEADER.pack(
        _MAGIC,
        VERSION,
        0,
        header.sequence,
        header.salt,
        header.cluster,
        header.replica,
        header.first_index,
        header.previous_end,
        header.previous_crc,
        header.hard_state.term,
        header.hard_state.vote,
    )
    copy = body + _CRC.pack(crc32(body))
    block = bytearray(BLOCK_BYTES)
    for offset in _COPY_OFFSETS:
        block[offset : offset + len(copy)] = copy
    return bytes(block)


def unpack_header(data: bytes, sequence: int | None = None) -> Header:
    """Whichever copy is whole, that of this segment if one is; BadSegment when neither is."""
    whole: Header | None = None
    for offset in _COPY_OFFSETS:
        header = _unpack_copy(data, offset)
        if header is not None and sequence in (None, header.sequence):
            return header
        whole = whole or header
    if whole is None:
        raise BadSegment("neither copy of the header is whole")
    return whole


def _unpack_copy(data: bytes, offset: int) -> Header | None:
    body = data[offset : offset + _HEADER.size]
    crc = data[offset + _HEADER.size : offset + _HEADER.size + _CRC.size]
    if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != crc32(body):
        return None
    magic, version, _, sequence, salt, cluster, replica, *rest = _HEADER.unpack(body)
    first_index, previous_end, previous_crc, term, vote = rest
    if magic != _MAGIC:
        return None
    if version != VERSION:
        raise BadSegment(f"log format {version}, this version knows {VERSION}")
    return Header(
        sequence,
        salt,
        cluster,
        replica,
        first_index,
        previous_end,
        previous_crc,
        HardState(term, vote),
    )


# Entries that are of no interest to whoever only counts them.
_PLAIN_RECORD: Final = int(RecordType.ENTRY)
_PLAIN_KINDS: Final = (int(EntryKind.NORMAL), int(EntryKind.NOOP))


def _seed(salt: int) -> int:
    return salt & 0xFFFFFFFF


def pack_flush_header(header: FlushHeader, salt: int) -> bytes:
    """The header of a flush or of a seal."""
    body = _FLUSH.pack(
        _FLUSH_MAGIC,
        0,
        header.number,
        header.synced_up_to,
        header.length,
        header.previous_crc,
        header.body_crc,
    )
    return body + _CRC.pack(crc32(body, _seed(salt)))


def unpack_flush_header(data: bytes, offset: int, salt: int) -> FlushHeader | None:
    """The flush header at this place; None when there is no valid one of this segment."""
    if not data.startswith(_FLUSH_START, offset):
        return None
    if offset + FLUSH_HEADER_BYTES > len(data):
        return None
    _, _, *told, crc = _WHOLE_FLUSH.unpack_from(data, offset)
    if crc != crc32(data[offset : offset + _FLUSH.size], _seed(salt)):
        return None
    return FlushHeader(*told)


def pack_steps(
    steps: Sequence[Persist], group: int, salt: int, entries_at: list[tuple[Index, int]]
) -> Body:
    """Records of these steps in order; notes (index, place in the body) of every entry."""
    pieces: list[Piece] = []
    parts: list[bytes] = []  # of the next piece
    size = 0
    seed = _seed(salt)
    pack, pack_crc, padding = _RECORD.pack, _CRC.pack, _PADDING
    for step in steps:
        if step.hard_state is not None:
            term, vote = step.hard_state.term, step.hard_state.vote
            head = pack(0, RecordType.HARD_STATE, 0, 0, group, term, vote)
            parts += (pack_crc(crc32(head, seed)), head)
            size += RECORD_HEADER_BYTES
        if step.truncate_from is not None:
            head = pack(0, RecordType.TRUNCATE, 0, 0, group, 0, step.truncate_from)
            parts += (pack_crc(crc32(head, seed)), head)
            size += RECORD_HEADER_BYTES
        if step.snapshot is not None:
            payload = encode_membership(step.snapshot.membership)
            index, term = step.snapshot.index, step.snapshot.term
            head = pack(len(payload), RecordType.SNAPSHOT, 0, 0, group, term, index)
            pad = padding[len(payload) & 7]
            parts += (pack_crc(crc32(payload, crc32(head, seed))), head, payload, pad)
            size += RECORD_HEADER_BYTES + len(payload) + len(pad)
        for index, term, kind, payload in step.entries:
            length = len(payload)
            head = pack(length, _PLAIN_RECORD, kind, 0, group, term, index)
            pad = padding[length & 7]
            begun = crc32(head, seed)
            crc = crc32(payload, begun)
            if length < LARGE_BYTES:
                parts += (pack_crc(crc), head, payload, pad)
            else:
                pieces += (
                    Piece(b"".join([*parts, pack_crc(crc), head])),
                    Piece(payload, crc, begun),
                )
                parts = [pad]
            entries_at.append((index, size))
            size += RECORD_HEADER_BYTES + length + len(pad)
    pieces.append(Piece(b"".join(parts)))
    return Body(pieces)


def pack_copies(entries: Sequence[Entry], group: int, salt: int) -> bytes:
    """Records of entries that were brought back."""
    parts: list[bytes] = []
    for index, term, kind, payload in entries:
        head = _RECORD.pack(len(payload), RecordType.COPY, kind, 0, group, term, index)
        crc = _CRC.pack(crc32(payload, crc32(head, _seed(salt))))
        parts += (crc, head, payload, _PADDING[len(payload) & 7])
    return b"".join(parts)


def pack_cut(first: Index, group: int, salt: int) -> bytes:
    """The record that gives up what does not read back from an entry on."""
    return _pack_mark(RecordType.CUT, first, group, salt)


def pack_mend(repair: int, group: int, salt: int) -> bytes:
    """The record that says which repair brought back the copies behind it."""
    return _pack_mark(RecordType.MEND, repair, group, salt)


def _pack_mark(kind: RecordType, number: int, group: int, salt: int) -> bytes:
    head = _RECORD.pack(0, kind, 0, 0, group, 0, number)
    return _CRC.pack(crc32(head, _seed(salt))) + head


def unpack_record(data: bytes, offset: int, salt: int, *, at: int = 0) -> tuple[Record, int]:
    """The record at this place of `data` (which starts at byte `at` of the segment), and its end.

    BadSegment when it is damaged, cut short, or of a kind this version does not know.
    """
    body = offset + RECORD_HEADER_BYTES
    if body > len(data):
        raise BadSegment(f"record at {at + offset} is cut short")
    told, length, number, kind, _, group, term, index = _WHOLE_RECORD.unpack_from(data, offset)
    payload = data[body : body + length]
    crc = crc32(payload, crc32(data[offset + _CRC.size : body], _seed(salt)))
    if len(payload) != length or told != crc:
        raise BadSegment(f"record at {at + offset} is damaged")
    record_type, entry_kind = _TYPES.get(number), _ENTRY_KINDS.get(kind)
    if record_type is None or entry_kind is None:
        raise BadSegment(f"record at {at + offset}: type {number}, kind {kind} are not known")
    entry = meta = None
    if number in _ENTRIES:
        if kind == _CONFIG:
            _membership(payload, at + offset)
        entry = Entry(index, term, entry_kind, payload)
    elif number == _SNAPSHOT:
        meta = SnapshotMeta(index, term, _membership(payload, at + offset))
    end = body + length + (-length % 8)
    return Record(record_type, group, term, index, entry, at + offset, meta), end


def skim_entries(
    data: bytes, offset: int, salt: int, *, at: int = 0
) -> tuple[Index, Term, list[int], int]:
    """Whole, plain entries of one term that follow each other from this place of `data` (which
    starts at byte `at` of the segment): the first, their term, their places in the segment, and
    where something else begins: another record, the end, or damage. No places: none is here.

    A start reads every entry of the log and needs no more of them than this; unpack_record tells
    what is wrong with what is left.
    """
    first = of_term = 0
    places: list[int] = []
    seed, view, size, unpack = _seed(salt), memoryview(data), len(data), _WHOLE_RECORD.unpack_from
    while offset + RECORD_HEADER_BYTES <= size:
        crc, length, number, kind, _, _, term, index = unpack(data, offset)
        end = offset + RECORD_HEADER_BYTES + length
        if number != _PLAIN_RECORD or kind not in _PLAIN_KINDS or end > size:
            break
        if crc32(view[offset + _CRC.size : end], seed) != crc:
            break
        if not places:
            first, of_term = index, term
        elif index != first + len(places) or term != of_term:
            break
        places.append(at + offset)
        offset = end + (-length & 7)
    return first, of_term, places, offset


def plain_entry(data: bytes, offset: int, salt: int) -> Entry | None:
    """The entry at this place of `data`, when a whole, undamaged record of a plain one stands
    there. Followers that lag, and every read of older entries, ask for nothing else;
    unpack_record tells what is wrong.
    """
    body = offset + RECORD_HEADER_BYTES
    if offset < 0 or body > len(data):
        return None
    crc, length, number, kind, _, _, term, index = _WHOLE_RECORD.unpack_from(data, offset)
    end = body + length
    if number not in _ENTRIES or kind not in _PLAIN_KINDS or end > len(data):
        return None
    if crc32(memoryview(data)[offset + _CRC.size : end], _seed(salt)) != crc:
        return None
    return Entry(index, term, _ENTRY_KINDS[kind], data[body:end])


def _membership(payload: bytes, at: int) -> Membership:
    try:
        return decode_membership(payload)
    except BadMembership as error:
        raise BadSegment(f"record at {at}: {error}") from error


def record_bytes(data: bytes, offset: int) -> int:
    """How long the record at this place claims to be; the caller has its header whole."""
    (length,) = _CRC.unpack_from(data, offset + _CRC.size)
    return RECORD_HEADER_BYTES + int(length)


def body_crc(body: bytes, previous_crc: int) -> int:
    """The chained checksum of a flush; Body.crc of one that is being written."""
    return crc32(body, previous_crc)


def next_block(offset: int) -> int:
    """The first block boundary at or after this place."""
    return (offset + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES
