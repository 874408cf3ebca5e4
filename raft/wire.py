"""Messages to bytes and back.

    header   magic u8 | version u8 | kind u8 | flags u8 | crc u32 | cluster 16 B
             | group u32 | sender u64 | to u64 | term u64                    (52 bytes)
    body     numbers of the kind, big-endian u64 in the order of its fields
    Append   ... | count u32 | count * (term u64, kind u8, length u32) | payloads, one after another
    Propose  count u32 | count * (length u32) | payloads

The crc (zlib.crc32) covers everything after itself, and the four bytes before it. The indexes of
an Append follow from its previous_index. Payloads are joined as they are, never encoded again.
Kinds and flags are never renumbered. A reader accepts exactly what the writer produces.
"""

import struct
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from raft.configs import BadMembership, decode_membership
from raft.messages import (
    Append,
    AppendReject,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    Propose,
    ReadReply,
    ReadRequest,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raft.model import CLUSTER_ID_BYTES, KINDS_KNOWN, MIB, Entry, EntryKind

VERSION: Final = 1
# Well above the largest Append or Propose a replica sends, so a reader never refuses a writer.
MESSAGE_BYTES_MAX: Final = 16 * MIB

_MAGIC: Final = 0xA7
_START: Final = struct.Struct(">BBBB")
_REST: Final = struct.Struct(">16sIQQQ")
_CRC: Final = struct.Struct(">I")
_HEADER_BYTES: Final = _START.size + _CRC.size + _REST.size
_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_U64X2: Final = struct.Struct(">QQ")
_U64X3: Final = struct.Struct(">QQQ")
_APPEND: Final = struct.Struct(">QQQI")
_ENTRY: Final = struct.Struct(">QBI")

_PRE: Final = 1
_HANDOVER: Final = 2
_GRANTED: Final = 4

_KINDS: Final[dict[type[Any], int]] = {
    VoteRequest: 1,
    VoteReply: 2,
    Append: 3,
    AppendReply: 4,
    AppendReject: 5,
    Heartbeat: 6,
    HeartbeatReply: 7,
    Propose: 8,
    ReadRequest: 9,
    ReadReply: 10,
    TimeoutNow: 11,
    SnapshotOffer: 12,
}
_ENTRY_KINDS: Final = {int(kind): kind for kind in KINDS_KNOWN}


class WireError(ValueError):
    """These bytes are not a message of this version."""


class WrongCluster(WireError):
    """A whole message, but of another cluster."""


class UnsupportedEntry(WireError):
    """An entry of a kind this version does not know: the sender is newer than we are."""


def encode(message: Message, *, cluster: bytes) -> bytes:
    """One message as bytes."""
    assert len(cluster) == CLUSTER_ID_BYTES, cluster
    flags = 0
    body: list[bytes]
    match message:
        case Append():
            body = _append_body(message)
        case AppendReply(match=match):
            body = [_U64.pack(match)]
        case Heartbeat(commit=commit, round=number):
            body = [_U64X2.pack(commit, number)]
        case HeartbeatReply(round=number):
            body = [_U64.pack(number)]
        case Propose(payloads=payloads):
            lengths = struct.pack(f">I{len(payloads)}I", len(payloads), *map(len, payloads))
            body = [lengths, *payloads]
        case AppendReject(rejected=rejected, hint_index=index, hint_term=term):
            body = [_U64X3.pack(rejected, index, term)]
        case VoteRequest(last_index=index, last_term=term):
            flags = (_PRE if message.pre else 0) | (_HANDOVER if message.handover else 0)
            body = [_U64X2.pack(index, term)]
        case VoteReply():
            flags = (_PRE if message.pre else 0) | (_GRANTED if message.granted else 0)
            body = []
        case SnapshotOffer(index=index, index_term=term):
            body = [_U64X2.pack(index, term)]
        case ReadRequest(ticket=ticket):
            body = [_U64.pack(ticket)]
        case ReadReply(ticket=ticket, index=index):
            body = [_U64X2.pack(ticket, index)]
        case TimeoutNow():
            body = []
    start = _START.pack(_MAGIC, VERSION, _KINDS[type(message)], flags)
    rest = _REST.pack(cluster, message.group, message.sender, message.to, message.term)
    tail = b"".join([rest, *body])
    return b"".join((start, _CRC.pack(crc32(tail, crc32(start))), tail))


def _append_body(message: Append) -> list[bytes]:
    entries = message.entries
    pack = _ENTRY.pack
    body = [
        _APPEND.pack(message.previous_index, message.previous_term, message.commit, len(entries))
    ]
    body += [pack(term, kind, len(payload)) for _, term, kind, payload in entries]
    body += [entry.payload for entry in entries]
    return body


def decode(data: bytes, *, cluster: bytes) -> Message:
    """Bytes as one message; raises WireError and its kin, nothing else."""
    if not _HEADER_BYTES <= len(data) <= MESSAGE_BYTES_MAX:
        raise WireError(f"a message of {len(data)} bytes")
    magic, version, kind, flags = _START.unpack_from(data)
    if magic != _MAGIC or version != VERSION:
        raise WireError(f"magic {magic:#x}, version {version}; ours is {_MAGIC:#x}, {VERSION}")
    (crc,) = _CRC.unpack_from(data, _START.size)
    tail = memoryview(data)[_START.size + _CRC.size :]
    if crc32(tail, crc32(data[: _START.size])) != crc:
        raise WireError("checksum does not match")
    theirs, group, sender, to, term = _REST.unpack_from(tail)
    if theirs != cluster:
        raise WrongCluster(f"cluster {theirs.hex()}, ours is {cluster.hex()}")
    reader = _READERS.get(kind)
    if reader is None:
        raise WireError(f"message kind {kind} is not known to this version")
    try:
        return reader((group, sender, to, term), flags, data, _HEADER_BYTES)
    except struct.error as error:
        raise WireError(f"message kind {kind} ends too early") from error


_Head = tuple[int, int, int, int]


def _whole(data: bytes, end: int) -> None:
    if end != len(data):
        raise WireError(f"{len(data)} bytes where {end} were announced")


def _numbers(shape: struct.Struct, data: bytes, at: int) -> tuple[Any, ...]:
    _whole(data, at + shape.size)
    return shape.unpack_from(data, at)


def _simple(made: Callable[..., Message], shape: struct.Struct) -> Callable[..., Message]:
    def read(head: _Head, flags: int, data: bytes, at: int) -> Message:
        _no_flags(flags)
        return made(*head, *_numbers(shape, data, at))

    return read


def _no_flags(flags: int) -> None:
    if flags:
        raise WireError(f"flags {flags:#x} are not known to this version")


def _read_vote_request(head: _Head, flags: int, data: bytes, at: int) -> VoteRequest:
    _no_flags(flags & ~(_PRE | _HANDOVER))
    index, term = _numbers(_U64X2, data, at)
    return VoteRequest(*head, bool(flags & _PRE), bool(flags & _HANDOVER), index, term)


def _read_vote_reply(head: _Head, flags: int, data: bytes, at: int) -> VoteReply:
    _no_flags(flags & ~(_PRE | _GRANTED))
    _whole(data, at)
    return VoteReply(*head, bool(flags & _PRE), bool(flags & _GRANTED))


def _read_append(head: _Head, flags: int, data: bytes, at: int) -> Append:
    _no_flags(flags)
    previous_index, previous_term, commit, count = _APPEND.unpack_from(data, at)
    at += _APPEND.size
    position = at + count * _ENTRY.size
    if position > len(data):
        raise WireError(f"{count} entries do not fit in the message")
    entries: list[Entry] = []
    index = previous_index
    last_term = previous_term
    for term, kind_number, length in _ENTRY.iter_unpack(memoryview(data)[at:position]):
        index += 1
        end = position + length
        if term < last_term:
            raise WireError(f"entry {index} has term {term} after {last_term}")
        last_term = term
        entries.append(Entry(index, term, _kind(kind_number), data[position:end]))
        if kind_number == EntryKind.CONFIG:
            _check_membership(entries[-1])
        position = end
    _whole(data, position)
    if last_term > head[3]:
        raise WireError(f"entries of term {last_term} from a leader of term {head[3]}")
    return Append(*head, previous_index, previous_term, commit, tuple(entries))


def _kind(number: int) -> EntryKind:
    kind = _ENTRY_KINDS.get(number)
    if kind is None:
        raise UnsupportedEntry(f"entry kind {number} is not known to this version")
    return kind


def _check_membership(entry: Entry) -> None:
    try:
        decode_membership(entry.payload)
    except BadMembership as error:
        raise UnsupportedEntry(f"entry {entry.index}: {error}") from error


def _read_propose(head: _Head, flags: int, data: bytes, at: int) -> Propose:
    _no_flags(flags)
    (count,) = _U32.unpack_from(data, at)
    at += _U32.size
    if at + count * _U32.size > len(data):
        raise WireError(f"{count} payloads do not fit in the message")
    lengths = struct.unpack_from(f">{count}I", data, at)
    position = at + count * _U32.size
    payloads: list[bytes] = []
    for length in lengths:
        payloads.append(data[position : position + length])
        position += length
    _whole(data, position)
    return Propose(*head, tuple(payloads))


def _read_timeout_now(head: _Head, flags: int, data: bytes, at: int) -> TimeoutNow:
    _no_flags(flags)
    _whole(data, at)
    return TimeoutNow(*head)


_READERS: Final[dict[int, Callable[[_Head, int, bytes, int], Message]]] = {
    1: _read_vote_request,
    2: _read_vote_reply,
    3: _read_append,
    4: _simple(AppendReply, _U64),
    5: _simple(AppendReject, _U64X3),
    6: _simple(Heartbeat, _U64X2),
    7: _simple(HeartbeatReply, _U64),
    8: _read_propose,
    9: _simple(ReadRequest, _U64),
    10: _simple(ReadReply, _U64X2),
    11: _read_timeout_now,
    12: _simple(SnapshotOffer, _U64X2),
}
